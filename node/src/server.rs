//! The listening node: lets callers in by key, and runs what they ask for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::driver::accept::{AcceptError, Authorization, Refusal, RefusalStatus, UpgradeRequest};
use rcs_proto::driver::endpoint::{Counts, Endpoint, EndpointConfig};
use rcs_proto::driver::listen::{self, Arrival};
use rcs_proto::driver::refusals::Refusals;
use rcs_proto::driver::tls::ListenTls;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::connector::Registry;
use crate::executor::Executor;
use crate::key::SharedKey;
use crate::limits::{ARRIVALS_WAITING, SOCKETS_MAX};
use crate::pool::Pool;
use crate::service::{self, Service};
use crate::tls::ServerTls;

/// Where the Java server answers; a name or a number may follow (WIRE 1.1, R18).
const PATH: &str = "/openicf";

/// What a server is made of.
pub struct Setup {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What callers must know.
    pub key: SharedKey,
    /// The certificate, if the listener speaks TLS.
    pub tls: Option<ServerTls>,
    /// Rhythm of WebSocket pings, if any.
    pub ping_interval: Option<Duration>,
    /// What it can run.
    pub registry: Registry,
}

/// A node that listens.
pub struct Server {
    address: SocketAddr,
    endpoint: Endpoint,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(setup: Setup) -> io::Result<Self> {
        let listener = TcpListener::from_std(listen::bind(setup.address)?)?;
        let address = listener.local_addr()?;
        let pool = Pool::new(Executor::new(setup.registry));
        let config = EndpointConfig {
            ping_every: setup.ping_interval,
            ..EndpointConfig::new(EndpointConfig::random_identity())
        };
        let endpoint = Endpoint::start(config, Arc::new(Service::new(pool.clone())));
        let (arrived, arrivals) = mpsc::channel(ARRIVALS_WAITING);
        let acceptor = setup.tls.map(|tls| ListenTls::fixed(tls.config));
        let door = Door { key: setup.key, places: Arc::new(Semaphore::new(SOCKETS_MAX)) };
        let decide = move |request: &UpgradeRequest| door.decide(request);
        let tasks = vec![
            tokio::spawn(listen::serve(listener, acceptor, decide, arrived)),
            tokio::spawn(adopt(arrivals, endpoint.clone())),
            tokio::spawn(service::sweep(pool)),
        ];
        Ok(Self { address, endpoint, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no further sockets and calls, lets the running calls finish within `limit`, and closes (I03). Gives what was
    /// left to break off.
    pub async fn drain(self, limit: Duration) -> Counts {
        for task in &self.tasks {
            task.abort();
        }
        self.endpoint.shut_down(limit).await
    }
}

/// Decides who gets in.
struct Door {
    key: SharedKey,
    places: Arc<Semaphore>,
}

impl Door {
    /// As the Java server: any user name with the right key (WIRE 1.1). Better than it: every refusal is a sentence.
    fn decide(&self, request: &UpgradeRequest) -> Result<OwnedSemaphorePermit, Refusal> {
        let below = request.path.strip_prefix(PATH);
        if !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let sentence = format!("there is nothing at this path; connect to {PATH}");
            return Err(Refusal::new(RefusalStatus::NotFound, sentence));
        }
        let Authorization::Basic(credentials) = &request.authorization else {
            let sentence =
                "Basic authentication is needed: any user name, and the shared key as its password";
            return Err(Refusal::new(RefusalStatus::Unauthorized, sentence));
        };
        if !self.key.admits(credentials.secret.expose()) {
            let sentence = "the key is wrong: use the key that was set at this server with set-key";
            return Err(Refusal::new(RefusalStatus::Forbidden, sentence));
        }
        self.places.clone().try_acquire_owned().map_err(|_| {
            let sentence = format!("overload: this server has {SOCKETS_MAX} open connections and accepts no more; try again later");
            Refusal::new(RefusalStatus::Unavailable, sentence)
        })
    }
}

/// Hands accepted sockets to the endpoint, and logs how they come and go.
async fn adopt(mut arrivals: mpsc::Receiver<Arrival<OwnedSemaphorePermit>>, endpoint: Endpoint) {
    let mut refusals = Refusals::default();
    loop {
        let arrival = tokio::select! {
            arrival = arrivals.recv() => arrival,
            () = refusals.log_due() => continue,
        };
        let Some(Arrival { peer, outcome, .. }) = arrival else { return };
        match outcome {
            Ok((socket, _, place)) => {
                tracing::info!(%peer, "a caller connected");
                let ended = endpoint.adopt(socket);
                tokio::spawn(async move {
                    let _place = place;
                    match ended.await {
                        Ok(reason) => tracing::info!(%peer, %reason, "a caller's connection has closed"),
                        Err(_) => tracing::info!(%peer, "a caller's connection has closed"),
                    }
                });
            }
            // Health checks of load balancers come and go like this every few seconds.
            Err(AcceptError::Closed) => tracing::debug!(%peer, "a connection closed without a request"),
            Err(error) => refusals.log(peer, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rcs_proto::messages::{OperationRequest, TestOpRequest};
    use rcs_rig::scripted::FakeIdm;

    use super::*;
    use crate::key::DEFAULT_KEY_TEXT;
    use crate::testing::{self, Fake, configuration, request};

    /// A thread that is inside a connector cannot be stopped, and must not keep the process alive.
    #[test]
    fn a_node_ends_although_a_call_hangs() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let fake = Arc::new(Fake::default());
        let setup = Setup {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            key: SharedKey::of_text(DEFAULT_KEY_TEXT),
            tls: None,
            ping_interval: None,
            registry: testing::registry(&fake),
        };
        let server = runtime.block_on(Server::start(setup)).unwrap();
        let mut idm = FakeIdm::connect(server.address(), "/openicf", 1);
        let test = OperationRequest { test: Some(TestOpRequest {}), ..request(&configuration(-1, &[])) };
        idm.call(&test);
        runtime.block_on(fake.wait_for_stuck(1));
        let limit = Duration::from_millis(50);
        assert_eq!(runtime.block_on(server.drain(limit)).executing, 1);
        runtime.shutdown_timeout(limit);
    }
}
