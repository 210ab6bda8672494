//! `rcs-router demo`

use clap::Args;
use rcs_cli::{Exit, Failure};

use crate::demo::{self, After, DemoError};

/// Show it: a router and three nodes are started here, users are read through them, and one node is killed meanwhile.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep everything up afterwards, with the killed node started again, and print how to connect.
    #[arg(long)]
    stay: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let after = if arguments.stay { After::Stay } else { After::End };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Exit::Internal.with(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(demo::run(after)).map_err(|error| {
        let exit = if matches!(error, DemoError::Interrupted) { Exit::Unavailable } else { Exit::Internal };
        exit.with(format!("demo: {error}"))
    })
}
