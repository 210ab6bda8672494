//! The listener's certificate, out of the PKCS12 store that the properties file names (P23-P26, S01, S06).

use std::path::PathBuf;
use std::sync::Arc;

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::StoreFile;

/// A key with its certificates, ready to listen with.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// For the listener: TLS 1.2 and 1.3, no client certificate asked for (the callers prove themselves by key).
    pub config: Arc<ServerConfig>,
    /// Name of the store's entry, for the log.
    pub alias: String,
    /// Subject of its certificate, for the log.
    pub subject: String,
}

/// Reads the store and takes its private key; of several the first by name.
///
/// # Errors
/// [`TlsError`], with the path and what to do.
pub fn server(store: &StoreFile) -> Result<ServerTls, TlsError> {
    let path = || store.path.clone();
    let bytes = std::fs::read(&store.path).map_err(|source| TlsError::Read { path: path(), source })?;
    let key_store = KeyStore::from_pkcs12(&bytes, store.password.expose(), Pkcs12ImportPolicy::Strict)
        .map_err(|error| TlsError::of(path(), &error))?;
    let chain = key_store.entries().find_map(|(alias, entry)| match entry {
        KeyStoreEntry::PrivateKeyChain(chain) => Some((alias, chain)),
        _ => None,
    });
    let (alias, chain) = chain.ok_or_else(|| TlsError::NoKey { path: path() })?;
    let certificates: Vec<_> =
        chain.certs().iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|source| TlsError::Unusable { path: path(), source })?;
    let subject = chain.certs().first().map(|certificate| certificate.subject().to_owned());
    Ok(ServerTls { config: Arc::new(config), alias: alias.clone(), subject: subject.unwrap_or_default() })
}

/// Why the listener has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("the key store {} cannot be read: {source}; connectorserver.keyStoreFile is relative to the install root", path.display())]
    Read {
        /// The store.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store's seal does not fit the password.
    #[error("connectorserver.keyStorePass does not open the key store {}: correct the password", path.display())]
    Password {
        /// The store.
        path: PathBuf,
    },
    /// It is no PKCS12 store, or one with means that are not supported.
    #[error("the key store {} is not a usable PKCS12 store: {reason}", path.display())]
    Format {
        /// The store.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It holds certificates only.
    #[error("the key store {} has no private key with its certificate; a trust store has none: name the server's key store", path.display())]
    NoKey {
        /// The store.
        path: PathBuf,
    },
    /// TLS cannot work with the key or certificate.
    #[error("the key in {} cannot be used for TLS: {source}", path.display())]
    Unusable {
        /// The store.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl TlsError {
    fn of(path: PathBuf, error: &p12_keystore::error::Error) -> Self {
        use p12_keystore::error::Error;
        match error {
            Error::MacError(_) | Error::UnpadError => Self::Password { path },
            other => Self::Format { path, reason: other.to_string() },
        }
    }
}
