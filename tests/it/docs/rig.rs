//! All that these tests take from the rig, in one place.

pub(super) use rcs_tests::process::Process;
pub(super) use rcs_tests::wait::wait_until;
pub(super) use rcs_tests::workspace::{binary, root, scratch};
pub(super) use tempfile::TempDir;
