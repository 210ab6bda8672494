//! Every bound of the node, in one place (promise P10).

use std::time::Duration;

pub use rcs_proto::driver::limits::{
    DIAL_TIMEOUT, DIALLED_SOCKETS, HOUSEKEEPING_INTERVAL, NEW_CONNECTIONS_INTERVAL,
};

/// Largest properties file, in bytes.
pub const PROPERTIES_BYTES: usize = 256 << 10;

/// Largest file with a key on its first line, in bytes.
pub const KEY_FILE_BYTES: usize = 4 << 10;

/// Largest key store, in bytes: room for a thousand certificates.
pub const KEY_STORE_BYTES: usize = 4 << 20;

/// Largest CSV file, in bytes.
pub const CSV_FILE_BYTES: u64 = 256 << 20;

/// Most columns of a CSV file.
pub const CSV_COLUMNS_MAX: usize = 4096;

/// The share of the process's memory that all CSV files together may take (text, rows and index): one part of this many. A file beyond the
/// share is refused, because otherwise the kernel would end the process.
pub const CSV_MEMORY_SHARE: u64 = 2;

/// The least that all CSV files together may take, in bytes, however little memory the machine has.
pub const CSV_MEMORY_MIN: u64 = 64 << 20;
/// The most that all CSV files together may take, in bytes, however much memory the machine has.
pub const CSV_MEMORY_MAX: u64 = 8 << 30;

const _: () = assert!(CSV_FILE_BYTES < CSV_MEMORY_MAX);
const _: () = assert!(CSV_MEMORY_MIN < CSV_MEMORY_MAX);
const _: () = assert!(KEY_BYTES < KEY_FILE_BYTES as u64);

/// How long a writer of a CSV file waits for another writer's lock before its caller is told to try again, in seconds.
pub const CSV_LOCK_WAIT_SECONDS: u64 = 10;

/// How often an operation on a CSV file begins again because a program that ignores the lock changed the file meanwhile.
pub const CSV_ATTEMPTS: usize = 5;

/// Configured connectors that are kept open; the one unused longest makes room for another.
pub const FACADES_MAX: usize = 256;

/// A configured connector that nobody uses is dropped after so long; Java's (WIRE 1.3).
pub const FACADE_IDLE: Duration = Duration::from_secs(120 * 60);

/// Longest facade key, in bytes. A configuration has a few thousand (WIRE 6).
pub const FACADE_KEY_BYTES: usize = 1 << 20;

/// Longest shared key that `set-key` takes, in bytes of UTF-8.
pub const KEY_BYTES: u64 = 1024;

/// Calls with one answer that run at a time; each has a thread.
pub const CALLS_MAX: usize = 64;

/// Places that one configuration may have among [`CALLS_MAX`]. Calls of a configuration that hang count until their threads come back.
pub const CALLS_EACH_MAX: usize = 32;

/// Calls with one answer that wait for a thread.
pub const CALLS_WAITING_MAX: usize = 4096;

/// Waiting calls that one configuration may have.
pub const CALLS_WAITING_EACH_MAX: usize = 1024;

/// Searches and syncs that run at a time; each has a thread, for as long as its caller takes.
pub const STREAMS_MAX: usize = 64;

/// Places that one configuration may have among [`STREAMS_MAX`], hanging calls included.
pub const STREAMS_EACH_MAX: usize = 32;

/// Searches and syncs that wait for a thread.
pub const STREAMS_WAITING_MAX: usize = 1024;

/// Waiting searches and syncs that one configuration may have.
pub const STREAMS_WAITING_EACH_MAX: usize = 256;

/// Places beyond these bounds, in each of the two families, for calls of configurations that have no place. However many resources do not
/// respond, this many other configurations are served, one call at a time.
pub const RESERVE_MAX: usize = 128;

/// Hanging calls of each family whose places are given to other calls. The threads of hanging calls live on beside the others.
pub const HANGING_REPLACED_MAX: usize = 128;

/// How long a call with one answer may take, and how long a search or sync may go without a result, if the configuration has no timeout.
/// The longest deadline that a router has by default is as long.
pub const CALL_DEADLINE: Duration = Duration::from_secs(600);

/// How long test, validate and schema may take, which ask about the connector itself.
pub const QUESTION_DEADLINE: Duration = Duration::from_secs(60);

/// Threads that may block: those of all calls, and those that read files for the runtime.
pub const BLOCKING_THREADS_MAX: usize = 1024;

/// Results that a connector may be ahead of what was sent.
pub const RESULTS_AHEAD_MAX: usize = 64;

/// Rhythm in which connectors that nobody uses are looked for; Java's (WIRE 1.3).
pub const IDLE_CHECK_EVERY: Duration = Duration::from_secs(60);

// All of these threads may block at once. If the runtime had fewer threads, calls would wait for each other.
const _: () =
    assert!(CALLS_MAX + STREAMS_MAX + 2 * (RESERVE_MAX + HANGING_REPLACED_MAX) + 64 < BLOCKING_THREADS_MAX);
const _: () = assert!(2 * CALLS_EACH_MAX <= CALLS_MAX && 2 * STREAMS_EACH_MAX <= STREAMS_MAX);
const _: () = assert!(CALLS_MAX <= HANGING_REPLACED_MAX && STREAMS_MAX <= HANGING_REPLACED_MAX);
const _: () =
    assert!(CALLS_WAITING_EACH_MAX < CALLS_WAITING_MAX && STREAMS_WAITING_EACH_MAX < STREAMS_WAITING_MAX);
const _: () = assert!(QUESTION_DEADLINE.as_millis() < CALL_DEADLINE.as_millis());

/// WebSockets of callers open at a time.
pub const SOCKETS_MAX: usize = 4096;

/// URLs that are dialled.
pub const URLS_MAX: usize = 64;

const _: () = assert!(URLS_MAX <= DIALLED_SOCKETS_MAX, "each URL has one socket at least");

/// Longest `hostId`, in bytes.
pub const HOST_ID_BYTES: usize = 256;

/// Sockets to all URLs together.
pub const DIALLED_SOCKETS_MAX: usize = 1024;

/// Accepted sockets that wait to be taken over.
pub const ARRIVALS_WAITING: usize = 64;

/// How long open calls may go on once the node is told to end; inside the 30 s that Kubernetes grants.
pub const DRAIN: Duration = Duration::from_secs(25);

/// How long a connector's thread may go on beyond that.
pub const THREADS_LINGER: Duration = Duration::from_secs(1);

const _: () = assert!(
    DRAIN.as_millis()
        + rcs_proto::driver::limits::CLOSE_DEADLINE.as_millis()
        + THREADS_LINGER.as_millis()
        + rcs_cli::limits::LOG_FLUSH_DEADLINE.as_millis()
        < 30_000,
    "Kubernetes' default grace period"
);

// --- the agent ---

/// Rhythm of full scans and of heartbeats, unless the command line gives another.
pub const AGENT_INTERVAL: Duration = Duration::from_secs(30);

/// Shortest and longest such rhythm.
pub const AGENT_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// See [`AGENT_INTERVAL_MIN`].
pub const AGENT_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// Every `AGENT_THOROUGH_EVERY`-th periodic scan reads all files again, even if the file system says that they did not change: every
/// 10 minutes by default.
pub const AGENT_THOROUGH_EVERY: u32 = 20;

/// A file system's clock may stand still for some milliseconds, so a file that changed this shortly before it was read may change
/// again and look the same. It is read once more at the next scan.
pub const AGENT_FRESH: Duration = Duration::from_secs(2);

/// How long nothing must happen after a change before files are read: copying a file is many changes.
pub const AGENT_QUIET: Duration = Duration::from_millis(200);

/// How long a stream of changes can put that off.
pub const AGENT_QUIET_MAX: Duration = Duration::from_secs(1);

/// How often a file that changes while it is read is begun again within one scan.
pub const AGENT_READ_ATTEMPTS: u32 = 3;

/// Reporting is paused if a scan takes longer, until the scan ends. A scan reads some 50 GB in this time, unless the file system
/// hangs.
pub const AGENT_SCAN_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// Largest file that is read, in bytes.
pub const AGENT_FILE_BYTES: u64 = 4 << 30;

/// Names looked at in one scan, folders and what is left out included.
pub const AGENT_NAMES_MAX: usize = 40_000;

/// Deepest folder below a root.
pub const AGENT_DEPTH_MAX: usize = 64;

/// Folders and linked files that are watched for changes; what is beyond is seen by full scans.
pub const AGENT_WATCHES_MAX: usize = 8_192;

/// How often files are scanned again at once because new folders turned up meanwhile.
pub const AGENT_RESCANS_MAX: u32 = 3;

/// Reasons told of one scan that failed, and files named of one change.
pub const AGENT_TOLD_MAX: usize = 50;

/// Bytes of a JAR's list of entries that are searched for its manifest.
pub const JAR_LIST_BYTES: u64 = 16 << 20;

/// Bytes of a JAR's manifest that are read, compressed and not; the part about the bundle comes first.
pub const JAR_MANIFEST_BYTES: usize = 64 << 10;

/// Routers that are reported to.
pub const AGENT_ROUTERS_MAX: usize = 16;

/// Longest exchange with a router over HTTP, name resolution included.
pub const AGENT_HTTP_DEADLINE: Duration = Duration::from_secs(15);

/// Longest HTTP answer of a router, in bytes.
pub const AGENT_ANSWER_BYTES: usize = 64 << 10;

/// First pause after a report that failed; it doubles up to [`AGENT_BACKOFF_MAX`], with jitter.
pub const AGENT_BACKOFF: Duration = Duration::from_secs(1);

/// See [`AGENT_BACKOFF`].
pub const AGENT_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Time for a peer to ask the doctor for connectors. A router asks 0.2 s after the handshake, a Java IDM within its first second.
pub const DOCTOR_ASKED_WAIT: Duration = Duration::from_secs(5);

/// Time for whoever has the node's port to answer the doctor: it is a process of this machine.
pub const DOCTOR_PORT_WAIT: Duration = Duration::from_secs(3);

const _: () = assert!(AGENT_QUIET_MAX.as_millis() < AGENT_FRESH.as_millis());
const _: () = assert!(AGENT_NAMES_MAX >= rcs_proto::limits::MANIFEST_FILES_MAX);
