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
/// Sending one snapshot.
pub const SNAPSHOT_REQUEST: Duration = Duration::from_secs(60);
/// How long a write, or a read that must be linearizable, waits for its outcome. An operator who is refused can repeat the command.
pub const PROPOSAL: Duration = Duration::from_millis(900);
/// A change of the cluster's routers: a learner has to catch up first.
pub const CHANGE_ROUTERS: Duration = Duration::from_secs(30);
/// How long a leader that stops waits for another leader.
pub const HAND_OVER: Duration = Duration::from_secs(2);
/// A router that has heard of no leader for this long asks the others whether it was removed.
pub const LEADERLESS: Duration = Duration::from_secs(5);
/// A leader that has not heard from a quorum for this long refuses writes at once.
pub const QUORUM_SILENT: Duration = Duration::from_millis(900);
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
/// Bytes of a snapshot: of the largest state, ten times what 10,000 members take.
pub const SNAPSHOT_BYTES_MAX: usize = 128 * 1024 * 1024;

// --- the disk ---

/// Memory for redb's cache. Everything that is read often is kept as values, so this is small.
pub const STORE_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Writes that wait for the writer. openraft itself has few under way.
pub const WRITES_WAITING_MAX: usize = 1_024;
