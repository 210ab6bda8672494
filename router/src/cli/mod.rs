//! The command line: what is asked for, and the exit code that tells how it went.

mod check;
mod exit;
mod serve;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use exit::Exit;

use crate::logging;

/// Routes OpenICF calls from identity systems to groups of remote connector servers.
#[derive(Debug, Parser)]
#[command(
    name = "rcs-router",
    version,
    after_help = "Exit codes: 0 ok, 64 usage, 65 bad data, 69 unavailable, 70 internal."
)]
struct Cli {
    /// How the log on stderr looks; its filter is the variable RCS_LOG (default: info).
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Check(check::Arguments),
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, on standard output; the rest is usage. A closed stream is nobody's concern.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Ok } else { Exit::Usage }.into();
        }
    };
    logging::start(cli.log_format);
    let exit = match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
    };
    exit.into()
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
