//! What a ConnectorServer.properties file says, typed (docs/promises.md, section P).
//!
//! [`NodeConfig::read`] is pure: it looks at bytes, a path and the command line's `-D` values, never at the environment or the
//! disk. It reports every problem at once, each with its line.

mod beside;
mod dial;
mod host;
mod keys;
mod read;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use rcs_oauth::dial::AtTokenEnd;
use rcs_oauth::https::Url;
use rcs_proto::driver::url::WsUrl;
use rcs_proto::icf::Secret;

pub use beside::Beside;
pub use host::ListenHost;
pub use keys::PREFIX;
pub use settings::Override;

use crate::client::Rhythm;
use crate::key::SharedKey;
use crate::properties::SyntaxError;

/// A node's configuration.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Who dials whom; `connectorserver.url` decides.
    pub mode: Mode,
    /// Time between WebSocket pings, default 300 s; `None` if `pingPongInterval` is 0 (P18, P19). A node that dials pings once in each
    /// `housekeepingInterval` at least, to find dead sockets (P08).
    pub ping_interval: Option<Duration>,
    /// The folder that relative paths start from: the one above the file's `conf`, or the file's own.
    pub install_root: PathBuf,
    /// `bundleDir`, default `connectors` (P28), made absolute by the install root. Nothing is loaded from it.
    pub bundle_dir: PathBuf,
    /// `libDir`, default `lib` (P27), likewise.
    pub lib_dir: PathBuf,
    /// The node's own key store (P23-P26).
    pub key_store: Option<StoreFile>,
    /// The store of certificates that it trusts (P20-P22).
    pub trust_store: Option<StoreFile>,
    /// `principal` (P30). A listener lets any user name in, as the Java server does, so only client mode uses it.
    pub principal: Option<String>,
    /// `password` (P31); a listener compares with `key` instead.
    pub password: Option<Secret<String>>,
    /// What is legal and looks like a mistake; each is worth a line in the log.
    pub notices: Vec<String>,
}

impl NodeConfig {
    /// Reads a file's bytes; `path` gives the install root, `overrides` win over the file (P40).
    ///
    /// # Errors
    /// [`ConfigError`]: all that is wrong, with lines.
    pub fn read(bytes: &[u8], path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let Examined { config, syntax, problems } = Self::examine(bytes, path, overrides);
        match (syntax.into_iter().next(), config) {
            (Some(error), _) => Err(error.into()),
            (None, Some(config)) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Problems(problems)),
        }
    }

    /// Like [`NodeConfig::read`], but reports all faults of the file at once.
    pub fn examine(bytes: &[u8], path: &Path, overrides: &[Override]) -> Examined {
        read::read(bytes, path, overrides)
    }
}

/// A file with all of its faults.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What the file says, with defaults in the place of invalid values. A node must not serve with it if anything is wrong.
    pub config: Option<NodeConfig>,
    /// Lines that mean nothing.
    pub syntax: Vec<SyntaxError>,
    /// Settings that make no sense.
    pub problems: Vec<Problem>,
}

/// The two modes of an RCS (M01, M02).
#[derive(Clone, Debug)]
pub enum Mode {
    /// It listens: no `url`.
    Server(Listen),
    /// It dials each `url`.
    Client(Box<Dial>),
}

/// Server mode.
#[derive(Clone, Debug)]
pub struct Listen {
    /// `address` or `ifaddress`; default `0.0.0.0`, all interfaces, as the Java server does.
    pub host: ListenHost,
    /// The property that named the host, without the prefix.
    pub host_key: &'static str,
    /// `port`, default 8759 (P34); 0 takes a free one.
    pub port: u16,
    /// `key`; default the hash of `changeit` (P35).
    pub key: SharedKey,
    /// `useSSL` (P32).
    pub transport: Transport,
}

/// Whether the listener speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `useSSL=false`, the default.
    Plain,
    /// `useSSL=true`: [`NodeConfig::key_store`] is there.
    Tls,
}

/// Client mode.
#[derive(Clone, Debug)]
pub struct Dial {
    /// `url` (P02): at least one, at most [`URLS_MAX`](crate::limits::URLS_MAX).
    pub urls: Vec<WsUrl>,
    /// `connectorServerName` (P01), not empty. It is the principal as well, unless the file has one.
    pub server_name: String,
    /// `hostId` (P03): visible ASCII.
    pub host_id: Option<String>,
    /// `proxyHost` and what belongs to it (P04-P07).
    pub proxy: Option<HttpProxy>,
    /// `webSocketConnections`, `maxWebSocketConnections`, `housekeepingInterval` (P08), `connectionTtl` and `newConnectionsInterval`.
    pub rhythm: Rhythm,
    /// `groupCheckInterval` (P09), default Java's 4 minutes (WIRE 1.3).
    pub group_check_interval: Duration,
    /// `tokenEndpoint` and what belongs to it (P17).
    pub token: Option<TokenClient>,
    /// Whether the file has `tokenEndpoint`, usable or not.
    pub wants_token: bool,
}

/// An HTTP proxy in front of a dialling server.
#[derive(Clone, Debug)]
pub struct HttpProxy {
    /// Its host.
    pub host: String,
    /// Its port, default 8080 (C03).
    pub port: u16,
    /// User at the proxy.
    pub principal: Option<String>,
    /// Password at the proxy.
    pub password: Option<Secret<String>>,
}

/// Where a dialling server gets its access token.
#[derive(Clone, Debug)]
pub struct TokenClient {
    /// `tokenEndpoint`; with or without TLS.
    pub endpoint: Url,
    /// `scope`, as it stands.
    pub scope: Option<String>,
    /// `clientId`
    pub client_id: String,
    /// `clientSecret` or `clientSecretFile`
    pub secret: SecretOf,
    /// `tokenEnd`
    pub at_end: AtTokenEnd,
}

/// Where the secret of an OAuth2 client is.
#[derive(Clone, Debug)]
pub enum SecretOf {
    /// `clientSecret` (P17)
    Value(Secret<String>),
    /// `clientSecretFile`, made absolute by the install root: a file with the secret on its first line. The file is read for each token, so
    /// that a new secret needs no restart.
    File(PathBuf),
}

/// A PKCS12 store (P21, P24).
#[derive(Clone, Debug)]
pub struct StoreFile {
    /// Where it is, made absolute by the install root.
    pub path: PathBuf,
    /// Its password; empty if the file gives none.
    pub password: Secret<String>,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no properties file.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It says things that make no sense; never empty.
    #[error("{}", join(.0))]
    Problems(Vec<Problem>),
}

/// One thing that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said.
    pub origin: Origin,
    /// The property, without the prefix.
    pub key: &'static str,
    /// The value that makes no sense, cut to a bound; `None` for a property that holds a secret (promise P9).
    pub value: Option<String>,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {PREFIX}{} ", self.origin, self.key)?;
        if let Some(value) = &self.value {
            // Quoted, with escapes, because a value may hold any characters.
            write!(f, "{value:?} ")?;
        }
        f.write_str(&self.what)
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This line of the file, from 1.
    Line(usize),
    /// A `-D` of the command line.
    CommandLine,
    /// Nowhere: it is missing.
    Missing,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Line(line) => write!(f, "line {line}"),
            Origin::CommandLine => f.write_str("command line"),
            Origin::Missing => f.write_str("missing"),
        }
    }
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
