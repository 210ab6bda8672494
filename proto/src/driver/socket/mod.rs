//! Pumps one WebSocket: what arrives goes to the owner as parsed frames, what the owner queues is written in order.
//!
//! Two tasks for a socket, one for each direction, and nothing shared between them on the way of a frame but a few counters. So
//! reading never waits for writing: a member whose reader stalls for 100 ms ends its searches short (WIRE 5.3, P13), and a
//! socket whose peer does not read must still bring answers and pongs. The reading task is the senior: it hears the owner's
//! wish to end, ends the writing task, and makes the one last report.
//!
//! The stream's halves come from `TcpStream::into_split`, which needs no lock; for TLS both directions share one state, and
//! tokio's split locks it for the length of a poll.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::command::Command;
pub use super::counts::Moved;
use super::counts::SocketCounts;
use super::framing::{Decoder, Inbound, Limits, Role, Violation};
use super::oversize::OversizeHead;
use super::spill::Spill;
use super::writer::{self, EndCause, WriterEnd};
use super::{ReadHalf, WebSocket, limits};
use crate::envelope::{Envelope, FrameError};
use crate::session::SocketId;
use crate::withheld::Withheld;

/// Where a socket's reports go: one bounded channel for all sockets of an owner.
pub type Events = mpsc::Sender<(SocketId, SocketEvent)>;

/// What a socket reports to its owner.
#[derive(Debug)]
pub enum SocketEvent {
    /// A message.
    Frame(Envelope),
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
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { message: Limits::default(), backlog_bytes: limits::BACKLOG_BYTES, spill: Spill::nowhere() }
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
}

/// What the owner wants of the reading task. Dropping the sender means `Close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
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
        // A socket that has ended needs no closing.
        let _ = self.inner.queue.send(self.charged(Command::Close));
        self.inner.stop.send_if_modified(|stop| {
            let first = *stop == Stop::No;
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
        self.inner.queue.send(command).map_err(|_| {
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

/// Starts the two tasks of a socket.
pub fn spawn(id: SocketId, socket: WebSocket, config: &SocketConfig, events: Events) -> SocketHandle {
    let WebSocket { read, write, leftover, role } = socket;
    let counts = Arc::new(SocketCounts::default());
    let (queue, commands) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(Stop::No);
    let (halt, halted) = oneshot::channel();
    let writer =
        tokio::spawn(writer::run(write, role, commands, counts.clone(), config.spill.clone(), halted));
    let reader = Reader {
        id,
        role,
        io: read,
        decoder: Decoder::new(role, config.message, leftover),
        events,
        pongs: queue.downgrade(),
        backlog_limit: config.backlog_bytes,
        counts: counts.clone(),
        garbage: 0,
    };
    tokio::spawn(reader.run(writer, halt, stopped));
    let backlog_limit = config.backlog_bytes;
    SocketHandle { inner: Arc::new(Inner { id, queue, stop, counts, backlog_limit }) }
}

struct Reader {
    id: SocketId,
    role: Role,
    io: ReadHalf,
    decoder: Decoder,
    events: Events,
    /// Weak, so that the writer notices when the owner's last handle is gone.
    pongs: mpsc::WeakUnboundedSender<Command>,
    backlog_limit: usize,
    counts: Arc<SocketCounts>,
    garbage: u64,
}

impl Reader {
    async fn run(
        mut self,
        writer: JoinHandle<WriterEnd>,
        halt: oneshot::Sender<()>,
        stopped: watch::Receiver<Stop>,
    ) {
        let mut outlook = Outlook { writer, ended: None, stopped, listening: true, ending: None };
        let reason = self.read(&mut outlook).await;
        drop(halt);
        let end = match outlook.ended {
            Some(end) => end,
            None => writer_end(outlook.writer.await),
        };
        let closed = Closed { reason, unsent: end.unsent };
        let goodbye = match reason {
            CloseReason::PeerClose(code) => Some(code),
            CloseReason::ProtocolError(_) => Some(Some(1002)),
            CloseReason::HardLimit(_) => Some(Some(1009)),
            _ => None,
        };
        // An owner that is gone needs no report.
        let _ = self.events.send((self.id, SocketEvent::Closed(closed))).await;
        self.counts.ring();
        if let (Some(code), Some(io)) = (goodbye, end.clean) {
            // The peer is not owed more than the attempt.
            let _ = timeout(limits::LAST_WORDS, writer::say_goodbye(io, self.role, code)).await;
        }
    }

    /// Reads and reports until the end, and tells its reason.
    async fn read(&mut self, outlook: &mut Outlook) -> CloseReason {
        loop {
            if let Err(reason) = self.report_all().await {
                return reason;
            }
            // Looked at each time, since a peer that never pauses would keep the other branches from their turn.
            if let Some(reason) = outlook.look().await {
                return reason;
            }
            tokio::select! {
                biased;
                read = self.io.read_buf(self.decoder.space()) => match read {
                    Ok(0) => return outlook.reason_or(CloseReason::Eof),
                    Ok(count) => {
                        self.counts.received(count);
                        self.decoder.note_read(count);
                    }
                    Err(_) => return outlook.reason_or(CloseReason::Reset),
                },
                () = outlook.changed() => {}
            }
        }
    }

    /// Reports everything that has been read.
    async fn report_all(&mut self) -> Result<(), CloseReason> {
        loop {
            let inbound = match self.decoder.decode() {
                Ok(Some(inbound)) => inbound,
                Ok(None) => return Ok(()),
                Err(Violation::HardLimit(bytes)) => return Err(CloseReason::HardLimit(bytes)),
                Err(violation) => return Err(CloseReason::ProtocolError(violation)),
            };
            let event = match inbound {
                Inbound::Binary(message) => match Envelope::parse(message) {
                    Ok(envelope) => SocketEvent::Frame(envelope),
                    Err(error) => {
                        self.garbage += 1;
                        SocketEvent::Garbage { error, count: self.garbage }
                    }
                },
                Inbound::Oversize { head, total } => SocketEvent::Oversize(OversizeHead::read(&head, total)),
                Inbound::Pong => SocketEvent::Pong,
                Inbound::Text => {
                    self.counts.text_frame();
                    continue;
                }
                Inbound::Ping(payload) => {
                    self.answer_ping(payload);
                    continue;
                }
                Inbound::Close(code) => return Err(CloseReason::PeerClose(code)),
            };
            self.events.send((self.id, event)).await.map_err(|_| CloseReason::Owner)?;
        }
    }

    /// Queues the pong. One that does not fit is dropped: the peer is not reading, so it would not see it (P10).
    fn answer_ping(&self, payload: Bytes) {
        let Some(queue) = self.pongs.upgrade() else { return };
        let pong = Command::Pong(payload);
        let cost = pong.cost();
        if self.counts.charge_within(cost, self.backlog_limit, false) && queue.send(pong).is_err() {
            self.counts.release(cost);
        }
    }
}

/// What may end a socket besides its stream.
struct Outlook {
    writer: JoinHandle<WriterEnd>,
    /// How writing ended, if it has.
    ended: Option<WriterEnd>,
    /// The owner's wishes.
    stopped: watch::Receiver<Stop>,
    /// Whether there is an owner.
    listening: bool,
    /// Once the end is decided: why, and until when what the peer had sent is still read.
    ending: Option<(CloseReason, Instant)>,
}

impl Outlook {
    /// Takes note of what has happened, and tells if the socket ends now.
    async fn look(&mut self) -> Option<CloseReason> {
        if self.ended.is_none() && self.writer.is_finished() {
            let end = writer_end((&mut self.writer).await);
            self.writer_ended(end);
        }
        if self.listening && self.stopped.has_changed().unwrap_or(true) {
            // Without a sender the owner's last handle is gone.
            self.listening = self.stopped.has_changed().is_ok();
            if *self.stopped.borrow_and_update() == Stop::Abort {
                return Some(CloseReason::Owner);
            }
            self.ending.get_or_insert((CloseReason::Owner, Instant::now() + limits::CLOSE_DEADLINE));
        }
        self.ending.filter(|(_, deadline)| Instant::now() >= *deadline).map(|(reason, _)| reason)
    }

    /// Waits until [`Outlook::look`] has something to see.
    async fn changed(&mut self) {
        let deadline = async {
            match self.ending {
                Some((_, deadline)) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = &mut self.writer, if self.ended.is_none() => self.writer_ended(writer_end(end)),
            wish = self.stopped.changed(), if self.listening => {
                if wish.is_ok() {
                    // Seen, but not looked at.
                    self.stopped.mark_changed();
                }
            }
            () = deadline => {}
        }
    }

    fn writer_ended(&mut self, end: WriterEnd) {
        let (reason, patience) = match end.cause {
            EndCause::Finished => (CloseReason::Owner, limits::CLOSE_DEADLINE),
            EndCause::Failed | EndCause::Halted => (CloseReason::WriteFailed, limits::LAST_WORDS),
        };
        self.ending.get_or_insert((reason, Instant::now() + patience));
        self.ended = Some(end);
    }

    fn reason_or(&self, reason: CloseReason) -> CloseReason {
        self.ending.map_or(reason, |(decided, _)| decided)
    }
}

fn writer_end(joined: Result<WriterEnd, tokio::task::JoinError>) -> WriterEnd {
    joined.unwrap_or(WriterEnd { cause: EndCause::Failed, unsent: Vec::new(), clean: None })
}

#[cfg(test)]
mod pressure_tests;
#[cfg(test)]
mod tests;
