//! The dialling node (client mode): keeps sockets to every URL of `connectorserver.url`, and runs what the peers ask for (M02, P01-P09).
//!
//! One task for each URL keeps its sockets open ([`keeper`]). All sockets belong to one endpoint, so a peer with several sockets, or with
//! several URLs, is one session (WIRE 4.2). The node proves itself by a password or an access token ([`Who`]).

use std::sync::Arc;
use std::time::Duration;

use rcs_oauth::dial::{Holder, TokenSetup, Who};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::endpoint::{Counts, Endpoint, EndpointConfig};
use rcs_proto::driver::keeper::{self, Kept, Names, Wanted};
pub use rcs_proto::driver::keeper::{Peer, Rhythm};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connector::Registry;
use crate::executor::Executor;
use crate::pool::Pool;
use crate::service::{self, Service};

/// The properties that a failed dial tells of.
pub(crate) const NAMES: Names = Names {
    dialler: "this node",
    url: "connectorserver.url",
    principal: "connectorserver.principal",
    password: "connectorserver.password",
    server_name: "connectorserver.connectorServerName",
    proxy_address: "connectorserver.proxyHost and connectorserver.proxyPort",
    proxy_credentials: "connectorserver.proxyPrincipal and connectorserver.proxyPassword",
    trust_store: "connectorserver.trustStoreFile",
    token_endpoint: "connectorserver.tokenEndpoint",
    client: "connectorserver.clientId, connectorserver.clientSecret or its file",
    scope: "connectorserver.scope",
};

/// How the node proves to its peers who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// By `principal` and `password` (P30, P31).
    Password(Credentials),
    /// By an access token (P17, M04).
    Token(Box<TokenSetup>),
}

impl Proof {
    /// Must be called within a tokio runtime.
    pub(crate) fn start(self) -> Who {
        match self {
            Self::Password(credentials) => Who::Password(credentials),
            Self::Token(setup) => Who::Token(Holder::start(*setup)),
        }
    }
}

/// What a dialling node is made of.
pub struct Setup {
    /// Whom to dial; at least one.
    pub peers: Vec<Peer>,
    /// Who the node is to them.
    pub proof: Proof,
    /// How sockets to each are kept.
    pub rhythm: Rhythm,
    /// Rhythm of WebSocket pings, if any. A socket that is silent for three of them is dead.
    pub ping_interval: Option<Duration>,
    /// Rhythm of session checks (P09).
    pub group_check_interval: Duration,
    /// What it can run.
    pub registry: Registry,
}

/// A node that dials.
pub struct Client {
    endpoint: Endpoint,
    tasks: Vec<JoinHandle<()>>,
}

impl Client {
    /// Dials all peers, and serves them from then on. Must be called within a tokio runtime.
    pub fn start(setup: Setup) -> Self {
        let pool = Pool::new(Executor::new(setup.registry));
        let config = EndpointConfig {
            ping_every: setup.ping_interval,
            check_every: setup.group_check_interval,
            ..EndpointConfig::new(EndpointConfig::random_identity())
        };
        let endpoint = Endpoint::start(config, Arc::new(Service::new(pool.clone())));
        let who = setup.proof.start();
        let rhythm = setup.rhythm;
        let keep = |peer| tokio::spawn(keep(Wanted { peer, who: who.clone(), rhythm }, endpoint.clone()));
        let mut tasks: Vec<_> = setup.peers.into_iter().map(keep).collect();
        tasks.push(tokio::spawn(service::sweep(pool)));
        Self { endpoint, tasks }
    }

    /// Dials no more, takes no further calls, lets the running calls finish within `limit`, and closes (I03). Gives what was left to
    /// break off.
    pub async fn drain(self, limit: Duration) -> Counts {
        for task in &self.tasks {
            task.abort();
        }
        self.endpoint.shut_down(limit).await
    }
}

/// Keeps the sockets of one peer. The properties are read once, so what is wanted never changes.
async fn keep(wanted: Wanted<Who>, endpoint: Endpoint) {
    let (_unchanged, wanted) = watch::channel(wanted);
    keeper::keep(wanted, &endpoint, &NAMES, watch::Sender::new(Kept::default())).await;
}
