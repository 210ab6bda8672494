//! `rcs-node`: a remote connector server. See `rcs-node --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rcs_node::cli::run(std::env::args_os())
}
