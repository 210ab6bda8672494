//! A router's certificates, which can be renewed while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::{ClientConfig, ServerConfig};

use crate::limits::ROUTERS_CONNECTED_MAX;
use crate::pki::{Dates, Files, Identity, Name, PkiError, provider};

/// The protocol of requests (ALPN).
const HTTP2: &[u8] = b"h2";
/// The protocol of connections that become WebSockets (ALPN).
pub(super) const HTTP1: &[u8] = b"http/1.1";

/// A router's certificates. All clones see a renewal; connections that are open keep theirs.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    files: Files,
    live: RwLock<Arc<Live>>,
    /// The certificates that other routers showed last, by number.
    shown: Mutex<BTreeMap<u32, Dates>>,
}

/// The certificates of now.
pub(super) struct Live {
    pub(super) identity: Identity,
    pub(super) client: Arc<ClientConfig>,
    /// The same, for a connection that is to become a WebSocket.
    upgrading: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

/// What [`Credentials::reload`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The files have not changed. With what an operator should know at this moment.
    Same(Vec<String>),
    /// New connections use what the files say now. With the sentences of [`Credentials::warnings`].
    Renewed(Vec<String>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("identity", &self.live().identity).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the files of the router with this number. They are small and local: a thread may wait for them.
    ///
    /// # Errors
    /// [`PkiError`]
    pub fn load(files: Files, router: u32) -> Result<Self, PkiError> {
        let live = Live::of(Identity::load(&files, router, SystemTime::now())?, &files)?;
        let (live, shown) = (RwLock::new(Arc::new(live)), Mutex::default());
        Ok(Self(Arc::new(Inner { files, live, shown })))
    }

    /// Reads the files again. Call this from time to time, a minute apart for example, or when the files change.
    ///
    /// # Errors
    /// [`PkiError`]: the certificates stay as they are. While the files are being replaced one after the other, a key may not belong to its
    /// certificate; the next call finds both.
    pub fn reload(&self) -> Result<Reloaded, PkiError> {
        let before = self.live();
        let Name { cluster, router } = before.identity.name();
        let found = Identity::load(&self.0.files, *router, SystemTime::now())?;
        if found == before.identity {
            return Ok(Reloaded::Same(found.warnings().to_vec()));
        }
        if found.name().cluster != *cluster {
            let path = self.0.files.certificate.clone();
            return Err(PkiError::OtherCluster {
                path,
                named: found.name().cluster.clone(),
                own: cluster.clone(),
            });
        }
        let live = Live::of(found, &self.0.files)?;
        let warnings = live.identity.warnings().to_vec();
        *self.0.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        Ok(Reloaded::Renewed(warnings))
    }

    /// The cluster and the router that the certificate names. This never changes.
    pub fn name(&self) -> Name {
        self.live().identity.name().clone()
    }

    /// When the router's certificate ends, in seconds since 1970.
    pub fn until(&self) -> i64 {
        self.live().identity.until()
    }

    /// The dates of the certificates of routers by number: this router's own one, and those that the others showed when they connected
    /// last. A router that was not connected yet is missing.
    pub fn dates(&self) -> BTreeMap<u32, Dates> {
        let live = self.live();
        let identity = &live.identity;
        let mut all = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.insert(identity.name().router, identity.dates());
        all
    }

    /// What a connection to another router is dialled with that is to become a WebSocket: the certificates of now.
    pub fn upgrading(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.live().upgrading)
    }

    /// A router has shown this certificate, which was accepted.
    pub(super) fn note(&self, router: u32, dates: Option<Dates>) {
        let Some(dates) = dates else { return };
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() < ROUTERS_CONNECTED_MAX || shown.contains_key(&router) {
            shown.insert(router, dates);
        }
    }

    /// What an operator should know, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.live().identity.warnings().to_vec()
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.0.live.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Live {
    fn of(identity: Identity, files: &Files) -> Result<Self, PkiError> {
        let failed = |error: rustls::Error| PkiError::Unusable {
            path: files.certificate.clone(),
            reason: error.to_string(),
        };
        let Identity { chain, key, verifier, .. } = &identity;
        let tls13 = &[&rustls::version::TLS13];
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(tls13)
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(failed)?;
        client.alpn_protocols = vec![HTTP2.to_vec()];
        // The address that is dialled is no name of the peer.
        client.enable_sni = false;
        // Each connection proves its certificate anew, so a renewal or an end of a certificate counts at once.
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(tls13)
            .map_err(failed)?
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(failed)?;
        server.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        server.send_tls13_tickets = 0;
        let mut upgrading = client.clone();
        upgrading.alpn_protocols = vec![HTTP1.to_vec()];
        Ok(Self {
            client: Arc::new(client),
            upgrading: Arc::new(upgrading),
            server: Arc::new(server),
            identity,
        })
    }
}
