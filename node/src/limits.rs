//! Every bound of the node, in one place (promise P10).

use std::time::Duration;

/// Largest properties file, in bytes.
pub const PROPERTIES_BYTES: usize = 256 << 10;

/// Largest CSV file, in bytes; its content is held in memory about three times over.
pub const CSV_FILE_BYTES: u64 = 256 << 20;

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

/// Calls with one answer that wait for a thread.
pub const CALLS_WAITING_MAX: usize = 4096;

/// Searches and syncs that run at a time; each has a thread, for as long as its caller takes.
pub const STREAMS_MAX: usize = 64;

/// Searches and syncs that wait for a thread.
pub const STREAMS_WAITING_MAX: usize = 1024;

/// Results that a connector may be ahead of what was sent.
pub const RESULTS_AHEAD_MAX: usize = 64;

/// Rhythm in which connectors that nobody uses are looked for; Java's (WIRE 1.3).
pub const IDLE_CHECK_EVERY: Duration = Duration::from_secs(60);

// All of them block at once in tokio's pool, which has 512 threads.
const _: () = assert!(CALLS_MAX + STREAMS_MAX <= 256);

/// WebSockets of callers open at a time.
pub const SOCKETS_MAX: usize = 4096;

/// Accepted sockets that wait to be taken over.
pub const ARRIVALS_WAITING: usize = 64;

/// How long open calls may go on once the node is told to end; inside the 30 s that Kubernetes grants.
pub const DRAIN: Duration = Duration::from_secs(25);

/// How long a connector's thread may go on beyond that.
pub const THREADS_LINGER: Duration = Duration::from_secs(1);
