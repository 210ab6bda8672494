//! Every metric name; dashboards rely on them, so a name is never changed. The text format adds `_total` to counters, which is why they lack it here.

/// `rcs_calls_total{group,member,op,outcome}`: finished calls.
pub(crate) const CALLS: &str = "rcs_calls";
/// `rcs_call_duration_seconds{group,op}`: from a call's request to its last frame.
pub(crate) const CALL_DURATION: &str = "rcs_call_duration_seconds";
/// `rcs_member_up{group,member}`: 1 if the member takes calls.
pub(crate) const MEMBER_UP: &str = "rcs_member_up";
/// `rcs_member_quarantined{group,member}`: 1 if the member is kept out for its bundles.
pub(crate) const MEMBER_QUARANTINED: &str = "rcs_member_quarantined";
/// `rcs_bundle_drifts_total{group,member}`: times the member was found with another bundle set than its group's.
pub(crate) const BUNDLE_DRIFTS: &str = "rcs_bundle_drifts";
/// `rcs_bundle_alarm{group}`: 1 while no member has the group's bundle set.
pub(crate) const BUNDLE_ALARM: &str = "rcs_bundle_alarm";
/// `rcs_calls_in_flight{group,member}`: calls that the member holds, of all its groups.
pub(crate) const CALLS_IN_FLIGHT: &str = "rcs_calls_in_flight";
/// `rcs_calls_queued{group}`: calls that wait for a free place.
pub(crate) const CALLS_QUEUED: &str = "rcs_calls_queued";
/// `rcs_calls_refused_total{group,reason}`: calls that were turned away for load.
pub(crate) const CALLS_REFUSED: &str = "rcs_calls_refused";
/// `rcs_retries_total{op}`: calls that were sent again.
pub(crate) const RETRIES: &str = "rcs_retries";
/// `rcs_streams_cut_total{group,reason}`: answers of searches and syncs that were not taken for whole.
pub(crate) const STREAMS_CUT: &str = "rcs_streams_cut";
/// `rcs_callers`: callers that are known.
pub(crate) const CALLERS: &str = "rcs_callers";
/// `rcs_backlog_bytes{where}`: what peers have not taken yet, `memory` or `disk`.
pub(crate) const BACKLOG: &str = "rcs_backlog_bytes";
/// `rcs_sockets{side}`: open sockets.
pub(crate) const SOCKETS: &str = "rcs_sockets";
/// `rcs_sockets_rotated_total{side}`: old sockets that were replaced by fresh ones.
pub(crate) const SOCKETS_ROTATED: &str = "rcs_sockets_rotated";
/// `rcs_dial_failures_total{member}`: attempts to reach a member that failed.
pub(crate) const DIAL_FAILURES: &str = "rcs_dial_failures";
/// `rcs_frames_ignored_total`: frames that are no messages of the protocol.
pub(crate) const FRAMES_IGNORED: &str = "rcs_frames_ignored";
