//! An address of an authorization server: of its key set, or of its introspection endpoint.

use std::fmt;
use std::sync::Arc;

use rcs_oauth::https::{Https, HttpsError, Plain, Url, basic};
use rcs_proto::driver::tls::{self, Pins, client_config};
use rcs_proto::icf::Secret;
use rustls::{ClientConfig, RootCertStore};

use crate::access::Mode;
use crate::limits::{INTROSPECTION_BYTES_MAX, ISSUER_DEADLINE, JWKS_BYTES_MAX};
use crate::trust;

/// An address, and whom the router trusts there.
pub(super) struct Endpoint {
    url: Url,
    https: Https,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Reads an address. Secrets and tokens are sent to it, or keys come from it, so there is no `http` to another machine, except in development.
///
/// # Errors
/// A sentence that goes on after the name of the setting.
pub(super) fn address(text: &str, mode: Mode) -> Result<Url, String> {
    let plain = match mode {
        Mode::Development => Plain::Anywhere,
        Mode::Production => Plain::Loopback,
    };
    Url::parse(text, plain).map_err(|why| format!("is not a usable address: {why}"))
}

impl Endpoint {
    /// An address where the certificates of this trust store are trusted; without a store, those of the system's authorities.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the issuer's entry.
    pub(super) fn new(url: &Url, trusted: Option<&[u8]>) -> Result<Self, String> {
        let tls = match trusted {
            Some(bytes) => {
                trust::parse(bytes, Pins::ForNamesItHas).map_err(|why| format!("trust_store: {why}"))?.config
            }
            None if url.is_tls() => of_system()?,
            // No handshake will ever ask it.
            None => Arc::new(
                ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
            ),
        };
        Ok(Self { url: url.clone(), https: Https::new(tls).within(ISSUER_DEADLINE) })
    }

    /// Fetches a key set.
    ///
    /// # Errors
    /// What failed, without anything that was received.
    pub(super) async fn keys(&self) -> Result<Vec<u8>, HttpsError> {
        let https = self.https.clone().up_to(JWKS_BYTES_MAX);
        let answer =
            https.get(&self.url, &[("Accept", "application/json, application/jwk-set+json")]).await?;
        Ok(answer.success()?.body().to_vec())
    }

    /// Asks about a token (RFC 7662), as the client with this id and secret.
    ///
    /// # Errors
    /// What failed, without a part of the token or of the answer.
    pub(super) async fn introspect<T: serde::de::DeserializeOwned>(
        &self,
        token: &Secret<String>,
        (id, secret): &(String, Secret<String>),
    ) -> Result<T, HttpsError> {
        let https = self.https.clone().up_to(INTROSPECTION_BYTES_MAX);
        let client = basic(id, secret);
        let headers = [("Authorization", client.expose().as_str()), ("Accept", "application/json")];
        let form = [("token", token.expose().as_str()), ("token_type_hint", "access_token")];
        https.post_form(&self.url, &headers, &form).await?.success()?.json()
    }
}

/// Trusts what the system's authorities signed.
fn of_system() -> Result<Arc<ClientConfig>, String> {
    let help = "name a file with the certificates to trust in trust_store";
    let found =
        tls::of_system().map_err(|why| format!("needs certificates of authorities: {why}, or {help}"))?;
    client_config(&found, Pins::ForNamesItHas).map_err(|why| {
        format!("needs the system's certificates of authorities, which cannot be used ({why}): {help}")
    })
}
