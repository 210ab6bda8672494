//! Clients: each has one operation under way, at any router, and repeats a write whose outcome it does not know.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rcs_consensus::NotApplied;
use tokio::time::{sleep, timeout};

use super::host::Site;
use super::run::order;
use crate::sim::invariants::{Told, Watch};
use crate::sim::ledger::{self, Ledger, WriteId};

/// How long a client waits for a router.
const PATIENCE: Duration = Duration::from_secs(2);
/// Attempts of a write, before its client gives up.
const ATTEMPTS_MAX: u32 = 30;

/// A client. Its operations run on the routers' hosts, as those of an operator who is logged in there.
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) sites: Vec<Site>,
    pub(super) watch: Watch,
    pub(super) rng: fastrand::Rng,
    pub(super) ends: Rc<Cell<bool>>,
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
    pub(super) async fn run(mut self) {
        let mut count = 0;
        while !self.ends.get() {
            sleep(Duration::from_millis(self.rng.u64(..40))).await;
            if self.rng.u8(..4) == 0 {
                self.read().await;
            } else {
                count += 1;
                self.write(self.number << 32 | count).await;
            }
        }
    }

    fn any_router(&mut self) -> Site {
        self.sites[self.rng.usize(..self.sites.len())].clone()
    }

    async fn write(&mut self, id: WriteId) {
        self.watch.write_begins(id);
        // Some clients never ask twice.
        let attempts = if self.rng.u8(..4) == 0 { 1 } else { ATTEMPTS_MAX };
        let mut told = Told::Not;
        for _ in 0..attempts {
            let to = self.any_router();
            match self.attempt(&to, id).await {
                Attempt::Done { index, place } => {
                    told = Told::Done { index, place };
                    break;
                }
                Attempt::Not => {}
                Attempt::Unknown => told = Told::Unknown,
            }
            if self.ends.get() {
                break;
            }
            sleep(Duration::from_millis(self.rng.u64(..100))).await;
        }
        self.watch.write_ends(id, told);
    }

    async fn attempt(&self, to: &Site, id: WriteId) -> Attempt {
        let Some(life) = to.life() else { return Attempt::Not };
        let proposed = life.tasks.spawn(async move { life.part.propose(ledger::command(id)).await });
        match timeout(PATIENCE, proposed).await {
            Ok(Ok(Ok(applied))) => match ledger::place(&applied.outcome) {
                Some(place) => Attempt::Done { index: applied.index, place },
                None => {
                    self.watch.breaks(format!("acknowledged stays: {id:x} was told {:?}", applied.outcome));
                    Attempt::Unknown
                }
            },
            Ok(Ok(Err(NotApplied::Unknown))) | Ok(Err(_)) | Err(_) => Attempt::Unknown,
            Ok(Ok(Err(_))) => Attempt::Not,
        }
    }

    async fn read(&mut self) {
        let Some(life) = self.any_router().life() else { return };
        let began = order();
        let reading = life.tasks.spawn(async move {
            life.part.read_barrier().await.ok()?;
            life.part.look(Ledger::shown)
        });
        if let Ok(Ok(Some(view))) = timeout(PATIENCE, reading).await {
            self.watch.read_ends(began, view);
        }
    }
}
