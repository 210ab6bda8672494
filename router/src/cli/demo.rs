//! `rcs-router demo`

use clap::Args;

use super::exit::Exit;
use crate::demo::{self, After, DemoError};

/// Run a demo: start a router and three nodes on this machine, read users through them, and kill one node meanwhile.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Restart the killed node, keep everything running until Ctrl-C, and print how to connect an IDM.
    #[arg(long)]
    stay: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let after = if arguments.stay { After::Stay } else { After::End };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rcs-router: cannot start the runtime: {error}");
            return Exit::Internal;
        }
    };
    match runtime.block_on(demo::run(after)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("rcs-router: demo: {error}");
            match error {
                DemoError::Interrupted => Exit::Unavailable,
                _ => Exit::Internal,
            }
        }
    }
}
