//! `rcs-router demo`

use clap::Args;

use super::exit::Exit;
use crate::demo::{self, After, DemoError};

/// Show it: a router and three nodes are started here, users are read through them, and one node is killed meanwhile.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep everything up afterwards, with the killed node started again, and print how to connect.
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
