//! The trust store: the authorities that may have signed members' certificates. No other authority is trusted.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::limits::TRUST_STORE_BYTES_MAX;

/// Why a trust store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("the trust store {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has no certificates, or bad ones.
    #[error(
        "the trust store {path} cannot be used: {reason}. Write PEM certificates of the authorities that signed the members' certificates into it"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads a PEM file of certificates into the TLS configuration with which members are dialled.
pub(crate) fn client_config(path: &Path) -> Result<Arc<ClientConfig>, TrustError> {
    let unusable = |reason: String| TrustError::Unusable { path: path.to_owned(), reason };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(TRUST_STORE_BYTES_MAX + 1).read_to_end(&mut pem))
        .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    if pem.len() as u64 > TRUST_STORE_BYTES_MAX {
        return Err(unusable(format!("it is larger than {TRUST_STORE_BYTES_MAX} bytes")));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_without_certificates_says_what_to_write() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = client_config(file.path()).unwrap_err().to_string();
        assert!(error.contains("holds no certificate") && error.contains("Write PEM"), "{error}");
    }

    #[test]
    fn a_missing_store_is_named() {
        let error = client_config(Path::new("/nowhere/ca.pem")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}
