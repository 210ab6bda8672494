//! Pumps one WebSocket: what arrives goes to the owner as parsed frames, what the owner queues is written in order.
//!
//! Two tasks for a socket, one for each direction, and nothing shared between them on the way of a frame but a few counters. So
//! reading never waits for writing: a member whose reader stalls for 100 ms ends its searches short (WIRE 5.3, P13), and a
//! socket whose peer does not read must still bring answers and pongs. The reading task is the senior: it hears the owner's
//! wish to end, ends the writing task, and makes the one last report.
//!
//! A caller's socket is read only while the caller does its part: the caller reads what it asked for, its large messages have room
//! ([`super::inflow`]), and its reports do not fill the owner's queue. A member's socket is read without pause, whatever comes.
//!
//! The stream's halves come from `TcpStream::into_split`, which needs no lock; for TLS both directions share one state, and
//! tokio's split locks it for the length of a poll.

mod message;
mod moving;
mod outlook;
mod reader;
mod report;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub use self::moving::Frozen;
use self::moving::Moving;
use self::reader::Reader;
pub use self::report::Report;

use super::caller::{Among, CallerShare};
use super::command::Command;
pub use super::counts::Moved;
use super::counts::SocketCounts;
use super::framing::{Decoder, Limits, Violation};
use super::inflow::{Grant, Inflow};
use super::oversize::OversizeHead;
use super::spill::Spill;
use super::turns::Pace;
use super::valve::Valve;
use super::writer;
use super::{WebSocket, limits};
use crate::envelope::{Envelope, FrameError};
use crate::session::SocketId;
use crate::withheld::Withheld;

/// Where a socket's reports go: one bounded channel for all sockets of an owner. `F` is the form in which the owner gets frames.
pub type Events<F = Envelope> = mpsc::Sender<Report<F>>;

/// The owner's end of the channel of reports.
pub type Reports<F = Envelope> = mpsc::Receiver<Report<F>>;

/// What a socket reports to its owner.
#[derive(Debug)]
pub enum SocketEvent<F = Envelope> {
    /// A message.
    Frame(F),
    /// The answer to a ping.
    Pong,
    /// A message over the limit; it was dropped, the socket lives.
    Oversize(OversizeHead),
    /// A binary message that is not of the protocol. Java ignores it (WIRE 1.2); the owner decides.
    Garbage {
        /// What is wrong with it.
        error: FrameError,
        /// How many of this socket were garbage so far, this one included.
        count: u64,
    },
    /// The end, exactly once, after everything else.
    Closed(Closed),
}

/// How a socket ended.
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
    /// Messages of which the peer cannot have got the last byte: certainly not acted on. What is not listed here *may* have
    /// arrived. Rows (parts of answers of many frames) that waited for a spill file or in it are left out: nobody is owed one.
    pub unsent: Vec<Bytes>,
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsent: Vec<_> = self.unsent.iter().map(|frame| Withheld(frame)).collect();
        f.debug_struct("Closed").field("reason", &self.reason).field("unsent", &unsent).finish()
    }
}

/// Why a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// FIN without a Close frame: how a Java process ends (WIRE 1.2).
    #[error("the peer ended the connection")]
    Eof,
    /// The connection broke.
    #[error("the connection was reset")]
    Reset,
    /// The peer's Close frame, with its code if it gave one.
    #[error("the peer closed the WebSocket")]
    PeerClose(Option<u16>),
    /// The peer broke the rules of WebSockets.
    #[error("{0}")]
    ProtocolError(Violation),
    /// More than [`limits::GREETING_BYTES`] came before the peer's handshake.
    #[error("the peer sent {0} bytes before its handshake")]
    Greeting(u64),
    /// A message so large that it is not even skipped.
    #[error("the peer announced a message of {0} bytes, over the hard limit")]
    HardLimit(u64),
    /// Writing failed.
    #[error("writing to the peer failed")]
    WriteFailed,
    /// The owner closed it, or forgot it.
    #[error("closed by us")]
    Owner,
}

/// Limits of one socket.
#[derive(Debug, Clone)]
pub struct SocketConfig {
    /// How large a message may be.
    pub message: Limits,
    /// Most bytes that wait in memory, [`limits::FRAME_OVERHEAD_BYTES`] a frame included. One frame is always taken by an empty
    /// queue.
    pub backlog_bytes: usize,
    /// Where what waits is counted, and may be spilled to.
    pub spill: Arc<Spill>,
    /// Room for large messages on their way in.
    pub inflow: Arc<Inflow>,
    /// For a caller's socket: which callers it is one of. All sockets of one caller share its part of the owner's queue, and of the room for
    /// large messages. Without this each socket counts alone.
    pub among: Option<Among>,
    /// Whether reading may pause.
    pub reading: Reading,
    /// Most bytes of all messages before the peer's handshake; `usize::MAX` for no limit.
    pub greeting_bytes: usize,
    /// The session id that the peer showed in its handshake, for a socket of an earlier process whose handshake is done.
    pub greeted: Option<String>,
}

/// Whether reading a socket may pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Never pauses: for members. Messages that find no room are dropped.
    Steady,
    /// Pauses while the peer does not read our own answers, while a large message has no room, and while the caller's share of the owner's
    /// queue is used up: for callers.
    Patient,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            message: Limits::default(),
            backlog_bytes: limits::BACKLOG_BYTES,
            spill: Spill::nowhere(),
            inflow: Inflow::of(limits::INFLOW_BYTES),
            among: None,
            reading: Reading::Steady,
            greeting_bytes: usize::MAX,
            greeted: None,
        }
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The backlog is at its limit.
    #[error("too much is queued towards the peer")]
    Full,
    /// The socket has ended.
    #[error("the socket is closed")]
    Closed,
}

/// The owner's end of a socket. Dropping the last clone closes the socket.
#[derive(Clone)]
pub struct SocketHandle {
    inner: Arc<Inner>,
}

struct Inner {
    id: SocketId,
    queue: mpsc::UnboundedSender<Command>,
    stop: watch::Sender<Stop>,
    counts: Arc<SocketCounts>,
    backlog_limit: usize,
    reading: Reading,
    valve: Option<Valve>,
    moving: Arc<Moving>,
}

/// What the owner wants of the reading task. Dropping the sender means `Close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// The socket stands still: it may go over to another process.
    Frozen,
    Close,
    Abort,
}

impl SocketHandle {
    /// The id under which the socket reports.
    pub fn id(&self) -> SocketId {
        self.inner.id
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`SendError`]; the message was not queued.
    pub fn send(&self, message: Bytes) -> Result<(), SendError> {
        self.queue(Command::Frame(message))
    }

    /// Queues a message that answers what the peer asked of us, as [`SocketHandle::send`] does. While many such answers wait, a caller's
    /// socket is not read. A member that does not read the answers loses the socket.
    ///
    /// # Errors
    /// [`SendError`]; the message was not queued.
    pub fn reply(&self, message: Bytes) -> Result<(), SendError> {
        if self.inner.reading == Reading::Steady && self.inner.counts.own() > limits::OWN_ANSWERS_MAX_BYTES {
            return Err(SendError::Full);
        }
        self.queue(Command::Reply(message))
    }

    /// Nothing queued after this is written before `until` (WIRE 7, consequence 2). What was queued before goes out at once.
    ///
    /// # Errors
    /// [`SendError`]
    pub fn hold(&self, until: Instant) -> Result<(), SendError> {
        self.queue(Command::Hold(until))
    }

    /// Queues an empty ping; a live peer's answer is [`SocketEvent::Pong`].
    ///
    /// # Errors
    /// [`SendError`]; with `Full` the peer has not read for long, which says as much as a missing pong.
    pub fn ping(&self) -> Result<(), SendError> {
        self.queue(Command::Ping)
    }

    /// Writes what is queued, then a Close frame and FIN; what still arrives is reported. All within
    /// [`limits::CLOSE_DEADLINE`].
    pub fn close(&self) {
        self.close_by(Command::close());
    }

    /// Closes as [`SocketHandle::close`] does, and tells the peer why: a code of RFC 6455 (section 7.4), and a line of which the peer gets 123
    /// bytes at most.
    pub fn close_saying(&self, code: u16, reason: &str) {
        self.close_by(Command::close_saying(code, reason));
    }

    fn close_by(&self, close: Command) {
        // A socket that has ended needs no closing.
        let _ = self.inner.queue.send(self.charged(close));
        self.inner.stop.send_if_modified(|stop| {
            let first = matches!(*stop, Stop::No | Stop::Frozen);
            if first {
                *stop = Stop::Close;
            }
            first
        });
    }

    /// Ends the socket at once: for peers that are known not to answer.
    pub fn abort(&self) {
        self.inner.stop.send_replace(Stop::Abort);
    }

    /// Bytes queued and not taken by the kernel, in memory and on disk.
    pub fn backlog_bytes(&self) -> usize {
        self.inner.counts.backlog()
    }

    /// Those of the queued bytes that are on disk.
    pub fn spilled_bytes(&self) -> usize {
        self.inner.counts.spilled_bytes()
    }

    /// Bytes that came, and bytes that the kernel took: a long message shows that its peer lives before it is there.
    pub fn moved(&self) -> Moved {
        self.inner.counts.moved()
    }

    /// Whether nothing can be queued any more.
    pub fn is_closed(&self) -> bool {
        self.inner.queue.is_closed()
    }

    /// Waits until fewer than `bytes` are queued, or the socket has ended.
    pub async fn drained_below(&self, bytes: usize) {
        loop {
            let drained = self.inner.counts.drained();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.backlog_bytes() < bytes || self.is_closed() {
                return;
            }
            drained.await;
        }
    }

    /// Text messages received and ignored (WIRE 1.2).
    pub fn text_frames(&self) -> u64 {
        self.inner.counts.text_frames()
    }

    fn charged(&self, command: Command) -> Command {
        self.inner.counts.charge(command.cost());
        command
    }

    fn queue(&self, command: Command) -> Result<(), SendError> {
        let cost = command.cost();
        if !self.inner.counts.charge_within(cost, self.inner.backlog_limit, true) {
            return Err(SendError::Full);
        }
        let own = command.own_cost();
        self.inner.counts.charge_own(own);
        self.inner.queue.send(command).map_err(|_| {
            self.inner.counts.release_own(own);
            self.inner.counts.release(cost);
            SendError::Closed
        })
    }
}

impl fmt::Debug for SocketHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketHandle")
            .field("id", &self.inner.id)
            .field("backlog_bytes", &self.backlog_bytes())
            .finish_non_exhaustive()
    }
}

/// Starts the two tasks of a socket. The owner gets the envelopes of frames.
pub fn spawn(id: SocketId, socket: WebSocket, config: &SocketConfig, events: Events) -> SocketHandle {
    spawn_reading(id, socket, config, events, std::convert::identity)
}

/// Starts the two tasks of a socket. `read` makes of each envelope what the owner gets. It runs in the reading task, so that the owner does
/// not pay its cost. Large messages are read on a thread beside those that move frames ([`limits::READ_APART_BYTES`]).
pub fn spawn_reading<F: Send + 'static>(
    id: SocketId,
    socket: WebSocket,
    config: &SocketConfig,
    events: Events<F>,
    read: impl FnMut(Envelope) -> F + Send + 'static,
) -> SocketHandle {
    let WebSocket { read: io, write, leftover, role, valve } = socket;
    let moving = Arc::<Moving>::default();
    let (counts, share) = (Arc::new(SocketCounts::default()), Arc::<CallerShare>::default());
    let (queue, commands) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(Stop::No);
    let (halt, halted) = oneshot::channel();
    let writer =
        tokio::spawn(writer::run(write, role, commands, counts.clone(), config.spill.clone(), halted));
    let mut reader = Reader {
        id,
        role,
        io,
        decoder: Decoder::new(role, config.message, leftover),
        limits: config.message,
        events,
        read: Some(read),
        pongs: queue.downgrade(),
        backlog_limit: config.backlog_bytes,
        counts: counts.clone(),
        garbage: 0,
        reading: config.reading,
        greeting: Some(config.greeting_bytes).filter(|bytes| *bytes < usize::MAX),
        inflow: Arc::clone(&config.inflow),
        room: Grant::none(&config.inflow, &share),
        share,
        among: config.among.clone(),
        large_since: None,
        questions: Pace::new(),
        moving: Arc::clone(&moving),
    };
    if let Some(session_id) = &config.greeted {
        reader.greeted(session_id);
    }
    tokio::spawn(reader.run(writer, halt, stopped));
    let (backlog_limit, reading) = (config.backlog_bytes, config.reading);
    SocketHandle { inner: Arc::new(Inner { id, queue, stop, counts, backlog_limit, reading, valve, moving }) }
}

#[cfg(test)]
mod moving_tests;
#[cfg(test)]
mod pressure_tests;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod tests;
