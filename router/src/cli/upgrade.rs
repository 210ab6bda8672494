//! `rcs-router upgrade`

use std::path::PathBuf;

use clap::Args;
use rcs_cli::{Exit, Failure};

use crate::handover::{Upgraded, upgrade};

/// Replace a running router by this program, without a closed connection: start it with the options of the running router, and wait until it
/// has taken over. The running router must have been started with --take-over SOCKET.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The Unix socket at which the running router waits (its --take-over).
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let at = arguments.socket.display();
    let upgraded = upgrade(&arguments.socket).map_err(|error| {
        Exit::Unavailable.with(format!(
            "no router can be upgraded at {at}: {error}. Is one running that was started with --take-over {at}, and by this user?"
        ))
    })?;
    match upgraded {
        Upgraded::Done { from, to } => {
            rcs_cli::say(format_args!(
                "process {to} serves now; process {from} answers the calls that it has begun, and ends"
            ));
            Ok(())
        }
        Upgraded::Ended { running, status } => Err(Exit::Unavailable.with(format!(
            "nothing changed: the new process ended ({status}), and process {running} goes on. The router's log says why"
        ))),
        Upgraded::Slow { running, later } => Err(Exit::Unavailable.with(format!(
            "process {later} has not taken over yet, and process {running} goes on. The router's log says what process {later} waits for"
        ))),
    }
}
