//! How a router comes into its cluster: it makes one with its peers, finds the one it belongs to, or waits to be added.

use std::time::Duration;

use rcs_consensus::{Formed, Role, RoutersChange};
use tokio::time::sleep;

use super::{Cluster, ClusterOptions, NOWHERE};
use crate::sightings::Sightings;

/// Comes into the cluster. What keeps the router out is told, and tried again: it routes meanwhile.
pub(super) async fn join(cluster: Cluster, options: ClusterOptions) {
    let peers = match (&options.peers, options.join) {
        (_, true) => return waits(&cluster, &options),
        (Some(peers), false) => peers.0.clone(),
        (None, false) => {
            [(options.number, options.own_address().unwrap_or_else(|| NOWHERE.to_owned()))].into()
        }
    };
    let mut said = String::new();
    loop {
        let waits_for = |missing: &[u32]| {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            match names.is_empty() {
                true => tracing::info!("the routers of the cluster are found; the cluster is being made"),
                false => {
                    tracing::info!(routers = names.join(" "), "waiting for these routers to make the cluster")
                }
            }
        };
        match cluster.0.part.form(&peers, waits_for).await {
            Ok(Formed::Member) => return moved(&cluster, &options).await,
            Ok(Formed::Stranger) => return waits(&cluster, &options),
            Err(error) => {
                let error = error.to_string();
                if error != said {
                    tracing::error!("this router is not in the cluster: {error}");
                    said = error;
                }
                sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

/// A router that is reached at another address than before says so: others find it by what the log says.
async fn moved(cluster: &Cluster, options: &ClusterOptions) {
    let (Some(address), id) = (options.own_address(), cluster.0.part.id()) else { return };
    loop {
        let known = cluster.status().borrow().addresses.get(&id).cloned();
        if known.as_ref() == Some(&address) {
            return;
        }
        if known.is_some() {
            match cluster.change_routers(RoutersChange::Move(id, address.clone())).await {
                Ok(()) => return tracing::info!(address, "the cluster knows the new address of this router"),
                Err(error) => {
                    tracing::debug!(%error, "the new address could not be agreed; it is tried again")
                }
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn waits(cluster: &Cluster, options: &ClusterOptions) {
    let status = cluster.status();
    if status.borrow().voters.is_empty() {
        tracing::info!(
            "this router waits to be added to a cluster: rcs-router cluster add {}={}",
            options.number,
            options.own_address().unwrap_or_else(|| "HOST:PORT".to_owned())
        );
    }
}

/// Logs what becomes of the cluster, as this router sees it, for ever: one line for each change of the leader or of this router's role.
/// The same goes to the event stream.
pub(super) async fn tell_changes(cluster: Cluster, sightings: Sightings) {
    let mut status = cluster.status();
    let mut told = (None, "");
    while status.changed().await.is_ok() {
        let now = status.borrow_and_update().clone();
        let seen = (now.leader, now.role.label());
        if seen == told || now.voters.is_empty() {
            continue;
        }
        sightings.add_lead(now.leader.map(|leader| leader.number), now.role.label(), now.term);
        match (now.leader, &now.role) {
            (_, Role::Leader) => tracing::info!(term = now.term, "this router leads the cluster"),
            (Some(leader), _) if told.0 != now.leader => {
                tracing::info!(term = now.term, leader = leader.number, "the cluster has a leader");
            }
            (None, _) if told.0.is_some() => tracing::warn!(
                "the cluster has no leader that this router can hear: calls go on, and nothing can be changed meanwhile"
            ),
            _ => {}
        }
        told = seen;
    }
}
