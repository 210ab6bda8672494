//! The metrics. Counters are kept by the owner's [`Recorder`]; gauges are read from the engine's report at each scrape, so
//! that they cannot drift from the state.

mod cluster;
mod format;
mod names;
mod process;
mod recorder;
mod reloads;
mod scrape;

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rcs_core::engine::TurnedAway;

pub(crate) use format::Format;
pub(crate) use recorder::Recorder;
pub(crate) use reloads::Reloads;
pub(crate) use scrape::{Asked, Scraper};

/// Upper edges, seconds: a call through the router takes some 100 µs at least, a long search minutes.
const DURATION_BUCKETS: [f64; 19] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0, 900.0,
];

/// Edges for each member and outcome. There are fewer of them, because there are more series.
const MEMBER_DURATION_BUCKETS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

/// Labels of a finished call. The group or the member is empty if the call was refused before one was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    group: Arc<str>,
    member: Arc<str>,
    op: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    group: Arc<str>,
    op: &'static str,
}

/// Labels of the calls at a member that ended in one way. The member is empty if the call was refused before a member was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberDurationLabels {
    group: Arc<str>,
    member: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    group: Arc<str>,
    member: Arc<str>,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberLabels {
    group: Arc<str>,
    member: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberLabel {
    member: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: Arc<str>,
}

/// Labels of a trusted certificate. The member is empty if the certificate is trusted for all members.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    member: String,
    subject: String,
    serial: String,
}

/// Labels of the router's own certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OwnCertificateLabels {
    subject: String,
    serial: String,
}

/// Label of an IDM that the router dials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IdmLabel {
    idm: String,
}

/// Label of an issuer of access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabel {
    issuer: String,
}

/// Labels of a call that was refused because of overload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    group: Arc<str>,
    reason: &'static str,
}

/// Label of a refused request to the admin address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouterLabel {
    /// The router's number.
    router: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    /// The cluster's id; empty for a router that stands alone.
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counts refused requests to the admin address. Clones share their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct AdminRefusals(Family<ReasonLabel, Counter>);

impl AdminRefusals {
    /// Makes the count of each of these reasons exist from now on, so that an alert sees the first refusal.
    pub(crate) fn begin(&self, reasons: &[&'static str]) {
        for reason in reasons {
            drop(self.0.get_or_create(&ReasonLabel { reason }));
        }
    }

    /// Counts one refused request.
    pub(crate) fn count(&self, reason: &'static str) {
        self.0.get_or_create(&ReasonLabel { reason }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OpLabel {
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CutLabels {
    group: Arc<str>,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhereLabel {
    r#where: &'static str,
}

/// Labels of a URL of an IDM that the router dials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IdmLabels {
    idm: String,
    url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SideLabel {
    side: &'static str,
}

/// The metrics that are counted as events happen. Clones share their values.
#[derive(Clone, Debug)]
struct Counted {
    calls: Family<CallLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    member_durations: Family<MemberDurationLabels, Histogram, fn() -> Histogram>,
    refused: Family<RefusedLabels, Counter>,
    retries: Family<OpLabel, Counter>,
    hedges: Family<GroupLabel, Counter>,
    hedges_won: Family<GroupLabel, Counter>,
    streams_cut: Family<CutLabels, Counter>,
    drifts: Family<MemberLabels, Counter>,
    sockets: Family<SideLabel, Gauge>,
    rotated: Family<SideLabel, Counter>,
    dial_failures: Family<MemberLabel, Counter>,
    frames_ignored: Counter,
    calls_not_held: Counter,
    turned_away: Family<ReasonLabel, Counter>,
}

/// The two ends of the metrics: the owner counts, the admin address shows.
pub(crate) fn new(asked: Asked) -> (Recorder, Scraper) {
    let counted = Counted {
        calls: Family::default(),
        durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
        member_durations: Family::new_with_constructor(|| Histogram::new(MEMBER_DURATION_BUCKETS)),
        refused: Family::default(),
        retries: Family::default(),
        hedges: Family::default(),
        hedges_won: Family::default(),
        streams_cut: Family::default(),
        drifts: Family::default(),
        sockets: Family::default(),
        rotated: Family::default(),
        dial_failures: Family::default(),
        frames_ignored: Counter::default(),
        calls_not_held: Counter::default(),
        turned_away: Family::default(),
    };
    let mut registry = Registry::default();
    registry.register(names::CALLS, "Finished calls, by outcome", counted.calls.clone());
    registry.register(
        names::CALL_DURATION,
        "Duration of calls that succeeded, from the request to the last frame of the answer",
        counted.durations.clone(),
    );
    registry.register(
        names::MEMBER_CALL_DURATION,
        "Duration of all calls, by the member that had them last and by outcome",
        counted.member_durations.clone(),
    );
    registry.register(
        names::CALLS_REFUSED,
        "Calls refused because of overload (load shedding), by reason",
        counted.refused.clone(),
    );
    registry.register(names::RETRIES, "Retries of calls", counted.retries.clone());
    registry.register(
        names::HEDGES,
        "Reads that were sent to a second member as well, because their answer was overdue",
        counted.hedges.clone(),
    );
    registry.register(
        names::HEDGES_WON,
        "Hedged reads that the second member answered first",
        counted.hedges_won.clone(),
    );
    registry.register(
        names::STREAMS_CUT,
        "Answers of searches and syncs that were treated as incomplete, by reason",
        counted.streams_cut.clone(),
    );
    registry.register(
        names::BUNDLE_DRIFTS,
        "Times that the member was found with a bundle set other than its group's",
        counted.drifts.clone(),
    );
    registry.register(
        names::SOCKETS,
        "Open connections, of callers (downstream) and to members (upstream)",
        counted.sockets.clone(),
    );
    registry.register(
        names::SOCKETS_ROTATED,
        "Connections that were replaced by new ones because of their age",
        counted.rotated.clone(),
    );
    registry.register(
        names::DIAL_FAILURES,
        "Failed attempts to connect to a member",
        counted.dial_failures.clone(),
    );
    registry.register(
        names::CALLS_NOT_HELD,
        "Calls that callers still waited for, and of which the router knew nothing",
        counted.calls_not_held.clone(),
    );
    registry.register(
        names::FRAMES_IGNORED,
        "Frames that were ignored because they are not messages of the protocol",
        counted.frames_ignored.clone(),
    );
    for reason in TurnedAway::LABELS {
        // So that an alert sees the first one.
        drop(counted.turned_away.get_or_create(&ReasonLabel { reason }));
    }
    registry.register(
        names::CONNECTIONS_TURNED_AWAY,
        "Connections that were let in and closed because their peer is neither a caller nor a member, by reason",
        counted.turned_away.clone(),
    );
    let refusals = AdminRefusals::default();
    registry.register(
        names::ADMIN_REQUESTS_REFUSED,
        "Requests to the admin address that were refused, by reason",
        refusals.0.clone(),
    );
    (Recorder::new(counted), Scraper::new(registry, refusals, asked))
}
