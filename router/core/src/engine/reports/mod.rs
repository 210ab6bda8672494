//! The engine's state as an operator sees it. Read only; no payload, no secret.

mod call;
mod sets;
mod state;

pub use self::call::{CallReport, StepReport};
pub use self::sets::{BundlesReport, MemberBundles};
pub use self::state::{Administration, CallerReport, GroupReport, MemberReport, Report};
