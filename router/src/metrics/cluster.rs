//! The metrics of the router's part in its cluster.

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use rcs_consensus::Role;
use rcs_consensus::transport::Reason;

use super::{ClusterLabel, ReasonLabel, RoleLabel, RouterLabel, names};
use crate::cluster::Cluster;

/// What this router knows of its cluster.
pub(super) fn of_cluster(cluster: &Cluster) -> Registry {
    let status = cluster.status().borrow().clone();
    let mut registry = Registry::default();
    let roles = Family::<RoleLabel, Gauge>::default();
    for role in Role::LABELS {
        roles.get_or_create(&RoleLabel { role }).set(i64::from(role == status.role.label()));
    }
    registry.register(names::CLUSTER_ROLE, "1 for what this router is in its cluster", roles);
    let has_leader = i64::from(status.leader.is_some());
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    for (name, help, value) in [
        (
            names::CLUSTER_HAS_LEADER,
            "1 if this router knows a leader, so that something can be changed",
            has_leader,
        ),
        (names::CLUSTER_TERM, "The term of the latest vote", whole(status.term)),
        (names::CLUSTER_VOTERS, "Routers with a vote", whole(status.voters.len() as u64)),
    ] {
        registry.register(name, help, ConstGauge::new(value));
    }
    // Routers of several clusters may be scraped by one Prometheus, and only routers of one cluster can be compared.
    let of_cluster = ClusterLabel { cluster: status.cluster.clone().unwrap_or_default() };
    for (name, help, value) in [
        (names::CLUSTER_APPLIED, "The last entry of the log that this router applied", status.applied),
        (names::CLUSTER_LOG, "The last entry in this router's log", status.last_log),
    ] {
        let index = Family::<ClusterLabel, Gauge>::default();
        index.get_or_create(&of_cluster).set(whole(value));
        registry.register(name, help, index);
    }
    if let Some(time) = status.sync_time {
        let help = "How long a sync of the disk takes, at the 99th percentile of the latest ones";
        registry.register(names::CLUSTER_SYNC, help, ConstGauge::new(time.as_secs_f64()));
    }
    let certificates = Family::<RouterLabel, Gauge>::default();
    for (router, dates) in cluster.certificates() {
        certificates.get_or_create(&RouterLabel { router }).set(dates.until());
    }
    let help = "Until when a router's cluster certificate is valid, in seconds since 1970, as far as this router has seen it";
    registry.register(names::CLUSTER_CERTIFICATE, help, certificates);
    let help = "Times that the consensus part was started again after a failure";
    registry.register(names::CLUSTER_RESTARTS, help, ConstCounter::new(status.restarts));
    if let Some(refused) = cluster.refused() {
        let family = Family::<ReasonLabel, Counter>::default();
        for reason in Reason::ALL {
            family.get_or_create(&ReasonLabel { reason: reason.label() }).inc_by(refused.of(reason));
        }
        let help = "Connections and requests to the cluster address that were refused";
        registry.register(names::CLUSTER_REFUSED, help, family);
    }
    registry
}
