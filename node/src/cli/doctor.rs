//! `rcs-node doctor`: what does not work between this server and the other end, from this machine.

mod bundles;
mod client;
mod document;
mod server;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rcs_cli::doctor::{self, Detail, Finding};
use rcs_cli::file::read_bounded;
use rcs_cli::idm::IdmDocument;
use rcs_cli::limits::IDM_DOCUMENT_BYTES_MAX;
use rcs_cli::{Exit, Failure};

use super::plan::Plan;
use super::{SettingArgs, load};
use crate::config::Mode;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The ConnectorServer.properties file.
    #[arg(value_name = "FILE")]
    properties: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
    /// IDM's provisioner.openicf.connectorinfoprovider document, to compare the properties with.
    #[arg(long, value_name = "FILE")]
    provider: Option<PathBuf>,
    /// The name that the document has for this server, for a server in server mode. Default: the entry with this server's port.
    #[arg(long, value_name = "NAME", requires = "provider")]
    name: Option<String>,
    /// In client mode, also shake hands with each URL. Do this while the server is stopped: the peer takes the doctor for the server, and a
    /// router with one server of this name lets the running one go.
    #[arg(long)]
    handshake: bool,
    /// Output format.
    #[arg(long = "output", short = 'o', value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each finding.
    #[default]
    #[value(alias = "table")]
    Text,
    /// The same for programs.
    Json,
}

pub(super) fn run(arguments: &DoctorArgs) -> Result<(), Failure> {
    let findings = examine(arguments)?;
    match arguments.format {
        Format::Text => rcs_cli::say(doctor::lines(&findings, Detail::Full)),
        Format::Json => rcs_cli::say(doctor::value(&findings)),
    }
    doctor::outcome(&findings)
}

/// The name of the findings about the properties file.
const PROPERTIES: &str = "properties";
/// The name of the findings about IDM's document.
const DOCUMENT: &str = "IDM's document";

fn examine(arguments: &DoctorArgs) -> Result<Vec<Finding>, Failure> {
    let path = &arguments.properties;
    let (config, mut faults) = match load(path, &arguments.settings.overrides) {
        Ok(loaded) => loaded,
        Err(failure) => return Ok(vec![Finding::failed(PROPERTIES, failure.to_string())]),
    };
    let notices = config.iter().flat_map(|config| &config.notices);
    let notices = notices.map(|notice| Finding::warning(PROPERTIES, notice.clone()));
    let mut findings: Vec<Finding> = notices.collect();
    let plan = config.as_ref().and_then(|config| Plan::of(config, &arguments.settings, &mut faults));
    let is_good = faults.0.is_empty();
    findings.extend(faults.0.into_iter().map(|(_, sentence)| Finding::failed(PROPERTIES, sentence)));
    if is_good {
        findings.insert(0, Finding::ok(PROPERTIES, format!("{} can be used", path.display())));
    }
    let Some(config) = &config else { return Ok(findings) };
    if let Some(provider) = &arguments.provider {
        findings.extend(match read(provider) {
            Err(why) => vec![Finding::failed(DOCUMENT, why)],
            Ok(document) => match &config.mode {
                Mode::Client(dial) => document::of_client(&document, dial),
                Mode::Server(listen) => {
                    document::of_server(&document, listen, config, arguments.name.as_deref())
                }
            },
        });
    }
    findings.extend(bundles::look(config));
    let Some(plan) = plan else { return Ok(findings) };
    findings.extend(plan.warnings().into_iter().map(|warning| Finding::warning(PROPERTIES, warning)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Exit::Internal.with(format!("the runtime cannot be started: {error}")))?;
    findings.extend(match plan {
        Plan::Listen(plan) => runtime.block_on(server::look(&plan)),
        // With faults in the file, the way to a URL would end somewhere else.
        Plan::Dial(_) if !is_good => Vec::new(),
        Plan::Dial(plan) => runtime.block_on(client::look(plan, arguments.handshake)),
    });
    Ok(findings)
}

fn read(path: &std::path::Path) -> Result<IdmDocument, String> {
    let bytes = read_bounded(path, IDM_DOCUMENT_BYTES_MAX)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    IdmDocument::read(&bytes).map_err(|error| format!("{} {error}", path.display()))
}
