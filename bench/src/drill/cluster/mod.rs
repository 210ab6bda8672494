//! A cluster of routers in a drill: [`routers`] as processes with [`callers`] at each of them, and [`writers`] that change marks over the admin
//! API without a pause. What writers were told is held against the routers' [`audit`] log by [`history`]. [`etcd`] stands in the
//! routers' place where pauses are compared. What is done to a router beside killing it: its traffic is swallowed by [`relays`], its [`small_disk`]
//! is full, its [`false_clock`] jumps. A [`witness`] looks whether two routers lead.

mod audit;
mod callers;
mod dialler;
mod etcd;
mod false_clock;
mod history;
mod relays;
mod routers;
mod servers;
mod small_disk;
mod witness;
mod writers;

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep_until};

pub(crate) use audit::{Auditor, until_dated};
pub(crate) use callers::Callers;
pub(crate) use etcd::Etcd;
pub(crate) use history::{Window, by_porcupine, judge, longest_pauses};
pub(crate) use relays::Cut;
pub(crate) use routers::{Joins, Routers, cluster_site, cluster_site_of, relayed_site};
pub(crate) use servers::{Servers, request};
pub(crate) use witness::Witness;
pub(crate) use writers::{Api, Told, WRITTEN_GROUP, Writers};

/// Longest wait for a state of the cluster that has to come.
pub(crate) const STATE_BOUND: Duration = Duration::from_secs(30);
/// Rhythm in which states are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Servers that agree with each other and have a leader.
pub(crate) trait Agreeing {
    /// The place of the leader; waits until there is one.
    async fn leader(&self) -> Result<usize, Failure>;
    /// SIGKILL, and gone when this returns.
    fn kill(&mut self, place: usize);
    /// Starts it again; comes back once it has caught up.
    async fn revive(&mut self, place: usize) -> Result<(), Failure>;
}

/// Kills the server at this place, keeps it down for a time, and longer if nobody can write, and starts it again.
pub(crate) async fn kill_for(
    servers: &mut impl Agreeing,
    place: usize,
    down: Duration,
    writers: &Writers,
) -> Result<Window, Failure> {
    let from = Instant::now();
    servers.kill(place);
    writers.until_acknowledged_since(from, STATE_BOUND).await;
    sleep_until(from + down).await;
    servers.revive(place).await?;
    Ok(Window { from, to: Instant::now() })
}
