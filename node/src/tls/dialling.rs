//! How a dialling node speaks TLS: whom it trusts, and what it shows to a peer that asks for a certificate.

use std::sync::Arc;
use std::time::SystemTime;

use rcs_proto::driver::tls::{Pins, client_config, of_system};
use rustls::ClientConfig;
use rustls::sign::SingleCertAndKey;

use super::trust::{Pem, certificates};
use super::{Owned, certificate, owned};
use crate::config::StoreFile;

/// What else to do when the system has no certificates of authorities.
const ELSEWHERE: &str = "or name a store with the certificates to trust in connectorserver.trustStoreFile";

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
            client_config(&of_system().map_err(|why| format!("{why}, {ELSEWHERE}"))?, Pins::ForNamesItHas)
                .map_err(|error| format!("the system's certificates of authorities cannot be used: {error}"))
        }
    }?;
    let Some(store) = own else { return Ok(ClientTls { config, warnings: Vec::new() }) };
    let Owned { chain, pair, warning, .. } = owned(store).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::clone(&config);
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(pair));
    let dates = certificate::validity(&chain).and_then(|validity| validity.warning(SystemTime::now()));
    Ok(ClientTls { config: Arc::new(config), warnings: warning.into_iter().chain(dates).collect() })
}
