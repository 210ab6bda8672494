//! `rcs-router doctor`

use clap::Args;
use std::path::PathBuf;

use rcs_cli::doctor::{self, Detail};
use rcs_cli::{Exit, Failure};

use super::check::FileArguments;
use super::output::{Shown, Width};
use crate::doctor::{Wishes, examine};

/// The line for the end of the program's help.
pub(super) const EXIT_CODES: &str = doctor::EXIT_CODES;

/// Find out what does not work, from this machine: read the files, dial each server as the router would, ask for its connectors, and compare
/// the connectors of each group; dial each IDM of [idm.NAME], and ask each [issuer.NAME]. Prints one line for each finding, with what to do.
/// Sends no call, changes nothing, and needs no running router.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    files: FileArguments,
    /// Dial this server only, and look at nothing else but the files. Repeat the option for each server.
    #[arg(long = "member", value_name = "NAME")]
    members: Vec<String>,
    /// The document in which IDM has the router, to compare with the router's files. It is IDM's
    /// provisioner.openicf.connectorinfoprovider, as --provider is, but with entries for routers.
    #[arg(long, value_name = "FILE")]
    idm_document: Option<PathBuf>,
    /// Also shake hands with each dialled IDM. Do this while the router is stopped: the IDM takes the doctor for the router, one without
    /// connectors.
    #[arg(long)]
    handshake: bool,
    #[command(flatten)]
    shown: Shown,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let wishes = Wishes {
        members: &arguments.members,
        idm_document: arguments.idm_document.as_deref(),
        shakes_hands: arguments.handshake,
    };
    let findings = arguments.files.with(|files, mode| {
        examine(files, mode, wishes).map_err(|error| Exit::from(&error).with(error.to_string()))
    })?;
    let shown = arguments.shown.format.show(doctor::value(&findings).to_string(), |_, width| {
        let detail = if width == Width::Wide { Detail::Full } else { Detail::Short };
        Ok(doctor::lines(&findings, detail))
    });
    rcs_cli::say(shown.map_err(|error| Exit::Internal.with(error.to_string()))?);
    doctor::outcome(&findings)
}
