//! The trust store that the properties file names. A listening node has no use for it, because callers authenticate with the key. The Java
//! server reads the store, so `check` says what would keep it from doing so.

use p12_keystore::error::Error;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rcs_cli::file;

use super::{OtherKind, reason};
use crate::config::StoreFile;
use crate::limits::KEY_STORE_BYTES;

/// Reads the store, and returns the number of its certificates.
///
/// # Errors
/// A sentence without full stop: what is wrong with the store, and what to do.
pub fn trusted(store: &StoreFile) -> Result<usize, String> {
    let shown = store.path.display();
    let read = file::read_bounded(&store.path, KEY_STORE_BYTES).map_err(|error| {
        format!("the trust store {shown} cannot be read: {error}; connectorserver.trustStoreFile is relative to the install root")
    })?;
    if let Some(kind) = OtherKind::of(&read) {
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
    let count = opened.entries().filter(|(_, entry)| matches!(entry, KeyStoreEntry::Certificate(_))).count();
    match count {
        0 => Err(format!(
            "the trust store {shown} holds no certificate on its own: add one with `keytool -importcert -file CERTIFICATE -keystore {shown}`"
        )),
        count => Ok(count),
    }
}
