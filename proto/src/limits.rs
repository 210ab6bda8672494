//! Every bound of this crate. A bound that a deployment may want to change is an argument where it is used and has its
//! default here.

use std::time::Duration;

// --- sessions ---

/// No frame but the handshake goes out on a socket for so long after it: a 1.8.0 peer refuses what arrives before it has
/// stored the handshake; refusals were seen up to 122 ms after it, none after 200 ms (WIRE 7, consequence 2).
pub const HOLD_OFF: Duration = Duration::from_millis(200);

/// Last frames of answers are kept for so long: they are sent again if the peer refuses them, or if their socket dies.
pub const RECENT_ANSWER_KEPT: Duration = Duration::from_secs(10);

/// Such answers of which one session knows: as many as a caller may have open at once. Each costs less than 100 bytes.
pub const RECENT_ANSWERS_MAX: usize = 4_096;

/// Bytes of their frames; of older ones only an error can be sent.
pub const RECENT_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Cancels kept of one session whose calls have not come yet.
pub const EARLY_CANCELS_MAX: usize = 256;

/// The same in time; 2.0.4 peers park them for as long.
pub const EARLY_CANCEL_KEPT: Duration = Duration::from_secs(60);

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

/// Ids in one list of a session check. A check with a longer list is not accepted. This is as many calls as one process of ours has open
/// at most, with room for calls that are just ending.
pub const CHECK_IDS_MAX: usize = 73_728;

/// Info levels in one session check; three are known (WIRE 3.1).
pub const CHECK_LEVELS_MAX: usize = 64;

/// Ids of one session check that are reported as waited for and not here. The others are reported at a later check. So the lists of a check cost as
/// much as there are calls, and no more, however long they are.
pub const CHECK_NOT_HELD_MAX: usize = 1_024;

/// The lists of a session's checks are compared with its calls at most this often. Checks in between are answered, and not compared. Java
/// checks every 4 minutes, and a missing call only counts after [`CHECK_CROSSING`].
pub const CHECK_LISTS_EVERY: Duration = Duration::from_secs(1);

/// How often a peer may refuse the same last frame before the frame is given up. A pause of [`HOLD_OFF`] follows each refusal. So a peer
/// that stores our handshake late has many times the longest delay that was seen.
pub const ANSWER_REFUSALS_MAX: u8 = 8;

/// Fields of a request's or answer's own message among which its options, its object class or its cookie are looked for. Real messages have
/// fewer than ten; 32 million fit into the largest message, and a look at all of them takes seconds.
pub const FIELDS_READ_MAX: usize = 4_096;

/// Checks that may leave out a call before it counts as gone (WIRE 4.4).
pub const CHECK_MISSES_MAX: u32 = 3;

/// Items of a stream that may arrive ahead of a missing one. Java's own queue has no bound.
pub const STREAM_AHEAD_MAX: usize = 65_536;

const _: () = assert!(INFOS_AGAIN.as_millis() > HOLD_OFF.as_millis());
const _: () = assert!(CHECK_LISTS_EVERY.as_millis() < CHECK_CROSSING.as_millis());
const _: () = assert!(HOLD_OFF.as_millis() * ANSWER_REFUSALS_MAX as u128 > 10 * 122);
const _: () = assert!(CHECK_CROSSING.as_millis() < CHECK_EVERY.as_millis());
const _: () = assert!(HANDSHAKE_DEADLINE.as_millis() > HOLD_OFF.as_millis());

// --- the legacy serialisation (LEGACY section 12) ---

/// Largest legacy blob that is read, in bytes. The default of [`crate::legacy::read_within`].
pub const LEGACY_BLOB_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Deepest nesting of objects in a legacy blob; the deepest that was seen on the wire is 8.
pub const LEGACY_DEPTH_MAX: usize = 64;

/// Array marks in front of one class, i.e. dimensions.
pub const LEGACY_ARRAY_MARKS_MAX: u8 = 8;

/// Names in the pool of a legacy blob.
pub const LEGACY_POOL_NAMES_MAX: usize = 4096;

/// Bytes of one name in the pool.
pub const LEGACY_NAME_BYTES_MAX: usize = 256;

/// Objects in a legacy blob, nulls included.
pub const LEGACY_OBJECTS_MAX: u32 = 1_000_000;

/// Decimal digits of a `BigInteger` and of a `BigDecimal`'s unscaled value. Digits are never produced from a scale.
pub const LEGACY_DIGITS_MAX: usize = 1000;

// Spans inside a blob and indices into its pool are kept in 32 and 16 bits.
const _: () = assert!(LEGACY_BLOB_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(LEGACY_POOL_NAMES_MAX <= u16::MAX as usize);

// --- manifests of files ---

/// Files that one manifest lists.
pub const MANIFEST_FILES_MAX: usize = 10_000;

/// Largest report of a manifest, in bytes of JSON. It is looked at before anything is parsed.
pub const MANIFEST_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest path in a manifest, and longest target of a link, in bytes.
pub const MANIFEST_PATH_BYTES_MAX: usize = 512;

/// Longest other text of a report, in bytes: member, agent, a bundle's name and version.
pub const MANIFEST_TEXT_BYTES_MAX: usize = 256;

/// Bytes of text from outside that an error about a report repeats.
pub const MANIFEST_SHOWN_BYTES_MAX: usize = 120;
