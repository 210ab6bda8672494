//! Which member a call goes to. A policy builds an immutable picker whenever the view or a member's
//! availability changes; the way of a call only picks.

mod picker;
mod policy;

pub use picker::{Cursor, Pick, Picker};
pub use policy::Policy;

#[cfg(test)]
mod tests;
