//! The node's certificate, out of the PKCS12 store that the properties file names (P23-P26, S01, S06).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, PrivateKeyChain};
use rcs_cli::file::{self, FileError};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

mod certificate;
mod dialling;
mod kind;
mod trust;

pub use dialling::{ClientTls, client, to_routers};
pub use kind::OtherKind;
pub use trust::trusted;

use crate::config::StoreFile;
use crate::limits::KEY_STORE_BYTES;

/// A key with its certificates, ready to listen with.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// For the listener: TLS 1.2 and 1.3, no client certificate asked for (the callers prove themselves by key).
    pub config: Arc<ServerConfig>,
    /// Name of the store's entry, for the log.
    pub alias: String,
    /// Subject of its certificate, for the log.
    pub subject: String,
    /// Kind and size of the key, in words: "EC key of 384 bits".
    pub key: String,
    /// The first and last day of the certificate: "2026-11-29 to 2036-11-26 (UTC)".
    pub validity: String,
    /// A sentence for the log if callers refuse the certificate because of its dates, or soon will.
    pub date_warning: Option<String>,
    /// A sentence for the log if every user of the machine can read the store.
    pub warning: Option<String>,
}

/// Reads the store and takes its private key; of several the first by name.
///
/// # Errors
/// [`TlsError`], with the path and what to do.
pub fn server(store: &StoreFile) -> Result<ServerTls, TlsError> {
    let Owned { alias, chain, pair, warning } = owned(store)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable(store, &alias, &chain))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    let validity = certificate::validity(&chain);
    Ok(ServerTls {
        config: Arc::new(config),
        subject: subject_of(&chain),
        key: certificate::describe_key(&chain),
        validity: validity.as_ref().map(ToString::to_string).unwrap_or_default(),
        date_warning: validity.and_then(|validity| validity.warning(SystemTime::now())),
        alias,
        warning,
    })
}

/// A private key of a store, with its certificates.
struct Owned {
    /// Name of the store's entry.
    alias: String,
    chain: PrivateKeyChain,
    /// The same as rustls wants it.
    pair: CertifiedKey,
    /// A sentence for the log if every user of the machine can read the store.
    warning: Option<String>,
}

fn owned(store: &StoreFile) -> Result<Owned, TlsError> {
    let path = || store.path.clone();
    let store_file = file::read_secret(&store.path, KEY_STORE_BYTES)
        .map_err(|source| TlsError::Read { path: path(), source })?;
    if let Some(kind) = OtherKind::of(&store_file.bytes) {
        return Err(TlsError::OtherKind { path: path(), kind });
    }
    let key_store =
        KeyStore::from_pkcs12(&store_file.bytes, store.password.expose(), Pkcs12ImportPolicy::Strict)
            .map_err(|error| TlsError::of(path(), &error))?;
    let chain = key_store.entries().find_map(|(alias, entry)| match entry {
        KeyStoreEntry::PrivateKeyChain(chain) => Some((alias.clone(), chain.clone())),
        _ => None,
    });
    let (alias, chain) = chain.ok_or_else(|| TlsError::NoKey { path: path() })?;
    let certificates: Vec<_> =
        chain.certs().iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()));
    let pair = CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
        .map_err(|_| unusable(store, &alias, &chain))?;
    Ok(Owned { alias, chain, pair, warning: store_file.warning })
}

fn unusable(store: &StoreFile, alias: &str, chain: &PrivateKeyChain) -> TlsError {
    TlsError::UnusableKey {
        path: store.path.clone(),
        alias: alias.to_owned(),
        key: certificate::describe_key(chain),
        subject: subject_of(chain),
    }
}

/// Why the node has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("the key store {} cannot be read: {source}; connectorserver.keyStoreFile is relative to the install root", path.display())]
    Read {
        /// The store.
        path: PathBuf,
        /// Why.
        source: FileError,
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
    /// The key cannot be used for TLS.
    #[error(
        "the key store {} has an unusable key: the entry {alias:?} holds {key}, but TLS needs an RSA key of 2048 to 8192 bits, an EC key on \
         the curve P-256, P-384 or P-521, or an Ed25519 key. Make one: `keytool -genkeypair -alias {alias} -keyalg EC -groupname secp256r1 \
         -dname \"{subject}\" -ext san=dns:HOST -validity 3650 -storetype PKCS12 -keystore NEW.p12` with this server's name for HOST",
        path.display()
    )]
    UnusableKey {
        /// The store.
        path: PathBuf,
        /// Name of the entry.
        alias: String,
        /// Kind and size of its key.
        key: String,
        /// Subject of its certificate.
        subject: String,
    },
    /// The file is of another kind.
    #[error("the key store {} is {}, not a PKCS12 store: {}", path.display(), kind.name(), kind.way_out(path))]
    OtherKind {
        /// The store.
        path: PathBuf,
        /// The kind of the file.
        kind: OtherKind,
    },
}

impl TlsError {
    fn of(path: PathBuf, error: &p12_keystore::error::Error) -> Self {
        use p12_keystore::error::Error;
        match error {
            Error::MacError(_) | Error::UnpadError => Self::Password { path },
            other => Self::Format { path, reason: reason(other) },
        }
    }
}

fn subject_of(chain: &PrivateKeyChain) -> String {
    chain.certs().first().map(|certificate| certificate.subject().to_owned()).unwrap_or_default()
}

/// The library's error in words.
fn reason(error: &p12_keystore::error::Error) -> String {
    use p12_keystore::error::Error;
    match error {
        Error::DerError(_) | Error::InvalidData | Error::InvalidLength | Error::InvalidParameters => {
            "it is damaged, or another kind of file".to_owned()
        }
        Error::X509Error(_) | Error::UnsupportedCertificateType => "a certificate in it cannot be read".to_owned(),
        Error::InvalidPrivateKey => "its private key cannot be read".to_owned(),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::Pkcs5Error(_) => {
            "its encryption is not supported; make it again with `keytool -importkeystore -srckeystore OLD -destkeystore NEW.p12 \
             -deststoretype PKCS12` of a Java from 17 on"
                .to_owned()
        }
        other => other.to_string(),
    }
}
