//! Every bound of the driver (promise P10); those of the session protocol are in [`crate::limits`].

use std::time::Duration;

/// Largest HTTP head that is read from either side, bytes.
pub const HTTP_HEAD_BYTES: usize = 8 * 1024;
/// Most header lines in an HTTP head.
pub const HTTP_HEADERS: usize = 64;
/// Time in which a TLS hello or an HTTP head must be complete.
pub const UPGRADE_DEADLINE: Duration = Duration::from_secs(5);
/// After a refusal: how long, and for how many bytes, the client is listened to, so that its kernel does not throw our answer
/// away on a reset.
pub const REFUSAL_DRAIN: Duration = Duration::from_secs(1);
/// See [`REFUSAL_DRAIN`].
pub const REFUSAL_DRAIN_BYTES: usize = 64 * 1024;
/// Connections of one listener that have not finished their upgrade, or have not shown yet that they speak the protocol.
pub const PENDING_SOCKETS: usize = 1024;
/// Connections that may wait in the kernel to be taken; Linux's own maximum by default (`net.core.somaxconn`), and enough for
/// two sockets each of 2,000 sessions.
pub const LISTEN_BACKLOG: i32 = 4096;
/// Of connections that are taken at a pace, those of so much time may be taken at once after a pause. Short, so that a process
/// that is late already does not take the more of them the later it is: in a storm of 4,000 on a busy machine, calls of steady
/// sessions took 1.2 s (p99) with 100 ms, and 0.07 s with 5.
pub const ACCEPT_BURST: Duration = Duration::from_millis(5);

/// First and smallest read, bytes: what an idle socket keeps.
pub const READ_BYTES: usize = 8 * 1024;
/// Largest single read, bytes: reads grow to it while they come back full.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// Small frames are put together for one write up to this size, bytes. A larger payload goes out without a copy.
pub const WRITE_BATCH_BYTES: usize = 64 * 1024;
/// Most frames taken from the queue for one write.
pub const WRITE_BATCH_FRAMES: usize = 128;
/// What a queued frame costs besides its payload, bytes, so that empty frames are bounded too.
pub const FRAME_OVERHEAD_BYTES: usize = 64;
/// Largest message handed to the owner, unless configured, bytes.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of an oversized message that are kept to find out which call it belongs to.
pub const OVERSIZE_HEAD_BYTES: usize = 1024;
/// A message that claims more than this ends its socket, bytes. What is between the two limits is read and dropped.
pub const MESSAGE_BYTES_HARD: u64 = 1024 * 1024 * 1024;
/// Bytes queued towards one socket, unless configured; over it [`super::socket::SendError::Full`].
pub const BACKLOG_BYTES: usize = 256 * 1024 * 1024;

/// How long a closing socket may take to write what is queued and to hear the peer's end.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// A server that shuts down closes its sockets when no call has come for so long: longer than frames are held back on a new
/// socket (WIRE 7, consequence 2).
pub const LEAVING_QUIET: Duration = Duration::from_millis(500);
/// After a failed write: how long what the peer had sent before is still read.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
/// TCP keep-alive: idle time before the first probe, and time between probes.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

const _: () = assert!(crate::limits::HOLD_OFF.as_millis() < LEAVING_QUIET.as_millis());
const _: () = assert!(READ_BYTES <= READ_BYTES_MAX);
const _: () = assert!((MESSAGE_BYTES as u64) < MESSAGE_BYTES_HARD);
const _: () = assert!(MESSAGE_BYTES < BACKLOG_BYTES);
const _: () =
    assert!(WRITE_BATCH_BYTES.is_multiple_of(4), "masked pieces must begin with the mask's first byte");
