//! One run: a cluster comes to be, everything goes wrong for a while, then nothing does, and the cluster must agree again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::AsyncRuntime as _;
use rcs_consensus::Timing;
use rcs_rig::porcupine::History;

use super::admin::Admin;
use super::clients::Client;
use super::cluster::{Cluster, led};
use super::executor::{self, Simulation, WORLD};
use super::faults::Faults;
use super::ledger::{self, Ledger, View, WriteId};
use super::lost_disk::LostDisk;
use super::mistakes::Mistake;
use super::runtime::{SimRuntime, sleep, spawn_in};
use super::seeds::Totals;

/// How long things go wrong.
const FAULTY: Duration = Duration::from_secs(20);
/// How long a cluster may take to come to be, and to agree again when nothing goes wrong any more. A consensus part that failed often
/// is started again after 8 s; a majority that was just started needs some elections.
const AGREES_WITHIN: Duration = Duration::from_secs(30);

/// Where openraft's core panics, and the consensus part is started again: when a leader has removed itself from the cluster, and the
/// removal is decided after another leader's time.
const KNOWN_PANICS: [&str; 1] = ["Only leader is allowed to call update_effective_membership()"];

fn is_known(panic: &str) -> bool {
    KNOWN_PANICS.iter().any(|known| panic.contains(known))
}

/// Who looks at a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judges {
    /// The invariants: the first that is broken ends the run.
    Invariants,
    /// A judge of the history alone. The run goes on to its end, whatever happens.
    OfHistory,
}

/// A run that has come to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) totals: Totals,
    /// What clients asked for and were told, with the list that all routers have in the end.
    pub(crate) history: History,
}

/// One run, and its fingerprint.
pub(crate) fn run(
    seed: u64,
    mistake: Option<Mistake>,
    judges: Judges,
) -> (Result<Ended, String>, (u64, u64)) {
    let simulation = Simulation::new(seed);
    let outcome = simulation.run(story(seed, mistake, judges));
    (outcome, simulation.fingerprint())
}

async fn story(seed: u64, mistake: Option<Mistake>, judges: Judges) -> Result<Ended, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let first = if rng.u8(..3) == 0 { 5 } else { 3 };
    let timing = Timing { snapshot_after: rng.u64(20..300), kept: rng.u64(..60), ..Timing::default() };
    let cluster = Cluster::new(seed, first, rng.u32(..3), timing, mistake);
    if judges == Judges::OfHistory {
        cluster.watch.only_record();
    }
    executor::note(format_args!("seed {seed}: {first} of {} routers, {timing:?}", cluster.numbers().len()));
    for number in cluster.numbers() {
        sleep(Duration::from_millis(rng.u64(..400))).await;
        cluster.start(number);
    }
    until(&cluster, "come to be", |cluster| led(cluster).is_some()).await?;

    let ends = Arc::new(AtomicBool::new(false));
    for number in 0..rng.u64(2..8) {
        let client =
            Client { number, cluster: cluster.clone(), rng: rng.fork(), mistake, ends: Arc::clone(&ends) };
        drop(spawn_in(WORLD, client.run()));
    }
    if rng.bool() {
        let admin = Admin {
            cluster: cluster.clone(),
            rng: rng.fork(),
            ends: Arc::clone(&ends),
            gone: BTreeSet::new(),
        };
        drop(spawn_in(WORLD, admin.run()));
    }
    let mut faults = Faults { cluster: cluster.clone(), rng: rng.fork(), kills: 0, blackouts: 0, lost: None };
    faults.run(FAULTY).await;
    ends.store(true, Ordering::Relaxed);
    if let Some(broken) = cluster.watch.broken() {
        return Err(broken);
    }
    // What waits to happen happens: starts, resumes, mended disks.
    sleep(Duration::from_secs(6)).await;
    faults.heal();
    let lost = faults.lost.take();
    until(&cluster, "replace a lost disk", |_| lost.as_ref().is_none_or(LostDisk::is_replaced)).await?;
    until(&cluster, "agree again", agrees).await?;
    last_write(&cluster).await?;
    until(&cluster, "agree after a last write", agrees).await?;
    cluster.watch.conclude()?;
    let list = shown_by_leader(&cluster).ok_or("converges: no leader shows its list")?;
    let (acknowledged, reads) = cluster.watch.counts();
    let totals = Totals {
        seeds: 1,
        acknowledged,
        reads,
        kills: faults.kills,
        blackouts: faults.blackouts,
        panics: executor::panics().len() as u64,
        simulated: executor::elapsed(),
    };
    Ok(Ended { totals, history: cluster.watch.history(&list) })
}

fn shown_by_leader(cluster: &Cluster) -> Option<Vec<WriteId>> {
    let (_, part) = cluster.part(led(cluster)?.id.number)?;
    part.look(Ledger::list)
}

/// Waits for a state of the cluster.
async fn until(cluster: &Cluster, what: &str, is_so: impl Fn(&Cluster) -> bool) -> Result<(), String> {
    let end = executor::elapsed() + AGREES_WITHIN;
    loop {
        if let Some(broken) = cluster.watch.broken() {
            return Err(broken);
        }
        if let Some(panic) = executor::panics().iter().find(|panic| !is_known(panic)) {
            return Err(format!("no panics: {panic}"));
        }
        if is_so(cluster) {
            return Ok(());
        }
        if executor::elapsed() > end {
            return Err(format!(
                "converges: the routers do not {what} within {AGREES_WITHIN:?}: {}",
                states(cluster)
            ));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Whether all routers of the cluster have the whole list, and follow one leader.
fn agrees(cluster: &Cluster) -> bool {
    let Some(leader) = led(cluster) else { return false };
    if leader.is_changing {
        return false;
    }
    let (list, last) = (cluster.watch.list(), leader.last_log);
    leader.addresses.keys().all(|id| {
        let Some((_, part)) = cluster.part(id.number) else { return false };
        let status = part.status().borrow().clone();
        let view = part.look(Ledger::shown).unwrap_or_default();
        part.id() == *id
            && status.leader == Some(leader.id)
            && status.applied == last
            && (view.len, view.hash) == (list.len, list.hash)
    })
}

fn states(cluster: &Cluster) -> String {
    let state = |number: u32| match cluster.part(number) {
        None => format!("n{number} down"),
        Some((_, part)) => {
            let (status, view) =
                (part.status().borrow().clone(), part.look(Ledger::shown).unwrap_or_default());
            format!(
                "n{number} {:?} term {} log {} applied {} list {} voters {:?}",
                status.role,
                status.term,
                status.last_log,
                status.applied,
                view.len,
                status.voters.iter().map(|id| id.to_string()).collect::<Vec<_>>()
            )
        }
    };
    let all: Vec<String> = cluster.numbers().into_iter().map(state).collect();
    format!("{}; the list has {}", all.join("; "), cluster.watch.list().len)
}

/// Writes at each router before the run fails: an operator may have removed the leader a moment ago, and then there is none for a second.
const LAST_WRITES_MAX: u64 = 3;

/// A cluster that nothing is wrong with takes a write from each of its routers.
async fn last_write(cluster: &Cluster) -> Result<(), String> {
    let leader = led(cluster).ok_or("converges: no leader")?;
    for id in leader.addresses.keys() {
        let mut refused = None;
        for attempt in 0..LAST_WRITES_MAX {
            let Some((group, part)) = cluster.part(id.number) else {
                return Err(format!("converges: {id} is down"));
            };
            // Each write is another one: a refused write may still be applied.
            let write = (u64::from(u32::MAX) << 32) | (attempt << 16) | u64::from(id.number);
            cluster.watch.write_begins(write);
            let proposed = spawn_in(group, async move {
                let outcome = part.propose(ledger::command(write)).await;
                (outcome, part.look(Ledger::shown))
            });
            refused = match SimRuntime::timeout(Duration::from_secs(2), proposed).await {
                Ok(Ok((Ok(applied), view))) => {
                    let view: View = view.unwrap_or_default();
                    executor::note(format_args!("last write at {id}: {applied:?}, {view:?}"));
                    None
                }
                outcome => Some(format!("{outcome:?}")),
            };
            if refused.is_none() {
                break;
            }
        }
        if let Some(outcome) = refused {
            return Err(format!("converges: {id} does not take a write: {outcome}"));
        }
    }
    Ok(())
}
