//! The `rcs-router` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    rcs_router::cli::run(std::env::args_os())
}
