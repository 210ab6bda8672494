//! Bounds of the shell around the engine (promise P10); those of routing are in [`rcs_core::limits`].

use std::ops::RangeInclusive;
use std::time::Duration;

use rcs_core::limits::{FRAME_BYTES_MAX, PROCESS_BACKLOG_MAX, SESSION_BACKLOG_MAX};
use rcs_proto::driver::limits as driver;
use rcs_proto::limits::{MANIFEST_BODY_BYTES_MAX, MANIFEST_TEXT_BYTES_MAX};

/// Requests to the owner that wait to be taken: accepted and dialled sockets, probes, views.
pub(crate) const REQUEST_QUEUE_MAX: usize = 256;
/// Events the owner applies per wake-up, before it looks at requests and timers again.
pub(crate) const EVENT_BATCH_MAX: usize = 256;
/// Dials of members under way at a time; further ones wait. Those that nobody answers take [`rcs_core::limits::CONNECT_TIMEOUT`],
/// so there is room for many of them beside the ones that succeed.
pub(crate) const DIALS_MAX: usize = 256;
/// Members that the doctor dials at a time, and the time it waits for the connectors of one.
pub(crate) const DOCTOR_DIALS_MAX: usize = 16;
pub(crate) const DOCTOR_LIST_WAIT: Duration = Duration::from_secs(10);
/// Bytes the driver keeps in memory for one socket. The engine stops a call long before; reaching this ends the socket, because a frame
/// must not vanish.
pub(crate) const DRIVER_BACKLOG_BYTES_MAX: usize = 256 << 20;
/// Bytes that all spill files together may take. The engine fails calls before; what is over stays in memory.
pub(crate) const SPILL_BYTES_MAX: u64 = PROCESS_BACKLOG_MAX.disk as u64 + (256 << 20);
/// Time sockets have to write what is queued and to close, at the end of the process.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_millis(2_500);
/// Time in which the callers' threads come to wait for us before their sockets are closed: a thread that has just got an answer
/// asks its next question within this.
pub(crate) const FAREWELL_WAIT: Duration = Duration::from_millis(300);
/// In how many goes they are closed, and the time between two.
pub(crate) const CLOSE_BATCHES: usize = 20;
pub(crate) const CLOSE_EVERY: Duration = Duration::from_millis(25);
/// Bytes of the context path: far from the bound of a request's head.
pub(crate) const CONTEXT_PATH_BYTES_MAX: usize = 256;
/// Addresses on which callers are accepted: at most this many on the command line, and as many in the configuration file.
pub(crate) const LISTENERS_MAX: usize = 128;
/// How often the router tries again to listen on an address after a failure.
pub(crate) const LISTEN_AGAIN_EVERY: Duration = Duration::from_secs(2);
/// References to connectors in one list of the configuration file, or of a request.
pub(crate) const CONNECTOR_REFERENCES_MAX: usize = 256;
/// Calls that are listed, unless the operator gives a number.
pub(crate) const CALLS_LISTED: usize = 100;
/// Unknown outcomes that are kept until they are acknowledged. The oldest ones are dropped first. Each has a kibibyte at most, so all of
/// them have 10 MiB.
pub(crate) const UNKNOWN_OUTCOMES_MAX: usize = 10_000;
/// Unknown outcomes that wait to be written. A member that dies leaves one for each change that it had in flight.
pub(crate) const UNKNOWN_QUEUE_MAX: usize = 8_192;
/// Bytes of the file of unknown outcomes that are read at the start: room for more than twice as many lines as are kept.
pub(crate) const UNKNOWN_FILE_BYTES_MAX: u64 = 32 << 20;
/// Time for which the end of the process waits until the last unknown outcomes are written: a full queue has 8 MiB.
pub(crate) const UNKNOWN_FLUSH_MAX: Duration = Duration::from_millis(500);
/// How often a directory is tried again that a later process has not given back.
pub(crate) const UNKNOWN_PLACE_AGAIN: Duration = Duration::from_secs(1);
/// Series of `rcs_calls_total` that exist before they count anything: some 100 for each member of each group. A scrape of this many series
/// takes some 2 MiB.
pub(crate) const METRIC_SERIES_BORN_MAX: usize = 20_000;
/// Trusted certificates that a scrape shows, those that end first.
pub(crate) const METRIC_CERTIFICATES_MAX: usize = 256;
/// Lines that `status` shows of the faults of one rejected file; `rcs-router check` shows all of them.
pub(crate) const STATUS_FAULT_LINES_MAX: usize = 6;
/// Columns of a table for people. Every terminal has this many.
pub(crate) const TABLE_COLUMNS: usize = 80;
/// Time the command line waits for an answer of a router, and its size.
pub(crate) const CLIENT_DEADLINE: Duration = Duration::from_secs(10);
/// The same for a change of the cluster's routers, which takes up to [`ROUTERS_REQUEST_DEADLINE`].
pub(crate) const CLIENT_ROUTERS_DEADLINE: Duration = Duration::from_secs(40);
pub(crate) const CLIENT_ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How often the command line looks whether what it waits for has come.
pub(crate) const CLIENT_LOOK_EVERY: Duration = Duration::from_millis(250);
/// Threads that move frames.
pub(crate) const THREADS_MAX: u16 = 256;
/// How often the provider file is looked at.
pub(crate) const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// How often the log says which certificates end soon or have ended.
pub(crate) const CERTIFICATE_DATES_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of a key file.
pub(crate) const KEY_FILE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a file of credentials: [`CREDENTIALS_MAX`] entries with a few groups each.
pub(crate) const CREDENTIALS_BYTES_MAX: usize = 1 << 20;
/// Characters of a name or path in the Close frame of a peer that is turned away, so that the line fits into the frame.
pub(crate) const STRANGER_NAME_CHARS: usize = 16;
/// Peers that were turned away and wait for their line in the log. Further ones are counted by the metric alone.
pub(crate) const STRANGERS_WAITING_MAX: usize = 64;
/// Name of the header or query parameter in which members name themselves, bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 64;
/// Certificates of one caller or member in a file of credentials.
pub(crate) const CERTIFICATES_PER_ENTRY_MAX: usize = 16;
/// Members that one credential may own: as many as a group may have.
pub(crate) const OWNED_MEMBERS_MAX: usize = 64;
/// Callers and members in a file of credentials.
pub(crate) const CREDENTIALS_MAX: usize = 1_024;
/// Hashes of one caller or member: one, and some while keys are replaced. A wrong key is verified against each of them.
pub(crate) const HASHES_MAX: usize = 4;
/// Groups of one caller in a file of credentials.
pub(crate) const CREDENTIAL_GROUPS_MAX: usize = 256;
/// Bytes of the name of a caller.
pub(crate) const PRINCIPAL_BYTES_MAX: usize = 256;
/// Memory of one hash, KiB: at least the smallest that OWASP recommends for argon2id.
pub(crate) const HASH_MEMORY_MIN_KIB: u32 = 7 << 10;
/// Memory of one hash, KiB. Each thread that verifies keys holds as much.
pub(crate) const HASH_MEMORY_MAX_KIB: u32 = 64 << 10;
/// Passes of one hash over its memory.
pub(crate) const HASH_PASSES_MAX: u32 = 16;
/// Memory times passes of one hash, KiB: some 100 ms of a processor.
pub(crate) const HASH_WORK_MAX_KIB: u32 = 128 << 10;
/// Hashes of a file that are compared with well-known keys when the file is read: some seconds of a processor at most. Callers with a
/// well-known key are refused in any case.
pub(crate) const HASHES_COMPARED_MAX: usize = 64;
/// Threads that verify keys, one for each four processors.
pub(crate) const VERIFIER_THREADS_MAX: usize = 4;
/// The niceness of these threads, so that threads that move frames go first.
pub(crate) const VERIFIER_NICE: i32 = 5;
/// Keys that wait to be verified. A thread verifies some 50 a second, and a connection waits for 10 s at most.
pub(crate) const VERIFIED_QUEUE_MAX: usize = 256;
/// Wrong keys that are known again without being verified. Each takes 32 bytes.
pub(crate) const WRONG_KEYS_REMEMBERED_MAX: usize = 4_096;
/// Issuers of access tokens in a file of credentials.
pub(crate) const ISSUERS_MAX: usize = 16;
/// Scopes that the tokens of one issuer must have.
pub(crate) const ISSUER_SCOPES_MAX: usize = 16;
/// Bytes of an access token. The head of a request has 8 KiB, and other headers.
pub(crate) const ACCESS_TOKEN_BYTES_MAX: usize = 6 << 10;
/// Tokens of one issuer that are known again without being verified or asked about. Each takes less than twice its own bytes.
pub(crate) const TOKENS_REMEMBERED_MAX: usize = 4_096;
/// How far the clocks of router and authorization server may differ, unless the operator says otherwise; and the most that can be set.
pub(crate) const TOKEN_LEEWAY: Duration = Duration::from_secs(30);
pub(crate) const TOKEN_LEEWAY_MAX: Duration = Duration::from_secs(300);
/// Bytes of a key set (JWKS). Keys with certificate chains have a few KiB each.
pub(crate) const JWKS_BYTES_MAX: usize = 256 << 10;
/// Keys of a key set.
pub(crate) const JWKS_KEYS_MAX: usize = 64;
/// How often a key set is fetched. A key that is withdrawn is refused within this.
pub(crate) const JWKS_REFRESH_EVERY: Duration = Duration::from_secs(300);
/// The same after a failure.
pub(crate) const JWKS_AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Pause between two requests for one key set, whoever asks for them. Within [`driver::DECISION_DEADLINE`], so that the first token that is
/// signed with a new key is let in.
pub(crate) const JWKS_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// Tokens that wait for one key set, because they name a key that it does not have; and those of one network among them.
pub(crate) const JWKS_WAITING_MAX: usize = 256;
pub(crate) const JWKS_WAITING_OF_NETWORK_MAX: usize = 64;
/// How long fetched keys count while the key set cannot be fetched, unless the operator says otherwise; and what can be set.
pub(crate) const KEYS_AGE: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const KEYS_AGE_MIN: Duration = Duration::from_secs(1);
pub(crate) const KEYS_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Time that one request to an issuer may take as a whole. Within [`driver::DECISION_DEADLINE`].
pub(crate) const ISSUER_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of the answer of an introspection endpoint.
pub(crate) const INTROSPECTION_BYTES_MAX: usize = 64 << 10;
/// How long an answer of an introspection endpoint counts, unless the operator says otherwise; and what can be set. Open connections are
/// asked about as often, so that a client that is deactivated loses its connections within a minute (A04).
pub(crate) const RECHECK: Duration = Duration::from_secs(30);
pub(crate) const RECHECK_MIN: Duration = Duration::from_secs(1);
pub(crate) const RECHECK_MAX: Duration = Duration::from_secs(60 * 60);
/// When the router asks again about the token of an open connection, after a question that had no answer.
pub(crate) const RECHECK_AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(3);
/// While an introspection endpoint fails: time between two requests that find out whether it answers again, if nobody shows a token.
pub(crate) const INTROSPECTION_TRIED_EVERY: Duration = Duration::from_secs(10);
/// Requests to one introspection endpoint at a time, about tokens of new connections.
pub(crate) const INTROSPECTIONS_MAX: usize = 8;
/// The same about tokens of open connections.
pub(crate) const RECHECKS_MAX: usize = 8;
/// Tokens that wait to be asked about.
pub(crate) const INTROSPECTIONS_WAITING_MAX: usize = 256;
/// After a token that is not active, the shortest rest of one of the places for requests: so wrong tokens cause 80 requests a second at most.
pub(crate) const INTROSPECTION_REST_MIN: Duration = Duration::from_millis(100);
/// The longest such rest; and for how long an endpoint that failed is not asked.
pub(crate) const INTROSPECTION_PAUSE: Duration = Duration::from_secs(1);
/// How often the router looks which keys are to be fetched and which tokens are to be asked about.
pub(crate) const TOKEN_UPKEEP_EVERY: Duration = Duration::from_millis(500);
/// Keys or tokens in one file: the old one and the new one.
pub(crate) const SECRETS_MAX: usize = 2;
/// Bytes of a trust store: all public authorities together have less than a quarter of it.
pub(crate) const TRUST_STORE_BYTES_MAX: usize = 4 << 20;
/// IDMs that the router dials.
pub(crate) const IDMS_MAX: usize = 64;
/// URLs of one IDM that the router dials.
pub(crate) const IDM_URLS_MAX: usize = 64;
/// Connections to all dialled IDMs together.
pub(crate) const IDM_SOCKETS_MAX: usize = 1_024;
/// Connections to one URL. With the one that replaces another, they are within what one session may have.
pub(crate) const IDM_CONNECTIONS_MAX: usize = 10;
/// Age at which a connection to a dialled IDM is replaced, unless configured; as in the vendor's sample files.
pub(crate) const IDM_CONNECTION_TTL: Duration = Duration::from_secs(3_000);
/// What that age may be.
pub(crate) const IDM_CONNECTION_TTL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// What the longest pause between two attempts to connect may be.
pub(crate) const IDM_INTERVAL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60 * 60);
/// What the shortest time between two new connections may be.
pub(crate) const IDM_NEW_CONNECTIONS_RANGE: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(60 * 60);
/// The port of an HTTP proxy, unless configured; as in IDM's documents.
pub(crate) const IDM_PROXY_PORT: u32 = 8_080;
/// Time the owner has to answer a liveness ping or a question for its state.
pub(crate) const OWNER_ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// The same for an answer that the routers of a cluster have to agree on; within [`ADMIN_REQUEST_DEADLINE`].
pub(crate) const AGREED_ANSWER_DEADLINE: Duration = Duration::from_millis(2_700);
/// How long a change whose outcome is unknown is proposed again: a leader that dies is replaced within this.
pub(crate) const PROPOSE_FOR: Duration = Duration::from_millis(1_500);
/// Pause before it is proposed again.
pub(crate) const PROPOSE_AGAIN: Duration = Duration::from_millis(50);
/// How often a router tells the others which members in client mode are connected to it.
pub(crate) const PRESENCE_EVERY: Duration = Duration::from_secs(1);
/// How long counts what a router said of members that are connected to it: two lists may be lost, or late.
pub(crate) const PRESENCE_KEPT: Duration = Duration::from_secs(3);
/// Members that one router says are connected to it: as many as a document may have.
pub(crate) const PRESENT_MEMBERS_MAX: usize = rcs_core::limits::MEMBERS_MAX;
/// Routers of which is kept what they said: those of a cluster, and some that were replaced a moment ago.
pub(crate) const ROUTERS_HEARD_MAX: usize = 2 * rcs_consensus::limits::ROUTERS_MAX;
/// Connections of other routers whose upgrade is under way.
pub(crate) const VIA_UPGRADES_MAX: usize = 256;
/// Time to connect to another router, and again for TLS and the upgrade.
pub(crate) const VIA_DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Decisions of the cluster that wait for the engine, one by one. If more wait, the engine is given the whole state instead.
pub(crate) const DECISIONS_WAITING_MAX: usize = 64;
/// Pause after decisions were handed to the engine: what is decided meanwhile goes together.
pub(crate) const FOLLOW_PAUSE: Duration = Duration::from_millis(20);
/// How often a router compares its files with what the cluster has: a leader offers changed files, and a follower notes its own.
pub(crate) const OFFER_EVERY: Duration = Duration::from_millis(500);
/// How often the files with the cluster certificate are looked at.
pub(crate) const CERTIFICATES_EVERY: Duration = Duration::from_secs(30);
/// How often the log repeats that a cluster certificate ends soon or cannot be read.
pub(crate) const CERTIFICATES_TOLD_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// A change of the cluster's routers, over the API: a learner has to catch up, and a leader may have to be elected.
pub(crate) const ROUTERS_REQUEST_DEADLINE: Duration = Duration::from_secs(35);
/// Such changes at a time; the leader makes one at a time.
pub(crate) const ROUTER_CHANGES_MAX: usize = 4;
/// How long a router that is to be added is asked who it is, and how often.
pub(crate) const ROUTER_ANSWERS_WITHIN: Duration = Duration::from_secs(6);
pub(crate) const ROUTER_ASKED_EVERY: Duration = Duration::from_millis(200);
/// A change of members and groups, over the API: its body may have 10 MiB, and the routers have to agree on it.
pub(crate) const DOCUMENT_REQUEST_DEADLINE: Duration = Duration::from_secs(8);
/// Such changes at a time. Each may take several times [`rcs_core::limits::PROVIDER_DOCUMENT_BYTES_MAX`] while it is judged.
pub(crate) const DOCUMENT_CHANGES_MAX: usize = 4;
/// Requests about tokens at a time.
pub(crate) const TOKEN_CHANGES_MAX: usize = 4;
/// Changes that an answer lists. The rest are counted.
pub(crate) const CHANGES_SHOWN_MAX: usize = 1_000;
/// Bytes of the body of a request for an API token: a name, a role, and room for blanks.
pub(crate) const TOKEN_REQUEST_BYTES_MAX: usize = 4 << 10;
/// Random bytes in the secret of an API token: nobody guesses half as many.
pub(crate) const TOKEN_SECRET_BYTES: usize = 32;
/// Bytes of an `Idempotency-Key`.
pub(crate) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long `cluster add` waits for a router to catch up.
pub(crate) const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// Days for which the certificates of routers are valid, unless the operator says otherwise.
pub(crate) const CERTIFICATE_DAYS: u32 = 365;
/// Time an admin request may take as a whole.
pub(crate) const ADMIN_REQUEST_DEADLINE: Duration = Duration::from_secs(3);
/// Admin requests at a time; further ones are answered 503 at once.
pub(crate) const ADMIN_REQUESTS_MAX: usize = 32;
/// Admin connections at a time. Beyond this number, the network that holds the most of them loses its slowest one. A router that may open
/// few descriptors has fewer.
pub(crate) const ADMIN_CONNECTIONS_MAX: usize = 128;
/// If the process may open few descriptors, the share of admin connections: one part of this many.
pub(crate) const ADMIN_DESCRIPTORS_SHARE: u64 = 8;
/// Admin connections at a time that even a process with few descriptors has.
pub(crate) const ADMIN_CONNECTIONS_MIN: usize = 8;
/// Admin connections from the loopback that keep their places, whatever others do: the machine's own probes and commands.
pub(crate) const ADMIN_CONNECTIONS_KEPT: usize = 16;
/// Time in which the whole head of a request must arrive, counted from the connection's start or from the last answer. A client that
/// pauses for longer, such as Prometheus between two scrapes, opens a new connection.
pub(crate) const ADMIN_HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
pub(crate) const ADMIN_HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of one connection that are read ahead, or wait to be written.
pub(crate) const ADMIN_READ_BYTES_MAX: usize = 64 << 10;
/// Time in which a client must read a whole answer, once the answer has to wait for the client.
pub(crate) const ADMIN_ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// The greatest age of a state that a health probe is answered with. So probes cost the owner at most 50 reports a second.
pub(crate) const PROBE_FRESH: Duration = Duration::from_millis(20);
/// Time for which a wrong token keeps its place among [`ADMIN_GUESSES_MAX`].
pub(crate) const ADMIN_GUESS_DELAY: Duration = Duration::from_secs(1);
/// Requests of one network whose token is being judged, or was found wrong a moment ago. So this many tokens can be tried per second.
pub(crate) const ADMIN_GUESSES_MAX: usize = 8;
/// Requests of one network that wait to be judged. Further requests are refused at once, and not judged.
pub(crate) const ADMIN_GUESSES_WAITING_MAX: usize = 16;
/// Time for which such requests wait.
pub(crate) const ADMIN_GUESS_WAIT: Duration = Duration::from_secs(2);
/// Event streams at a time; a further one is refused with 503 at once.
pub(crate) const EVENT_STREAMS_MAX: usize = 16;
/// Event streams of one network at a time, so that one network leaves some to others.
pub(crate) const EVENT_STREAMS_OF_NETWORK_MAX: usize = 8;
/// Sightings that a router remembers, the oldest forgotten first. All of them have a mebibyte at most. Event streams read from here, so a
/// client that reads slowly costs no memory of its own.
pub(crate) const SIGHTINGS_KEPT: usize = 1_024;
/// Bytes of the sentence of a sighting.
pub(crate) const SIGHTING_LINE_BYTES_MAX: usize = 256;
/// Groups of a member that a sighting remembers. A sighting of a member with more groups is shown to clients of every group.
pub(crate) const SIGHTING_GROUPS_MAX: usize = 16;
/// Events that are handed to one connection at a time; the next ones follow when the client has read these.
pub(crate) const EVENTS_TOGETHER_MAX: usize = 64;
/// How often a quiet event stream has a comment, so that both ends notice a dead connection.
pub(crate) const EVENT_HEARTBEAT: Duration = Duration::from_secs(15);
/// Time after which the command line takes a silent event stream for dead.
pub(crate) const EVENT_SILENCE_MAX: Duration = Duration::from_secs(40);
/// Pauses of the command line before it connects to an event stream again: the first one, and the longest one.
pub(crate) const EVENT_PAUSE_MIN: Duration = Duration::from_millis(100);
pub(crate) const EVENT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bytes of one line of an event stream that the command line reads. A router's own lines have a few KiB at most.
pub(crate) const EVENT_LINE_BYTES_MAX: usize = 64 << 10;
/// Reports of agents at a time. Further reports are refused with 503 at once.
pub(crate) const AGENT_REQUESTS_MAX: usize = 64;
/// Reports of one member at a time: a heartbeat, and a whole report after a change.
pub(crate) const AGENT_MEMBER_REPORTS_MAX: usize = 2;
/// Reports at a time that prove nothing before their end, as older agents send them. Only one of them may be longer than
/// [`AGENT_HEARTBEAT_BYTES_MAX`].
pub(crate) const AGENT_UNPROVEN_REPORTS_MAX: usize = 4;
/// Reports at a time that are longer than [`AGENT_HEARTBEAT_BYTES_MAX`]; further ones wait. Each may take several times
/// [`rcs_proto::limits::MANIFEST_BODY_BYTES_MAX`] while it is judged.
pub(crate) const AGENT_WHOLE_REPORTS_MAX: usize = 2;
/// Bytes of a report that needs no such place: room for a heartbeat with the longest names.
pub(crate) const AGENT_HEARTBEAT_BYTES_MAX: usize = 4 << 10;
/// Time in which the first byte of a report must follow its head: an agent sends both at once.
pub(crate) const AGENT_BODY_FIRST: Duration = Duration::from_secs(1);
/// Time that a report may take beyond the pace of [`AGENT_BODY_BYTES_PER_SECOND`].
pub(crate) const AGENT_BODY_GRACE: Duration = Duration::from_secs(2);
/// Bytes of a report that must come per second: the largest one takes 8 s.
pub(crate) const AGENT_BODY_BYTES_PER_SECOND: u32 = 512 << 10;
/// Time an agent's request may take as a whole; the agent waits for 15 s.
pub(crate) const AGENT_REQUEST_DEADLINE: Duration = Duration::from_secs(12);
/// How long a challenge is good.
pub(crate) const AGENT_NONCE_LIFE: Duration = Duration::from_secs(60);
/// Reports of one member that are taken in that time; an agent's fastest rhythm is one a second.
pub(crate) const AGENT_REPORTS_MAX: usize = 128;
/// Time a process of the demo has to come up, and the router to have all its members. It takes less than a second; a machine that
/// is busy with other work, and a build without optimization, may need many.
#[cfg(feature = "demo")]
pub(crate) const DEMO_START_MAX: Duration = Duration::from_secs(60);
/// Time a process of the demo has to go by itself.
#[cfg(feature = "demo")]
pub(crate) const DEMO_END_MAX: Duration = Duration::from_secs(2);
/// Bytes of an answer of the admin address that the demo reads.
#[cfg(feature = "demo")]
pub(crate) const DEMO_ANSWER_BYTES_MAX: u64 = 1 << 20;

/// How long requests at the admin address are still answered once a later process answers new ones. Longer than an answer of the owner takes.
pub(crate) const ADMIN_LAST_ANSWERS: Duration = Duration::from_millis(1_500);
/// Time for one message of a handover that needs no work: the first ones.
pub(crate) const HANDOVER_MESSAGE_WAIT: Duration = Duration::from_secs(5);
/// Time that a later process may take to dial and judge its members before it asks for the callers.
pub(crate) const HANDOVER_ASK_WAIT: Duration = Duration::from_secs(45);
/// After this time a later process asks for the callers with the members it has.
pub(crate) const HANDOVER_READY_WAIT: Duration = Duration::from_secs(30);
/// How often a later process looks whether its members are there.
pub(crate) const HANDOVER_READY_EVERY: Duration = Duration::from_millis(50);
/// Time for each step while callers' sockets are frozen. A step takes milliseconds; callers wait no longer than for one that fails.
pub(crate) const HANDOVER_STEP_WAIT: Duration = Duration::from_secs(2);
/// Time for connections of callers that are just being accepted. Callers that are connected do not stand still yet.
pub(crate) const HANDOVER_INTAKE_WAIT: Duration = Duration::from_secs(1);
/// Time in which all callers' sockets must stand still.
pub(crate) const HANDOVER_FREEZE_MAX: Duration = Duration::from_secs(1);
/// Time for which a later process waits for the callers, and for the word to go on. Longer than the earlier process may take.
pub(crate) const HANDOVER_STATE_WAIT: Duration = Duration::from_secs(10);
/// Time for a later process that was refused to end.
pub(crate) const HANDOVER_END_WAIT: Duration = Duration::from_secs(5);
/// Time in which callers may read what an earlier process had written before it died. Then its other calls end.
pub(crate) const HANDOVER_LAST_ANSWERS_WAIT: Duration = Duration::from_secs(5);
/// Time for which `rcs-router upgrade` waits for the later process to take over.
pub(crate) const UPGRADE_WAIT: Duration = Duration::from_secs(120);
/// How often the earlier process says which calls it still has, and hands over connections that came late.
pub(crate) const HANDOVER_OPEN_EVERY: Duration = Duration::from_millis(250);
/// Time after which a process that has handed over ends whatever calls it still has: the longest deadline of a call is far shorter.
pub(crate) const PARTED_FOR_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Most descriptors beside one byte: the kernel takes 253 (SCM_MAX_FD).
pub(crate) const HANDOVER_DESCRIPTORS_AT_ONCE: usize = 200;
/// Most descriptors of one message: two for each socket that a process may have open.
pub(crate) const HANDOVER_DESCRIPTORS_MAX: usize = 1 << 20;
/// Most bytes of one message: the ids of all open calls, and what was read of half frames of all callers.
pub(crate) const HANDOVER_MESSAGE_BYTES_MAX: usize = 1 << 30;

const _: () = {
    assert!(
        SESSION_BACKLOG_MAX.memory + FRAME_BYTES_MAX < DRIVER_BACKLOG_BYTES_MAX,
        "the engine gives up first"
    );
    assert!(
        driver::SPILL_TIGHT_BYTES + FRAME_BYTES_MAX < PROCESS_BACKLOG_MAX.memory,
        "sockets keep the least in memory long before calls fail for it"
    );
    assert!(
        ADMIN_REQUESTS_MAX + AGENT_REQUESTS_MAX + ADMIN_GUESSES_MAX + ADMIN_GUESSES_WAITING_MAX
            <= ADMIN_CONNECTIONS_MAX,
        "requests that are being answered leave room for others"
    );
    assert!(
        ADMIN_DESCRIPTORS_SHARE == 2 * driver::DESCRIPTORS_KEPT_SHARE
            && 2 * ADMIN_CONNECTIONS_MAX as u64 <= driver::DESCRIPTORS_KEPT,
        "at most half of the descriptors that are kept from callers are the admin address's"
    );
    assert!(ADMIN_CONNECTIONS_KEPT * 2 <= ADMIN_CONNECTIONS_MAX);
    assert!(
        EVENT_STREAMS_OF_NETWORK_MAX < EVENT_STREAMS_MAX && EVENT_STREAMS_MAX * 4 <= ADMIN_CONNECTIONS_MAX,
        "event streams leave connections to others"
    );
    assert!(EVENTS_TOGETHER_MAX < SIGHTINGS_KEPT);
    assert!(EVENT_HEARTBEAT.as_millis() * 2 < EVENT_SILENCE_MAX.as_millis(), "one heartbeat may be late");
    assert!(EVENT_PAUSE_MIN.as_millis() < EVENT_PAUSE_MAX.as_millis());
    assert!(ADMIN_HEAD_BYTES_MAX <= ADMIN_READ_BYTES_MAX);
    assert!(AGENT_WHOLE_REPORTS_MAX < AGENT_REQUESTS_MAX, "heartbeats have room beside whole reports");
    assert!(AGENT_MEMBER_REPORTS_MAX > 1, "a heartbeat has room beside its member's whole report");
    assert!(
        AGENT_UNPROVEN_REPORTS_MAX * 8 < AGENT_REQUESTS_MAX,
        "what proves nothing leaves the places to the rest"
    );
    assert!(
        AGENT_HEARTBEAT_BYTES_MAX > 2 * MANIFEST_TEXT_BYTES_MAX + 512
            && AGENT_HEARTBEAT_BYTES_MAX < MANIFEST_BODY_BYTES_MAX
    );
    assert!(AGENT_BODY_FIRST.as_millis() < AGENT_BODY_GRACE.as_millis());
    assert!(
        AGENT_BODY_GRACE.as_secs() + (MANIFEST_BODY_BYTES_MAX as u64) / (AGENT_BODY_BYTES_PER_SECOND as u64)
            < AGENT_REQUEST_DEADLINE.as_secs()
    );
    assert!(AGENT_REQUEST_DEADLINE.as_millis() < AGENT_NONCE_LIFE.as_millis());
    assert!(
        DOCUMENT_REQUEST_DEADLINE.as_millis() < CLIENT_DEADLINE.as_millis(),
        "the command line learns that a change took too long"
    );
    assert!(ACCESS_TOKEN_BYTES_MAX < driver::HTTP_HEAD_BYTES);
    assert!(
        JWKS_AGAIN_AFTER.as_millis() + ISSUER_DEADLINE.as_millis() < driver::DECISION_DEADLINE.as_millis(),
        "a connection waits until its issuer has answered"
    );
    assert!(
        RECHECK.as_secs() + 2 * ISSUER_DEADLINE.as_secs() <= 60,
        "connections of a deactivated client end within a minute (A04)"
    );
    assert!(CALLS_LISTED <= rcs_core::limits::CALLS_REPORTED_MAX);
    assert!(
        UNKNOWN_FILE_BYTES_MAX >= 2 * 1024 * UNKNOWN_OUTCOMES_MAX as u64,
        "what is written is read again"
    );
    assert!(
        rcs_core::agreed::limits::COMMAND_BYTES_MAX <= rcs_consensus::limits::COMMAND_BYTES_MAX
            && rcs_core::agreed::limits::SNAPSHOT_BYTES_MAX <= rcs_consensus::limits::SNAPSHOT_BYTES_MAX,
        "whatever the cluster may agree on can be sent to another router"
    );
    assert!(ROUTERS_REQUEST_DEADLINE.as_millis() < CLIENT_ROUTERS_DEADLINE.as_millis());
    assert!(OWNER_ANSWER_DEADLINE.as_millis() < ADMIN_REQUEST_DEADLINE.as_millis());
    assert!(
        rcs_core::limits::DRAIN_TIME.as_millis()
            + FAREWELL_WAIT.as_millis()
            + CLOSE_EVERY.as_millis() * (CLOSE_BATCHES as u128 + 2)
            + CLOSE_WAIT.as_millis()
            + UNKNOWN_FLUSH_MAX.as_millis()
            + rcs_cli::limits::LOG_FLUSH_DEADLINE.as_millis()
            < 30_000,
        "Kubernetes' default grace period"
    );
    assert!(
        CLOSE_EVERY.as_millis() * CLOSE_BATCHES as u128 + driver::CLOSE_DEADLINE.as_millis()
            <= CLOSE_WAIT.as_millis(),
        "the last ones have time to close"
    );
};
