//! `rcs-router completion`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use rcs_cli::Failure;

use super::Cli;

/// Print a shell's completion script for this program.
#[derive(Debug, Args)]
#[command(after_help = "Example: rcs-router completion bash > /etc/bash_completion.d/rcs-router")]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "rcs-router", &mut script);
    rcs_cli::say_part(String::from_utf8_lossy(&script));
    Ok(())
}
