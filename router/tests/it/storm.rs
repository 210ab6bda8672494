//! Everybody comes back at once: 2,000 sessions with two sockets each (P10; the drill `storm` does the same at scale).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialTarget};
use rcs_proto::driver::endpoint::{Caller, Endpoint, EndpointConfig, Executor, IncomingCall};
use rcs_proto::driver::listen::{self, Arrival};
use rcs_proto::icf::Secret;
use rcs_proto::messages::{GetOpRequest, GetOpResponse, OperationRequest, OperationResponse, TestOpResponse};
use rcs_rig::metrics::Metrics;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::CONNECTOR_INFOS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::support::{PATIENCE, Router, scratch};

const SESSIONS: usize = 2_000;
const SOCKETS: usize = 2;
/// What steady calls may take meanwhile (p99), with tests beside this one and everybody on two processors. To it comes ten times
/// what they take before, which says how busy the machine is. The drill `storm` measures the time on a quiet machine, and how
/// soon everybody is back.
const SLOW: Duration = Duration::from_millis(500);
/// The least time between two calls of the steady caller.
const PAUSE: Duration = Duration::from_millis(1);

/// A member that answers at once.
struct Prompt;

impl Executor for Prompt {
    fn connector_infos(&self) -> Bytes {
        Bytes::from_static(CONNECTOR_INFOS)
    }

    fn execute(&self, call: IncomingCall) {
        let answer = match call.request.test {
            Some(_) => OperationResponse { test: Some(TestOpResponse {}), ..Default::default() },
            None => OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() },
        };
        call.responder.finish(answer);
    }
}

/// Serves a member on a free port.
async fn member() -> SocketAddr {
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let endpoint = Endpoint::start(EndpointConfig::new(EndpointConfig::random_identity()), Arc::new(Prompt));
    let (arrivals, mut arrived) = mpsc::channel(16);
    tokio::spawn(listen::serve(listener, None, |_| Ok(()), arrivals));
    tokio::spawn(async move {
        while let Some(Arrival { outcome, .. }) = arrived.recv().await {
            endpoint.adopt(outcome.expect("the router's upgrade is a good one").0);
        }
    });
    address
}

async fn connect(router: SocketAddr, sockets: usize) -> Caller {
    let target = DialTarget {
        host: router.ip().to_string(),
        port: router.port(),
        path: "/openicf/g".to_owned(),
        tls: None,
        authorization: DialAuthorization::Basic(Credentials {
            principal: "anonymous".to_owned(),
            secret: Secret::new("changeit".to_owned()),
        }),
        connect_timeout: PATIENCE,
    };
    let config = EndpointConfig::new(EndpointConfig::random_identity());
    Caller::connect(target, sockets, config).await.expect("no session is refused")
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Calls until told to stop; answers how long each call took. None may fail.
async fn steady(
    router: SocketAddr,
    ready: mpsc::Sender<()>,
    stop: Arc<AtomicBool>,
) -> Vec<(Instant, Duration)> {
    let caller = connect(router, SOCKETS).await;
    ready.send(()).await.unwrap();
    let mut took = Vec::new();
    let mut turn = tokio::time::interval(PAUSE);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        turn.tick().await;
        let start = Instant::now();
        let get = Some(GetOpRequest::default());
        caller.ask(OperationRequest { get, ..Default::default() }).await.expect("a steady call is answered");
        took.push((start, start.elapsed()));
    }
    took
}

/// Lets this process, and the router that it starts, have as many descriptors as the machine allows.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let enough = (2 * SESSIONS * SOCKETS) as u64;
    assert!(
        limit.maximum.is_none_or(|most| most >= enough),
        "the hard limit of open files is below {enough}"
    );
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[test]
fn two_thousand_sessions_that_come_at_once_are_all_let_in_and_steady_ones_go_on() {
    raise_descriptors();
    let members = runtime();
    let port = members.block_on(member()).port();
    let folder = scratch();
    let document = Provider::new().server("n1", port, 2).group("g", "failover", &["n1"]).write(folder.path());
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();

    let stop = Arc::new(AtomicBool::new(false));
    let (ready, mut is_ready) = mpsc::channel(1);
    let (listen, stopped) = (router.listen, Arc::clone(&stop));
    let steady = std::thread::spawn(move || runtime().block_on(steady(listen, ready, stopped)));
    let storm = runtime();
    storm.block_on(async { is_ready.recv().await.expect("the steady caller is there") });
    let quiet = Instant::now();
    rcs_rig::wait::wait_until("some calls before the storm", PATIENCE, || {
        quiet.elapsed() > Duration::from_secs(2)
    });

    let start = Instant::now();
    let callers: Vec<Caller> = storm.block_on(async {
        let mut coming = JoinSet::new();
        for _ in 0..SESSIONS {
            coming.spawn(connect(listen, SOCKETS));
        }
        coming.join_all().await
    });
    let sockets = || Metrics::scrape(router.admin).sum("rcs_sockets", &[("side", "downstream")]);
    let all = ((SESSIONS + 1) * SOCKETS) as f64;
    rcs_rig::wait::wait_until("every socket is in", PATIENCE, || sockets() == all);
    let back = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    let took = steady.join().unwrap();

    let of = |during: bool| {
        took.iter().filter(|(at, _)| (*at >= start) == during).map(|(_, took)| *took).collect()
    };
    let (before, during) = (p99(of(false)), p99(of(true)));
    println!(
        "{SESSIONS} sessions of {SOCKETS} sockets back in {back:?}; p99 {before:?} before, {during:?} during"
    );
    assert!(during < SLOW + before * 10, "{before:?} before, {during:?} during");
    assert_eq!(callers.len(), SESSIONS);
    assert!(!router.process.said_on_stderr("is closed"), "nobody was turned away\n{}", router.process);
}
