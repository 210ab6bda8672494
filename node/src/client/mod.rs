//! The dialling node (client mode): keeps sockets to every URL of `connectorserver.url`, and runs what the peers ask for (M02, P01-P09).
//!
//! One task for each URL (`keeper`) does what a plan without I/O decides (`plan`): it dials at once, then with growing pauses, replaces
//! each socket before its time to live is over, and never gives up. All sockets belong to one endpoint, so a peer with several sockets,
//! or with several URLs, is one session (WIRE 4.2).

mod keeper;
mod plan;
mod words;

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::driver::dial::{DialExtras, DialTarget};
use rcs_proto::driver::endpoint::{Counts, Endpoint, EndpointConfig};
use rcs_proto::driver::url::WsUrl;
use tokio::task::JoinHandle;

pub use plan::Rhythm;

use crate::connector::Registry;
use crate::executor::Executor;
use crate::pool::Pool;
use crate::service::{self, Service};

/// One address to dial.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address as the file says it, for the log.
    pub url: WsUrl,
    /// How it is dialled.
    pub target: DialTarget,
    /// The proxy, and what else goes with the request.
    pub extras: DialExtras,
}

/// What a dialling node is made of.
pub struct Setup {
    /// Whom to dial; at least one.
    pub peers: Vec<Peer>,
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
        let keep = |peer| tokio::spawn(keeper::keep(peer, setup.rhythm, endpoint.clone()));
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
