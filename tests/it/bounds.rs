//! The bounds of waits in these suites. A bound of its own needs a reason beside it.

pub(crate) use rcs_rig::wait::{AT_ONCE, PATIENCE};
