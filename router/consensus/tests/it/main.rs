//! The tests of the crate from outside.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail the test on the spot")]

mod cluster;
mod mesh;
