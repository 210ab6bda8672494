//! Reads the operator's two files together, and follows their changes while the process runs.

use std::sync::Arc;

use rcs_core::agreed;
use rcs_core::settings::Settings;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::wall;
use crate::config::{ConfigError, ConfigFile, unknown_groups};
use crate::control::{Configuration, Control, Request};
use crate::document::{Document, DocumentError};
use crate::limits::FOLLOW_EVERY;
use crate::metrics::Reloads;

/// The provider file, and the configuration file if there is one.
#[derive(Debug)]
pub(crate) struct Sources {
    document: Document,
    config: Option<ConfigFile>,
    /// The content of the last good provider file.
    provided: Arc<agreed::Document>,
}

/// What a look at the files found; none for a file that is as it was.
struct Look {
    document: Option<Result<(), DocumentError>>,
    config: Option<Result<(), ConfigError>>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The provider file.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Sources {
    /// Reads both files.
    ///
    /// # Errors
    /// [`SourceError`], of the provider file first.
    pub(crate) fn load(mut document: Document, mut config: Option<ConfigFile>) -> Result<Self, SourceError> {
        let provided = document.load()?;
        config.as_mut().and_then(ConfigFile::reload).transpose()?;
        Ok(Self { document, config, provided })
    }

    /// The content of both files together.
    pub(crate) fn configuration(&self) -> Configuration {
        Configuration {
            document: Arc::clone(&self.provided),
            settings: self.settings().cloned().map(Box::new),
        }
    }

    /// The content of the last good provider file.
    pub(crate) fn document(&self) -> &agreed::Document {
        &self.provided
    }

    /// The settings in force, if there is a file with them.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.config.as_ref().map(ConfigFile::settings)
    }

    /// Puts what is worth a warning into the log.
    pub(crate) fn log_warnings(&self) {
        self.document.log_warnings();
        for name in self.settings().into_iter().flat_map(|settings| unknown_groups(settings, &self.provided))
        {
            tracing::warn!(
                group = name,
                "configuration file: the provider file has no group of this name; the settings of this group are not used yet"
            );
        }
    }

    /// Looks at both files. If a file is bad, its last good version stays in force.
    fn look(&mut self) -> Look {
        let document = self.document.reload().map(|read| read.map(|document| self.provided = document));
        Look { document, config: self.config.as_mut().and_then(ConfigFile::reload) }
    }
}

/// Looks at the files for ever, and hands each good change to the owner as a whole. A bad change is logged once, and changes
/// nothing.
///
/// A SIGHUP is a look at once, and says in the log what it found.
pub(crate) async fn follow(
    mut sources: Sources,
    mut current: Configuration,
    control: Control,
    mut hangup: Signal,
    reloads: Reloads,
) {
    let mut ticks = interval(FOLLOW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_asked = tokio::select! {
            _ = ticks.tick() => false,
            Some(()) = hangup.recv() => true,
        };
        let look = tokio::task::spawn_blocking(move || {
            let look = sources.look();
            (sources, look)
        });
        // The look fails only when the process ends.
        let Ok((back, look)) = look.await else { return };
        sources = back;
        let is_bad = matches!(look.document, Some(Err(_))) || matches!(look.config, Some(Err(_)));
        let written = [tell("provider", look.document), tell("configuration", look.config)];
        match (is_bad, written.iter().any(Option::is_some)) {
            (true, _) => reloads.failed(),
            (false, true) => reloads.succeeded(wall()),
            (false, false) => {}
        }
        let Some(file) = written.into_iter().flatten().reduce(|_, _| "provider and the configuration") else {
            if is_asked {
                tracing::info!(
                    "SIGHUP: the files were read again; they have not changed since the last look"
                );
            }
            continue;
        };
        let configuration = sources.configuration();
        if configuration == current {
            tracing::info!("the {file} file was written, but says the same as before");
            continue;
        }
        sources.log_warnings();
        current = configuration;
        let (members, groups) = (current.document.members.len(), current.document.groups.len());
        tracing::info!(members, groups, "the {file} file changed and is in force now");
        control.send(Request::Configure(current.clone())).await;
    }
}

/// Logs a bad file; returns the name of a file that was written and is good.
fn tell<E: std::fmt::Display>(file: &'static str, look: Option<Result<(), E>>) -> Option<&'static str> {
    match look? {
        Ok(()) => Some(file),
        Err(error) => {
            // A file may have many faults, and a line of the log has no line ends.
            error.to_string().lines().for_each(|line| tracing::error!("{}", line.trim_start()));
            tracing::error!("nothing was changed: the last good version stays in force");
            None
        }
    }
}
