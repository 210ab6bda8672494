//! `rcs-router check`

use std::path::PathBuf;

use clap::Args;
use rcs_cli::{Exit, Failure};
use rcs_core::provider::Severity;
use rcs_core::provider::report::Report;

use crate::app::{self, AppError, Effective, Files, Mode};

/// Say what a provider document means here, and everything that is wrong with it; nothing is bound or dialled.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// IDM's provisioner.openicf.connectorinfoprovider document.
    #[arg(long, value_name = "FILE")]
    provider: PathBuf,
    /// The configuration file; what is in force with it is shown.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File whose first line is the key that callers must have; checked too if it is given.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CALLER_KEY_FILE")]
    caller_key_file: Option<PathBuf>,
    /// PEM certificates of the authorities behind members with useSSL.
    #[arg(long, value_name = "FILE")]
    trust_store: Option<PathBuf>,
    /// Take well-known keys, as serve --dev does.
    #[arg(long)]
    dev: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mode = if arguments.dev { Mode::Development } else { Mode::Production };
    let files = Files {
        provider: &arguments.provider,
        config: arguments.config.as_deref(),
        caller_key: arguments.caller_key_file.as_deref(),
        trust_store: arguments.trust_store.as_deref(),
    };
    let checkup = app::check(&files, mode);
    if let Some(reading) = &checkup.reading {
        print!("{}", Report(reading));
    }
    if let Some((settings, document)) = &checkup.effective {
        print!("{}", Effective { settings, document });
    }
    let shown = checkup.reading.as_ref().map_or(0, |reading| reading.of(Severity::Error).count());
    let sentence = |error: &AppError| match error {
        AppError::Document(_) if shown > 0 => {
            format!("{} cannot be used: see the errors above", arguments.provider.display())
        }
        _ => error.to_string(),
    };
    let sentences: Vec<String> = checkup.problems.iter().map(sentence).collect();
    match checkup.problems.first() {
        None => Ok(()),
        Some(first) => Err(Exit::from(first).with(sentences.join("\nrcs-router: "))),
    }
}
