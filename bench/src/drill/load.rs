//! Calls that know their right answers, by callers of our own, while a drill goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialTarget};
use rcs_proto::driver::endpoint::{Caller, EndpointConfig};
use rcs_proto::icf::Secret;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::GROUP;
use super::calls::{Calls, Version};
use super::idm::Calling;
use super::members::KEY;
use super::site::Site;
use super::sums::Sums;
use super::tally::{Ask, Figures, Tally, Told};

/// How long a call may take beyond its own deadline before it counts as hung.
const MARGIN: Duration = Duration::from_secs(8);

/// Who calls, and how much.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Callers, each a session of its own with two sockets.
    pub(crate) sessions: usize,
    /// Calls at a time of each.
    pub(crate) workers: usize,
    /// Mean pause between two calls of a worker.
    pub(crate) pause: Duration,
    /// What they ask for, one of these at a time, by chance.
    pub(crate) mix: Vec<Ask>,
}

impl Default for Plan {
    /// Some hundred calls a second of every kind.
    fn default() -> Self {
        use Ask::{Create, Get, Login, Search, Update};
        let mix = vec![Get, Get, Get, Search, Search, Create, Create, Update, Login];
        Self { sessions: 3, workers: 6, pause: Duration::from_millis(25), mix }
    }
}

/// Calls that go on until they are told to end.
pub(crate) struct Load {
    /// The number of this load, which is in the names of its changes: they differ from the changes of other loads.
    run: u32,
    callers: Vec<Arc<Caller>>,
    shared: Arc<Shared>,
    workers: JoinSet<()>,
    idm: Option<Calling>,
}

struct Shared {
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

impl Load {
    /// Connects the callers, and begins.
    pub(crate) async fn start(site: &mut Site, plan: &Plan) -> Result<Self, Failure> {
        let mut load = Self::start_with(site, plan, Version::Only).await?;
        load.idm = site.idm().map(|idm| Calling::start(idm, load.run));
        Ok(load)
    }

    /// Starts a load of callers that choose this version of the connector when they connect, without a Java IDM beside them.
    pub(crate) async fn start_with(site: &mut Site, plan: &Plan, version: Version) -> Result<Self, Failure> {
        let port = site.router().listen().port();
        Self::start_at(site, plan, version, port).await
    }

    /// The same for callers of the router at that port, of a site that may have several.
    pub(crate) async fn start_at<R>(
        site: &mut Site<R>,
        plan: &Plan,
        version: Version,
        port: u16,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), tally: Mutex::default() });
        let run = site.next_load();
        let mut load = Self { run, callers: Vec::new(), shared, workers: JoinSet::new(), idm: None };
        for session in 0..plan.sessions {
            let caller = Arc::new(connect_to(port).await?);
            let calls = Arc::new(Calls::prepare_version(&caller, site, version).await?);
            for worker in 0..plan.workers {
                let worker = Worker {
                    caller: caller.clone(),
                    calls: calls.clone(),
                    shared: load.shared.clone(),
                    plan: plan.clone(),
                    dice: fastrand::Rng::with_seed(site.dice.u64(..)),
                    name: format!("{run}.{session}.{worker}"),
                };
                load.workers.spawn(worker.run());
            }
            load.callers.push(caller);
        }
        Ok(load)
    }

    /// Calls that were answered well up to now.
    pub(crate) fn ok(&self) -> u64 {
        lock(&self.shared.tally).figures.ok
    }

    /// How the calls have ended up to now.
    pub(crate) fn figures(&self) -> Figures {
        lock(&self.shared.tally).figures.clone()
    }

    /// Waits until so many more calls were answered well; false if they are not within `bound`.
    pub(crate) async fn until_ok(&self, more: u64, bound: Duration) -> bool {
        let (goal, end) = (self.ok() + more, Instant::now() + bound);
        while self.ok() < goal {
            if Instant::now() > end {
                return false;
            }
            sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Ends the calls, each of them by its answer or as hung, and gives the sums.
    pub(crate) async fn finish(mut self) -> Tally {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        if let Some(idm) = self.idm.take() {
            let sums = idm.finish().await.unwrap_or_else(Sums::broken);
            lock(&self.shared.tally).idm = Some(sums);
        }
        for caller in self.callers.drain(..) {
            if let Some(caller) = Arc::into_inner(caller) {
                caller.close().await;
            }
        }
        std::mem::take(&mut *lock(&self.shared.tally))
    }
}

/// A caller of the drill's group.
pub(crate) async fn connect(site: &Site) -> Result<Caller, Failure> {
    let listen = site.router().listen();
    connect_to(listen.port()).await
}

/// A caller at that port.
pub(crate) async fn connect_to(port: u16) -> Result<Caller, Failure> {
    dial(port, Some(Duration::from_secs(2))).await
}

/// The same for one that does not mind how long the router is silent.
pub(crate) async fn connect_patiently_to(port: u16) -> Result<Caller, Failure> {
    dial(port, None).await
}

/// A caller of another group or member than the drill's group, at that port.
pub(crate) async fn connect_to_named(port: u16, name: &str) -> Result<Caller, Failure> {
    dial_named(port, name, None).await
}

async fn dial(port: u16, ping_every: Option<Duration>) -> Result<Caller, Failure> {
    dial_named(port, GROUP, ping_every).await
}

async fn dial_named(port: u16, name: &str, ping_every: Option<Duration>) -> Result<Caller, Failure> {
    let target = DialTarget {
        host: "127.0.0.1".to_owned(),
        port,
        path: format!("/openicf/{name}"),
        tls: None,
        authorization: DialAuthorization::Basic(Credentials {
            principal: "anonymous".to_owned(),
            secret: Secret::new(KEY.to_owned()),
        }),
        connect_timeout: Duration::from_secs(5),
    };
    let mut config = EndpointConfig::new(EndpointConfig::random_identity());
    config.ping_every = ping_every;
    Caller::connect(target, 2, config)
        .await
        .map_err(|error| Exit::Unavailable.with(format!("the router accepts no caller: {error}")))
}

/// One call at a time.
struct Worker {
    caller: Arc<Caller>,
    calls: Arc<Calls>,
    shared: Arc<Shared>,
    plan: Plan,
    dice: fastrand::Rng,
    name: String,
}

impl Worker {
    async fn run(mut self) {
        for number in 0u64.. {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            sleep(self.plan.pause.mul_f64(2.0 * self.dice.f64())).await;
            let Some(ask) = self.dice.choice(&self.plan.mix).copied() else { return };
            let token = format!("{}.{number}", self.name);
            let begin = Instant::now();
            let deadline = Calls::deadline(ask) + MARGIN;
            let told = timeout(deadline, self.calls.run(&self.caller, ask, &token)).await;
            let told = told.unwrap_or(Told::Hung);
            let token = self.calls.is_journaled(ask).then_some(token);
            lock(&self.shared.tally).add(ask, token, told, begin);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
