//! The command line: parses the arguments, runs the command, and returns the exit code.

mod asked;
mod bundles;
mod call;
mod check;
mod client;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod member;
#[cfg(not(feature = "demo"))]
mod no_demo;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "demo")]
use crate::demo::{ChildArguments, run_child};

/// Routes OpenICF calls from identity systems to groups of remote connector servers.
#[derive(Debug, Parser)]
#[command(
    name = "rcs-router",
    version,
    after_help = rcs_cli::EXIT_CODES
)]
struct Cli {
    /// Format of the log on stderr. The variable RCS_LOG sets the level (default: info).
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: rcs_cli::log::Format,
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
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// A process of the demo.
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    DemoChild(ChildArguments),
    #[cfg(not(feature = "demo"))]
    #[command(hide = true)]
    Demo(no_demo::Arguments),
}

/// The whole program, with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match rcs_cli::parse::<Cli>(arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let command = match cli.command {
        #[cfg(feature = "demo")]
        Command::DemoChild(arguments) => return run_child(arguments, run),
        command => command,
    };
    rcs_cli::end("rcs-router", || match command {
        Command::Serve(arguments) => {
            rcs_cli::log::start(cli.log_format)?;
            serve::run(arguments)
        }
        Command::Check(arguments) => check::run(&arguments),
        Command::Member(arguments) => member::run(&arguments),
        Command::Bundles(arguments) => bundles::run(&arguments),
        Command::Call(arguments) => call::run(&arguments),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments),
        // It has returned above.
        #[cfg(feature = "demo")]
        Command::DemoChild(_) => Ok(()),
        #[cfg(not(feature = "demo"))]
        Command::Demo(_) => no_demo::run(),
    })
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
