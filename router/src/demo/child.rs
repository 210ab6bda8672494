//! A process of the demo, seen from inside: it is this program again, and ends when the demo does.

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

/// What the demo starts itself as.
#[derive(Debug, Args)]
pub(crate) struct ChildArguments {
    role: Role,
    /// The command line of that program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Router,
    Node,
}

/// Runs as `rcs-router` or `rcs-node` until standard input ends: the demo holds its other end, and the operating system closes
/// that however the demo dies.
#[expect(clippy::disallowed_methods, reason = "the demo is gone, so nobody has a use for an orderly end")]
pub(crate) fn run_child(arguments: ChildArguments, router: fn(Vec<OsString>) -> ExitCode) -> ExitCode {
    std::thread::spawn(|| {
        let mut nothing = [0];
        while matches!(std::io::stdin().read(&mut nothing), Ok(1..)) {}
        std::process::exit(0);
    });
    let (name, run): (_, fn(Vec<OsString>) -> ExitCode) = match arguments.role {
        Role::Router => ("rcs-router", router),
        Role::Node => ("rcs-node", |line| rcs_node::cli::run(line)),
    };
    run(std::iter::once(name.into()).chain(arguments.rest).collect())
}
