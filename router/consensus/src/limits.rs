//! Every bound of this crate, with its unit and reason.

use std::time::Duration;

// --- time ---

/// Time between two heartbeats of the leader.
pub const HEARTBEAT: Duration = Duration::from_millis(75);
/// How long a router hears nothing of a leader before it may stand for election: drawn between the two when the router starts.
/// With these three values, writes pause for about a second when a leader dies.
pub const ELECTION: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(450));
/// One request to another router about votes and entries.
pub const RAFT_REQUEST: Duration = Duration::from_millis(450);
/// The question who a router is: it may need a fresh connection.
pub const HELLO_REQUEST: Duration = Duration::from_secs(2);
/// A list of who is connected where. The list is sent again soon.
pub const PRESENCE_REQUEST: Duration = Duration::from_millis(900);
/// Sending one snapshot.
pub const SNAPSHOT_REQUEST: Duration = Duration::from_secs(60);
/// How long a write, or a read that must be linearizable, waits for its outcome. An operator who is refused can repeat the command.
pub const PROPOSAL: Duration = Duration::from_millis(900);
/// A change of the cluster's routers: a learner has to catch up first.
pub const CHANGE_ROUTERS: Duration = Duration::from_secs(30);
/// A leader that has not heard from a quorum for this long leads nobody, and says so.
pub const LEADER_LEFT: Duration = Duration::from_secs(2);
/// How long a leader that stops waits for another leader.
pub const HAND_OVER: Duration = Duration::from_secs(2);
/// A router that has heard of no leader for this long asks the others whether it was removed.
pub const LEADERLESS: Duration = Duration::from_secs(5);
/// A leader that has not heard from a quorum for this long refuses writes at once.
pub const QUORUM_SILENT: Duration = Duration::from_millis(900);
/// How long a router may go on without noting on its disk how far the log is decided. A router that is started again, and reaches no other
/// router, knows what was decided up to that note.
pub const NOTE_EVERY: Duration = Duration::from_millis(500);
/// Pause before a consensus part that failed is started again; doubles with each failure that follows soon, up to the second value.
pub const RESTART_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// Time between two attempts to reach routers that a new cluster waits for.
pub const BOOTSTRAP_EVERY: Duration = Duration::from_millis(300);
/// A sync of the disk that takes longer than this at the 99th percentile is told: elections and writes become slow.
pub const SLOW_SYNC: Duration = Duration::from_millis(50);

// --- the log ---

/// Commands in one entry.
pub const ENTRY_COMMANDS_MAX: usize = 256;
/// Bytes of the commands in one entry, if it has more than one.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one command: the document of 10,000 members takes about 4 MiB.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commands that wait for their turn at the leader; more are refused.
pub const WAITING_COMMANDS_MAX: usize = 4_096;
/// Bytes of the commands that wait for their turn; more are refused.
pub const WAITING_BYTES_MAX: usize = 2 * COMMAND_BYTES_MAX;
/// Bytes of the entries in one request to a follower, if it has more than one.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;
/// Entries in one request to a follower.
pub const APPEND_ENTRIES_MAX: u64 = 256;
/// Entries after which a snapshot is made.
pub const SNAPSHOT_ENTRIES: u64 = 5_000;
/// Bytes of entries after which a snapshot is made.
pub const SNAPSHOT_LOG_BYTES: usize = 48 * 1024 * 1024;
/// Entries that are kept behind a snapshot, for followers that are a little late.
pub const KEPT_ENTRIES: u64 = 2_000;
/// A learner this many entries behind may become a voter.
pub const PROMOTE_LAG_MAX: u64 = 200;
/// Bytes of a snapshot: some fifty times what 10,000 members in 1,000 groups take.
pub const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;

// --- the disk ---

/// Memory for redb's cache. Everything that is read often is kept as values, so this is small.
pub const STORE_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Writes that wait for the writer. openraft itself has few under way.
pub const WRITES_WAITING_MAX: usize = 1_024;

// --- the cluster's certificates ---

/// Bytes of a file with certificates: a chain, or the authorities of a cluster while one replaces another.
pub const CERTIFICATES_BYTES_MAX: usize = 256 << 10;
/// Bytes of a file with a key. The largest RSA keys have less.
pub const KEY_BYTES_MAX: usize = 16 << 10;
/// How long the certificate of an authority that [`crate::pki::Authority::init`] makes is valid: 10 years.
pub const AUTHORITY_TIME: Duration = Duration::from_secs(3_652 * 24 * 60 * 60);
/// Certificates are valid from this long before they are made, as the clocks of machines differ.
pub const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(60 * 60);
/// Operators are warned when a certificate ends within this time, or within a third of the time for which it is valid.
pub const ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Characters of a cluster's id and of its label. An id that we make has 32.
pub const NAME_CHARS_MAX: usize = 64;
/// Hosts in the certificate of one router.
pub const HOSTS_MAX: usize = 32;

// --- messages between routers ---

/// Bytes of one message in either direction: one command of the largest size, and what it is wrapped in. Only a router of the cluster can
/// make another one hold messages of this size.
pub const MESSAGE_BYTES_MAX: usize = COMMAND_BYTES_MAX + (1 << 20);
/// A request of more bytes goes by the connection for bulk, so that heartbeats and votes do not wait for it.
pub const BULK_BYTES: usize = 128 << 10;
/// Bytes a second that a network brings at least: entries in bulk have this much more time. With the largest command, the time is below
/// [`REQUEST_TIME_MAX`].
pub const BULK_BYTES_PER_SECOND: u64 = 2 << 20;

/// How much longer than a small one a request of so many bytes may take.
pub const fn bulk_time(bytes: usize) -> Duration {
    match bytes > BULK_BYTES {
        true => Duration::from_millis(bytes as u64 * 1_000 / BULK_BYTES_PER_SECOND),
        false => Duration::ZERO,
    }
}

/// Bytes of one part of a snapshot.
pub const SNAPSHOT_PART_BYTES: usize = 256 << 10;
/// Memory that is reserved before the first part of a snapshot has come, bytes: the announced length is only a claim.
pub const SNAPSHOT_RESERVED_BYTES: usize = 1 << 20;
/// Snapshots that a router takes at a time. A stream of a leader that was just replaced may be under way beside the new leader's.
pub const SNAPSHOTS_MAX: usize = 2;
/// Time between two parts of a snapshot.
pub const SNAPSHOT_PART_TIME_MAX: Duration = Duration::from_secs(10);
/// Time for the answer to a request other than a snapshot, if the sender gives no shorter one.
pub const REQUEST_TIME_MAX: Duration = CHANGE_ROUTERS;
/// Bytes of the headers of a request or an answer. A refusal's sentence is a header.
pub const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// Characters of a sentence that a peer sent.
pub const SENTENCE_CHARS_MAX: usize = 512;
/// Requests that one connection has under way.
pub const STREAMS_MAX: u32 = 64;
/// Bytes that a peer may send of one request before they are read.
pub const STREAM_WINDOW_BYTES: u32 = 512 << 10;
/// Bytes that a peer may send on one connection before they are read.
pub const CONNECTION_WINDOW_BYTES: u32 = 2 << 20;

// --- connections that we dial ---

/// Connections that are kept: a few for each router of a cluster, with room for addresses that changed. The one that was not used for
/// longest is dropped.
pub const LINKS_MAX: usize = 96;
/// Time to connect: TCP, TLS, and the router's first word.
pub const DIAL_TIME_MAX: Duration = Duration::from_secs(2);
/// Time until the next dial after the first failure. It doubles with each further failure.
pub const REDIAL_MIN: Duration = Duration::from_millis(20);
/// Time until the next dial after many failures. A write waits for it when a router comes back.
pub const REDIAL_MAX: Duration = Duration::from_millis(500);
/// A connection that has been silent for so long is asked for a sign of life (HTTP/2 PING).
pub const PING_EVERY: Duration = Duration::from_secs(1);
/// A connection whose peer gives no sign of life for so long is dropped.
pub const PING_WAIT: Duration = Duration::from_secs(2);

// --- connections that we accept ---

/// Connections that have not shown their certificate yet. Beyond this number, the network that holds the most of them loses its slowest
/// one.
pub const HALF_OPEN_MAX: usize = 256;
/// Time in which a connection must have shown its certificate.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections of one router. A newcomer takes the place of the oldest one, which may be dead.
pub const SESSIONS_PER_ROUTER_MAX: usize = 12;
/// Routers of a cluster, learners included. Three or five vote in a usual cluster; each further one costs the leader a copy of the log.
pub const ROUTERS_MAX: usize = 16;
/// Numbers of routers that have connections at a time, and whose certificates are remembered. Beside the routers of the cluster these are
/// routers that wait to be added, and routers that were removed and still run.
pub const ROUTERS_CONNECTED_MAX: usize = 4 * ROUTERS_MAX;
/// The peer of an accepted connection is asked for a sign of life this often.
pub const SESSION_PING_EVERY: Duration = Duration::from_secs(5);
/// An accepted connection is asked to end after this time, so that a certificate that has expired does not live on.
pub const SESSION_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// Time for the requests under way when the router stops.
pub const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// Connections that ask for something else than requests, and wait until they are taken over. Beyond this number they are ended.
pub const ARRIVING_MAX: usize = 64;
/// Pause after a failed `accept`: only closing descriptors helps.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(APPEND_BYTES_MAX < MESSAGE_BYTES_MAX && COMMAND_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX < BULK_BYTES);
const _: () = assert!(COMMAND_BYTES_MAX as u64 / BULK_BYTES_PER_SECOND + 1 < REQUEST_TIME_MAX.as_secs());
const _: () = assert!(SNAPSHOT_PART_BYTES * 2 < MESSAGE_BYTES_MAX);
const _: () = assert!(SNAPSHOT_RESERVED_BYTES < SNAPSHOT_BYTES_MAX);
const _: () = assert!(STREAM_WINDOW_BYTES * 2 < CONNECTION_WINDOW_BYTES, "one request holds up no other");
const _: () = assert!(SNAPSHOT_PART_TIME_MAX.as_millis() < SNAPSHOT_REQUEST.as_millis());
const _: () = assert!(SENTENCE_CHARS_MAX * 12 < HEADERS_BYTES_MAX as usize, "percent-encoded UTF-8");
const _: () = assert!(REDIAL_MIN.as_millis() < REDIAL_MAX.as_millis());
