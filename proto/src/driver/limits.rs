//! Every bound of the driver (promise P10); those of the session protocol are in [`crate::limits`].

use std::time::Duration;

/// Largest HTTP head that is read from either side, bytes.
pub const HTTP_HEAD_BYTES: usize = 8 * 1024;
/// Most header lines in an HTTP head.
pub const HTTP_HEADERS: usize = 64;
/// Time in which a TLS hello or an HTTP head must be complete.
pub const UPGRADE_DEADLINE: Duration = Duration::from_secs(5);
/// Time in which a connection of a listener must send its whole TLS hello or HTTP head. Such a connection can lose its place to others
/// long before, so this time need not be short. In a reconnect storm on a busy machine, diallers of 4,000 connections took more than 5 s
/// to send their requests.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Time that a judge of upgrade requests may wait, for example for a key to be verified. It is longer than the time for which a peer
/// waits for the answer to its request.
pub const DECISION_DEADLINE: Duration = Duration::from_secs(10);
/// While a judge waits: time between two looks whether the peer has closed its connection.
pub const GIVEN_UP_LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a refusal: how long, and for how many bytes, the client is listened to, so that its kernel does not throw our answer
/// away on a reset.
pub const REFUSAL_DRAIN: Duration = Duration::from_secs(1);
/// See [`REFUSAL_DRAIN`].
pub const REFUSAL_DRAIN_BYTES: usize = 64 * 1024;
/// Longest reason phrase of a refusal, bytes: room for a sentence with two names of the longest kind, far below what HTTP
/// clients read as one line.
pub const REASON_PHRASE_BYTES: usize = 512;
/// Sockets, over all listeners that share an intake, that have not shown yet that they speak the protocol. Further ones wait for their
/// turn.
pub const PENDING_SOCKETS: usize = 1024;
/// Connections, over all listeners that share an intake, whose request is incomplete or waits for its turn. Beyond this number, the
/// network that holds the most of them loses its slowest one. There is room for the sockets of a reconnect storm; each costs a few KiB.
pub const REQUESTING_SOCKETS: usize = 4096;
/// Connections that these listeners take from the kernel per second at most, so that a flood leaves processor time to others. At this pace
/// the kernel's queue is empty in less than half a second: a newcomer behind a full queue is served within a second.
pub const ACCEPTS_PER_SECOND_MAX: u32 = 10_000;
/// Descriptors that connections from outside must leave free for connections to members, the admin address and files.
pub const DESCRIPTORS_KEPT: u64 = 512;
/// If the process may open few descriptors, one part of this many is kept free instead.
pub const DESCRIPTORS_KEPT_SHARE: u64 = 4;
/// Kinds of events that a [`super::tally::Tally`] counts one by one.
pub const TALLY_KINDS: usize = 256;
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
/// Payloads up to this size, in bytes, are copied out of the read buffer. A request is kept while its call is open, and a request of 100
/// bytes must not keep a whole buffer. A larger payload shares its buffer, so it keeps at most 4 times its size.
pub const SHARED_PAYLOAD_BYTES: usize = READ_BYTES_MAX / 2;
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
/// Bytes of an unfinished message that need no room of [`INFLOW_BYTES`]. Nearly all messages are smaller. With the next read, a socket may
/// hold twice as much.
pub const UNFINISHED_FREE_BYTES: usize = READ_BYTES_MAX;
/// Bytes of larger messages that one owner's sockets of a kind (callers' sockets, members' sockets) may hold while the messages are
/// unfinished or wait for the owner: four of the largest messages at once.
pub const INFLOW_BYTES: usize = 256 << 20;
/// One caller's large messages may take one part of so many of [`INFLOW_BYTES`], so that others keep room. One message alone may take more.
pub const INFLOW_CALLER_SHARE: usize = 4;
/// Callers that are known by name, before those without an open socket are dropped from the list. Each takes some hundred bytes.
pub const CALLERS_SWEPT_MIN: usize = 256;
/// A larger message, bytes, is parsed on a thread beside those that move frames. To parse the largest ones takes tens of milliseconds, and
/// other sockets must not wait for so long.
pub const READ_APART_BYTES: usize = 128 << 10;
/// Messages of an owner's sockets of a kind that are parsed like this at a time: they must leave processors to the threads that move frames.
pub const READ_APART_TURNS: usize = 2;
/// How long a caller's large message waits for room. Meanwhile the socket is not read. After this time the message is dropped.
pub const INFLOW_PATIENCE: Duration = Duration::from_secs(10);
/// Time for which a large message may be slower than [`MESSAGE_BYTES_PER_SECOND`]: longer than a full garbage collection of a peer.
pub const MESSAGE_GRACE: Duration = Duration::from_secs(30);
/// The least pace of a large message, on average. A slow line of a branch office is as fast.
pub const MESSAGE_BYTES_PER_SECOND: usize = 256 << 10;
/// Time between two log lines about messages that were dropped for want of room or pace.
pub const DROPPED_LOG_EVERY: Duration = Duration::from_secs(1);
/// Bytes of all messages before the peer's handshake. A handshake has less than a kilobyte, and messages that overtake a handshake are
/// small.
pub const GREETING_BYTES: usize = 64 << 10;
/// Bytes of our own answers (pongs, answers to session checks and refused calls) that a caller's socket may leave unread before it is no
/// longer read: a peer that asks and does not read stops itself. One answer may be larger.
pub const OWN_ANSWERS_LOW_BYTES: usize = 64 << 10;
/// Bytes of our own answers that a member's socket may leave unread. A member is read without pause (P13). So beyond this, pongs are
/// dropped, and another answer closes the socket.
pub const OWN_ANSWERS_MAX_BYTES: usize = 4 << 20;
/// What one caller may have waiting for the owner, on all its sockets together, in units of [`EVENT_UNITS`]. Callers take turns, so that a
/// caller that asks as fast as it can is served between the others, and not before them.
pub const SHARE_UNITS: usize = 64;
/// What a report counts, in units. A session check, a question for connectors or a handshake counts as much as four calls.
pub const EVENT_UNITS: usize = 1;
/// See [`EVENT_UNITS`].
pub const CONTROL_UNITS: usize = 4;
/// Questions to the router itself (pings, session checks, questions for connectors) that are read of one caller's socket in a second. An
/// IDM asks some in a minute. A caller that asks as fast as it can would keep the thread that moves frames busy.
pub const QUESTIONS_PER_SECOND: u32 = 200;
/// The questions of this time may come at once after a pause.
pub const QUESTIONS_BURST: Duration = Duration::from_secs(5);
/// Bytes of one read into a large message. Copying more would hold up the other sockets of the thread.
pub const READ_AT_ONCE_BYTES: usize = 4 * READ_BYTES_MAX;
/// Bytes that wait in memory for one socket, unless configured; over it [`super::socket::SendError::Full`].
pub const BACKLOG_BYTES: usize = 256 * 1024 * 1024;

/// Bytes that wait in memory for a socket before its rows are spilled, if they can be. A peer that reads, in bursts, stays below.
pub const SPILL_FROM_BYTES: usize = 4 << 20;
/// Rows go to disk in chunks of this size, bytes; a row larger than that is a chunk of its own.
pub const SPILL_CHUNK_BYTES: usize = 512 << 10;
/// Bytes that wait in memory for all sockets before each is to keep less.
pub const SPILL_TIGHT_BYTES: usize = 64 << 20;
/// [`SPILL_FROM_BYTES`] from then on.
pub const SPILL_FROM_TIGHT_BYTES: usize = 128 << 10;
/// [`SPILL_CHUNK_BYTES`] from then on.
pub const SPILL_CHUNK_TIGHT_BYTES: usize = 64 << 10;
/// Rows between two frames that stay in memory stay there too if they have less than this, bytes: reading them back would cost
/// more than it saves.
pub const SPILL_CHUNK_MIN_BYTES: usize = 16 << 10;
/// A spill file's space goes back in pieces of this size, bytes.
pub const SPILL_SEGMENT_BYTES: u64 = 16 << 20;
/// Threads that read and write spill files.
pub const SPILL_TURNS: usize = 4;
/// After a write to a spill file failed: time to the next one of that socket.
pub const SPILL_TRY_AGAIN: Duration = Duration::from_secs(1);
/// What waits in memory is counted for the process in steps of this size, bytes.
pub const COUNT_STEP_BYTES: usize = 32 << 10;

/// How long a closing socket may take to write what is queued and to hear the peer's end.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// The time before a certificate's end from which on operators are warned: a new certificate may have to be ordered.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Alternative names that are read of a client's certificate.
pub const CERTIFICATE_NAMES_MAX: usize = 32;
/// Characters of a name in a client's certificate. A longer name counts as none, because a cut name could be that of somebody else.
pub const CERTIFICATE_NAME_CHARS_MAX: usize = 512;
/// TLS handshakes that all listeners of an intake begin per second at most. A handshake costs a signature: with RSA of 2048 bits some 0.7 ms
/// of a processor, with EC 0.1 ms. So a flood of handshakes leaves processor time to the sockets that are open.
pub const HANDSHAKES_PER_SECOND_MAX: u32 = 500;
/// A server that shuts down closes its sockets when no call has come for so long: longer than frames are held back on a new
/// socket (WIRE 7, consequence 2).
pub const SHUTTING_DOWN_QUIET: Duration = Duration::from_millis(500);
/// After a failed write: how long what the peer had sent before is still read.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
/// A socket that retires closes at the latest after so long, whatever streams still use it. A search without results for 10 minutes ends by
/// itself, so only a stream that goes on and on is cut off, with an error.
pub const RETIRING_MAX: Duration = Duration::from_secs(60 * 60);
/// TCP keep-alive: idle time before the first probe, and time between probes.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// `TCP_USER_TIMEOUT` of connections that we dialled: what was sent and is not acknowledged for so long, or finds no room at the
/// peer for so long, ends the connection. We can dial again, and pings find a frozen peer sooner.
pub const DIALLED_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for connections that we accepted. Linux makes no difference between a peer that is gone and one that acknowledges
/// and does not read: the second may be a caller that stalls, and a 1.8.0 dialler whose connection we end never dials
/// again (WIRE 7.5). So it is as long as a Java acceptor waits for a silent peer (WIRE 9).
pub const ACCEPTED_USER_TIMEOUT: Duration = Duration::from_secs(900);

/// First pause before a URL is dialled again that could not be reached; it doubles up to the housekeeping interval, with jitter.
pub const REDIAL: Duration = Duration::from_millis(100);

/// A socket that ends sooner counts as an attempt that failed: a peer that lets everybody in and hangs up is not dialled without a pause.
pub const SHORT_LIFE: Duration = Duration::from_secs(2);

/// Limit for the TCP connection of a dial to a URL, for the way through a proxy, and for TLS and upgrade together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Sockets that are kept to each dialled URL (`webSocketConnections`), unless configured; as in the vendor's samples.
pub const DIALLED_SOCKETS: u16 = 3;

/// Longest pause between two attempts to dial a URL (`housekeepingInterval`), unless configured; as in the vendor's samples.
pub const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(20);

/// Shortest time between the openings of two sockets to a URL (`newConnectionsInterval`), unless configured.
pub const NEW_CONNECTIONS_INTERVAL: Duration = Duration::from_secs(1);

const _: () = assert!(PENDING_SOCKETS <= REQUESTING_SOCKETS);
const _: () = assert!(UPGRADE_DEADLINE.as_millis() < REQUEST_DEADLINE.as_millis());
const _: () = assert!(LISTEN_BACKLOG as u32 * 2 <= ACCEPTS_PER_SECOND_MAX);
const _: () = assert!(crate::limits::HOLD_OFF.as_millis() < SHUTTING_DOWN_QUIET.as_millis());
const _: () = assert!(REASON_PHRASE_BYTES < HTTP_HEAD_BYTES);
const _: () = assert!(READ_BYTES <= READ_BYTES_MAX);
const _: () = assert!((MESSAGE_BYTES as u64) < MESSAGE_BYTES_HARD);
const _: () = assert!(MESSAGE_BYTES < BACKLOG_BYTES);
const _: () = assert!(GREETING_BYTES <= UNFINISHED_FREE_BYTES, "before the handshake no message needs room");
const _: () = assert!(crate::limits::SESSION_ID_BYTES_MAX * 4 < GREETING_BYTES);
const _: () = assert!(CONTROL_UNITS < SHARE_UNITS && EVENT_UNITS <= CONTROL_UNITS);
const _: () = assert!(4 * MESSAGE_BYTES <= INFLOW_BYTES);
const _: () = assert!(UNFINISHED_FREE_BYTES <= READ_APART_BYTES, "a small message is parsed at once");
const _: () = assert!(OWN_ANSWERS_LOW_BYTES < OWN_ANSWERS_MAX_BYTES && OWN_ANSWERS_MAX_BYTES < BACKLOG_BYTES);
const _: () = assert!(COUNT_STEP_BYTES < SPILL_CHUNK_TIGHT_BYTES);
const _: () = assert!(SPILL_CHUNK_MIN_BYTES < SPILL_CHUNK_TIGHT_BYTES);
const _: () = assert!(SPILL_CHUNK_TIGHT_BYTES < SPILL_FROM_TIGHT_BYTES);
const _: () = assert!(SPILL_CHUNK_BYTES < SPILL_FROM_BYTES);
const _: () =
    assert!(SPILL_FROM_BYTES < SPILL_TIGHT_BYTES, "one socket is no reason for all others to spill");
const _: () = assert!((SPILL_CHUNK_BYTES as u64) < SPILL_SEGMENT_BYTES);
const _: () =
    assert!(WRITE_BATCH_BYTES < SPILL_FROM_TIGHT_BYTES, "what is on its way to the kernel is no backlog");
const _: () =
    assert!(WRITE_BATCH_BYTES.is_multiple_of(4), "masked pieces must begin with the mask's first byte");

/// How often an intake that is to stand still looks whether a connection is under way.
pub const STAND_STILL_LOOK_EVERY: Duration = Duration::from_millis(2);
/// Bytes that may wait for a peer before an earlier process's frames for the peer are left with the earlier process, which may put them on
/// disk.
pub const RELAYED_BACKLOG_BYTES: usize = 256 * 1024;
/// Messages of one socket that may wait for an earlier process: cancels, which are small and few.
pub const RELAYED_BACK_MAX: usize = 1024;
