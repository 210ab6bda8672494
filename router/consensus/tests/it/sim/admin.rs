//! An operator who changes the cluster's routers all the time: adds, promotes, removes, and gives removed ones an empty disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::AsyncRuntime;
use rcs_consensus::{RouterId, RoutersChange, Status};

use super::cluster::{Cluster, End, address};
use super::executor;
use super::runtime::{SimRuntime, sleep, spawn_in};

/// How long the operator waits for one change.
const PATIENCE: Duration = Duration::from_secs(8);

/// The operator.
pub(crate) struct Admin {
    pub(crate) cluster: Cluster,
    pub(crate) rng: fastrand::Rng,
    pub(crate) ends: Arc<AtomicBool>,
    /// Ids that were removed, or may have been: an id is never added again.
    pub(crate) gone: BTreeSet<RouterId>,
}

impl Admin {
    pub(crate) async fn run(mut self) {
        while !self.ends.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(self.rng.u64(200..3_000))).await;
            if let Some(change) = self.choose() {
                if let RoutersChange::Remove(id) = change {
                    self.gone.insert(id);
                }
                let done = self.change(&change).await;
                // Only a router whose removal is certain may lose its disk.
                if let (RoutersChange::Remove(id), true) = (change, done) {
                    self.replace(id).await;
                }
            }
        }
    }

    fn status(&self) -> Option<Status> {
        let numbers = self.cluster.numbers();
        let parts: Vec<_> = numbers.iter().filter_map(|number| self.cluster.part(*number)).collect();
        let all = parts.iter().map(|(_, part)| part.status().borrow().clone());
        all.filter(Status::has_leader).max_by_key(|status| status.term)
    }

    fn choose(&mut self) -> Option<RoutersChange> {
        let status = self.status()?;
        let of = |ids: &[RouterId], rng: &mut fastrand::Rng| {
            (!ids.is_empty()).then(|| ids[rng.usize(..ids.len())])
        };
        match self.rng.u8(..4) {
            0 => of(&status.learners, &mut self.rng).map(RoutersChange::Promote),
            // Not below three. From two to one openraft may stand still for ever: a leader that removes itself, and dies before the
            // other knows, does not stand for election any more, and the other has too short a log to win one.
            1 if status.voters.len() > 3 => of(&status.voters, &mut self.rng).map(RoutersChange::Remove),
            2 => of(&status.learners, &mut self.rng).filter(|_| self.rng.bool()).map(RoutersChange::Remove),
            _ => {
                let ids: Vec<RouterId> =
                    self.cluster.numbers().iter().map(|number| self.cluster.id(*number)).collect();
                let strangers: Vec<RouterId> =
                    ids.into_iter().filter(|id| !status.addresses.contains_key(id)).collect();
                // A removal whose outcome is unknown is repeated until it is certain.
                of(&strangers, &mut self.rng).map(|id| match self.gone.contains(&id) {
                    true => RoutersChange::Remove(id),
                    false => RoutersChange::AddLearner(id, address(id.number)),
                })
            }
        }
    }

    /// Returns whether the change is done for certain.
    async fn change(&mut self, change: &RoutersChange) -> bool {
        let numbers = self.cluster.numbers();
        let at = numbers[self.rng.usize(..numbers.len())];
        let Some((group, part)) = self.cluster.part(at) else { return false };
        let wanted = change.clone();
        let changing = spawn_in(group, async move { part.change_routers(wanted).await });
        let outcome = SimRuntime::timeout(PATIENCE, changing).await;
        executor::note(format_args!("admin at n{at}: {change:?}: {outcome:?}"));
        matches!(outcome, Ok(Ok(Ok(()))))
    }

    /// Sometimes the removed router comes back with an empty disk; sometimes it runs on for ever.
    async fn replace(&mut self, id: RouterId) {
        if self.cluster.id(id.number) != id || self.rng.u8(..3) == 0 {
            return;
        }
        self.cluster.end(id.number, End::Kill);
        sleep(Duration::from_millis(self.rng.u64(..1_000))).await;
        // Somebody may have started it meanwhile.
        self.cluster.end(id.number, End::Kill);
        executor::note(format_args!("n{} gets an empty disk", id.number));
        self.cluster.wipe(id.number);
        self.cluster.start(id.number);
    }
}
