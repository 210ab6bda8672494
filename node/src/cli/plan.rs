//! Everything that is decided before anything is opened: what `serve` does, and `check` shows.

use std::net::SocketAddr;

use rcs_cli::Exit;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialExtras, DialTls, InClear};
use rcs_proto::driver::proxy::HttpProxy;
use rcs_proto::driver::url::WsUrl;
use rcs_proto::icf::Secret;

use super::{Faults, SettingArgs, token};
use crate::client::{Peer, Proof};
use crate::config::{self, Dial, Listen, Mode, NodeConfig, Transport};
use crate::key::DEFAULT_KEY_TEXT;
use crate::tls::{self, ClientTls, ServerTls};

/// The header that tells `hostId` (P03). Its name on the wire is not public; servers ignore headers that they do not know.
const HOST_ID_HEADER: &str = "hostId";

/// What a node is going to do.
pub(super) enum Plan<'a> {
    Listen(ListenPlan<'a>),
    Dial(DialPlan<'a>),
}

/// Server mode.
pub(super) struct ListenPlan<'a> {
    pub(super) listen: &'a Listen,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<ServerTls>,
}

/// Client mode.
pub(super) struct DialPlan<'a> {
    pub(super) dial: &'a Dial,
    pub(super) peers: Vec<Peer>,
    pub(super) proof: Proof,
    warnings: Vec<String>,
}

impl<'a> Plan<'a> {
    /// `None` only together with a fault. All faults are reported at once, as far as they do not depend on each other.
    pub(super) fn of(config: &'a NodeConfig, settings: &SettingArgs, faults: &mut Faults) -> Option<Self> {
        match &config.mode {
            Mode::Server(listen) => ListenPlan::of(listen, config, settings, faults).map(Self::Listen),
            Mode::Client(dial) => DialPlan::of(dial, config, settings, faults).map(Self::Dial),
        }
    }

    /// Sentences for the log.
    pub(super) fn warnings(&self) -> Vec<String> {
        match self {
            Self::Listen(plan) => {
                let default = plan.listen.key.is_default().then(|| {
                    "the key is the default key `changeit`, which everybody knows; set another one with `rcs-node set-key`".to_owned()
                });
                default.into_iter().chain(plan.tls_warnings()).collect()
            }
            Self::Dial(plan) => plan.warnings.clone(),
        }
    }
}

impl<'a> ListenPlan<'a> {
    fn of(
        listen: &'a Listen,
        config: &NodeConfig,
        settings: &SettingArgs,
        faults: &mut Faults,
    ) -> Option<Self> {
        if listen.key.is_default() && !settings.dev {
            faults.add(
                Exit::BadData,
                "connectorserver.key is the hash of the default key `changeit`, which everybody knows; set another key \
                 with `rcs-node set-key FILE`, or allow the default key for a trial with --dev",
            );
        }
        let address = listen.host.resolve(listen.port);
        if let Err(error) = &address {
            faults.add(
                Exit::Unavailable,
                format!(
                    "connectorserver.{} \"{}\" cannot be resolved: {error}; use an address or name of this machine",
                    listen.host_key, listen.host
                ),
            );
        }
        let tls = match (listen.transport, &config.key_store) {
            (Transport::Tls, Some(store)) => match tls::server(store) {
                Ok(tls) => Some(tls),
                Err(error) => {
                    faults.add(Exit::BadData, error.to_string());
                    None
                }
            },
            _ => None,
        };
        Some(Self { listen, address: address.ok()?, tls })
    }

    /// What is to be said about the certificate.
    pub(super) fn tls_warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.tls.iter().flat_map(|tls| &tls.warnings).cloned()
    }
}

impl<'a> DialPlan<'a> {
    fn of(dial: &'a Dial, config: &NodeConfig, settings: &SettingArgs, faults: &mut Faults) -> Option<Self> {
        let needs_tls = dial.urls.iter().any(|url| url.tls)
            || dial.token.as_ref().is_some_and(|token| token.endpoint.is_tls());
        let tls = if needs_tls { dial_tls(config, faults) } else { None };
        let proxy = dial.proxy.as_ref().map(proxy);
        let (proof, mut warnings) = match &dial.token {
            Some(token) => token::proof(dial, token, tls.as_ref(), proxy.as_ref(), settings, faults),
            // What is wrong with the token was told.
            None if dial.wants_token => (None, Vec::new()),
            None => password(dial, config, settings, faults),
        };
        let peer = |url: &WsUrl| Peer {
            url: url.clone(),
            tls: tls
                .as_ref()
                .filter(|_| url.tls)
                .map(|tls| DialTls { config: tls.config.clone(), server_name: None }),
            extras: DialExtras {
                proxy: proxy.clone(),
                headers: dial.host_id.iter().map(|id| (HOST_ID_HEADER, id.clone())).collect(),
            },
        };
        let peers: Vec<Peer> = dial.urls.iter().map(peer).collect();
        for peer in &peers {
            if let Err(error) = peer.target(shown(proof.as_ref())).validate() {
                faults.add(
                    Exit::BadData,
                    format!(
                        "{} cannot be dialled: {error}; correct connectorserver.url, principal or password",
                        peer.url
                    ),
                );
            }
        }
        warnings.extend(tls.map(|tls| tls.warnings).unwrap_or_default());
        Some(Self { dial, peers, proof: proof?, warnings })
    }
}

/// The proof by `principal` and `password`, and what is to be said about it.
fn password(
    dial: &Dial,
    config: &NodeConfig,
    settings: &SettingArgs,
    faults: &mut Faults,
) -> (Option<Proof>, Vec<String>) {
    let password = config.password.as_ref().map_or(DEFAULT_KEY_TEXT, |password| password.expose());
    let mut warnings = Vec::new();
    if password == DEFAULT_KEY_TEXT {
        if !settings.dev {
            faults.add(
                Exit::BadData,
                "connectorserver.password is missing, or is the default `changeit`, which everybody knows; set the password that the peer \
                 has for this server, or allow the default for a trial with --dev",
            );
        }
        warnings.push(
            "the password is the default `changeit`, which everybody knows; set another one in connectorserver.password".to_owned(),
        );
    }
    let principal = config.principal.as_ref().unwrap_or(&dial.server_name).clone();
    let credentials = Credentials { principal, secret: Secret::new(password.to_owned()) };
    (Some(Proof::Password(credentials)), warnings)
}

/// What a peer will be shown, as far as it is known before the first dial.
fn shown(proof: Option<&Proof>) -> DialAuthorization {
    match proof {
        Some(Proof::Password(credentials)) => DialAuthorization::Basic(credentials.clone()),
        Some(Proof::Token(_)) | None => {
            let token = Secret::new("token".to_owned());
            DialAuthorization::Bearer { token, in_clear: InClear::ToLoopback }
        }
    }
}

/// How URLs with `wss`, and token endpoints with `https`, are dialled. `None` only together with a fault.
fn dial_tls(config: &NodeConfig, faults: &mut Faults) -> Option<ClientTls> {
    tls::client(config.trust_store.as_ref(), config.key_store.as_ref())
        .map_err(|error| faults.add(Exit::BadData, error))
        .ok()
}

fn proxy(proxy: &config::HttpProxy) -> HttpProxy {
    let password = || proxy.password.as_ref().map_or_else(String::new, |password| password.expose().clone());
    HttpProxy {
        host: proxy.host.clone(),
        port: proxy.port,
        credentials: proxy
            .principal
            .as_ref()
            .map(|principal| Credentials { principal: principal.clone(), secret: Secret::new(password()) }),
    }
}
