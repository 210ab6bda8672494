//! `rcs-router demo`

use clap::{Args, ValueEnum};
use rcs_cli::{Exit, Failure};

use crate::demo::{self, After, DemoError};

/// Run a demo: start a router and three nodes on this machine, read users through them, and kill one node meanwhile.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Restart the killed node, keep everything running until Ctrl-C, and print how to connect an IDM.
    #[arg(long)]
    stay: bool,
    /// With 3: three routers form a cluster, and the one that leads is killed, too.
    #[arg(long, value_enum, value_name = "N", default_value_t = Routers::One, conflicts_with = "stay")]
    routers: Routers,
}

/// How many routers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Routers {
    #[value(name = "1")]
    One,
    #[value(name = "3")]
    Three,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let after = if arguments.stay { After::Stay } else { After::End };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Exit::Internal.with(format!("cannot start the runtime: {error}")))?;
    let shown = runtime.block_on(async {
        match arguments.routers {
            Routers::One => demo::run(after).await,
            Routers::Three => demo::run_cluster().await,
        }
    });
    shown.map_err(|error| {
        let exit = if matches!(error, DemoError::Interrupted) { Exit::Unavailable } else { Exit::Internal };
        exit.with(format!("demo: {error}"))
    })
}
