//! How a URL of an IDM is dialled: credentials, proxy, TLS.

use std::sync::Arc;

use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialExtras, DialTarget, DialTls};
use rcs_proto::driver::keeper::{Peer, Wanted};
use rcs_proto::driver::limits::DIAL_TIMEOUT;
use rcs_proto::driver::proxy::HttpProxy;
use rcs_proto::driver::tls::{Identity, Pins, client_config, of_system};
use rcs_proto::driver::url::WsUrl;
use rcs_proto::icf::Secret;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::config::{ReadIdm, SYSTEM};
use crate::trust;

/// What the TLS towards dialled IDMs is made of, beside their own trust stores.
pub(crate) struct Tls {
    /// `--trust-store`.
    of_all: Option<watch::Receiver<Arc<ClientConfig>>>,
    /// What an IDM that asks for a certificate is shown.
    identity: Option<watch::Receiver<Arc<Identity>>>,
}

impl Tls {
    /// URLs without a trust store of their own are dialled with `of_all`, or else with the authorities of the operating system. An IDM that
    /// asks for a certificate is shown `identity`.
    pub(crate) fn new(
        of_all: Option<watch::Receiver<Arc<ClientConfig>>>,
        identity: Option<watch::Receiver<Arc<Identity>>>,
    ) -> Self {
        Self { of_all, identity }
    }

    /// Resolves when one of the two has changed.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = changed(self.of_all.as_mut()) => {}
            () = changed(self.identity.as_mut()) => {}
        }
    }

    /// The TLS for the URLs of an IDM.
    ///
    /// # Errors
    /// A sentence without full stop: what is wrong with what is trusted, and what to do.
    pub(super) fn of(&self, idm: &ReadIdm) -> Result<DialTls, String> {
        let is_needed = idm.idm.urls.iter().any(|url| url.tls);
        if !is_needed {
            return Err("no URL of the IDM begins with wss://".to_owned());
        }
        let config = trusting(idm, self.of_all.as_ref().map(|all| Arc::clone(&all.borrow())))?;
        let config = match &self.identity {
            None => config,
            Some(identity) => {
                let mut shows = ClientConfig::clone(&config);
                shows.client_auth_cert_resolver = identity.borrow().resolver();
                Arc::new(shows)
            }
        };
        Ok(DialTls { config, server_name: None })
    }
}

/// Resolves when the value has changed; never for none.
async fn changed<T>(watched: Option<&mut watch::Receiver<T>>) {
    if let Some(watched) = watched
        && watched.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Trusts what the table of the IDM says; `of_all` is `--trust-store`.
///
/// # Errors
/// A sentence without full stop.
pub(crate) fn trusting(
    idm: &ReadIdm,
    of_all: Option<Arc<ClientConfig>>,
) -> Result<Arc<ClientConfig>, String> {
    let is_systems = idm.idm.trust_store.as_deref() == Some(SYSTEM);
    match (&idm.trust, of_all) {
        (Some(bytes), _) => trust::parse(bytes, Pins::ForNamesItHas)
            .map(|trusted| trusted.config)
            .map_err(|why| format!("trust_store cannot be used: {why}")),
        (None, Some(of_all)) if !is_systems => Ok(of_all),
        (None, _) => of_system()
            .and_then(|found| client_config(&found, Pins::ForNamesItHas))
            .map_err(|why| format!("{why}, or name a file with the certificates to trust in trust_store")),
    }
}

/// What is wanted of one URL of an IDM.
pub(super) fn wanted(idm: &ReadIdm, url: &WsUrl, tls: Option<&DialTls>) -> Wanted {
    let target = DialTarget {
        host: url.host.clone(),
        port: url.port,
        path: url.path.clone(),
        tls: tls.cloned(),
        credentials: credentials(idm),
        connect_timeout: DIAL_TIMEOUT,
    };
    let extras = DialExtras { proxy: proxy(idm), headers: Vec::new() };
    Wanted { peer: Peer { url: url.clone(), target, extras }, rhythm: idm.idm.rhythm() }
}

/// What the router shows the IDM: the only place that decides it.
fn credentials(idm: &ReadIdm) -> Credentials {
    let principal = idm.idm.principal.clone().unwrap_or_else(|| idm.name.clone());
    Credentials { principal, secret: idm.key.clone() }
}

fn proxy(idm: &ReadIdm) -> Option<HttpProxy> {
    let host = idm.idm.proxy_host.clone()?;
    let secret = idm.proxy_password.clone().unwrap_or_else(|| Secret::new(String::new()));
    let credentials = idm.idm.proxy_principal.clone().map(|principal| Credentials { principal, secret });
    let port = u16::try_from(idm.idm.proxy_port).unwrap_or(u16::MAX);
    Some(HttpProxy { host, port, credentials })
}

/// Checks whether the URLs of an IDM can be dialled at all; returns what is wrong. Nothing is dialled.
pub(crate) fn faults(idm: &ReadIdm, of_all: Option<Arc<ClientConfig>>) -> Vec<String> {
    let tls = idm.idm.urls.iter().any(|url| url.tls).then(|| trusting(idm, of_all));
    let tls = tls.and_then(Result::err).map(|why| format!("idm.{}.trust_store: {why}", idm.name));
    let of_url = |url: &WsUrl| {
        let error = wanted(idm, url, None).peer.target.validate().err()?;
        Some(format!("idm.{}.url: {url} cannot be dialled: {error}", idm.name))
    };
    idm.idm.urls.iter().filter_map(of_url).chain(tls).collect()
}
