//! Every bound of this crate. A bound that a deployment may want to change is an argument where it is used and has its
//! default here.

use std::time::Duration;

// --- sessions ---

/// No frame but the handshake goes out on a socket for so long after it: a 1.8.0 peer refuses what arrives before it has
/// stored the handshake; refusals were seen up to 122 ms after it, none after 200 ms (WIRE 7, consequence 2).
pub const HOLD_OFF: Duration = Duration::from_millis(200);

/// Beyond the hold-off, for how long an answer is kept to be sent again if the peer refuses it after all.
pub const YOUNG_SOCKET: Duration = Duration::from_secs(2);

/// Answers kept for that, in frames.
pub const RECENT_ANSWERS_MAX: usize = 256;

/// Answers kept for that, in bytes.
pub const RECENT_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Longest time between a socket's upgrade and its handshake.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Frames kept that overtook their socket's handshake.
pub const PARKED_FRAMES_MAX: usize = 64;

/// The same in bytes.
pub const PARKED_BYTES_MAX: usize = 1024 * 1024;

/// Longest sessionId; Java's are 40 bytes.
pub const SESSION_ID_BYTES_MAX: usize = 256;

/// Rhythm of session checks; Java's (WIRE 1.3).
pub const CHECK_EVERY: Duration = Duration::from_secs(240);

/// When an unanswered question for connectors is asked again; Java waits for the next check (WIRE 7.7).
pub const INFOS_AGAIN: Duration = Duration::from_secs(1);

/// A call younger than this may cross a session check on its way and is not missed in it.
pub const CHECK_CROSSING: Duration = Duration::from_secs(5);

/// Checks that may leave out a call before it counts as gone (WIRE 4.4).
pub const CHECK_MISSES_MAX: u32 = 3;

/// Items of a stream that may arrive ahead of a missing one. Java's own queue has no bound.
pub const STREAM_AHEAD_MAX: usize = 65_536;

const _: () = assert!(INFOS_AGAIN.as_millis() > HOLD_OFF.as_millis());
const _: () = assert!(CHECK_CROSSING.as_millis() < CHECK_EVERY.as_millis());
const _: () = assert!(HANDSHAKE_DEADLINE.as_millis() > HOLD_OFF.as_millis());
