//! Clients: each has one operation under way, at any router, and repeats a write whose outcome it does not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::AsyncRuntime;
use rcs_consensus::NotApplied;

use super::cluster::Cluster;
use super::executor;
use super::invariants::Told;
use super::ledger::{self, Ledger, WriteId};
use super::mistakes::Mistake;
use super::runtime::{SimRuntime, sleep, spawn_in};

/// How long a client waits for a router.
const PATIENCE: Duration = Duration::from_secs(2);
/// Attempts of a write, before its client gives up.
const ATTEMPTS_MAX: u32 = 30;

/// A client.
pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) cluster: Cluster,
    pub(crate) rng: fastrand::Rng,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) ends: Arc<AtomicBool>,
}

/// What one attempt came to.
enum Attempt {
    Done {
        index: u64,
        place: u64,
    },
    /// The router promised that nothing was done.
    Not,
    Unknown,
}

impl Client {
    /// Reads and writes until it is told to end.
    pub(crate) async fn run(mut self) {
        let mut count = 0;
        while !self.ends.load(Ordering::Relaxed) {
            sleep(Duration::from_micros(self.rng.u64(..40_000))).await;
            if self.rng.u8(..4) == 0 {
                self.read().await;
            } else {
                count += 1;
                self.write(self.number << 32 | count).await;
            }
        }
    }

    fn any_router(&mut self) -> u32 {
        let numbers = self.cluster.numbers();
        numbers[self.rng.usize(..numbers.len())]
    }

    async fn write(&mut self, id: WriteId) {
        let watch = self.cluster.watch.clone();
        watch.write_begins(id);
        // Some clients never ask twice.
        let attempts = if self.rng.u8(..4) == 0 { 1 } else { ATTEMPTS_MAX };
        let mut to = self.any_router();
        let mut told = Told::Not;
        for _ in 0..attempts {
            match self.attempt(to, id).await {
                Attempt::Done { index, place } => {
                    watch.write_ends(id, Told::Done { index, place });
                    return;
                }
                Attempt::Not => {}
                Attempt::Unknown => told = Told::Unknown,
            }
            if self.ends.load(Ordering::Relaxed) {
                break;
            }
            sleep(Duration::from_micros(self.rng.u64(..100_000))).await;
            to = self.any_router();
        }
        watch.write_ends(id, told);
    }

    async fn attempt(&self, to: u32, id: WriteId) -> Attempt {
        let Some((group, part)) = self.cluster.part(to) else { return Attempt::Not };
        let proposed = spawn_in(group, async move { part.propose(ledger::command(id)).await });
        let outcome = SimRuntime::timeout(PATIENCE, proposed).await;
        executor::note(format_args!("c{} writes {id:x} at n{to}: {outcome:?}", self.number));
        match outcome {
            Ok(Ok(Ok(applied))) => match ledger::place(&applied.outcome) {
                Some(place) => Attempt::Done { index: applied.index, place },
                None => {
                    self.cluster
                        .watch
                        .breaks(format!("acknowledged stays: {id:x} was told {:?}", applied.outcome));
                    Attempt::Unknown
                }
            },
            Ok(Ok(Err(NotApplied::Unknown))) | Ok(Err(_)) | Err(_) => Attempt::Unknown,
            Ok(Ok(Err(_))) => Attempt::Not,
        }
    }

    async fn read(&mut self) {
        let at = self.any_router();
        let Some((group, part)) = self.cluster.part(at) else { return };
        let (began, asks) = (executor::elapsed(), self.mistake != Some(Mistake::ReadsWithoutBarrier));
        let reading = spawn_in(group, async move {
            if asks {
                part.read_barrier().await.ok()?;
            }
            part.look(Ledger::shown)
        });
        let outcome = SimRuntime::timeout(PATIENCE, reading).await;
        executor::note(format_args!("c{} reads at n{at}: {outcome:?}", self.number));
        if let Ok(Ok(Some(view))) = outcome {
            self.cluster.watch.read_ends(began, view);
        }
    }
}
