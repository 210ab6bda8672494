//! `rcs-router demo` in a build without the demo: says where the demo is to be had.

use std::ffi::OsString;

use clap::Args;
use rcs_cli::{Exit, Failure};

/// The demo is not in this build.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Arguments {
    /// Whatever the demo would be given: the message is the same for all of it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<OsString>,
}

pub(super) fn run() -> Result<(), Failure> {
    Err(Exit::Usage.with(
        "this build has no demo: it was built with --no-default-features. Build rcs-router with its feature `demo`, as \
         `cargo run --release -p rcs-router -- demo` does in the project's folder.",
    ))
}
