//! The dialling node (client mode): keeps sockets to every URL of `connectorserver.url`, and runs what the peers ask for (M02, P01-P09).
//!
//! One task for each URL (`keeper`) does what a plan without I/O decides (`plan`): it dials at once, then with growing pauses, replaces
//! each socket before its time to live is over, and never gives up. All sockets belong to one endpoint, so a peer with several sockets,
//! or with several URLs, is one session (WIRE 4.2). The node proves itself by a password or an access token (`who`).

mod keeper;
mod plan;
mod who;
mod words;

use std::sync::Arc;
use std::time::Duration;

use rcs_oauth::https::Https;
use rcs_oauth::token::TokenOptions;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialExtras, DialTarget, DialTls, InClear};
use rcs_proto::driver::endpoint::{Counts, Endpoint, EndpointConfig};
use rcs_proto::driver::url::WsUrl;
use tokio::task::JoinHandle;

pub use plan::Rhythm;

use self::who::Who;
use crate::config::AtTokenEnd;
use crate::connector::Registry;
use crate::executor::Executor;
use crate::limits::DIAL_TIMEOUT;
use crate::pool::Pool;
use crate::service::{self, Service};

/// One address to dial.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address as the file says it.
    pub url: WsUrl,
    /// How TLS is spoken, if it is.
    pub tls: Option<DialTls>,
    /// The proxy, and what else goes with the request.
    pub extras: DialExtras,
}

impl Peer {
    /// What is dialled, by somebody who proves himself like this.
    pub fn target(&self, authorization: DialAuthorization) -> DialTarget {
        DialTarget {
            host: self.url.host.clone(),
            port: self.url.port,
            path: self.url.path.clone(),
            tls: self.tls.clone(),
            authorization,
            connect_timeout: DIAL_TIMEOUT,
        }
    }
}

/// How the node proves to its peers who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// By `principal` and `password` (P30, P31).
    Password(Credentials),
    /// By an access token (P17, M04).
    Token(Box<TokenSetup>),
}

/// How a node gets and uses access tokens.
#[derive(Clone, Debug)]
pub struct TokenSetup {
    /// The way to the token endpoint.
    pub https: Https,
    /// Where tokens come from.
    pub options: TokenOptions,
    /// Whether a token may go to a peer without TLS (A07).
    pub in_clear: InClear,
    /// What becomes of connections at the end of their token.
    pub at_end: AtTokenEnd,
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
        let who = Who::of(setup.proof);
        let keep = |peer| tokio::spawn(keeper::keep(peer, who.clone(), setup.rhythm, endpoint.clone()));
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
