//! The tests of the crate from outside.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail the test on the spot")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what helpers of tests print is for whoever reads a test's output"
)]

mod cluster;
mod mesh;
mod pki;
mod sim;
mod transport;
mod turmoil;
