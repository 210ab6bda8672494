//! The trust store that the properties file names. A node that dials uses it. A listening node has no use for it, because callers
//! authenticate with the key; the Java server reads the store all the same, so `check` says what would keep it from doing so.

use p12_keystore::error::Error;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rcs_cli::file;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{OtherKind, reason};
use crate::config::StoreFile;
use crate::limits::KEY_STORE_BYTES;

/// Reads the store as a Java server does, and returns the number of its certificates.
///
/// # Errors
/// A sentence without full stop: what is wrong with the store, and what to do.
pub fn trusted(store: &StoreFile) -> Result<usize, String> {
    certificates(store, Pem::Refused).map(|certificates| certificates.len())
}

/// Whether a store may be a file of PEM blocks, which Java does not read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pem {
    Accepted,
    Refused,
}

pub(super) fn certificates(store: &StoreFile, pem: Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = store.path.display();
    let read = file::read_bounded(&store.path, KEY_STORE_BYTES).map_err(|error| {
        format!("the trust store {shown} cannot be read: {error}; connectorserver.trustStoreFile is relative to the install root")
    })?;
    let other = OtherKind::of(&read);
    if pem == Pem::Accepted && other == Some(OtherKind::Pem) {
        let blocks: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read).collect();
        return match blocks {
            Ok(blocks) if !blocks.is_empty() => Ok(blocks),
            Ok(_) => Err(format!(
                "the trust store {shown} is a PEM file without a certificate: write certificates into it"
            )),
            Err(error) => Err(format!(
                "the trust store {shown} is a PEM file with a block that cannot be read: {error:?}; write the file anew"
            )),
        };
    }
    if let Some(kind) = other {
        let way_out = match kind {
            OtherKind::Pem | OtherKind::Certificate => {
                format!(
                    "make one with `keytool -importcert -file {shown} -keystore {shown}.p12 -storetype PKCS12`, and name {shown}.p12"
                )
            }
            other => other.way_out(&store.path),
        };
        return Err(format!("the trust store {shown} is {}, not a PKCS12 store: {way_out}", kind.name()));
    }
    let opened = KeyStore::from_pkcs12(&read, store.password.expose(), Pkcs12ImportPolicy::Relaxed);
    let opened = opened.map_err(|error| match error {
        Error::MacError(_) | Error::UnpadError => {
            format!(
                "connectorserver.trustStorePass does not open the trust store {shown}: correct the password"
            )
        }
        other => format!("the trust store {shown} is not a usable PKCS12 store: {}", reason(&other)),
    })?;
    let certificate = |(_, entry): (&String, &KeyStoreEntry)| match entry {
        KeyStoreEntry::Certificate(certificate) => Some(CertificateDer::from(certificate.as_der().to_vec())),
        _ => None,
    };
    let found: Vec<CertificateDer<'static>> = opened.entries().filter_map(certificate).collect();
    if found.is_empty() {
        return Err(format!(
            "the trust store {shown} holds no certificate on its own: add one with `keytool -importcert -file CERTIFICATE -keystore {shown}`"
        ));
    }
    Ok(found)
}
