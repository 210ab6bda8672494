//! How a URL of an IDM is dialled: credentials or access tokens, proxy, TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rcs_oauth::dial::{Holder, TokenSetup, Who};
use rcs_oauth::https::{Https, Plain, is_loopback};
use rcs_oauth::token::{ClientSecret, TokenOptions};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialExtras, DialTls, InClear};
use rcs_proto::driver::keeper::{Peer, Wanted};
use rcs_proto::driver::proxy::HttpProxy;
use rcs_proto::driver::tls::{Identity, Pins, client_config, of_system};
use rcs_proto::driver::url::WsUrl;
use rcs_proto::icf::Secret;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::config::{ReadIdm, SYSTEM, client_secret};
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

    /// The TLS for a URL of an IDM.
    ///
    /// # Errors
    /// A sentence without full stop: what is wrong with what is trusted, and what to do.
    fn of(&self, idm: &ReadIdm) -> Result<DialTls, String> {
        let config = trusting(idm, self.of_all.as_ref().map(|all| Arc::clone(&all.borrow())))?;
        let config = match &self.identity {
            None => config,
            Some(identity) => identity.borrow().shown_by(&config),
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
fn trusting(idm: &ReadIdm, of_all: Option<Arc<ClientConfig>>) -> Result<Arc<ClientConfig>, String> {
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
///
/// # Errors
/// A sentence without full stop: what is wrong with what is trusted, and what to do.
pub(super) fn wanted(idm: &ReadIdm, url: &WsUrl, who: Who, tls: &Tls) -> Result<Wanted<Who>, String> {
    let peer = peer(idm, url, url.tls.then(|| tls.of(idm)).transpose()?);
    Ok(Wanted { peer, who, rhythm: idm.idm.rhythm() })
}

fn peer(idm: &ReadIdm, url: &WsUrl, tls: Option<DialTls>) -> Peer {
    Peer { url: url.clone(), tls, extras: DialExtras { proxy: proxy(idm), headers: Vec::new() } }
}

/// What the router shows the IDM: the only place that decides it. All URLs of an IDM share the tokens. Must be called within a tokio runtime.
///
/// # Errors
/// A sentence without full stop: what is wrong, and what to do.
pub(super) fn who(idm: &ReadIdm, tls: &Tls, in_clear: InClear) -> Result<Who, String> {
    let Some(options) = token_options(idm, in_clear)? else { return Ok(Who::Password(credentials(idm))) };
    let https = match options.endpoint.is_tls() {
        true => Https::new(tls.of(idm)?.config),
        false => Https::without_tls(),
    };
    let https = https.through(proxy(idm));
    Ok(Who::Token(Holder::start(TokenSetup { https, options, in_clear, at_end: idm.idm.token_end })))
}

fn credentials(idm: &ReadIdm) -> Credentials {
    let principal = idm.idm.principal.clone().unwrap_or_else(|| idm.name.clone());
    Credentials { principal, secret: idm.key.clone().unwrap_or_else(|| Secret::new(String::new())) }
}

/// Where the tokens for an IDM come from; `None` for Basic authentication.
///
/// # Errors
/// A sentence without full stop, that begins with the key: a token or the client's secret would be sent in clear (A07).
fn token_options(idm: &ReadIdm, in_clear: InClear) -> Result<Option<TokenOptions>, String> {
    let Some(endpoint) = idm.idm.endpoint() else { return Ok(None) };
    let plain = match in_clear {
        InClear::ToLoopback => Plain::Loopback,
        InClear::ToAnybody => Plain::Anywhere,
    };
    let endpoint = endpoint
        .and_then(|endpoint| endpoint.with(plain))
        .map_err(|error| format!("token_endpoint cannot be used: {error}"))?;
    let in_clear = |url: &&WsUrl| !url.tls && plain == Plain::Loopback && !is_loopback(&url.host);
    if let Some(url) = idm.idm.urls.iter().find(in_clear) {
        return Err(format!(
            "token_endpoint would send an access token in clear text to {url}: write wss:// in url, or remove token_endpoint"
        ));
    }
    let path = PathBuf::from(idm.idm.client_secret_file.clone().unwrap_or_default());
    Ok(Some(TokenOptions {
        endpoint,
        client_id: idm.idm.client_id.clone().unwrap_or_default(),
        secret: ClientSecret::read_by(move || client_secret(&path)),
        scope: idm.idm.scope.clone(),
    }))
}

fn proxy(idm: &ReadIdm) -> Option<HttpProxy> {
    let host = idm.idm.proxy_host.clone()?;
    let secret = idm.proxy_password.clone().unwrap_or_else(|| Secret::new(String::new()));
    let credentials = idm.idm.proxy_principal.clone().map(|principal| Credentials { principal, secret });
    let port = u16::try_from(idm.idm.proxy_port).unwrap_or(u16::MAX);
    Some(HttpProxy { host, port, credentials })
}

/// Checks whether the URLs of an IDM can be dialled at all; returns what is wrong. Nothing is dialled.
pub(super) fn faults(idm: &ReadIdm, of_all: Option<Arc<ClientConfig>>, in_clear: InClear) -> Vec<String> {
    let endpoint = idm.idm.endpoint().and_then(Result::ok);
    let has_tls = idm.idm.urls.iter().any(|url| url.tls) || endpoint.is_some_and(|url| url.is_tls());
    let tls = has_tls.then(|| trusting(idm, of_all)).and_then(Result::err);
    let tls = tls.map(|why| format!("idm.{}.trust_store: {why}", idm.name));
    let token = token_options(idm, in_clear).err().map(|why| format!("idm.{}: {why}", idm.name));
    let of_url = |url: &WsUrl| {
        let error =
            peer(idm, url, None).target(DialAuthorization::Basic(credentials(idm))).validate().err()?;
        Some(format!("idm.{}.url: {url} cannot be dialled: {error}", idm.name))
    };
    idm.idm.urls.iter().filter_map(of_url).chain(tls).chain(token).collect()
}
