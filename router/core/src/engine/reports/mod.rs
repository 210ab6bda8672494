//! The engine's state as an operator sees it. Read only; no payload, no secret.

mod call;
mod configurations;
mod member;
mod moved;
mod sets;
mod state;

pub use self::call::{CallFilter, CallReport, StepReport};
pub use self::configurations::ConfigurationReport;
pub use self::member::{Administration, MemberError, MemberMode, MemberReport};
pub use self::sets::{BundlesReport, MemberBundles};
pub use self::state::{CallerReport, GroupReport, GroupSupply, Report};
