//! Every bound of the router in one place (promise P10): each with its unit, its reason, and its relation to
//! the others checked when the crate is compiled. The bounds of the session protocol itself are those of
//! [`rcs_proto::limits`], those of the cluster state in [`crate::agreed::limits`].

use std::ops::RangeInclusive;
use std::time::Duration;

use rcs_proto::session::Side;

pub use rcs_proto::limits::{CHECK_EVERY, CHECK_MISSES_MAX, HANDSHAKE_DEADLINE, HOLD_OFF, STREAM_AHEAD_MAX};

// --- configuration ---

/// Bytes of a provider document. Ten thousand members with the usual keys have 3 MiB, and with every key spelled out less than 10 MiB.
pub const PROVIDER_DOCUMENT_BYTES_MAX: usize = 10 << 20;
/// Findings kept of one document: enough to repair it in one go, few enough to read.
pub const PROVIDER_FINDINGS_MAX: usize = 200;
/// Bytes of the name of a member or a group. It travels in paths, Basic principals and metric labels.
pub const NAME_BYTES_MAX: usize = 128;
/// Members of one view. Each costs a session, its sockets and one set of metrics.
pub const MEMBERS_MAX: usize = 10_240;
/// Groups the document lists.
pub const LISTED_GROUPS_MAX: usize = 1024;
/// Groups of one view: the listed ones, and the group of one that each server is.
pub const GROUPS_MAX: usize = LISTED_GROUPS_MAX + MEMBERS_MAX;
/// Members of one group. A pick looks at each of them once.
pub const MEMBERS_PER_GROUP_MAX: usize = 64;
/// Different names of members, and of groups, over the life of a process: ids are never given to another
/// name.
pub const NAMES_EVER_MAX: u32 = 262_144;

// --- what an operator may set ---

/// Bytes of a configuration file; a thousand groups with every key spelled out stay below it.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Faults that are reported of one configuration file.
pub const CONFIG_FAULTS_MAX: usize = 200;
/// Deadlines that may be set. Deadlines are checked once a [`TICK`], so less than a second would be inexact; and no call waits
/// for more than a day.
pub const DEADLINE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// Time in the queue that may be set: after a longer time every caller has given up.
pub const QUEUE_WAIT_RANGE: RangeInclusive<Duration> = TICK..=Duration::from_mins(10);
/// Time before a hedge that may be set. It is looked at once a [`TICK`], so less than a second would be inexact. After an hour every
/// caller has given up.
pub const HEDGE_AFTER_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Time between two probes or pings that may be set. More often would be load; an hour later is no probe any more.
pub const PROBE_EVERY_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Time of an ejection that may be set.
pub const EJECTION_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// Age of sockets that may be set: a member's sockets are replaced one at a time, which takes a second or two each. A second is
/// for drills.
pub const SOCKET_TTL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(30 * 24);
/// Failures in a row that may be set: a higher number would never be reached.
pub const EJECTION_FAILURES_RANGE: RangeInclusive<u32> = 1..=10_000;
/// Slowness that may be set, in percent of the median: members of a group differ by less than half without being ill.
pub const EJECTION_LATENCY_RANGE: RangeInclusive<u32> = 150..=100_000;
/// New connections per second that may be set; with 0 no caller could connect.
pub const ACCEPTS_RANGE: RangeInclusive<u32> = 1..=100_000;

// --- frames and calls ---

/// Bytes of one message in either direction. Java peers have no limit and were seen to pass 64 MiB (WIRE
/// 1.2), so less would break callers that work without us.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Calls open at once of one downstream session; the next one is refused with a clear error. A Java caller
/// holds a thread for each of its calls, so this is far above what one IDM can open.
pub const CALLS_PER_SESSION_MAX: usize = 16_384;
/// Calls open at once in the process.
pub const CALLS_MAX: usize = 65_536;
/// Bytes of the requests that are kept for a repetition, in the process. A request is dropped with the first part of its answer.
pub const REQUEST_BYTES_MAX: usize = 512 << 20;
/// Bytes of kept requests that one caller may have when the process has reached half of [`REQUEST_BYTES_MAX`]: two callers cannot
/// use up all of it.
pub const REQUEST_BYTES_PER_SESSION_MAX: usize = 128 << 20;
/// Event subscriptions open at once of one downstream session. They stay open for good, so they have a bound
/// of their own.
pub const SUBSCRIPTIONS_PER_SESSION_MAX: usize = 256;
/// Cookies of paged searches remembered for one downstream session, oldest forgotten first (WIRE 11.9).
pub const PAGE_COOKIES_PER_SESSION_MAX: usize = 4_096;
/// Facade keys remembered for one downstream session, so that configuration changes reach it (WIRE 6).
pub const FACADE_KEYS_PER_SESSION_MAX: usize = 1_024;
/// Bytes of a facade key; a call with a longer one is refused. Real ones have 3 to 5 KB. Certificates and whole scripts in a configuration
/// add tens or hundreds of KB.
pub const FACADE_KEY_BYTES_MAX: usize = 4 << 20;
/// Bytes of a facade key that is remembered. A longer one travels with its calls, and the task of its socket reads it with each call.
pub const FACADE_REMEMBERED_BYTES_MAX: usize = 1 << 20;
/// Configurations that the reading task of one socket knows again without a look at the whole text, the latest ones. An IDM uses some ten.
/// The task knows only what the engine remembers, so this needs no bound in bytes.
pub const CONFIGURATIONS_PER_SOCKET_MAX: usize = 64;
/// Bytes of all of one session, oldest forgotten first.
pub const FACADE_KEY_BYTES_PER_SESSION_MAX: usize = 4 << 20;

/// Bytes that are remembered of all callers together: facade keys, answers sent a moment ago, answers kept for callers without sockets.
pub const REMEMBERED_BYTES_MAX: usize = 256 << 20;
/// Bytes that may be remembered of one caller once half of [`REMEMBERED_BYTES_MAX`] is used. The other half has room for this many bytes
/// of every caller.
pub const REMEMBERED_TIGHT_BYTES: usize = 32 << 10;

/// Ends with a `result` in a row, none without, after which a configuration's streams must have one (P13).
pub const STREAM_ENDS_LEARNED: u32 = 3;
/// Kinds of streams whose ends are remembered for one group; the one that was not used for longest is forgotten.
pub const STREAM_HABITS_MAX: usize = 1_024;
/// A Java server that cannot write an item of a stream tries for 100 ms, then tries again, and then ends the stream as if it were
/// complete (WIRE 5.3). So a stream without a pause of this length was not cut short. Shorter than 100 ms, because the two ends read
/// different clocks.
pub const STREAM_STALL: Duration = Duration::from_millis(90);
/// The end of a stream that had such a pause waits at most this long for the pongs of the member's sockets, which follow everything that
/// the member had written. The pongs of a living member come within milliseconds.
pub const STREAM_PROOF_WAIT: Duration = Duration::from_secs(2);
/// A stream that had such a pause, and ends within this time after a socket of its member was lost, counts as cut: a copy of the last item may
/// have been lost with the socket. What a socket brings later was not written before the loss, since a member that is silent for so long is
/// cut off.
pub const STREAM_LOSS_DOUBT: Duration = Duration::from_secs(10);

// --- overload ---

/// Calls in flight at one member unless a group sets it. A stock RCS has a thread pool without a bound (WIRE 7.2) and a heap
/// with one; a JVM is far beyond its best throughput here.
pub const MEMBER_IN_FLIGHT: usize = 2_048;
/// Calls of one group that may wait for a free place unless it is set.
pub const QUEUED_CALLS: usize = 4_096;
/// How long a call may wait for a free place unless it is set: a login page gives up not much later.
pub const QUEUE_WAIT: Duration = Duration::from_secs(10);
/// Share of retries among a group's calls of the last seconds, in percent; Finagle's and linkerd's number.
pub const RETRY_PERCENT: u32 = 20;
/// Seconds of which retries are a share.
pub const RETRY_WINDOW_SECONDS: usize = 10;
/// Retries in that time that are always allowed: a share of few calls would be less than one.
pub const RETRY_FLOOR: u64 = 100;
/// New connections of callers a second unless it is set: a storm of 2,000 sessions with two sockets each is in within 15 s, and
/// callers that were not in it notice little. Their p99 was 2 to 4 times as long meanwhile at 1,000 a second, 1.7 to 2.1 times at 400
/// (`drill storm`).
pub const ACCEPTS_PER_SECOND: u32 = 300;

// --- retries ---

/// Members a call may be sent to after the first one.
pub const RETRIES_ELSEWHERE_MAX: u8 = 3;
/// Time between two looks at a read whose answer is overdue and that could not be hedged: its member answered no later call, or no
/// other member had a free place. Looks are cheap, and no caller notices a second.
pub const HEDGE_LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Times a call may be sent again to the same member (refused before the handshake was stored, id in use).
pub const RETRIES_SAME_MAX: u8 = 3;
/// Members one call may lose before it counts as poison and is failed: it takes no third member
/// with it.
pub const POISON_LOSSES_MAX: u8 = 2;
/// Members lost one after the other after which a configuration is quarantined that a member has answered before. One more than for other
/// configurations: a busy configuration is at every member, so a member that restarts and another one that freezes would suffice, and
/// all calls would be refused while the restarted member serves.
pub const LOSSES_OF_KNOWN_CONFIGURATION_MAX: u8 = POISON_LOSSES_MAX + 1;
/// How long a call that looks like poison waits for a sign that a member that was lost with it lives: a router dials again within
/// 200 ms, and a Java server takes its connection in some 100 ms more.
pub const POISON_PROOF_WAIT: Duration = Duration::from_secs(2);
/// Configurations of the process that are remembered because members were lost with them, suspects and quarantined ones together. Each
/// takes a few hundred bytes.
pub const SUSPECTED_CONFIGURATIONS_MAX: usize = 256;
/// Lost processes that are remembered of one such configuration: enough to name the members.
pub const LOSSES_PER_CONFIGURATION_MAX: usize = 8;
/// Time after which a suspicion without a second loss is dropped. A caller that repeats a failed call does so sooner.
pub const SUSPICION_KEPT: Duration = Duration::from_mins(10);
/// Time of the first quarantine of a configuration. The time doubles with each further quarantine. It is long enough to restart the lost
/// members, and short enough for a configuration that was mended, or was quarantined for the fault of another.
pub const QUARANTINE_BASE: Duration = Duration::from_mins(1);
/// The longest quarantine. A configuration that nobody mends then ends at most one member an hour.
pub const QUARANTINE_CAP: Duration = Duration::from_hours(1);
/// Time after a release in which the next member that is lost with the configuration counts at once, and earlier quarantines are
/// remembered.
pub const PROBATION_KEPT: Duration = Duration::from_hours(24);
/// Calls of a member's session that were given up without an answer and are remembered as suspects, because most members go on with them.
pub const GIVEN_UP_CALLS_MAX: usize = 64;
/// Time for which such calls are suspects: a process that runs out of memory does so within seconds.
pub const GIVEN_UP_SUSPECT: Duration = Duration::from_mins(1);
/// Wait before a call goes again to the member that refused it before the handshake; the refusals were seen
/// up to 122 ms after the handshake answer (WIRE 7.1).
pub const RETRY_SAME_WAIT: Duration = HOLD_OFF;

// --- sessions and sockets ---

/// Longest time between the upgrade of a socket that a peer dialled and the peer's handshake. A Java peer sends it within milliseconds. Who
/// never sends it is told within 5 s, also if the tick is late.
pub const GREETING_DEADLINE: Duration = Duration::from_secs(4);

/// Longest time between the upgrade of a socket and the peer's handshake.
pub const fn handshake_deadline(side: Side) -> Duration {
    match side {
        Side::Accepted => GREETING_DEADLINE,
        Side::Dialled => HANDSHAKE_DEADLINE,
    }
}

/// Downstream sessions: IDM processes, and what looks like one. Twice as many as a storm of 2,000 that come back as others
/// while those that they were are still remembered.
pub const DOWNSTREAM_SESSIONS_MAX: usize = 4_096;
/// Lists of connectors that are kept for callers whose calls choose among several groups, one for each different choice of groups. Beyond
/// this number they are made anew, each at its next question.
pub const LISTS_OF_SEVERAL_MAX: usize = 64;
/// Sockets of one session, either side. Java's own maximum is 10.
pub const SOCKETS_PER_SESSION_MAX: usize = 16;

/// Sockets of one member in client mode, handshakes under way included: those of a process, twice while it replaces them, and as many of a
/// process before it that is gone without a word. Descriptors are the process's.
pub const SOCKETS_PER_DIALLING_MEMBER_MAX: usize = 4 * SOCKETS_PER_SESSION_MAX;
/// A call that a caller waits for, and that nobody here holds, is answered after this time: its request, or its answer, may be on its way.
pub const NOT_HELD_WAIT: Duration = Duration::from_secs(10);
/// Such calls that are noted of one caller, and of all callers together; each takes less than 64 bytes. The others wait for the caller's
/// next session check.
pub const NOT_HELD_PER_CALLER_MAX: usize = rcs_proto::limits::CHECK_NOT_HELD_MAX;
/// See [`NOT_HELD_PER_CALLER_MAX`].
pub const NOT_HELD_MAX: usize = 65_536;
/// Processes that may run under the name of one server in client mode, each a member of its own.
pub const HOSTS_PER_NAME_MAX: u32 = 16;
/// Sockets per member when the document does not say (C05).
pub const SOCKETS_PER_MEMBER_DEFAULT: u8 = 2;
/// Time from the accepted connection to the end of the upgrade request.
pub const UPGRADE_DEADLINE: Duration = Duration::from_secs(5);
/// Time to reach a member: TCP and TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest wait before the first new attempt to reach a member; it doubles from here.
pub const RECONNECT_BASE: Duration = Duration::from_millis(50);
/// Largest wait between two attempts. With [`HOLD_OFF`] it keeps the return of a member below
/// [`RETURN_TO_SERVICE_MAX`].
pub const RECONNECT_CAP: Duration = Duration::from_millis(1_000);
/// A member that listens again is in use within this time.
pub const RETURN_TO_SERVICE_MAX: Duration = Duration::from_secs(2);
/// Pause after a member refused the router's credentials: more attempts would only fill the member's log.
pub const REFUSED_CREDENTIALS_WAIT: Duration = Duration::from_secs(10);

// --- health ---

/// Time between two pings of a socket. A document may shorten it; it cannot make it longer, or P6 would not
/// hold.
pub const PING_INTERVAL: Duration = Duration::from_millis(2_500);
/// Shortest time between two pings a document may ask for.
pub const PING_INTERVAL_MIN: Duration = Duration::from_millis(1_000);
/// How often sockets, members and deadlines are checked, and so the most by which an action is late.
pub const TICK: Duration = Duration::from_millis(250);
/// A tick that is late by this time shows that the process or its machine stood still. A busy router is late by some milliseconds.
pub const STANDSTILL: Duration = Duration::from_secs(1);
/// How long all timers are put off after a standstill, so that the router first reads what came meanwhile. That takes some
/// milliseconds, because little fits into its queues.
pub const STANDSTILL_GRACE: Duration = TICK;
/// Time between two pings of a caller's socket: they only keep middle boxes from closing it (P18). nginx closes after
/// 60 s without data.
pub const CALLER_PING_INTERVAL: Duration = Duration::from_secs(30);
/// Pings in a row without a pong after which a socket counts as dead.
pub const PING_MISSES_MAX: u32 = 2;
/// Unanswered pings after which the last member of a group that can be reached is cut off: a member that answers late is better than none.
/// With the interval of pings, the sockets of such a member are closed after 18 s.
pub const PING_MISSES_OF_LAST_MAX: u32 = 6;
/// A ping or session check that is unanswered for this time raises the question whether its member lives. So two members that fall silent at
/// once, one of them frozen and the other one late, are both kept until one of them answers. A member that is well answers within some
/// milliseconds.
pub const ANSWER_AWAITED: Duration = Duration::from_secs(1);
/// Session checks in a row without an answer after which the last member of a group is cut off, if its pings are off.
pub const CHECK_MISSES_OF_LAST_MAX: u32 = 6;
/// A frozen or black-holed member is out of rotation within this time (P6).
pub const FROZEN_MEMBER_OUT_MAX: Duration = Duration::from_secs(10);

/// Equal probe results in a row that take a member out of rotation.
pub const PROBE_FALL: u32 = 2;
/// Equal probe results in a row that bring it back.
pub const PROBE_RISE: u32 = 2;
/// Time between two session checks towards a member; also how long each may take.
pub const CHECK_PROBE_EVERY: Duration = Duration::from_secs(3);
/// Time between two `test` probes of a member, over all its connectors in use.
pub const TEST_PROBE_EVERY: Duration = Duration::from_secs(5);
/// Time a `test` probe may take.
pub const TEST_PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a connector's configuration is tested after its last call.
pub const FACADE_IN_USE: Duration = Duration::from_secs(600);
/// Configurations that are probed and warmed up, the latest of a group.
pub const PROBED_FACADES_MAX: usize = 4;
/// Configurations of a group that are remembered because a member has answered a call with them. Members are tested with no others. This
/// is more than are tested, so that a configuration known for long is not taken for a new one.
pub const ANSWERED_CONFIGURATIONS_MAX: usize = 64;
/// `test`s of a member that were given up and may still run there, each with another configuration. The oldest one is dropped first.
pub const HANGING_TESTS_MAX: usize = 64;
/// Time a member may take to warm up; then it is served with as it is.
pub const WARM_UP_MAX: Duration = Duration::from_secs(5);
/// A member that is linked for this time beyond its hold-down counts as stable: after its next loss it serves again at once.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// The hold-down of a member that was lost before it was stable; doubles with each time.
pub const HOLD_DOWN_BASE: Duration = Duration::from_secs(1);
/// The longest hold-down.
pub const HOLD_DOWN_CAP: Duration = Duration::from_secs(30);
/// Failed calls in a row that eject a member; Envoy's number.
pub const EJECTION_FAILURES: u32 = 5;
/// How many times slower than the median of its group a member's calls are when they eject it, in percent. HAProxy and Envoy
/// leave that to the operator; members of a group are alike, so a factor of ten is an illness and no difference in machines.
pub const EJECTION_LATENCY_PERCENT: u32 = 1_000;
/// Windows in which the latencies of a group's members are compared. Two in a row and one that has begun make detection take
/// 15 s at most.
pub const OUTLIER_WINDOW: Duration = Duration::from_secs(5);
/// Windows in a row in which a member is too slow that eject it.
pub const OUTLIER_FALL: u32 = 2;
/// Calls of a member in a window below which nothing is said of its latency.
pub const OUTLIER_SAMPLES: u32 = 10;
/// A member that is slower by no more than this is not ejected, whatever the factor: it may be farther away.
pub const OUTLIER_FLOOR: Duration = Duration::from_millis(20);
/// Time a member is ejected first.
pub const EJECTION_BASE: Duration = Duration::from_secs(10);
/// The longest ejection.
pub const EJECTION_CAP: Duration = Duration::from_secs(60);
/// Health takes no member out if fewer than this share of a group's reachable members would be left, in percent: then
/// all of them serve (panic threshold; Envoy's number).
pub const PANIC_PERCENT: usize = 50;

// --- bundle sets ---

/// Every `DRIFT_CHECKS`-th session check also requests a member's connectors; an unchanged list costs one comparison.
pub const DRIFT_CHECKS: u32 = 3;
/// A member whose connectors change while it runs is out of rotation within this time (G12), if it responds at once.
pub const DRIFT_SEEN_MAX: Duration = Duration::from_secs(10);
/// How long a group without a set waits, after a member's first report, for the reports of the others. A server that runs is dialled,
/// shakes hands and reports within a second. A member that cannot be reached is not waited for.
pub const FIRST_USE_WAIT: Duration = Duration::from_secs(3);
/// How long a router of a cluster waits until it proposes the same change of a group's bundle sets again. The log decides within a second, and
/// a cluster that has just lost its leader has a new one by then.
pub const PROPOSAL_AGAIN: Duration = Duration::from_secs(5);
/// Operators' changes that wait for the routers of a cluster at once; the next one is refused. Each waits for seconds, and few operators
/// work at the same time.
pub const CHANGES_ASKED_MAX: usize = 1_024;
/// Bytes of a connector key; a call with a longer key is refused. Real ones have about 150.
pub const CONNECTOR_KEY_BYTES_MAX: usize = 4_096;
/// Connectors of a group for which the router remembers which members run their calls, while the members differ; beyond it, all
/// are computed again.
pub const CONNECTOR_KEYS_WORKED_OUT_MAX: usize = 256;

/// Connectors that are remembered of one caller. The connector that was not used for longest is dropped first. An IDM uses some ten. With
/// [`CONNECTOR_USED_BYTES_MAX`] all callers together cost 32 MiB at most.
pub const CONNECTORS_USED_MAX: usize = 16;
/// Bytes of a connector key that is remembered of a caller. Real keys have about 150.
pub const CONNECTOR_USED_BYTES_MAX: usize = 512;
/// How long a connected caller counts as a user of a connector after its last call: jobs of IDMs run once a day.
pub const CONNECTOR_USED_LATELY: Duration = Duration::from_hours(25);
/// Connectors that a text names, and principals that it names for each. The others are only counted.
pub const IN_USE_SHOWN_MAX: usize = 4;
/// Versions of a connector that an error names.
pub const VERSIONS_SHOWN_MAX: usize = 8;
/// Stand-in rules of one group. Each call for a version that no member has searches all of these rules.
pub const STAND_INS_MAX: usize = 256;
/// Missing versions for which calls are counted one by one. Calls for further versions are counted together.
pub const UNSERVED_MAX: usize = 16;
/// Time between two lines of the log about calls for one version that no member has.
pub const UNSERVED_EVERY: Duration = Duration::from_secs(60);

/// Connectors that one member may list; installations have some tens.
pub const MANIFEST_CONNECTORS_MAX: usize = 1_024;
/// Properties of all connectors of one member; a large connector has about a hundred.
pub const MANIFEST_PROPERTIES_MAX: usize = 32_768;
/// Items of a difference between two bundle sets that are kept and shown; the others are counted.
pub const DIFFERENCE_ITEMS_MAX: usize = 100;
/// Properties named in one item of a difference; the others are counted.
pub const DIFFERENCE_PROPERTIES_MAX: usize = 8;
/// Changes of a member's bundle set in a row, without [`BUNDLES_STABLE_AFTER`] between them, that have no consequence: an
/// upgrade and its way back. From the next change on the member is held.
pub const BUNDLES_FLIPS_FREE: u32 = 2;
/// How long a member is held at first; doubles with each further change.
pub const BUNDLES_HOLD_BASE: Duration = Duration::from_secs(15);
/// The longest hold.
pub const BUNDLES_HOLD_CAP: Duration = Duration::from_secs(600);
/// A member whose set stays unchanged for this time, holds included, may change the set again at once.
pub const BUNDLES_STABLE_AFTER: Duration = Duration::from_secs(300);
/// How long a member's agent may be silent before its report no longer counts; agents report every few seconds.
pub const AGENT_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Members of a group that must keep serving during a rolling upgrade, unless the operator sets another number.
pub const UPGRADE_SERVING_MIN: usize = 1;

// --- deadlines, where the caller says none in its configuration ---

/// For authenticate: somebody waits at a login page (J06, J08).
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(15);
/// For reads with one answer.
pub const READ_DEADLINE: Duration = Duration::from_secs(60);
/// For create, update and delete.
pub const CHANGE_DEADLINE: Duration = Duration::from_secs(120);
/// For scripts, which may do anything.
pub const SCRIPT_DEADLINE: Duration = Duration::from_secs(600);
/// For searches, syncs and batches: the longest time between two frames of the answer.
pub const STREAM_IDLE_DEADLINE: Duration = Duration::from_secs(300);

/// Time after the last result of a batch at which its caller has ended the batch by itself: 5 s (WIRE 5.6), and a second for frames
/// that are on their way.
pub const BATCH_QUIET: Duration = Duration::from_secs(6);
/// Tokens of one frame of a batch that are remembered or looked up. A batch has one.
pub const BATCH_TOKENS_MAX: usize = 8;

// --- buffers ---

/// Room for answers that callers have not read yet, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In memory.
    pub memory: usize,
    /// In spill files, if there is a directory for them.
    pub disk: usize,
}

/// What may wait for one call's caller, that is, for its socket. Members are read without pause (P13), so past this bound the call
/// is failed. In memory the largest frame must have its place; rows leave it long before, unless the disk is slower than the
/// member or there is none. On disk: five searches of 100,000 rows of 1 KB.
pub const CALL_BACKLOG_MAX: Room = Room { memory: 80 << 20, disk: 512 << 20 };
/// What may wait for one session.
pub const SESSION_BACKLOG_MAX: Room = Room { memory: 128 << 20, disk: 1 << 30 };
/// What may wait in the whole process.
pub const PROCESS_BACKLOG_MAX: Room = Room { memory: 256 << 20, disk: 4 << 30 };
/// Below this backlog, bytes, a socket is not slow: the sums over session and process are not looked at, and any call's answer may
/// go there.
pub const SOCKET_BACKLOG_LOW: usize = 1 << 20;
/// What an item of a search or sync that came before a missing one takes, bytes: the item is passed on at once, and its number is kept.
pub const OUT_OF_ORDER_ITEM_BYTES: usize = 24;
/// Bytes that are kept of one call's answer because its parts came out of order: the numbers of items, and the end. Past this bound the
/// call is failed. There is room for [`STREAM_AHEAD_MAX`] numbers and for any end that was seen.
pub const OUT_OF_ORDER_CALL_BYTES_MAX: usize = 4 << 20;
/// The same of all calls in the process.
pub const OUT_OF_ORDER_BYTES_MAX: usize = 64 << 20;
/// Bytes that each call may keep even when [`OUT_OF_ORDER_BYTES_MAX`] is used up, so that one member's answers cut no others: some hundred
/// items, or an end. All calls of the process together then keep 256 MiB at most.
pub const OUT_OF_ORDER_TIGHT_BYTES: usize = 4 << 10;
/// Events between the socket tasks and the owner of the state, in frames.
pub const EVENT_QUEUE_MAX: usize = 1_024;

// --- endings ---

/// Time a caller without sockets is remembered: answers that come meanwhile are kept for it. A 1.8.0 dialler never comes
/// back, a 2.0.4 one within 60 s (WIRE 1.3).
pub const CALLER_KEPT: Duration = Duration::from_secs(75);
/// Ends of answers kept for a caller without sockets: of all its open calls, and of those that were on their way.
pub const KEPT_ANSWERS_MAX: usize = CALLS_PER_SESSION_MAX + rcs_proto::limits::RECENT_ANSWERS_MAX;
/// Bytes of kept answers; an answer beyond it becomes an error.
pub const KEPT_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Time the answer of a call may take whose socket died while others of the member's session live: the member sends it on
/// any of them (WIRE 4.2), but may never have got the request. Ping's own default for an operation (OPENICF-2939).
pub const ORPHAN_WAIT: Duration = Duration::from_secs(15);

/// Time open calls have to finish after SIGTERM; Kubernetes kills after 30 s.
pub const DRAIN_TIME: Duration = Duration::from_secs(25);

/// Time between two looks whether a way through another router that gets no new calls has ended its last call. A look costs nothing.
pub const WAY_LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a drain waits for the next page of a paged search: only the drained member may have the state behind the cookie. A
/// caller that works on a page for longer gets the error of a lost page, and can start the search again.
pub const PAGE_GAP: Duration = Duration::from_secs(30);
/// Sockets of a drained member that are closed per [`TICK`].
pub const DRAIN_CLOSES: usize = 2;
/// Time between the first dials for the slots of a member that is taken back into service.
pub const DIAL_STAGGER: Duration = Duration::from_millis(50);

// --- explanations ---

/// The latest refused, retried and failed calls whose explanations are kept.
pub const EXPLAINED_CALLS_MAX: usize = 4_096;
/// Faults remembered of one call. With [`MEMBERS_PER_GROUP_MAX`] members noted at each, 8 bytes a member, all of them have some 16
/// MiB at most.
pub const EXPLAINED_STEPS_MAX: usize = 8;
/// Characters that are kept of a text that a peer chose: a connector, an object class, the class of an exception. With four such texts and
/// the sentence of an error, [`EXPLAINED_CALLS_MAX`] calls take some 8 MiB at most.
pub const EXPLAINED_TEXT_CHARS: usize = 160;
/// Calls in the answer to one question of an operator. While the owner gathers the answer, calls wait.
pub const CALLS_REPORTED_MAX: usize = 1_000;

// --- reports ---

/// Time that callers wait for a list of connectors before the operator is told. A router that has just started is linked to its members by
/// then.
pub const LIST_WAIT_TOLD_AFTER: Duration = Duration::from_secs(10);
/// Time between two such lines while callers wait.
pub const LIST_WAIT_TOLD_EVERY: Duration = Duration::from_mins(1);

// --- rotation ---

/// How long the answers for a dialled caller wait before one of its sockets is closed. A thread of the caller that has just got an answer asks its
/// next question within this, and waits then: a Java thread hangs for 13 minutes if it sends into a socket that is being closed (WIRE 9).
pub const PARTING_WAIT: Duration = Duration::from_millis(300);
/// How much longer these answers wait, for the caller to close its end of the socket.
pub const PARTING_CLOSE: Duration = Duration::from_millis(200);

const _: () = assert!(PARTING_WAIT.as_millis() + PARTING_CLOSE.as_millis() < 1_000, "callers hardly notice");

/// Replacements that are begun per [`TICK`]: with 1,024 members of two sockets, a TTL of a minute is kept, and with
/// [`MEMBERS_MAX`] members a TTL of six minutes.
pub const ROTATIONS_BEGUN: usize = 16;
/// Time an old socket towards a member waits for a moment in which the member holds no call, before calls are held back for it.
pub const ROTATION_QUIET: Duration = Duration::from_secs(1);
/// How long they are held back at a time; a member that has longer calls is left in peace until [`ROTATION_AGAIN`].
pub const ROTATION_REST: Duration = Duration::from_millis(250);
/// How long they are held back for a member to close its end of the old socket.
pub const ROTATION_CLOSE: Duration = Duration::from_secs(1);
/// Time between two attempts.
pub const ROTATION_AGAIN: Duration = Duration::from_secs(5);
/// Time until a socket that is old enough, and cannot be replaced now, is asked about again.
pub const ROTATION_LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Time a caller's old socket waits for the answers that go out on it; then it stays for another TTL, for a stream keeps its
/// order on one socket only.
pub const ROTATION_MAX: Duration = Duration::from_secs(30);

// --- relations ---

const _: () = {
    assert!(MEMBERS_PER_GROUP_MAX <= MEMBERS_MAX);
    assert!(GROUPS_MAX <= NAMES_EVER_MAX as usize);
    assert!(CALLS_PER_SESSION_MAX <= CALLS_MAX);
    assert!(
        CALLS_MAX + rcs_proto::limits::RECENT_ANSWERS_MAX < rcs_proto::limits::CHECK_IDS_MAX,
        "a session check of our own is read by its peer"
    );
    assert!(
        FRAME_BYTES_MAX < REQUEST_BYTES_PER_SESSION_MAX,
        "the largest request of a quiet caller is taken"
    );
    assert!(REQUEST_BYTES_PER_SESSION_MAX < REQUEST_BYTES_MAX / 2);
    assert!(DOWNSTREAM_SESSIONS_MAX * REMEMBERED_TIGHT_BYTES <= REMEMBERED_BYTES_MAX / 2);
    assert!(KEPT_ANSWER_BYTES_MAX < REMEMBERED_BYTES_MAX / 2);
    assert!(FACADE_REMEMBERED_BYTES_MAX <= FACADE_KEY_BYTES_PER_SESSION_MAX, "what is remembered fits");
    assert!(FACADE_REMEMBERED_BYTES_MAX <= FACADE_KEY_BYTES_MAX && FACADE_KEY_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(CONFIGURATIONS_PER_SOCKET_MAX <= FACADE_KEYS_PER_SESSION_MAX);
    assert!(STREAM_AHEAD_MAX * OUT_OF_ORDER_ITEM_BYTES < OUT_OF_ORDER_CALL_BYTES_MAX);
    assert!(OUT_OF_ORDER_CALL_BYTES_MAX < OUT_OF_ORDER_BYTES_MAX);
    assert!(OUT_OF_ORDER_TIGHT_BYTES * CALLS_MAX <= 256 << 20, "what its comment says");
    assert!(SUBSCRIPTIONS_PER_SESSION_MAX < CALLS_PER_SESSION_MAX, "subscriptions leave room for calls");
    assert!(SOCKETS_PER_MEMBER_DEFAULT as usize <= SOCKETS_PER_SESSION_MAX && SOCKETS_PER_MEMBER_DEFAULT > 0);
    assert!(POISON_LOSSES_MAX <= RETRIES_ELSEWHERE_MAX, "poison is found before the retries end");
    assert!(FRAME_BYTES_MAX < CALL_BACKLOG_MAX.memory, "the largest frame fits a call's backlog");
    assert!(
        CALL_BACKLOG_MAX.memory <= SESSION_BACKLOG_MAX.memory,
        "one call cannot fill more than its session"
    );
    assert!(
        CALL_BACKLOG_MAX.disk < SESSION_BACKLOG_MAX.disk,
        "one call leaves room for others of its session"
    );
    assert!(SESSION_BACKLOG_MAX.memory <= PROCESS_BACKLOG_MAX.memory, "one session cannot fill the process");
    assert!(SESSION_BACKLOG_MAX.disk < PROCESS_BACKLOG_MAX.disk, "one session cannot fill the disk");
    assert!(SOCKET_BACKLOG_LOW < CALL_BACKLOG_MAX.memory);
    assert!(RECONNECT_BASE.as_millis() <= RECONNECT_CAP.as_millis());
    assert!(RECONNECT_CAP.as_millis() + 2 * HOLD_OFF.as_millis() < RETURN_TO_SERVICE_MAX.as_millis());
    // A process may freeze just after a pong: one interval passes before the next ping, then each miss takes
    // one.
    assert!(
        (PING_INTERVAL.as_millis() + TICK.as_millis()) * (PING_MISSES_MAX as u128 + 1)
            <= FROZEN_MEMBER_OUT_MAX.as_millis(),
        "P6: a frozen member leaves within its time"
    );
    assert!(
        (CHECK_PROBE_EVERY.as_millis() + TICK.as_millis()) * (PROBE_FALL as u128 + 1)
            <= FROZEN_MEMBER_OUT_MAX.as_millis(),
        "P6: a hung framework leaves within its time"
    );
    assert!(
        (CHECK_PROBE_EVERY.as_millis() + TICK.as_millis()) * DRIFT_CHECKS as u128
            <= DRIFT_SEEN_MAX.as_millis(),
        "drift is seen within its time"
    );
    assert!(PROBED_FACADES_MAX <= ANSWERED_CONFIGURATIONS_MAX && PROBED_FACADES_MAX < HANGING_TESTS_MAX);
    assert!(LOSSES_OF_KNOWN_CONFIGURATION_MAX as usize <= LOSSES_PER_CONFIGURATION_MAX);
    assert!(QUARANTINE_BASE.as_millis() <= QUARANTINE_CAP.as_millis());
    assert!(POISON_PROOF_WAIT.as_millis() < QUARANTINE_BASE.as_millis());
    assert!(QUARANTINE_CAP.as_millis() < PROBATION_KEPT.as_millis(), "a repeat is known as one");
    assert!(ANSWER_AWAITED.as_millis() < PING_INTERVAL.as_millis());
    assert!(PING_MISSES_MAX < PING_MISSES_OF_LAST_MAX && PROBE_FALL < CHECK_MISSES_OF_LAST_MAX);
    assert!(HOLD_DOWN_BASE.as_millis() <= HOLD_DOWN_CAP.as_millis());
    assert!(EJECTION_BASE.as_millis() <= EJECTION_CAP.as_millis());
    assert!(QUEUED_CALLS <= CALLS_MAX && MEMBER_IN_FLIGHT <= CALLS_MAX);
    assert!(QUEUE_WAIT.as_millis() < LOGIN_DEADLINE.as_millis(), "a login that waited can still be done");
    assert!(PANIC_PERCENT <= 100);
    assert!(
        CONNECTOR_USED_BYTES_MAX <= CONNECTOR_KEY_BYTES_MAX
            && DOWNSTREAM_SESSIONS_MAX * CONNECTORS_USED_MAX * CONNECTOR_USED_BYTES_MAX <= 32 << 20,
        "the connectors that callers use cost what their comment says"
    );
    assert!(UNSERVED_EVERY.as_millis() > TICK.as_millis() && IN_USE_SHOWN_MAX <= CONNECTORS_USED_MAX);
    assert!(
        FIRST_USE_WAIT.as_millis() < QUEUE_WAIT.as_millis(),
        "a call of the first moment can be repeated soon"
    );
    assert!(PROPOSAL_AGAIN.as_millis() > TICK.as_millis(), "a lost proposal is looked at on a tick");
    assert!(BUNDLES_HOLD_BASE.as_millis() <= BUNDLES_HOLD_CAP.as_millis());
    assert!(
        DIFFERENCE_PROPERTIES_MAX < DIFFERENCE_ITEMS_MAX && MANIFEST_CONNECTORS_MAX < MANIFEST_PROPERTIES_MAX
    );
    assert!(TICK.as_millis() < PING_INTERVAL_MIN.as_millis());
    assert!(STANDSTILL.as_millis() > 2 * TICK.as_millis(), "one tick that comes late is no standstill");
    assert!(PING_INTERVAL_MIN.as_millis() <= PING_INTERVAL.as_millis());
    assert!(HOLD_OFF.as_millis() < HANDSHAKE_DEADLINE.as_millis());
    assert!(GREETING_DEADLINE.as_millis() + TICK.as_millis() < 5_000, "a stranger is told within 5 s");
    assert!(
        (SOCKETS_PER_SESSION_MAX / DRAIN_CLOSES) as u128 * TICK.as_millis() < HANDSHAKE_DEADLINE.as_millis(),
        "a drained member's sockets are closed soon"
    );
    assert!(
        ROTATION_REST.as_millis() + ROTATION_CLOSE.as_millis() < QUEUE_WAIT.as_millis(),
        "what is held back is not lost"
    );
    assert!(ROTATIONS_BEGUN as u128 * 6 * 60_000 / TICK.as_millis() >= 2 * MEMBERS_MAX as u128);
    assert!(DRAIN_TIME.as_secs() < 30, "Kubernetes' default grace period");
};
