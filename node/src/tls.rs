//! The node's certificate, out of the PKCS12 store that the properties file names (P23-P26, S01, S06). What is in a store, and whether TLS can
//! use it, is one question for nodes and routers: [`Identity`] answers it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcs_cli::file::{self, FileError};
use rcs_proto::driver::tls::{Identity, WRONG_PASSWORD};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;

mod dialling;
mod kind;
mod trust;

pub use dialling::{ClientTls, client, to_routers};
pub use kind::OtherKind;
pub use trust::trusted;

use crate::config::StoreFile;
use crate::limits::KEY_STORE_BYTES;

/// What to do when the node's certificate ends.
const WAY_OUT: &str = "make a new one, and start the node again";

/// A key with its certificates, ready to listen with.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// For the listener: TLS 1.2 and 1.3, no client certificate asked for (the callers prove themselves by key).
    pub config: Arc<ServerConfig>,
    /// The certificate, for the log.
    pub identity: Identity,
    /// Sentences for the log about the certificate and its file.
    pub warnings: Vec<String>,
}

/// Reads the store and takes its private key.
///
/// # Errors
/// [`TlsError`], with the path and what to do.
pub fn server(store: &StoreFile) -> Result<ServerTls, TlsError> {
    let Owned { identity, warnings } = owned(store)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable { path: store.path.clone(), reason: error.to_string() })?
        .with_no_client_auth()
        .with_cert_resolver(identity.resolver());
    Ok(ServerTls { config: Arc::new(config), identity, warnings })
}

/// A private key of a store, with its certificates.
struct Owned {
    identity: Identity,
    /// What an operator should know of the certificate and its file.
    warnings: Vec<String>,
}

fn owned(store: &StoreFile) -> Result<Owned, TlsError> {
    let path = || store.path.clone();
    let read = file::read_secret(&store.path, KEY_STORE_BYTES)
        .map_err(|source| TlsError::Read { path: path(), source })?;
    // Java reads no PEM file here, and the same properties file is Java's too.
    if let Some(kind) = OtherKind::of(&read.bytes) {
        return Err(TlsError::OtherKind { path: path(), kind });
    }
    let identity = Identity::from_store(&read.bytes, &[store.password.expose()]);
    let identity = identity.map_err(|reason| match reason == WRONG_PASSWORD {
        true => TlsError::Password { path: path() },
        false => TlsError::Unusable { path: path(), reason },
    })?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let of_dates = identity.date_warning(UnixTime::since_unix_epoch(now), WAY_OUT);
    let warnings = read.warning.into_iter().chain(of_dates).chain(identity.warnings().iter().cloned());
    let warnings = warnings.collect();
    Ok(Owned { identity, warnings })
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
    /// There is no key in the store that TLS can use, or the store cannot be read.
    #[error("the key store {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The store.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
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

/// Why a trust store cannot be read, in words.
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
