//! Who may connect. By default nobody may (P12, A09).
//!
//! A file of credentials names each caller, with the groups that it may use, and each member that dials the router. The simple way is one key
//! that all callers share, as with a stock connector server, which accepts any user name with the right key (WIRE 1.1). A name of the file
//! of credentials is never proved by the shared key. It is proved by its own keys, by access tokens of the issuer that its entry names, or by the client
//! certificates that its entry names.

mod beside;
mod certificates;
mod fields;
mod file;
mod hash;
mod held;
mod lanes;
mod memo;
mod naming;
mod role;
mod table;
mod tokens;
mod verifier;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_core::agreed::At;
use rcs_proto::driver::accept::{Authorization, Credentials, Refusal, RefusalStatus};
use rcs_proto::driver::tls::ClientCertificate;
use tokio::sync::watch;

pub(crate) use self::file::CredentialsFile;
pub(crate) use self::hash::Hash;
use self::held::{CertificateLease, CertificateLeases};
pub(crate) use self::role::{Proved, Role};
use self::table::{Credential, Table};
pub(crate) use self::tokens::{Carried, IssuerState, LeaseId, Revoked};
use self::tokens::{TokenLease, Tokens};
use self::verifier::Verifier;
use crate::clock::rfc3339;
use crate::identity::TlsFiles;
use crate::secrets::{self, Accepted, Followed, SecretsError};

/// The key that every connector server is delivered with.
const DEFAULT_KEY: &str = "changeit";
/// Keys that everybody knows; accepted only in development.
const KNOWN_KEYS: [&str; 3] = [DEFAULT_KEY, "openidm-admin", "anonymous"];

/// Whether well-known keys are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Well-known keys are refused.
    Production,
    /// `--dev`: well-known keys are accepted.
    Development,
}

/// What a connection shows of itself, before anything is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shows<'a> {
    /// Its `Authorization` header.
    pub(crate) authorization: &'a Authorization,
    /// The certificate that it has the key of, and that the TLS handshake found good.
    pub(crate) certificate: Option<&'a Arc<ClientCertificate>>,
    /// Where it comes from: networks take turns in having new keys and tokens verified.
    pub(crate) from: IpAddr,
    /// Whether others could read the header.
    pub(crate) carried: Carried,
}

/// The right of a connection to be open. Keep this value for as long as the connection is open.
#[derive(Debug)]
pub(crate) enum Lease {
    /// A token let the connection in.
    Token(TokenLease),
    /// A certificate let the connection in.
    Certificate(CertificateLease),
}

impl Lease {
    /// The number.
    pub(crate) fn id(&self) -> LeaseId {
        match self {
            Self::Token(lease) => lease.id(),
            Self::Certificate(lease) => lease.id(),
        }
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Token(lease) => lease.is_over(),
            Self::Certificate(lease) => lease.is_over(),
        }
    }
}

/// Judges the credentials of connections. Each clone sees changes of the files.
#[derive(Clone)]
pub(crate) struct Access {
    /// The keys that all callers share, if there are such keys.
    shared: Option<Accepted>,
    /// The credentials of single names, if there is a file with them.
    named: Option<Named>,
    mode: Mode,
}

#[derive(Clone)]
struct Named {
    table: watch::Receiver<Arc<Table>>,
    verifier: Arc<Verifier>,
    tokens: Arc<Tokens>,
    certificates: Arc<CertificateLeases>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The files with credentials.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyFiles<'a> {
    /// The file with the key that all callers share.
    pub(crate) shared: Option<&'a Path>,
    /// The file with the credentials of single names.
    pub(crate) named: Option<&'a Path>,
}

/// What follows the files with credentials.
#[derive(Debug, Default)]
pub(crate) struct FollowedKeys {
    pub(crate) shared: Option<Followed>,
    pub(crate) named: Option<CredentialsFile>,
}

impl FollowedKeys {
    /// A sentence for each file that every user of the machine can read.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let shared = self.shared.as_ref().and_then(Followed::warning);
        let named = self.named.iter().flat_map(CredentialsFile::warnings);
        shared.into_iter().chain(named).map(str::to_owned).collect()
    }
}

/// Whether everybody knows this key.
pub(crate) fn is_known_key(key: &str) -> bool {
    KNOWN_KEYS.contains(&key)
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// None was given.
    #[error(
        "no key for callers: write one into a file and name it with --caller-key-file (or RCS_ROUTER_CALLER_KEY_FILE), \
         or give each caller a key of its own with --credentials (or RCS_ROUTER_CREDENTIALS), \
         or start with --dev, which accepts the well-known key \"{DEFAULT_KEY}\""
    )]
    NoKey,
    /// The file of credentials is not usable.
    #[error("the file of credentials {path} {why}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do; never contains a key or a hash.
        why: String,
    },
    /// The threads that verify keys do not start.
    #[error(
        "cannot start the threads that verify keys: {0}. Repeat the start when the machine has more memory and threads free"
    )]
    Threads(#[source] io::Error),
    /// The file is not usable.
    #[error("the key file {path} {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do; never contains the key.
        source: SecretsError,
    },
}

impl Access {
    /// Reads the files with credentials: the file of single names, and the shared key, which is the first line of its file, and the second
    /// line while one key replaces the other. With the files comes what follows their changes.
    ///
    /// # Errors
    /// [`AccessError`]
    pub(crate) fn open(files: KeyFiles<'_>, mode: Mode) -> Result<(Self, FollowedKeys), AccessError> {
        let mut followed = FollowedKeys::default();
        let shared = match (files.shared, mode) {
            (Some(path), _) => {
                let judge = match mode {
                    Mode::Development => judge_any,
                    Mode::Production => judge_secret,
                };
                let opened = secrets::open(path, judge);
                let (keys, file) =
                    opened.map_err(|source| AccessError::File { path: path.to_owned(), source })?;
                followed.shared = Some(file);
                Some(keys)
            }
            (None, Mode::Development) => Some(Accepted::fixed(DEFAULT_KEY.to_owned())),
            (None, Mode::Production) if files.named.is_none() => return Err(AccessError::NoKey),
            (None, Mode::Production) => None,
        };
        let named = match files.named {
            None => None,
            Some(path) => {
                let opened = CredentialsFile::open(path, mode);
                let (table, file) =
                    opened.map_err(|why| AccessError::Credentials { path: path.to_owned(), why })?;
                followed.named = Some(file);
                let verifier = Arc::new(Verifier::start().map_err(AccessError::Threads)?);
                let tokens = Tokens::new().map_err(|_| AccessError::Threads(verifier::no_random()))?;
                let (tokens, certificates) = (Arc::new(tokens), Arc::default());
                Some(Named { table, verifier, tokens, certificates })
            }
        };
        Ok((Self { shared, named, mode }, followed))
    }

    /// What a connection proves. A credential that was verified before costs nothing worth mention. With a token or a certificate comes a
    /// lease.
    ///
    /// # Errors
    /// The refusal that the peer is told.
    pub(crate) async fn judge(&self, shows: Shows<'_>) -> Result<(Proved, Option<Lease>), Refusal> {
        let table = self.named.as_ref().map(|named| Arc::clone(&named.table.borrow()));
        let certificate = shows.certificate.zip(self.named.as_ref()).zip(table.as_deref());
        // The names that the certificate proves. All that a connection says of itself must agree.
        let owners = certificate.map(|((shown, _), table)| table.proved_by(shown)).unwrap_or_default();
        let by_certificate = |name: &str| {
            let ((shown, named), table) = certificate?;
            let credential = table.get(name).filter(|_| owners.contains(name))?;
            Some(named.let_in_by(shown, name, credential))
        };
        // Certificates are rarely shared by names. One that is needs the name beside it.
        let by_certificate_alone = || {
            let one = owners.first().filter(|_| owners.len() == 1);
            one.and_then(|name| by_certificate(name)).unwrap_or_else(|| Err(certificates::which(&owners)))
        };
        match shows.authorization {
            Authorization::Basic(Credentials { principal, .. })
                if !owners.is_empty() && !owners.contains(&**principal) =>
            {
                let is_named = table.as_ref().is_some_and(|table| table.get(principal).is_some());
                match principal == certificates::NO_NAME && !is_named {
                    true => by_certificate_alone(),
                    false => Err(certificates::other_name(&owners, principal)),
                }
            }
            Authorization::Basic(credentials) => match by_certificate(&credentials.principal) {
                Some(judged) => judged,
                None => Ok((self.judge_key(credentials, shows).await?, None)),
            },
            Authorization::Bearer(token) => {
                let carried = match self.mode {
                    Mode::Development => Carried::Privately,
                    Mode::Production => shows.carried,
                };
                let named = self.named.as_ref().ok_or_else(tokens::refuse_all)?;
                let table = table.as_deref().ok_or_else(tokens::refuse_all)?;
                let judged = named.tokens.judge(table, &named.verifier, token, shows.from, carried).await;
                let (proved, lease) = judged?;
                match proved.name() {
                    name if !owners.is_empty() && !owners.contains(name) => {
                        Err(certificates::other_name(&owners, name))
                    }
                    _ => Ok((proved, Some(Lease::Token(lease)))),
                }
            }
            Authorization::Absent if !owners.is_empty() => by_certificate_alone(),
            Authorization::Absent | Authorization::Unusable => Err(Refusal::new(
                RefusalStatus::Unauthorized,
                "credentials are missing: send Authorization: Basic with a principal and its key for the router, or Authorization: Bearer \
                 with an access token",
            )),
        }
    }

    /// A sentence if entries of the file of credentials name certificates, and callers are not asked for certificates.
    pub(crate) fn certificates_not_asked_for(&self, tls: Option<&TlsFiles>) -> Option<String> {
        let is_asked = tls.is_some_and(|tls| tls.client_ca.is_some());
        let has_certificates =
            self.named.as_ref().is_some_and(|named| named.table.borrow().has_certificates());
        let told = "the file of credentials names certificates, but callers are not asked for certificates: add --client-ca FILE with the \
                    certificates of the callers' authorities, and listen on wss://";
        (has_certificates && !is_asked).then(|| told.to_owned())
    }

    /// The issuers of access tokens, and how each is.
    pub(crate) fn issuers(&self) -> Vec<IssuerState> {
        let Some(named) = &self.named else { return Vec::new() };
        let table = Arc::clone(&named.table.borrow());
        table.issuers().all().map(|issuer| issuer.state()).collect()
    }

    /// Whether somebody with this principal and key would be let in, and as which member in client mode, if any.
    ///
    /// # Errors
    /// The sentence that the peer would be told.
    pub(crate) async fn examine_key(&self, credentials: Credentials) -> Result<Option<Arc<str>>, String> {
        let shown = Authorization::Basic(credentials);
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let shows = Shows { authorization: &shown, certificate: None, from, carried: Carried::Privately };
        match self.judge(shows).await {
            Ok((Proved::Member { name, .. }, _)) => Ok(Some(name)),
            Ok(_) => Ok(None),
            Err(refusal) => Err(refusal.sentence),
        }
    }

    /// Whether a connection can prove that it is this member in client mode.
    pub(crate) fn knows_member(&self, name: &str) -> bool {
        let is_member = |named: &Named| named.table.borrow().has_member(name);
        self.mode == Mode::Development || self.named.as_ref().is_some_and(is_member)
    }

    /// Asks each issuer what the router would ask, and returns what came of it: a sentence without full stop.
    pub(crate) async fn examine_issuers(&self) -> Vec<(String, Result<String, String>)> {
        let Some(named) = &self.named else { return Vec::new() };
        let table = Arc::clone(&named.table.borrow());
        let mut told = Vec::new();
        for issuer in table.issuers().all() {
            told.push((issuer.name().to_owned(), issuer.examine().await));
        }
        told
    }

    /// Looks after tokens, their issuers and certificates for ever. `close` is called with the connections that are to be closed.
    pub(crate) async fn keep_watch<F: Future<Output = ()>>(
        self,
        close: impl FnMut(Vec<Revoked>) -> F + Clone,
    ) {
        match self.named {
            Some(named) => {
                let certificates = named.certificates.keep_watch(named.table.clone(), close.clone());
                tokio::join!(named.tokens.keep_watch(named.table, close), certificates);
            }
            None => std::future::pending().await,
        }
    }

    async fn judge_key(&self, credentials: &Credentials, shows: Shows<'_>) -> Result<Proved, Refusal> {
        let key = credentials.secret.expose();
        // Whatever the files say: the hash of such a key may have come into force before somebody compared it.
        if self.mode == Mode::Production && is_known_key(key) {
            return Err(Refusal::new(RefusalStatus::Forbidden, KNOWN_KEY));
        }
        if let Some(named) = &self.named
            && let Some(proved) = named.judge(credentials, shows).await
        {
            return proved;
        }
        match &self.shared {
            Some(keys) if keys.has(key) => Ok(Proved::Shared(credentials.principal.as_str().into())),
            _ => Err(wrong_key()),
        }
    }
}

impl Named {
    /// What the credential of a name proves; `None` if the name has no credential.
    async fn judge(&self, credentials: &Credentials, shows: Shows<'_>) -> Option<Result<Proved, Refusal>> {
        let table = Arc::clone(&self.table.borrow());
        let principal = &*credentials.principal;
        let credential = table.get(principal)?;
        if credential.hashes.is_empty() && !credential.certificates.is_empty() {
            return Some(Err(certificates::not_by_this(principal, shows.certificate.map(|shown| &**shown))));
        }
        Some(
            match self.verifier.verify(principal, &credential.hashes, &credentials.secret, shows.from).await {
                Err(_) => Err(Refusal::new(
                    RefusalStatus::Unavailable,
                    "too many keys wait to be verified: look for peers with a wrong key, and try again",
                )),
                Ok(false) => Err(wrong_key()),
                Ok(true) => credential.proves(principal).map_err(expired),
            },
        )
    }

    /// Lets a connection in whose certificate proves this name.
    fn let_in_by(
        &self,
        certificate: &Arc<ClientCertificate>,
        name: &str,
        credential: &Credential,
    ) -> Result<(Proved, Option<Lease>), Refusal> {
        let proved = credential.proves(name).map_err(expired)?;
        let lease = self.certificates.grant(Arc::clone(certificate), name);
        // The file may have changed before the lease was there for those that look for leases.
        match self.table.borrow().proved_by(certificate).contains(name) {
            true => Ok((proved, Some(Lease::Certificate(lease)))),
            false => Err(certificates::not_by_this(name, Some(certificate))),
        }
    }
}

fn expired(at: At) -> Refusal {
    Refusal::new(
        RefusalStatus::NotAllowed,
        format!(
            "the credential of this principal expired at {}: set a later date in the router's file of credentials",
            rfc3339(at)
        ),
    )
}

const KNOWN_KEY: &str = "this key is known to everybody, and is refused: choose another key, set it in IDM or in the connector server, and \
                         give it to the router with --caller-key-file or --credentials";

fn wrong_key() -> Refusal {
    Refusal::new(
        RefusalStatus::Forbidden,
        "wrong principal or key: compare the principal and key of the remote connector server in IDM, or of the connector server in client \
         mode, with the router's",
    )
}

/// Whether a line can be a key at all.
pub(crate) fn judge_any(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("is empty: write the key on the first line");
    }
    if key.chars().any(|c| u32::from(c) > 0xFF || c.is_control()) {
        return Err("has characters that Basic credentials cannot carry: use ISO-8859-1");
    }
    Ok(())
}

/// Whether a line can be a key in production.
pub(crate) fn judge_secret(key: &str) -> Result<(), &'static str> {
    judge_any(key)?;
    match is_known_key(key) {
        true => Err("is a default key that everybody knows: choose another key, or start with --dev"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
