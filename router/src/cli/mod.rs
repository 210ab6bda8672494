//! The command line: parses the arguments, runs the command, and returns the exit code.

mod asked;
mod bundles;
mod call;
mod check;
mod client;
mod demo;
mod exit;
mod member;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use exit::Exit;

use crate::demo::{ChildArguments, run_child};
use crate::logging;

/// Routes OpenICF calls from identity systems to groups of remote connector servers.
#[derive(Debug, Parser)]
#[command(
    name = "rcs-router",
    version,
    after_help = "Exit codes: 0 success, 64 wrong usage, 65 invalid file or request, 69 a resource is unavailable, 70 internal error."
)]
struct Cli {
    /// Format of the log on stderr. The variable RCS_LOG sets the level (default: info).
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Check(check::Arguments),
    Member(member::Arguments),
    Bundles(bundles::Arguments),
    Call(call::Arguments),
    Demo(demo::Arguments),
    /// A process of the demo.
    #[command(hide = true)]
    DemoChild(ChildArguments),
}

/// The whole program, with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output; anything else is wrong usage. A closed stream is no fault.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    match cli.command {
        Command::Serve(arguments) => {
            logging::start(cli.log_format);
            serve::run(arguments).into()
        }
        Command::Check(arguments) => check::run(&arguments).into(),
        Command::Member(arguments) => member::run(&arguments).into(),
        Command::Bundles(arguments) => bundles::run(&arguments).into(),
        Command::Call(arguments) => call::run(&arguments).into(),
        Command::Demo(arguments) => demo::run(&arguments).into(),
        Command::DemoChild(arguments) => run_child(arguments, run),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
