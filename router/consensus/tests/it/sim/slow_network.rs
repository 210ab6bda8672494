//! A command of a megabyte on a network that takes most of a second for it: longer than routers wait for a leader that says nothing. The
//! leader must stay, and the command must reach all routers.

use std::time::Duration;

use rcs_consensus::{NotApplied, Timing};

use super::cluster::{Cluster, led};
use super::executor::{self, Simulation};
use super::ledger::{self, Ledger};
use super::runtime::{sleep, spawn_in};
use super::seeds::{self, Totals};

const ROUTERS: u32 = 3;
const SOON: Duration = Duration::from_secs(20);
const COMMAND_BYTES: usize = 1 << 20;
/// The command is under way for three quarters of a second.
const PACE: u32 = 1_400_000;

#[test]
fn a_large_command_on_a_slow_network_costs_the_leader_nothing() {
    let one = |seed| {
        let simulation = Simulation::new(seed);
        simulation.run(story(seed))?;
        Ok(Totals { seeds: 1, acknowledged: 1, ..Totals::default() })
    };
    if let Err(failure) = seeds::run(0..3, one) {
        panic!("{failure}");
    }
}

async fn story(seed: u64) -> Result<(), String> {
    let cluster = Cluster::new(seed, ROUTERS, 0, Timing::default(), None);
    for number in cluster.numbers() {
        cluster.start(number);
    }
    until(&cluster, "follow one leader", |cluster| all_follow(cluster).is_some()).await?;
    let before = all_follow(&cluster);
    cluster.network.set_pace(PACE);
    let leader = led(&cluster).ok_or("no leader")?.id.number;
    let (group, part) = cluster.part(leader).ok_or("the leader is down")?;
    let command = ledger::large_command(1, COMMAND_BYTES);
    let written = spawn_in(group, async move {
        let end = executor::elapsed() + SOON;
        loop {
            match part.propose(command.clone()).await {
                Err(NotApplied::Unknown) if executor::elapsed() < end => {
                    sleep(Duration::from_millis(50)).await
                }
                outcome => return outcome,
            }
        }
    });
    written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    until(&cluster, "show the command", |cluster| {
        cluster.numbers().into_iter().all(|number| {
            cluster
                .part(number)
                .and_then(|(_, part)| part.look(Ledger::shown))
                .is_some_and(|view| view.len == 1)
        })
    })
    .await?;
    match all_follow(&cluster) == before {
        true => Ok(()),
        false => Err(format!("the leader of before, {before:?}, and not {:?}", all_follow(&cluster))),
    }
}

/// The leader's number and term, if all routers follow it.
fn all_follow(cluster: &Cluster) -> Option<(u32, u64)> {
    let leader = led(cluster)?;
    let follows = |number| {
        cluster.part(number).is_some_and(|(_, part)| {
            let status = part.status().borrow().clone();
            (status.leader, status.term) == (Some(leader.id), leader.term)
                && status.voters.len() == ROUTERS as usize
        })
    };
    cluster.numbers().into_iter().all(follows).then_some((leader.id.number, leader.term))
}

async fn until(cluster: &Cluster, what: &str, is_so: impl Fn(&Cluster) -> bool) -> Result<(), String> {
    let end = executor::elapsed() + SOON;
    while !is_so(cluster) {
        if executor::elapsed() > end {
            return Err(format!("the routers do not {what} within {SOON:?}"));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
