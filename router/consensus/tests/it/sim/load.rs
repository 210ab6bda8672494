//! Many clients write at the same time, on disks that sync slowly, and nothing goes wrong: how many writes a second, how long each takes,
//! and when all routers show it. Batches and bounds are those of the program; time is the simulation's, so the figures are the same on
//! any machine. `RCS_SIM_SEEDS=n` runs seeds 0 to n-1.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcs_consensus::{RouterId, Timing};

use super::cluster::{Cluster, led};
use super::disk::Disk;
use super::executor::{self, Simulation, WORLD};
use super::explore;
use super::invariants::Told;
use super::ledger::{self, Ledger};
use super::network::Link;
use super::runtime::{sleep, spawn_in};
use super::seeds::{self, Totals};

const ROUTERS: u32 = 3;
const CLIENTS: u32 = 64;
/// How long clients write. Without optimization many writes take long to simulate.
const TIME: Duration = Duration::from_secs(10);
const TIME_OF_MANY: Duration = Duration::from_secs(if cfg!(debug_assertions) { 2 } else { 10 });
/// How often each router is looked at.
const LOOK_EVERY: Duration = Duration::from_micros(250);
/// Until when a change is visible at all routers, at the 99th percentile.
const VISIBLE_MAX: Duration = Duration::from_millis(250);
/// About 1 ms each way.
const NEAR: Link = Link {
    delay_us: (500, 1_500),
    slow_per_mille: 0,
    slow_us: (0, 0),
    lost_per_mille: 0,
    doubled_per_mille: 0,
};

/// One write that a client was told of.
#[derive(Clone, Copy)]
struct Written {
    /// Its place in the list.
    place: u64,
    began: Duration,
    told: Duration,
}

/// What a run shows.
#[derive(Default)]
struct Shown {
    written: Vec<Written>,
    /// For each router: when its list was first seen with a length.
    lengths: Vec<Vec<(u64, Duration)>>,
}

struct Figures {
    per_second: u64,
    write_p50: Duration,
    write_p99: Duration,
    /// From a client's acknowledgement until all routers show the change.
    visible_p99: Duration,
    visible_max: Duration,
    /// Of all disks from the beginning on: transactions that took the time of a sync, and syncs.
    commits: u64,
    syncs: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{} writes/s; a write p50 {:.1} ms, p99 {:.1} ms; visible at all routers p99 {:.1} ms, at most {:.1} ms; {} syncs, {} of them waited for",
            self.per_second,
            ms(self.write_p50),
            ms(self.write_p99),
            ms(self.visible_p99),
            ms(self.visible_max),
            self.syncs,
            self.commits
        )
    }
}

#[test]
fn sixty_four_clients_write_while_each_sync_takes_2_ms() {
    run(Duration::from_millis(2), TIME_OF_MANY, 2_000);
}

#[test]
fn sixty_four_clients_write_while_each_sync_takes_100_ms() {
    run(Duration::from_millis(100), TIME, 50);
}

fn run(sync: Duration, time: Duration, per_second_min: u64) {
    let one = |seed| {
        let simulation = Simulation::new(seed);
        let figures = simulation.run(story(seed, sync, time))?;
        println!("a sync takes {sync:?}, seed {seed}: {figures}");
        if figures.per_second < per_second_min {
            return Err(format!("{} writes a second: at least {per_second_min}", figures.per_second));
        }
        if figures.visible_p99 > VISIBLE_MAX {
            return Err(format!("visible after {:?}: at most {VISIBLE_MAX:?}", figures.visible_p99));
        }
        Ok(Totals { seeds: 1, acknowledged: figures.per_second * time.as_secs(), ..Totals::default() })
    };
    let seeds = explore::number("RCS_SIM_SEEDS").unwrap_or(2);
    if let Err(failure) = seeds::run(0..seeds, one) {
        panic!("{failure}");
    }
}

async fn story(seed: u64, sync: Duration, time: Duration) -> Result<Figures, String> {
    let cluster = Cluster::new(seed, ROUTERS, 0, Timing::default(), None);
    cluster.network.set_usual(NEAR);
    let sync_us = u64::try_from(sync.as_micros()).unwrap_or(u64::MAX);
    for number in cluster.numbers() {
        cluster.disk(number).set_sync_us(sync_us, sync_us);
        cluster.start(number);
    }
    let first = settled(&cluster).await?;
    let shown =
        Arc::new(Mutex::new(Shown { lengths: vec![Vec::new(); ROUTERS as usize], ..Shown::default() }));
    let ends = Arc::new(AtomicBool::new(false));
    for number in cluster.numbers() {
        drop(spawn_in(WORLD, watch(cluster.clone(), number, Arc::clone(&shown))));
    }
    let began = executor::elapsed();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| spawn_in(WORLD, write(cluster.clone(), client, Arc::clone(&shown), Arc::clone(&ends))))
        .collect();
    sleep(time).await;
    ends.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.map_err(|error| error.to_string())??;
    }
    let took = executor::elapsed() - began;
    sleep(Duration::from_secs(2)).await;
    cluster.watch.conclude()?;
    let last = settled(&cluster).await?;
    if last != first {
        return Err(format!("one leader throughout: {first:?}, then {last:?}"));
    }
    let disks: Vec<_> = cluster.numbers().into_iter().map(|number| cluster.disk(number)).collect();
    let (commits, syncs) = (disks.iter().map(Disk::paced).sum(), disks.iter().map(Disk::syncs).sum());
    let shown = std::mem::take(&mut *shown.lock().unwrap());
    figures(&shown, took, (commits, syncs))
}

/// The leader and the term that all routers follow. Waits for the first.
async fn settled(cluster: &Cluster) -> Result<(RouterId, u64), String> {
    let end = executor::elapsed() + Duration::from_secs(20);
    while executor::elapsed() < end {
        if let Some(leader) = led(cluster) {
            let follows = |number| {
                cluster.part(number).is_some_and(|(_, part)| {
                    let status = part.status().borrow().clone();
                    (status.leader, status.term, status.restarts) == (Some(leader.id), leader.term, 0)
                        && status.voters.len() == ROUTERS as usize
                })
            };
            if cluster.numbers().into_iter().all(follows) {
                return Ok((leader.id, leader.term));
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err("the routers do not agree on a leader".to_owned())
}

/// Notes how long the router's list is, and since when.
async fn watch(cluster: Cluster, number: u32, shown: Arc<Mutex<Shown>>) {
    let mut before = 0;
    loop {
        let len =
            cluster.part(number).and_then(|(_, part)| part.look(Ledger::shown)).map_or(0, |view| view.len);
        if len > before {
            before = len;
            shown.lock().unwrap().lengths[number as usize - 1].push((len, executor::elapsed()));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A client has one write under way, always at the same router.
async fn write(
    cluster: Cluster,
    client: u32,
    shown: Arc<Mutex<Shown>>,
    ends: Arc<AtomicBool>,
) -> Result<(), String> {
    let at = client % ROUTERS + 1;
    let mut count = 0;
    while !ends.load(Ordering::Relaxed) {
        count += 1;
        let id = u64::from(client) << 32 | count;
        let (group, part) = cluster.part(at).ok_or("a router is down")?;
        let began = executor::elapsed();
        cluster.watch.write_begins(id);
        let proposed = spawn_in(group, async move { part.propose(ledger::command(id)).await }).await;
        let applied = proposed.map_err(|error| error.to_string())?.map_err(|error| {
            format!("client {client} at {at}, {:?} on: {error}", executor::elapsed() - began)
        })?;
        let place = ledger::place(&applied.outcome).ok_or("an outcome without a place")?;
        cluster.watch.write_ends(id, Told::Done { index: applied.index, place });
        shown.lock().unwrap().written.push(Written { place, began, told: executor::elapsed() });
    }
    Ok(())
}

fn figures(shown: &Shown, took: Duration, (commits, syncs): (u64, u64)) -> Result<Figures, String> {
    let mut times: Vec<Duration> = shown.written.iter().map(|write| write.told - write.began).collect();
    let mut visible = Vec::new();
    for write in &shown.written {
        let mut at_all = write.told;
        for lengths in &shown.lengths {
            let at = lengths.partition_point(|(len, _)| *len < write.place);
            let (_, since) = lengths.get(at).ok_or("a router does not show a write that is acknowledged")?;
            at_all = at_all.max(*since);
        }
        visible.push(at_all - write.told);
    }
    times.sort_unstable();
    visible.sort_unstable();
    let part = |sorted: &[Duration], per_cent: usize| {
        sorted.get(sorted.len() * per_cent / 100).copied().ok_or("nothing was written")
    };
    Ok(Figures {
        per_second: (shown.written.len() as f64 / took.as_secs_f64()) as u64,
        write_p50: part(&times, 50)?,
        write_p99: part(&times, 99)?,
        visible_p99: part(&visible, 99)?,
        visible_max: visible.last().copied().unwrap_or_default(),
        commits,
        syncs,
    })
}
