//! One router: what stays of the router when its host goes down, and its life on the host.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rcs_consensus::pki::{Authority, Existing, Files};
use rcs_consensus::rpc::{Peer, Request, Response, Transport, Unanswered};
use rcs_consensus::store::{Owner, Pacing, Store};
use rcs_consensus::transport::{Credentials, TonicTransport, serve_on};
use rcs_consensus::{Consensus, Timing};
use tokio::runtime::Handle;

use super::runtime::Seeded;
use super::streams::{Listener, Network};
use crate::sim::disk::Disk;
use crate::sim::invariants::Watch;
use crate::sim::ledger::{Ledger, Run};
use crate::sim::mistakes::Mistake;

/// The port of every router.
const PORT: u16 = 7_000;
/// Routers of a cluster.
pub(super) const ROUTERS: u32 = 3;

/// A router's consensus part.
pub(super) type Part = Consensus<Seeded, Told, Ledger>;

/// The real transport, and who is told of the entries that it sends.
#[derive(Clone)]
pub(super) struct Told {
    transport: TonicTransport<Network>,
    watch: Watch,
}

impl Transport for Told {
    async fn ask(&self, to: &Peer, request: Request, within: Duration) -> Result<Response, Unanswered> {
        if let Request::Append(append) = &request {
            self.watch.sent(append);
        }
        self.transport.ask(to, request, within).await
    }
}

/// A router; clones are the same router.
#[derive(Clone)]
pub(super) struct Site(Rc<Inner>);

struct Inner {
    number: u32,
    seed: u64,
    timing: Timing,
    mistake: Option<Mistake>,
    credentials: Credentials,
    watch: Watch,
    disk: Disk,
    lives: Cell<u32>,
    life: RefCell<Option<Life>>,
}

/// A life that runs.
#[derive(Clone)]
pub(super) struct Life {
    /// Where the router's tasks run.
    pub(super) tasks: Handle,
    pub(super) part: Part,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// SIGKILL: what was written stays written.
    Kill,
    /// The machine loses its power: what was not synced may be lost.
    PowerOff,
}

impl Site {
    pub(super) fn new(
        number: u32,
        seed: u64,
        timing: Timing,
        mistake: Option<Mistake>,
        watch: &Watch,
    ) -> Self {
        let credentials = credentials()[&number].clone();
        let disk = Disk::new(seed ^ (u64::from(number) << 40));
        let (watch, lives, life) = (watch.clone(), Cell::new(0), RefCell::new(None));
        Self(Rc::new(Inner { number, seed, timing, mistake, credentials, watch, disk, lives, life }))
    }

    pub(super) fn number(&self) -> u32 {
        self.0.number
    }

    /// The host's name on the network.
    pub(super) fn name(&self) -> String {
        name(self.0.number)
    }

    /// The life that runs.
    pub(super) fn life(&self) -> Option<Life> {
        self.0.life.borrow().clone()
    }

    /// What the host runs, from its start until the host goes down.
    pub(super) async fn live(self) -> ::turmoil::Result {
        let Inner { number, timing, credentials, watch, lives, .. } = &*self.0;
        lives.set(lives.get() + 1);
        let life = format!("{}#{}", name(*number), lives.get());
        let transport =
            Told { transport: TonicTransport::over(Network, credentials.clone()), watch: watch.clone() };
        let part: Part = Consensus::start(transport, *timing, self.opening(&life)).await?;
        let _serving = serve_on(Listener::bind(PORT).await?, credentials.clone(), part.clone(), None)?;
        *self.0.life.borrow_mut() = Some(Life { tasks: Handle::current(), part: part.clone() });
        let mut status = part.status();
        tokio::spawn(async move { part.form(&peers(), |_| {}).await });
        loop {
            let now = status.borrow_and_update().clone();
            watch.status(&life, &now);
            if now.restarts > 0 {
                watch.breaks(format!("no failures: the consensus part of {life} failed: {:?}", now.role));
            }
            if status.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// What each run of a life opens.
    fn opening(&self, life: &str) -> rcs_consensus::Open<Seeded, Ledger> {
        let Inner { number, seed, mistake, credentials, watch, disk, lives, .. } = &*self.0;
        let mistake = *mistake;
        let cluster = Some(credentials.name().cluster);
        let owner = Owner { number: *number, incarnation: number * 1_000, cluster };
        let (life, watch, disk) = (life.to_owned(), watch.clone(), disk.clone());
        let rng = fastrand::Rng::with_seed(seed ^ u64::from(*number) ^ (u64::from(lives.get()) << 8));
        let (rng, runs) = (Arc::new(Mutex::new(rng)), Mutex::new(0));
        Box::new(move || {
            let run = {
                let mut runs = runs.lock().unwrap();
                *runs += 1;
                let name = format!("{life}.{runs}");
                Run { name, watch: watch.clone(), mistake, rng: Arc::clone(&rng) }
            };
            let pace = disk.clone();
            let pacing = Pacing::Task(Arc::new(move || (pace.sync_time(), Duration::ZERO)));
            Ok((Store::on(disk.open(), &life, &owner, pacing)?, Ledger::new(run)))
        })
    }

    /// The disk's side of an end. Call this before the host goes down: the database writes when it is dropped.
    pub(super) fn end(&self, how: End) {
        match how {
            End::Kill => self.0.disk.kill(),
            End::PowerOff => drop(self.0.disk.crash()),
        }
        self.0.life.borrow_mut().take();
    }
}

fn name(number: u32) -> String {
    format!("n{number}")
}

/// The routers that make the cluster, and their addresses.
fn peers() -> BTreeMap<u32, String> {
    (1..=ROUTERS).map(|number| (number, format!("{}:{PORT}", name(number)))).collect()
}

/// The certificates of the routers. All runs use the same ones: no run changes them.
fn credentials() -> &'static BTreeMap<u32, Credentials> {
    static ALL: OnceLock<BTreeMap<u32, Credentials>> = OnceLock::new();
    ALL.get_or_init(|| {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::init("turmoil").unwrap());
        authority.write(folder.path()).unwrap();
        let of = |number: u32| {
            let issued = authority.issue(number, &[name(number)], Duration::from_secs(24 * 60 * 60));
            issued.unwrap().write(folder.path(), Existing::Keep).unwrap();
            (number, Credentials::load(Files::in_folder(folder.path(), number), number).unwrap())
        };
        (1..=ROUTERS).map(of).collect()
    })
}
