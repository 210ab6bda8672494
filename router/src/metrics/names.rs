//! Every metric name; dashboards rely on them, so a name is never changed. The text format adds `_total` to counters, which is why they lack it here.

/// `rcs_calls_total{group,member,op,outcome}`: finished calls.
pub(crate) const CALLS: &str = "rcs_calls";
/// `rcs_call_duration_seconds{group,op}`: duration of calls, from the request to the last frame of the answer.
pub(crate) const CALL_DURATION: &str = "rcs_call_duration_seconds";
/// `rcs_member_up{group,member}`: 1 if the member gets calls.
pub(crate) const MEMBER_UP: &str = "rcs_member_up";
/// `rcs_member_quarantined{group,member}`: 1 if the member is quarantined for its bundle set.
pub(crate) const MEMBER_QUARANTINED: &str = "rcs_member_quarantined";
/// `rcs_bundle_drifts_total{group,member}`: times that the member was found with a bundle set other than its group's.
pub(crate) const BUNDLE_DRIFTS: &str = "rcs_bundle_drifts";
/// `rcs_bundle_alarm{group}`: 1 while no member has the group's bundle set.
pub(crate) const BUNDLE_ALARM: &str = "rcs_bundle_alarm";
/// `rcs_calls_in_flight{group,member}`: open calls at the member, of all its groups.
pub(crate) const CALLS_IN_FLIGHT: &str = "rcs_calls_in_flight";
/// `rcs_calls_queued{group}`: calls that wait in the group's queue.
pub(crate) const CALLS_QUEUED: &str = "rcs_calls_queued";
/// `rcs_calls_refused_total{group,reason}`: calls refused because of overload (load shedding).
pub(crate) const CALLS_REFUSED: &str = "rcs_calls_refused";
/// `rcs_retries_total{op}`: retries of calls.
pub(crate) const RETRIES: &str = "rcs_retries";
/// `rcs_streams_cut_total{group,reason}`: answers of searches and syncs that were treated as incomplete.
pub(crate) const STREAMS_CUT: &str = "rcs_streams_cut";
/// `rcs_callers`: known callers.
pub(crate) const CALLERS: &str = "rcs_callers";
/// `rcs_backlog_bytes{where}`: bytes that peers have not read yet, in `memory` or on `disk`.
pub(crate) const BACKLOG: &str = "rcs_backlog_bytes";
/// `rcs_sockets{side}`: open connections.
pub(crate) const SOCKETS: &str = "rcs_sockets";
/// `rcs_sockets_rotated_total{side}`: connections that were replaced by new ones because of their age.
pub(crate) const SOCKETS_ROTATED: &str = "rcs_sockets_rotated";
/// `rcs_dial_failures_total{member}`: failed attempts to connect to a member.
pub(crate) const DIAL_FAILURES: &str = "rcs_dial_failures";
/// `rcs_frames_ignored_total`: frames that were ignored because they are not messages of the protocol.
pub(crate) const FRAMES_IGNORED: &str = "rcs_frames_ignored";
/// `rcs_log_lines_dropped_total`: lines of the log that were lost because standard error could not be written, or not fast enough.
pub(crate) const LOG_LINES_DROPPED: &str = "rcs_log_lines_dropped";
