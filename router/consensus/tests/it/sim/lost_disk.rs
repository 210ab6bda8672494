//! A router of the cluster loses its disk and comes back with an empty one. It is another router then: an operator removes the old id
//! and adds the new one, against all that goes wrong meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::AsyncRuntime;
use rcs_consensus::RoutersChange;

use super::cluster::{Cluster, End, address, led};
use super::executor::{self, WORLD};
use super::runtime::{SimRuntime, sleep, spawn_in};

/// How long the operator waits for one change.
const PATIENCE: Duration = Duration::from_secs(8);
/// A cluster that loses a disk must have another majority without it.
const VOTERS_MIN: usize = 3;

/// The replacement of a lost disk.
pub(crate) struct LostDisk(Arc<AtomicBool>);

impl LostDisk {
    /// Takes a voter's disk away, if the cluster is large enough to lose it.
    pub(crate) fn new(cluster: &Cluster, number: u32) -> Option<LostDisk> {
        let (old, status) = (cluster.id(number), led(cluster)?);
        if status.voters.len() < VOTERS_MIN || !status.voters.contains(&old) {
            return None;
        }
        executor::note(format_args!("n{number} loses its disk"));
        cluster.end(number, End::PowerOff);
        cluster.wipe(number);
        cluster.start(number);
        let is_replaced = Arc::new(AtomicBool::new(false));
        drop(spawn_in(WORLD, replace(cluster.clone(), number, Arc::clone(&is_replaced))));
        Some(LostDisk(is_replaced))
    }

    /// Whether the router has its vote again.
    pub(crate) fn is_replaced(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

async fn replace(cluster: Cluster, number: u32, is_replaced: Arc<AtomicBool>) {
    let (first, mut was_added) = (cluster.id(number), false);
    loop {
        sleep(Duration::from_millis(300)).await;
        let Some(status) = led(&cluster) else { continue };
        let new = cluster.id(number);
        let stale = status.addresses.keys().copied().find(|id| id.number == number && *id != new);
        let is_in = status.addresses.contains_key(&new);
        let change = match stale {
            Some(stale) => RoutersChange::Remove(stale),
            // Another operator has removed the router meanwhile, and may give it another disk: a removed id is never added again.
            None if new != first || (was_added && !is_in) => {
                is_replaced.store(true, Ordering::Relaxed);
                return;
            }
            None if !is_in => RoutersChange::AddLearner(new, address(number)),
            None => RoutersChange::Promote(new),
        };
        let Some((group, part)) = cluster.part(status.id.number) else { continue };
        let wanted = change.clone();
        let changing = spawn_in(group, async move { part.change_routers(wanted).await });
        let outcome = SimRuntime::timeout(PATIENCE, changing).await;
        executor::note(format_args!("replacing n{number}: {change:?}: {outcome:?}"));
        was_added |= matches!(change, RoutersChange::AddLearner(..)) && matches!(outcome, Ok(Ok(Ok(()))));
        // What a leader shows may be taken back; what it says is done is decided.
        if change == RoutersChange::Promote(new) && matches!(outcome, Ok(Ok(Ok(())))) {
            is_replaced.store(true, Ordering::Relaxed);
            return;
        }
    }
}
