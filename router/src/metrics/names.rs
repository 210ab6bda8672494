//! Every metric name; dashboards rely on them, so a name is never changed. The text format adds `_total` to counters, which is why they lack it here.

/// `rcs_calls_total{group,member,op,outcome}`: finished calls.
pub(crate) const CALLS: &str = "rcs_calls";
/// `rcs_call_duration_seconds{group,op}`: duration of calls with the outcome `ok`, from the request to the last frame of the answer. A
/// call that failed says nothing of how long calls take.
pub(crate) const CALL_DURATION: &str = "rcs_call_duration_seconds";
/// `rcs_member_call_duration_seconds{group,member,outcome}`: duration of all calls, by the member that had the call last and by outcome.
pub(crate) const MEMBER_CALL_DURATION: &str = "rcs_member_call_duration_seconds";
/// `rcs_member_state{group,member,state}`: 1 for the state that the member is in, 0 for the others.
pub(crate) const MEMBER_STATE: &str = "rcs_member_state";
/// `rcs_group_callers_waiting{group}`: callers that asked for connectors while no member of the group has reported any.
pub(crate) const CALLERS_WAITING: &str = "rcs_group_callers_waiting";
/// `rcs_unknown_outcomes`: calls with an unknown outcome that no operator has acknowledged.
pub(crate) const UNKNOWN_OUTCOMES: &str = "rcs_unknown_outcomes";
/// `rcs_unknown_outcomes_lost_total`: calls with an unknown outcome for which the list had no room.
pub(crate) const UNKNOWN_LOST: &str = "rcs_unknown_outcomes_lost";
/// `rcs_build_info{version}`: always 1.
pub(crate) const BUILD_INFO: &str = "rcs_build_info";
/// `rcs_config_last_reload_successful`: 1 if the last changed file was good, 0 if it was refused.
pub(crate) const RELOAD_SUCCESSFUL: &str = "rcs_config_last_reload_successful";
/// `rcs_config_last_reload_success_timestamp_seconds`: when the router last took over a changed file, or its files at the start.
pub(crate) const RELOAD_TIME: &str = "rcs_config_last_reload_success_timestamp_seconds";
/// `rcs_certificate_not_after_timestamp_seconds{member,subject,serial}`: until when a trusted certificate is valid, in seconds since 1970.
pub(crate) const CERTIFICATE_END: &str = "rcs_certificate_not_after_timestamp_seconds";
/// `rcs_issuer_up{issuer}`: 1 if an issuer of access tokens answered when it was asked last.
pub(crate) const ISSUER_UP: &str = "rcs_issuer_up";
/// `rcs_own_certificate_not_after_timestamp_seconds{subject,serial}`: until when the router's own certificate is valid, in seconds since 1970.
pub(crate) const OWN_CERTIFICATE_END: &str = "rcs_own_certificate_not_after_timestamp_seconds";
/// `process_cpu_seconds_total`: processor time of the process.
pub(crate) const PROCESS_CPU: &str = "process_cpu_seconds";
/// `process_resident_memory_bytes`: memory of the process that is resident.
pub(crate) const PROCESS_RESIDENT: &str = "process_resident_memory_bytes";
/// `process_open_fds`: open file descriptors.
pub(crate) const PROCESS_OPEN_FDS: &str = "process_open_fds";
/// `process_max_fds`: file descriptors that the process may have open.
pub(crate) const PROCESS_MAX_FDS: &str = "process_max_fds";
/// `process_start_time_seconds`: when the process began, in seconds since 1970.
pub(crate) const PROCESS_START: &str = "process_start_time_seconds";
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
/// `rcs_hedges_total{group}`: reads that were sent to a second member as well, because their answer was overdue.
pub(crate) const HEDGES: &str = "rcs_hedges";
/// `rcs_hedges_won_total{group}`: hedged reads that the second member answered first.
pub(crate) const HEDGES_WON: &str = "rcs_hedges_won";
/// `rcs_streams_cut_total{group,reason}`: answers of searches and syncs that were treated as incomplete.
pub(crate) const STREAMS_CUT: &str = "rcs_streams_cut";
/// `rcs_configurations_quarantined`: connector configurations whose calls are refused, since members were lost with them.
pub(crate) const CONFIGURATIONS_QUARANTINED: &str = "rcs_configurations_quarantined";
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
/// `rcs_calls_not_held_total`: calls that callers still waited for, and of which the router knew nothing.
pub(crate) const CALLS_NOT_HELD: &str = "rcs_calls_not_held";
/// `rcs_frames_ignored_total`: frames that were ignored because they are not messages of the protocol.
pub(crate) const FRAMES_IGNORED: &str = "rcs_frames_ignored";
/// `rcs_connections_turned_away_total{reason}`: connections that were let in, and closed because their peer is neither a caller nor a
/// member.
pub(crate) const CONNECTIONS_TURNED_AWAY: &str = "rcs_connections_turned_away";
/// `rcs_log_lines_dropped_total`: lines of the log that were lost because standard error could not be written, or not fast enough.
pub(crate) const LOG_LINES_DROPPED: &str = "rcs_log_lines_dropped";
/// `rcs_cluster_role{role}`: 1 for what this router is in its cluster: waiting, learner, follower, candidate, leader, removed or down.
pub(crate) const CLUSTER_ROLE: &str = "rcs_cluster_role";
/// `rcs_cluster_has_leader`: 1 if this router knows a leader, so that something can be changed.
pub(crate) const CLUSTER_HAS_LEADER: &str = "rcs_cluster_has_leader";
/// `rcs_cluster_term`: the term of the latest vote. It rises with each election.
pub(crate) const CLUSTER_TERM: &str = "rcs_cluster_term";
/// `rcs_cluster_voters`: routers with a vote.
pub(crate) const CLUSTER_VOTERS: &str = "rcs_cluster_voters";
/// `rcs_cluster_applied_index{cluster}`: the last entry of the log that this router applied.
pub(crate) const CLUSTER_APPLIED: &str = "rcs_cluster_applied_index";
/// `rcs_cluster_log_index{cluster}`: the last entry in this router's log.
pub(crate) const CLUSTER_LOG: &str = "rcs_cluster_log_index";
/// `rcs_cluster_sync_seconds`: how long a sync of the disk takes, at the 99th percentile of the latest ones.
pub(crate) const CLUSTER_SYNC: &str = "rcs_cluster_sync_seconds";
/// `rcs_cluster_certificate_not_after_timestamp_seconds{router}`: until when the cluster certificate of a router is valid, in seconds since
/// 1970.
pub(crate) const CLUSTER_CERTIFICATE: &str = "rcs_cluster_certificate_not_after_timestamp_seconds";
/// `rcs_cluster_restarts_total`: times that the consensus part was started again after a failure.
pub(crate) const CLUSTER_RESTARTS: &str = "rcs_cluster_restarts";
/// `rcs_cluster_refused_total{reason}`: connections and requests to the cluster address that were refused.
pub(crate) const CLUSTER_REFUSED: &str = "rcs_cluster_refused";
/// `rcs_idm_connections{idm,url}`: connections to an IDM that the router dials.
pub(crate) const IDM_CONNECTIONS: &str = "rcs_idm_connections";
/// `rcs_idm_token_failing{idm,url}`: 1 while the token endpoint for an IDM that the router dials gives no new access token.
pub(crate) const IDM_TOKEN_FAILING: &str = "rcs_idm_token_failing";
/// `rcs_idm_token_not_after_timestamp_seconds{idm}`: until when the access token is valid with which an IDM is dialled, in seconds since 1970.
pub(crate) const IDM_TOKEN_END: &str = "rcs_idm_token_not_after_timestamp_seconds";
/// `rcs_event_streams`: event streams that are open.
pub(crate) const EVENT_STREAMS: &str = "rcs_event_streams";
/// `rcs_admin_requests_refused_total{reason}`: requests to the admin address that were refused.
pub(crate) const ADMIN_REQUESTS_REFUSED: &str = "rcs_admin_requests_refused";
