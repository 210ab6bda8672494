//! The command line: which command runs, and the exit code that says how it went.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rcs_cli::log::{FILTER_VARIABLE, Format};
use rcs_cli::{Exit, Failure};

use crate::arguments::{CompareArgs, LoadArgs};
use crate::{compare, drill, load};

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match rcs_cli::parse::<Cli>(arguments) {
        Ok(cli) => rcs_cli::end("rcs-bench", || {
            // The bench prints its figures. The log adds nothing to the figures, unless somebody looks for a fault.
            if std::env::var_os(FILTER_VARIABLE).is_some() {
                rcs_cli::log::start(Format::Text)?;
            }
            run_command(cli.command)
        }),
        Err(code) => code,
    }
}

fn run_command(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Internal.with(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Load(arguments) => load::run(arguments).await,
            Command::Compare(arguments) => compare::run(arguments).await,
            Command::Drill(arguments) => drill::run(arguments).await,
            Command::DrillNode(arguments) => drill::run_node(arguments).await,
        }
    })
}

/// Load generator and fault drills for connector servers and routers.
#[derive(Parser)]
#[command(name = "rcs-bench", version, after_help = rcs_cli::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put one target under load.
    Load(LoadArgs),
    /// Measure a target directly and through a router, in turns, and compare the two.
    Compare(CompareArgs),
    /// Cause faults on purpose under load, and check that no call is lost, run twice or left hanging.
    Drill(drill::DrillArgs),
    /// One member of a drill.
    #[command(hide = true)]
    DrillNode(drill::NodeArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_errors_end_with_64_and_help_with_0() {
        for (arguments, code) in [
            (&["--help"][..], ExitCode::SUCCESS),
            (&["--version"], ExitCode::SUCCESS),
            (&[], Exit::Usage.into()),
            (&["load"], Exit::Usage.into()),
            (&["load", "--url", "ws://h", "--rate", "0"], Exit::Usage.into()),
            (&["load", "--url", "ws://h", "--rate", "5", "--concurrency", "5"], Exit::Usage.into()),
            (&["load", "--url", "ftp://h", "--key", "k"], Exit::Usage.into()),
            (&["load", "--url", "ws://h", "--key-file", "/no/such/file"], Exit::BadData.into()),
        ] {
            let arguments = std::iter::once("rcs-bench").chain(arguments.iter().copied()).map(OsString::from);
            assert_eq!(
                format!("{:?}", run(arguments.clone())),
                format!("{code:?}"),
                "{:?}",
                arguments.collect::<Vec<_>>()
            );
        }
    }
}
