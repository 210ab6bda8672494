//! Reads the operator's two files together, and follows their changes while the process runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rcs_core::agreed;
use rcs_core::settings::Settings;
use rcs_proto::driver::tls::{Certificate, Pins};
use rustls::ClientConfig;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::access::CredentialsFile;
use crate::clock::wall;
use crate::cluster::Cluster;
use crate::config::{ConfigError, ConfigFile, HOSTS_NOT_USED, ReadIdm, dialled_hosts, unknown_groups};
use crate::control::{Configuration, Control, Request};
use crate::document::{Document, DocumentError};
use crate::file::Content;
use crate::files::Board;
use crate::identity;
use crate::limits::{CERTIFICATE_DATES_EVERY, FOLLOW_EVERY, TRUST_STORE_BYTES_MAX};
use crate::metrics::Reloads;
use crate::secrets::Followed;
use crate::trust::{self, TrustError};
use crate::upstream::OwnTrust;

/// The names of followed files, in the log and in `GET /v1/files`.
const PROVIDER: &str = "provider";
const CONFIGURATION: &str = "configuration";
const TRUST_STORE: &str = "trust store";
const CREDENTIALS: &str = "credentials";
const MEMBERS: &str = "keys and trust stores of members";
const CERTIFICATE: &str = "certificate";
const IDMS: &str = "keys and trust stores of dialled IDMs";

/// The provider file, and the configuration file if there is one.
#[derive(Debug)]
pub(crate) struct Sources {
    document: Document,
    config: Option<ConfigFile>,
    /// The content of the last good provider file.
    provided: Arc<agreed::Document>,
    /// The other files that are followed.
    beside: Beside,
    /// What was wrong with the members' files at the last look. Each fault is logged once.
    member_faults: Vec<String>,
    /// The same of the files of IDMs that the router dials.
    idm_faults: Vec<String>,
    /// When the dates of the certificates were looked at last.
    dates_logged: Instant,
}

/// The files beside the two that make the configuration. Each file has its effect where it is used, without the owner.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// The files with callers' keys and the operators' token, each with its name.
    pub(crate) secrets: Vec<(&'static str, Followed)>,
    /// The file with the credentials of callers and members.
    pub(crate) credentials: Option<CredentialsFile>,
    /// The trust store.
    pub(crate) trust: Option<TrustStore>,
    /// The router's own certificate.
    pub(crate) identity: Option<identity::Followed>,
    /// How members with a trust store of their own are dialled.
    pub(crate) own_trust: watch::Sender<OwnTrust>,
    /// The IDMs that the router dials, with the contents of their files.
    pub(crate) idms: watch::Sender<Arc<Vec<ReadIdm>>>,
    /// The state of each followed file.
    pub(crate) board: Board,
}

/// A trust store that is followed.
#[derive(Debug)]
pub(crate) struct TrustStore {
    path: PathBuf,
    /// The content at the last look, good or bad.
    seen: Content,
    publish: watch::Sender<Arc<ClientConfig>>,
    /// The certificates in force.
    certificates: Vec<Certificate>,
}

impl TrustStore {
    /// Reads a trust store. Returns the TLS configuration for dialling members, and the follower of the file.
    ///
    /// # Errors
    /// [`TrustError`]
    pub(crate) fn open(path: &Path) -> Result<(watch::Receiver<Arc<ClientConfig>>, Self), TrustError> {
        let trusted = trust::load(path, Pins::ForNamesItHas)?;
        trusted.log_warnings(path);
        let (publish, config) = watch::channel(trusted.config);
        let seen = Content::read(path, TRUST_STORE_BYTES_MAX);
        Ok((config, Self { path: path.to_owned(), seen, publish, certificates: trusted.certificates }))
    }

    /// Looks at the file. From now on the content of the file decides which members are trusted when they are dialled.
    fn look(&mut self) -> Option<Result<(), String>> {
        let found = Content::read(&self.path, TRUST_STORE_BYTES_MAX);
        if found == self.seen {
            return None;
        }
        let judged = match &found {
            Content::Unreadable(reason) => Err(format!("cannot be read: {reason}")),
            Content::Text(bytes) => {
                trust::parse(bytes, Pins::ForNamesItHas).map_err(|reason| format!("cannot be used: {reason}"))
            }
        };
        self.seen = found;
        Some(judged.map(|trusted| {
            trusted.log_warnings(&self.path);
            self.publish.send_replace(trusted.config);
            self.certificates = trusted.certificates;
        }))
    }
}

impl Beside {
    /// Looks at all of these files, and logs each change.
    fn look(&mut self) {
        for (what, file) in &mut self.secrets {
            match file.look() {
                None => {}
                Some(Ok(count)) => {
                    self.board.in_force(what);
                    tracing::info!(count, "the {what} file changed and is in force now");
                    file.warning().into_iter().for_each(|warning| tracing::warn!("{warning}"));
                }
                Some(Err(error)) => {
                    let path = file.path();
                    self.board.rejected(what, &format_args!("{path} {error}"));
                    tracing::error!(
                        "the {what} file {path} {error}\nnothing was changed: the keys or tokens that were valid before stay valid"
                    );
                }
            }
        }
        self.look_at_credentials();
        if let Some(own) = &mut self.identity {
            match own.look() {
                None => {}
                Some(Ok(())) => {
                    self.board.in_force(CERTIFICATE);
                    self.board.shows(own.certificate());
                    tracing::info!(
                        "the router's certificate changed and is in force for new connections; open connections stay"
                    );
                }
                Some(Err(why)) => {
                    self.board.rejected(CERTIFICATE, &why);
                    tracing::error!("{why}\nnothing was changed: the last good certificate stays in force");
                }
            }
        }
        if let Some(store) = &mut self.trust {
            let path = store.path.display().to_string();
            match store.look() {
                None => {}
                Some(Ok(())) => {
                    self.board.in_force(TRUST_STORE);
                    self.board.trusts(store.certificates.clone());
                    tracing::info!("the trust store changed and is in force for new connections to members");
                }
                Some(Err(why)) => {
                    self.board.rejected(TRUST_STORE, &format_args!("{path} {why}"));
                    tracing::error!(
                        "the trust store {path} {why}\nnothing was changed: the last good version stays in force"
                    );
                }
            }
        }
    }
}

impl Beside {
    fn look_at_credentials(&mut self) {
        let Some(file) = &mut self.credentials else { return };
        match file.look() {
            None => {}
            Some(Ok((callers, members))) => {
                self.board.in_force(CREDENTIALS);
                tracing::info!(
                    callers,
                    members,
                    "the file of credentials changed and is in force for new connections; open connections stay"
                );
                file.warning().into_iter().for_each(|warning| tracing::warn!("{warning}"));
            }
            Some(Err(why)) => {
                let path = file.path();
                self.board.rejected(CREDENTIALS, &format_args!("{path} {why}"));
                tracing::error!(
                    "the file of credentials {path} {why}\nnothing was changed: the credentials that were valid before stay valid"
                );
            }
        }
    }
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
    /// [`SourceError`], of the configuration file first.
    pub(crate) fn load(
        mut document: Document,
        mut config: Option<ConfigFile>,
        beside: Beside,
    ) -> Result<Self, SourceError> {
        config.as_mut().and_then(ConfigFile::reload).transpose()?;
        if let Some(config) = &config {
            let found = config.members().read().map_err(|faults| config.faulty(faults))?;
            found.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            document.beside(&found.keys, found.trust.keys().cloned().collect());
            beside.own_trust.send_replace(found.trust);
            beside.board.trusts_of_one(found.certificates);
            let found = config.idms().read().map_err(|faults| config.faulty(faults))?;
            beside.idms.send_replace(Arc::new(found));
        }
        if let Some(store) = &beside.trust {
            beside.board.trusts(store.certificates.clone());
        }
        if let Some(own) = &beside.identity {
            beside.board.shows(own.certificate());
        }
        let provided = document.load()?;
        let written = [
            (PROVIDER, true),
            (CONFIGURATION, config.is_some()),
            (TRUST_STORE, beside.trust.is_some()),
            (CREDENTIALS, beside.credentials.is_some()),
            (CERTIFICATE, beside.identity.is_some()),
        ];
        let secrets = beside.secrets.iter().map(|(what, _)| (*what, true));
        for (file, _) in written.into_iter().chain(secrets).filter(|(_, is_followed)| *is_followed) {
            beside.board.in_force(file);
        }
        let dates_logged = Instant::now();
        Ok(Self {
            document,
            config,
            provided,
            beside,
            member_faults: Vec::new(),
            idm_faults: Vec::new(),
            dates_logged,
        })
    }

    /// The state of each followed file.
    pub(crate) fn board(&self) -> &Board {
        &self.beside.board
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
        let members = self.config.iter().flat_map(|config| config.members().names());
        for name in members.filter(|name| !self.provided.members.iter().any(|member| member.name == **name)) {
            tracing::warn!(
                member = name,
                "configuration file: the provider file has no server of this name; its table is not used"
            );
        }
        for name in self.settings().into_iter().flat_map(|settings| dialled_hosts(settings, &self.provided)) {
            tracing::warn!(member = name, "configuration file: {HOSTS_NOT_USED}");
        }
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
        self.beside.look();
        self.log_dates_daily();
        let config = self.config.as_mut().and_then(ConfigFile::reload);
        self.look_at_members();
        self.look_at_idms();
        let document = self.document.reload().map(|read| read.map(|document| self.provided = document));
        Look { document, config }
    }

    /// Once a day, says which certificates end soon or have ended.
    fn log_dates_daily(&mut self) {
        if self.dates_logged.elapsed() < CERTIFICATE_DATES_EVERY {
            return;
        }
        self.dates_logged = Instant::now();
        self.beside.identity.iter().for_each(identity::Followed::log_dates);
        let trusted = self.beside.trust.iter().flat_map(|store| trust::date_warnings(&store.certificates));
        trusted.for_each(|warning| tracing::warn!("the trust store: {warning}"));
    }

    /// Reads the members' keys and trust stores again. If one of them has a fault, none of them changes.
    fn look_at_members(&mut self) {
        let Some(config) = &self.config else { return };
        match config.members().read() {
            Ok(found) => {
                if !self.member_faults.is_empty() {
                    self.member_faults.clear();
                    self.beside.board.in_force(MEMBERS);
                    tracing::info!(
                        "the keys and trust stores of members can be used again and are in force now"
                    );
                }
                let names = found.trust.keys().cloned().collect();
                self.document.beside(&found.keys, names);
                self.beside.own_trust.send_replace(found.trust);
                self.beside.board.trusts_of_one(found.certificates);
            }
            Err(faults) if faults == self.member_faults => {}
            Err(faults) => {
                let error = config.faulty(faults.clone());
                tracing::error!("{error}\nkeys and trust stores of members stay as they were");
                self.beside.board.in_force_unless_known(MEMBERS);
                self.beside.board.rejected(MEMBERS, &error);
                self.member_faults = faults;
            }
        }
    }
}

impl Sources {
    /// Reads the files of the IDMs that the router dials again. If one of them has a fault, none of them changes.
    fn look_at_idms(&mut self) {
        let Some(config) = &self.config else { return };
        match config.idms().read() {
            Ok(found) => {
                if !self.idm_faults.is_empty() {
                    self.idm_faults.clear();
                    self.beside.board.in_force(IDMS);
                    tracing::info!("the {IDMS} can be used again and are in force now");
                }
                self.beside.idms.send_if_modified(|idms| {
                    let is_new = **idms != found;
                    if is_new {
                        *idms = Arc::new(found);
                    }
                    is_new
                });
            }
            Err(faults) if faults == self.idm_faults => {}
            Err(faults) => {
                let error = config.faulty(faults.clone());
                tracing::error!("{error}\nthe dialled IDMs stay as they were");
                self.beside.board.in_force_unless_known(IDMS);
                self.beside.board.rejected(IDMS, &error);
                self.idm_faults = faults;
            }
        }
    }
}

/// Who is told of changed files.
pub(crate) enum Follower {
    /// The owner, which puts them in force.
    Owner(Control),
    /// The cluster, whose leader has them agreed.
    Cluster(Cluster),
}

impl Follower {
    async fn tell(&self, configuration: &Configuration) {
        match self {
            Self::Owner(control) => control.send(Request::Configure(configuration.clone())).await,
            Self::Cluster(cluster) => cluster.offer(configuration),
        }
    }

    /// What a change of the files leads to, for the log.
    const fn consequence(&self) -> &'static str {
        match self {
            Self::Owner(_) => "and is in force now",
            Self::Cluster(_) => "and is offered to the cluster if this router leads",
        }
    }
}

/// Looks at the files for ever, and hands each good change on as a whole. A bad change is logged once, and changes
/// nothing.
///
/// A SIGHUP is a look at once, and says in the log what it found.
pub(crate) async fn follow(
    mut sources: Sources,
    mut current: Configuration,
    follower: Follower,
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
        let board = sources.board();
        let written = [tell(PROVIDER, look.document, board), tell(CONFIGURATION, look.config, board)];
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
        tracing::info!(members, groups, "the {file} file changed {}", follower.consequence());
        follower.tell(&current).await;
    }
}

/// Logs a bad file; returns the name of a file that was written and is good.
fn tell<E: std::fmt::Display>(
    file: &'static str,
    look: Option<Result<(), E>>,
    board: &Board,
) -> Option<&'static str> {
    match look? {
        Ok(()) => {
            board.in_force(file);
            Some(file)
        }
        Err(error) => {
            board.rejected(file, &error);
            // A file may have many faults, and a line of the log has no line ends.
            error.to_string().lines().for_each(|line| tracing::error!("{}", line.trim_start()));
            tracing::error!("nothing was changed: the last good version stays in force");
            None
        }
    }
}
