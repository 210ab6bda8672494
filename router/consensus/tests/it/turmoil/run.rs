//! One run: a cluster comes to be, everything goes wrong for a while, then nothing does, and the cluster must agree again.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ::turmoil::{Builder, Sim};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use rcs_consensus::{Role, Status, Timing, limits};
use rcs_rig::porcupine::History;

use super::clients::Client;
use super::faults::{FAST, Faults};
use super::host::{ROUTERS, Site};
use super::runtime;
use crate::sim::invariants::{Told, Watch};
use crate::sim::ledger::{self, Ledger, View, WriteId};
use crate::sim::mistakes::Mistake;
use crate::sim::seeds::Totals;

const CLIENTS: u64 = 4;
/// How long things go wrong.
const FAULTY: Duration = Duration::from_secs(12);
/// How long a cluster may take to come to be, and to agree again when nothing goes wrong any more. A connection that lost a segment is
/// noticed to be dead after some seconds.
const AGREES_WITHIN: Duration = Duration::from_secs(30);
/// A connection that lost a segment is noticed to be dead within its pings, and what was asked meanwhile has its own deadline.
const NOTICED_WITHIN: Duration = Duration::from_secs(
    limits::PING_EVERY.as_secs() + limits::PING_WAIT.as_secs() + 2 * limits::DIAL_TIME_MAX.as_secs(),
);
/// More than a run takes.
const RUN_MAX: Duration = Duration::from_secs(150);
/// What passes between two looks at the network and at each host.
const TICK: Duration = Duration::from_millis(1);

thread_local! {
    static MOMENTS: Cell<u64> = const { Cell::new(0) };
}

/// The moment of whatever happens now. A run has one thread, so moments count what happened before; turmoil's clock would call all that
/// happens within a millisecond simultaneous.
pub(super) fn order() -> Duration {
    MOMENTS.set(MOMENTS.get() + 1);
    Duration::from_nanos(MOMENTS.get())
}

/// Prints what happens, with `RCS_SIM_TRACE` in the environment.
pub(super) fn note(sim: &Sim<'_>, what: fmt::Arguments<'_>) {
    if std::env::var_os("RCS_SIM_TRACE").is_some() {
        println!("{:>8.3} {what}", sim.elapsed().as_secs_f64());
    }
}

/// A run that has come to its end.
pub(super) struct Ended {
    pub(super) totals: Totals,
    /// What clients asked for and were told, with the list that all routers have in the end.
    pub(super) history: History,
}

/// A cluster on its network.
struct World<'a> {
    sim: Sim<'a>,
    sites: Vec<Site>,
    watch: Watch,
}

/// Runs a seed. `mistake` is one that the routers' list makes ([`Ledger`]).
///
/// # Errors
/// The rule that was broken.
pub(super) fn run(seed: u64, mistake: Option<Mistake>) -> Result<Ended, String> {
    runtime::seed(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let timing = Timing { snapshot_after: rng.u64(20..300), kept: rng.u64(..60), ..Timing::default() };
    let watch = Watch::on_clock(order);
    let sites: Vec<Site> =
        (1..=ROUTERS).map(|number| Site::new(number, seed, timing, mistake, &watch)).collect();
    let mut builder = Builder::new();
    builder.rng_seed(seed).enable_random_order().tick_duration(TICK).simulation_duration(RUN_MAX);
    // More connections than ever wait at a listener, or turmoil panics.
    builder.max_message_latency(FAST).tcp_capacity(1_024);
    let mut sim = builder.build();
    for site in &sites {
        let runs = site.clone();
        sim.host(site.name(), move || runs.clone().live());
    }
    let mut world = World { sim, sites, watch };
    world.until("come to be", |world| world.led().is_some())?;

    let ends = Rc::new(Cell::new(false));
    let client = |number| {
        let (sites, watch, ends) = (world.sites.clone(), world.watch.clone(), Rc::clone(&ends));
        Client { number, sites, watch, rng: rng.fork(), ends }
    };
    let clients: Vec<Client> = (0..CLIENTS).map(client).collect();
    world.sim.client("clients", async move {
        join_all(clients.into_iter().map(Client::run)).await;
        Ok(())
    });
    let mut faults = Faults::new(rng.fork(), world.sites.clone());
    let end = world.sim.elapsed() + FAULTY;
    while world.sim.elapsed() < end {
        faults.make(&mut world.sim);
        world.step()?;
    }
    note(&world.sim, format_args!("all faults end"));
    faults.heal(&mut world.sim);
    ends.set(true);
    world.until("agree again", World::agrees)?;
    for at in 0..world.sites.len() {
        world.last_write(at)?;
    }
    world.until("agree after a last write", World::agrees)?;
    world.watch.conclude()?;
    let list = world.shown_by_leader().ok_or("converges: no leader shows its list")?;
    let (acknowledged, reads) = world.watch.counts();
    let totals = Totals {
        seeds: 1,
        acknowledged,
        reads,
        kills: faults.kills,
        blackouts: faults.blackouts,
        panics: 0,
        simulated: world.sim.elapsed(),
    };
    Ok(Ended { totals, history: world.watch.history(&list) })
}

impl World<'_> {
    fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| format!("no failures: {error}"))?;
        self.watch.broken().map_or(Ok(()), Err)
    }

    /// Waits for a state of the cluster.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        let end = self.sim.elapsed() + AGREES_WITHIN;
        while !is_so(self) {
            if self.sim.elapsed() > end {
                let states = self.states();
                return Err(format!(
                    "converges: the routers do not {what} within {AGREES_WITHIN:?}: {states}"
                ));
            }
            self.step()?;
        }
        note(&self.sim, format_args!("the routers {what}"));
        Ok(())
    }

    /// What each router that runs knows and shows.
    fn all(&self) -> Vec<(Status, View)> {
        let lives = self.sites.iter().filter_map(Site::life);
        lives
            .map(|life| {
                (life.part.status().borrow().clone(), life.part.look(Ledger::shown).unwrap_or_default())
            })
            .collect()
    }

    /// The leader of the highest term, by its own word.
    fn led(&self) -> Option<Status> {
        let leaders = self.all().into_iter().map(|(status, _)| status);
        leaders.filter(|status| status.role == Role::Leader).max_by_key(|status| status.term)
    }

    /// Whether all routers have the whole list, and follow one leader.
    fn agrees(&self) -> bool {
        let (Some(leader), all, list) = (self.led(), self.all(), self.watch.list()) else { return false };
        all.len() == self.sites.len()
            && all.iter().all(|(status, view)| {
                status.leader == Some(leader.id)
                    && status.applied == leader.last_log
                    && (view.len, view.hash) == (list.len, list.hash)
            })
    }

    fn states(&self) -> String {
        let state = |(status, view): &(Status, View)| {
            let Status { id, role, term, last_log, applied, .. } = status;
            format!("{id} {role:?} term {term} log {last_log} applied {applied} list {}", view.len)
        };
        let all: Vec<String> = self.all().iter().map(state).collect();
        format!("{}; the list has {}", all.join("; "), self.watch.list().len)
    }

    fn shown_by_leader(&self) -> Option<Vec<WriteId>> {
        let leader = self.led()?.id.number;
        let site = self.sites.iter().find(|site| site.number() == leader)?;
        site.life()?.part.look(Ledger::list)
    }

    /// A cluster that nothing is wrong with takes a write from each of its routers.
    fn last_write(&mut self, at: usize) -> Result<(), String> {
        let name = self.sites[at].name();
        let life = self.sites[at].life().ok_or_else(|| format!("converges: {name} is down"))?;
        let id = (u64::from(u32::MAX) << 32) | at as u64;
        self.watch.write_begins(id);
        let end = self.sim.elapsed() + NOTICED_WITHIN;
        loop {
            let part = life.part.clone();
            let mut proposed = life.tasks.spawn(async move { part.propose(ledger::command(id)).await });
            while !proposed.is_finished() && self.sim.elapsed() < end {
                self.step()?;
            }
            match (&mut proposed).now_or_never() {
                Some(Ok(Ok(applied))) => {
                    let place = ledger::place(&applied.outcome).unwrap_or_default();
                    self.watch.write_ends(id, Told::Done { index: applied.index, place });
                    return Ok(());
                }
                Some(Ok(Err(_))) if self.sim.elapsed() < end => {}
                outcome => return Err(format!("converges: {name} does not take a write: {outcome:?}")),
            }
        }
    }
}
