//! How a dialling node speaks TLS: whom it trusts, and what it shows to a peer that asks for a certificate.

use std::path::Path;
use std::sync::Arc;

use rcs_cli::file::read_bounded;
use rcs_proto::driver::tls::{Pins, client_config, of_system};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::trust::{Pem, certificates};
use super::{Owned, owned};
use crate::config::StoreFile;
use crate::limits::KEY_STORE_BYTES;

/// TLS of a dialling node.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// TLS 1.2 and 1.3.
    pub config: Arc<ClientConfig>,
    /// Sentences for the log about the certificate that is shown.
    pub warnings: Vec<String>,
}

/// Trusts the certificates of the trust store and those that they signed. Without a store: those that the system's authorities signed. The
/// key store's certificate is shown to peers that ask for one.
///
/// # Errors
/// A sentence without full stop: what is wrong with a store, and what to do.
pub fn client(trust: Option<&StoreFile>, own: Option<&StoreFile>) -> Result<ClientTls, String> {
    let config = match trust {
        Some(store) => client_config(&certificates(store, Pem::Accepted)?, Pins::ForNamesItHas)
            .map_err(|error| format!("the trust store {} cannot be used: {error}", store.path.display())),
        None => {
            those_of_system("name a store with the certificates to trust in connectorserver.trustStoreFile")
        }
    }?;
    let Some(store) = own else { return Ok(ClientTls { config, warnings: Vec::new() }) };
    let Owned { identity, warnings } = owned(store).map_err(|error| error.to_string())?;
    Ok(ClientTls { config: identity.shown_by(&config), warnings })
}

/// TLS of an agent towards routers. Trusts the certificates in this PEM file, and those that they signed. Without a file: those that the
/// system's authorities signed.
///
/// # Errors
/// A sentence without full stop: what is wrong with the file, and what to do.
pub fn to_routers(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let Some(path) = ca else {
        return those_of_system("name the routers' certificate with --server-ca FILE");
    };
    let shown = path.display();
    let bytes =
        read_bounded(path, KEY_STORE_BYTES).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("{shown} is not a PEM file of certificates: {error}"))?;
    client_config(&found, Pins::ForNamesItHas)
        .map_err(|error| format!("{shown} cannot be used ({error}): write certificates in PEM into it"))
}

/// Trusts the authorities that the system trusts. `otherwise` says what helps where there are none.
fn those_of_system(otherwise: &str) -> Result<Arc<ClientConfig>, String> {
    let found = of_system().map_err(|why| format!("{why}, or {otherwise}"))?;
    client_config(&found, Pins::ForNamesItHas)
        .map_err(|error| format!("the system's certificates of authorities cannot be used: {error}"))
}
