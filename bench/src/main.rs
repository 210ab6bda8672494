//! `rcs-bench`: load for connector servers and routers. See `rcs-bench --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rcs_bench::cli::run(std::env::args_os())
}
