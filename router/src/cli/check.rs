//! `rcs-router check`

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use rcs_cli::{Exit, Failure};
use rcs_core::provider::Severity;
use rcs_core::provider::report::Report;

use super::tls::TlsArguments;
use crate::app::{self, AdminAt, AppError, Effective, Files, Mode};

/// Check the files: show what the provider document means to the router, and every error in it. Nothing is bound or dialled.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    files: FileArguments,
}

/// The files that a router is started with.
#[derive(Debug, Args)]
pub(super) struct FileArguments {
    /// IDM's provisioner.openicf.connectorinfoprovider document.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_PROVIDER")]
    provider: PathBuf,
    /// Configuration file; the settings in force with it are shown.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CONFIG")]
    config: Option<PathBuf>,
    /// File with the key that callers must send; checked if it is given.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CALLER_KEY_FILE")]
    caller_key_file: Option<PathBuf>,
    /// File that names each caller and each member in client mode, with hashes of their keys or the issuer of their access tokens; checked
    /// if it is given.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// Trust store for members with useSSL: their certificates, or those of the authorities that signed them (PEM, DER or PKCS12).
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_TRUST_STORE")]
    trust_store: Option<PathBuf>,
    /// The admin address, as for serve. Warns if others can read tokens on the way to this address.
    #[arg(long, value_name = "ADDR", env = "RCS_ROUTER_ADMIN")]
    admin: Option<AdminAt>,
    #[command(flatten)]
    tls: TlsArguments,
    /// Accept well-known keys, as serve --dev does.
    #[arg(long, env = "RCS_ROUTER_DEV", value_parser = FalseyValueParser::new())]
    dev: bool,
}

impl FileArguments {
    /// Gives the files, and whether well-known keys are accepted.
    ///
    /// # Errors
    /// Options do not go together, or the command fails.
    pub(super) fn with<T>(
        &self,
        look: impl FnOnce(&Files<'_>, Mode) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mode = if self.dev { Mode::Development } else { Mode::Production };
        let tls = self.tls.clone().files().map_err(|why| Exit::Usage.with(why))?;
        let files = Files {
            provider: &self.provider,
            config: self.config.as_deref(),
            caller_key: self.caller_key_file.as_deref(),
            credentials: self.credentials.as_deref(),
            trust_store: self.trust_store.as_deref(),
            tls: tls.as_ref(),
            admin: self.admin,
        };
        look(&files, mode)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.files.with(show)
}

fn show(files: &Files<'_>, mode: Mode) -> Result<(), Failure> {
    let checkup = app::check(files, mode);
    if let Some(reading) = &checkup.reading {
        rcs_cli::say(Report(reading).to_string().trim_end());
    }
    if let Some((settings, document)) = &checkup.effective {
        rcs_cli::say(Effective { settings, document, idms: &checkup.idms }.to_string().trim_end());
    }
    if let Some(sentence) = &checkup.own_certificate {
        rcs_cli::say(format!("{sentence}."));
    }
    for warning in &checkup.warnings {
        rcs_cli::say(format!("Warning: {warning}."));
    }
    let shown = checkup.reading.as_ref().map_or(0, |reading| reading.of(Severity::Error).count());
    let sentence = |error: &AppError| match error {
        AppError::Document(_) if shown > 0 => {
            format!("{} cannot be used: see the errors above", files.provider.display())
        }
        _ => error.to_string(),
    };
    let sentences: Vec<String> = checkup.problems.iter().map(sentence).collect();
    match checkup.problems.first() {
        None => Ok(()),
        Some(first) => Err(Exit::from(first).with(sentences.join("\nrcs-router: "))),
    }
}
