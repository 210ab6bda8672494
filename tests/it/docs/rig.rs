//! All that these tests take from the rig, in one place.

pub(super) use rcs_rig::process::Process;
pub(super) use rcs_rig::wait::wait_until;
pub(super) use rcs_rig::workspace::{binary, root, scratch};
pub(super) use tempfile::TempDir;
