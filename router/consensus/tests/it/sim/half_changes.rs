//! A leader that is lost between the two halves of a change of the routers: the next leader must finish the change by itself. Until then
//! majorities of the routers before and after the change are needed, so one more lost router may stop the cluster for good.

use std::time::Duration;

use rcs_consensus::{RoutersChange, Timing};

use super::cluster::{Cluster, End, address, led};
use super::executor::{self, Simulation};
use super::runtime::{sleep, spawn_in};
use super::seeds::{self, Totals};

/// How long the routers may take for each step.
const SOON: Duration = Duration::from_secs(20);
/// How often they are looked at: a change is half made for a few milliseconds.
const LOOK_EVERY: Duration = Duration::from_micros(200);

#[test]
fn the_next_leader_finishes_a_change_that_is_half_made() {
    let one = |seed| {
        let simulation = Simulation::new(seed);
        simulation.run(story(seed))?;
        Ok(Totals { seeds: 1, kills: 1, ..Totals::default() })
    };
    if let Err(failure) = seeds::run(0..10, one) {
        panic!("{failure}");
    }
}

async fn story(seed: u64) -> Result<(), String> {
    let cluster = Cluster::new(seed, 3, 1, Timing::default(), None);
    for number in cluster.numbers() {
        cluster.start(number);
    }
    until(&cluster, "come to be", |cluster| led(cluster).is_some_and(|leader| leader.voters.len() == 3))
        .await?;
    let new = cluster.id(4);
    change(&cluster, RoutersChange::AddLearner(new, address(4)));
    until(&cluster, "have a learner", |cluster| {
        led(cluster).is_some_and(|leader| {
            leader.learners == [new] && leader.replicated.get(&new).is_some_and(|has| *has == leader.last_log)
        })
    })
    .await?;
    let leader = led(&cluster).ok_or("no leader")?.id.number;
    change(&cluster, RoutersChange::Promote(new));
    // Two other routers know of the first half, so one of them is the next leader.
    until(&cluster, "make the first half", |cluster| {
        let others = cluster.numbers().into_iter().filter(|number| *number != leader);
        others.filter(|number| is_changing(cluster, *number)).count() > 1
    })
    .await?;
    cluster.end(leader, End::PowerOff);
    until(&cluster, "finish the change", |cluster| {
        let others = || cluster.numbers().into_iter().filter(|number| *number != leader);
        led(cluster).is_some_and(|now| now.id.number != leader)
            && others().all(|number| !is_changing(cluster, number) && voters(cluster, number) == 4)
    })
    .await
}

/// An operator asks the leader for a change until it is made, or the leader is lost.
fn change(cluster: &Cluster, change: RoutersChange) {
    let leader = led(cluster).and_then(|leader| cluster.part(leader.id.number));
    if let Some((group, part)) = leader {
        drop(spawn_in(group, async move {
            while part.change_routers(change.clone()).await.is_err() {
                sleep(LOOK_EVERY * 50).await;
            }
        }));
    }
}

fn is_changing(cluster: &Cluster, number: u32) -> bool {
    cluster.part(number).is_some_and(|(_, part)| part.status().borrow().is_changing)
}

fn voters(cluster: &Cluster, number: u32) -> usize {
    cluster.part(number).map_or(0, |(_, part)| part.status().borrow().voters.len())
}

async fn until(cluster: &Cluster, what: &str, is_so: impl Fn(&Cluster) -> bool) -> Result<(), String> {
    let end = executor::elapsed() + SOON;
    while !is_so(cluster) {
        if executor::elapsed() > end {
            return Err(format!("the routers do not {what} within {SOON:?}"));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
