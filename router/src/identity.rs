//! The router's own certificate, and the authorities of the callers' certificates. One certificate serves the callers' addresses, the admin
//! address, and members that ask the router for a certificate, as the one key store of a connector server does. The files are followed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcs_cli::file::{FileError, read_bounded, read_secret};
use rcs_proto::driver::tls::{Certificate, ClientCertificates, Identity, server_config};
use rustls::ServerConfig;
use rustls::pki_types::UnixTime;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::limits::{KEY_FILE_BYTES_MAX, TRUST_STORE_BYTES_MAX};
use crate::trust;

/// The variable with the password of the key store.
const PASSWORD_VARIABLE: &str = "RCS_ROUTER_KEY_STORE_PASSWORD";
/// The usual passwords of stores: Java's own, and none.
const USUAL_PASSWORDS: [&str; 2] = ["changeit", ""];
/// What to do when the router's certificate ends.
pub(crate) const OWN_WAY_OUT: &str = "write a new certificate into the file, which is followed";
/// The protocol of the admin address (ALPN).
const HTTP1: &str = "http/1.1";

/// Where the router's certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityFiles {
    /// Two PEM files.
    Pair {
        /// The certificate, and those of its issuers.
        certificate: PathBuf,
        /// The private key, not encrypted.
        key: PathBuf,
    },
    /// A PKCS12 store, or one PEM file with both.
    Store {
        /// The store.
        path: PathBuf,
        /// File whose first line is the password. Without it, the variable `RCS_ROUTER_KEY_STORE_PASSWORD` counts, then the usual
        /// passwords.
        password: Option<PathBuf>,
    },
}

impl fmt::Display for IdentityFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair { certificate, key } => {
                write!(f, "the certificate {} with the key {}", certificate.display(), key.display())
            }
            Self::Store { path, .. } => write!(f, "the key store {}", path.display()),
        }
    }
}

/// Whether callers must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// A caller without a certificate is refused in the handshake.
    #[default]
    Required,
    /// A caller without a certificate proves itself by its key alone.
    Optional,
}

/// The files of the router's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The router's certificate and key.
    pub identity: IdentityFiles,
    /// Authorities of callers' certificates, or the certificates themselves; without the file, callers are not asked for certificates.
    pub client_ca: Option<(PathBuf, Asking)>,
}

/// Why the router's TLS cannot be used. The text names the files and says what to do, and never shows a key or a password.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// One of the files cannot be read.
    #[error("{what} {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate or its key cannot be used.
    #[error("{files} cannot be used: {reason}")]
    Unusable {
        /// The files.
        files: IdentityFiles,
        /// Why, and what to do.
        reason: String,
    },
    /// The file of client authorities cannot be used.
    #[error("the file of client authorities {} cannot be used: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

/// What the files hold, judged.
struct Loaded {
    identity: Arc<Identity>,
    callers: Arc<ServerConfig>,
    operators: Arc<ServerConfig>,
    /// What an operator should know of the files, apart from dates.
    warnings: Vec<String>,
}

/// The TLS in force, for those that use it. Each clone sees changes of the files.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    /// For the callers' addresses.
    pub(crate) callers: watch::Receiver<Arc<ServerConfig>>,
    /// For the admin address, which asks nobody for a certificate.
    pub(crate) operators: watch::Receiver<Arc<ServerConfig>>,
    /// For members that ask for a certificate.
    pub(crate) identity: watch::Receiver<Arc<Identity>>,
}

/// Follows the files.
#[derive(Debug)]
pub(crate) struct Followed {
    files: TlsFiles,
    /// The contents at the last look, good or bad.
    seen: Contents,
    /// Why the contents are not in force.
    rejected: Option<String>,
    callers: watch::Sender<Arc<ServerConfig>>,
    operators: watch::Sender<Arc<ServerConfig>>,
    identity: watch::Sender<Arc<Identity>>,
}

/// What one look at the files found.
struct Contents(Vec<Result<Content, String>>);

/// The content of one file.
struct Content {
    bytes: Zeroizing<Vec<u8>>,
    /// A sentence if every user of the machine can read a secret.
    warning: Option<String>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("files", &self.0.len()).finish_non_exhaustive()
    }
}

impl PartialEq for Contents {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, two): (&Result<Content, String>, &Result<Content, _>)| match (one, two) {
            (Ok(one), Ok(two)) => one.bytes == two.bytes,
            (Err(one), Err(two)) => one == two,
            _ => false,
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

/// One of the files.
struct Named<'a> {
    what: &'static str,
    path: &'a Path,
    bytes_max: usize,
    holds: Holds,
}

/// Whether a file has a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Secret,
    Certificates,
}

impl Named<'_> {
    fn read(&self) -> Result<Content, FileError> {
        match self.holds {
            Holds::Secret => read_secret(self.path, self.bytes_max)
                .map(|file| Content { bytes: file.bytes, warning: file.warning }),
            Holds::Certificates => read_bounded(self.path, self.bytes_max)
                .map(|bytes| Content { bytes: Zeroizing::new(bytes), warning: None }),
        }
    }
}

impl TlsFiles {
    /// The files in the order in which [`TlsFiles::judge`] takes them.
    fn named(&self) -> Vec<Named<'_>> {
        let secret = |what, path, bytes_max| Named { what, path, bytes_max, holds: Holds::Secret };
        let certificates =
            |what, path| Named { what, path, bytes_max: TRUST_STORE_BYTES_MAX, holds: Holds::Certificates };
        let mut files = match &self.identity {
            IdentityFiles::Pair { certificate, key } => vec![
                certificates("the certificate file", certificate),
                secret("the key file", key, KEY_FILE_BYTES_MAX),
            ],
            IdentityFiles::Store { path, password } => {
                let store = secret("the key store", path, TRUST_STORE_BYTES_MAX);
                let password =
                    password.iter().map(|path| secret("the password file", path, KEY_FILE_BYTES_MAX));
                std::iter::once(store).chain(password).collect()
            }
        };
        files.extend(
            self.client_ca.iter().map(|(path, _)| certificates("the file of client authorities", path)),
        );
        files
    }

    fn read(&self) -> Contents {
        let read = |file: Named<'_>| file.read().map_err(|error| error.to_string());
        Contents(self.named().into_iter().map(read).collect())
    }

    /// Judges what a look found.
    fn judge(&self, found: &Contents) -> Result<Loaded, IdentityError> {
        let (mut contents, mut warnings) = (Vec::new(), Vec::new());
        for (file, content) in self.named().into_iter().zip(&found.0) {
            let content = content.as_ref().map_err(|reason| IdentityError::Unreadable {
                what: file.what,
                path: file.path.to_owned(),
                reason: reason.clone(),
            })?;
            contents.push(&content.bytes);
            warnings.extend(content.warning.clone());
        }
        let unusable = |reason| IdentityError::Unusable { files: self.identity.clone(), reason };
        let content = |number: usize| contents.get(number).map_or(&[][..], |bytes| bytes.as_slice());
        let identity = self.identity(content(0), content(1)).map_err(unusable)?;
        warnings.extend(identity.warnings().iter().cloned());
        let operators =
            server_config(&identity, &ClientCertificates::NotAsked, &[HTTP1]).map_err(unusable)?;
        let callers = match &self.client_ca {
            None => server_config(&identity, &ClientCertificates::NotAsked, &[]).map_err(unusable)?,
            Some((path, asking)) => {
                let bad = |reason| IdentityError::Authorities { path: path.clone(), reason };
                let last = contents.last().map_or(&[][..], |bytes| bytes.as_slice());
                let (trusted, told) = trust::certificates(last).map_err(bad)?;
                warnings.extend(told.iter().map(|told| format!("{}: {told}", path.display())));
                let clients = match asking {
                    Asking::Required => ClientCertificates::Required(trusted),
                    Asking::Optional => ClientCertificates::Optional(trusted),
                };
                server_config(&identity, &clients, &[]).map_err(bad)?
            }
        };
        Ok(Loaded { identity: Arc::new(identity), callers, operators, warnings })
    }

    /// The certificate and its key, out of the contents of the first two files.
    fn identity(&self, first: &[u8], second: &[u8]) -> Result<Identity, String> {
        match &self.identity {
            IdentityFiles::Pair { .. } => Identity::from_pem(first, second),
            IdentityFiles::Store { password: Some(_), .. } => {
                let text = Zeroizing::new(String::from_utf8_lossy(second).into_owned());
                Identity::from_store(first, &[text.lines().next().unwrap_or_default()])
            }
            IdentityFiles::Store { password: None, .. } => match std::env::var(PASSWORD_VARIABLE) {
                Ok(own) => {
                    let own = Zeroizing::new(own);
                    Identity::from_store(first, &[own.as_str()])
                }
                Err(_) => Identity::from_store(first, &USUAL_PASSWORDS).map_err(|reason| {
                    match reason.contains("password does not open") {
                        true => format!(
                            "{reason}. It is expected in --key-store-password-file FILE or in {PASSWORD_VARIABLE}; without them the router \
                             tries changeit"
                        ),
                        false => reason,
                    }
                }),
            },
        }
    }

    /// The certificate, and what an operator should know of the files.
    ///
    /// # Errors
    /// [`IdentityError`]
    pub(crate) fn check(&self) -> Result<(Arc<Identity>, Vec<String>), IdentityError> {
        let Loaded { identity, mut warnings, .. } = self.judge(&self.read())?;
        warnings.extend(identity.date_warning(now(), OWN_WAY_OUT));
        Ok((identity, warnings))
    }

    /// Reads the files, and follows them.
    ///
    /// # Errors
    /// [`IdentityError`]
    pub(crate) fn open(self) -> Result<(InForce, Followed), IdentityError> {
        let seen = self.read();
        let loaded = self.judge(&seen)?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        tell(&loaded.identity, &self.identity);
        log_dates(&loaded.identity);
        let (callers, of_callers) = watch::channel(loaded.callers);
        let (operators, of_operators) = watch::channel(loaded.operators);
        let (identity, of_identity) = watch::channel(loaded.identity);
        let in_force = InForce { callers: of_callers, operators: of_operators, identity: of_identity };
        Ok((in_force, Followed { files: self, seen, rejected: None, callers, operators, identity }))
    }
}

/// What a peer must trust, once for each certificate.
fn tell(identity: &Identity, files: &IdentityFiles) {
    let certificate = identity.certificate();
    tracing::info!(
        subject = %certificate.subject, ends = %certificate.last_day(),
        "the router shows {files}. Peers must trust {}", identity.trust()
    );
}

/// Logs what is wrong with the dates of the certificate.
fn log_dates(identity: &Identity) {
    match (identity.date_problem(now()), identity.date_warning(now(), OWN_WAY_OUT)) {
        (Some(_), Some(warning)) => tracing::error!("the router's certificate: {warning}"),
        (None, Some(warning)) => tracing::warn!("the router's certificate: {warning}"),
        (_, None) => {}
    }
}

/// The time, for the dates of certificates.
pub(crate) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO),
    )
}

impl Followed {
    /// Looks at the files. `None` if there is nothing new to say. New files are in force for connections that are opened from now on. Files
    /// with a fault change nothing. Files that were refused are judged at each look, because a certificate's time may come.
    pub(crate) fn look(&mut self) -> Option<Result<(), String>> {
        let found = self.files.read();
        if found == self.seen && self.rejected.is_none() {
            return None;
        }
        let loaded = self.files.judge(&found).map_err(|error| error.to_string());
        self.seen = found;
        let judged = loaded.and_then(|loaded| match loaded.identity.date_problem(now()) {
            // What is in force may have ended too: then nothing is worse.
            Some(problem) if self.identity.borrow().date_problem(now()).is_none() => Err(format!(
                "{} cannot be used: {problem}. Write a certificate into it that is valid today",
                self.files.identity
            )),
            _ => Ok(loaded),
        });
        match judged {
            Ok(loaded) => {
                self.rejected = None;
                loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                tell(&loaded.identity, &self.files.identity);
                log_dates(&loaded.identity);
                self.callers.send_replace(loaded.callers);
                self.operators.send_replace(loaded.operators);
                self.identity.send_replace(loaded.identity);
                Some(Ok(()))
            }
            Err(why) if self.rejected.as_ref() == Some(&why) => None,
            Err(why) => {
                self.rejected = Some(why.clone());
                Some(Err(why))
            }
        }
    }

    /// The certificate in force.
    pub(crate) fn certificate(&self) -> Certificate {
        self.identity.borrow().certificate().clone()
    }

    /// Says again what is wrong with the dates of the certificate in force.
    pub(crate) fn log_dates(&self) {
        log_dates(&self.identity.borrow());
    }
}
