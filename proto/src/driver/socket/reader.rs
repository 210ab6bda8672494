//! The reading task of a socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until, timeout};

use super::message::Message;
use super::moving::Moving;
use super::outlook::{Outlook, writer_end};
use super::report::Share;
use super::{CloseReason, Closed, Events, Reading, Report, SocketEvent, Stop};
use crate::driver::caller::{Among, CallerShare};
use crate::driver::command::Command;
use crate::driver::counts::SocketCounts;
use crate::driver::framing::{Decoder, Inbound, Limits, Role, Violation};
use crate::driver::inflow::{Grant, Inflow};
use crate::driver::oversize::{Overrun, OversizeHead};
use crate::driver::turns::Pace;
use crate::driver::writer::{self, WriterEnd};
use crate::driver::{ReadHalf, limits};
use crate::envelope::{Envelope, FrameError};
use crate::limits::SESSION_ID_BYTES_MAX;
use crate::session::SocketId;

pub(super) struct Reader<F, R> {
    pub(super) id: SocketId,
    pub(super) role: Role,
    pub(super) io: ReadHalf,
    pub(super) decoder: Decoder,
    pub(super) limits: Limits,
    pub(super) events: Events<F>,
    /// Makes of an envelope what the owner gets. Absent while a large message is read apart.
    pub(super) read: Option<R>,
    /// Weak, so that the writer notices when the owner's last handle is gone.
    pub(super) pongs: mpsc::WeakUnboundedSender<Command>,
    pub(super) backlog_limit: usize,
    pub(super) counts: Arc<SocketCounts>,
    pub(super) garbage: u64,
    pub(super) reading: Reading,
    /// Bytes that may still come before the peer's handshake; `None` once the handshake has come.
    pub(super) greeting: Option<usize>,
    pub(super) inflow: Arc<Inflow>,
    /// What the caller's sockets take together; before the handshake, what this socket takes.
    pub(super) share: Arc<CallerShare>,
    /// Which callers the socket's caller is one of; `None` once the handshake has come, and for members.
    pub(super) among: Option<Among>,
    /// The room of the unfinished message.
    pub(super) room: Grant,
    /// When the unfinished message became a large one.
    pub(super) large_since: Option<Instant>,
    /// When the next question to the router itself may be read.
    pub(super) questions: Pace,
    /// Where the owner says what becomes of a frozen socket.
    pub(super) moving: Arc<Moving>,
}

/// Why nothing more is read.
enum Halt {
    /// The socket ends.
    Ended(CloseReason),
    /// The socket is frozen.
    Frozen,
}

impl From<CloseReason> for Halt {
    fn from(reason: CloseReason) -> Self {
        Self::Ended(reason)
    }
}

impl<F: Send + 'static, R: FnMut(Envelope) -> F + Send + 'static> Reader<F, R> {
    pub(super) async fn run(
        mut self,
        writer: JoinHandle<WriterEnd>,
        halt: oneshot::Sender<()>,
        stopped: watch::Receiver<Stop>,
    ) {
        let mut outlook =
            Outlook { writer, ended: None, stopped, listening: true, is_frozen: false, ending: None };
        let reason = self.pump(&mut outlook).await;
        drop(halt);
        let end = match outlook.ended {
            Some(end) => end,
            None => writer_end(outlook.writer.await),
        };
        let closed = Closed { reason, unsent: end.unsent };
        let goodbye = match reason {
            CloseReason::PeerClose(code) => Some(code),
            CloseReason::ProtocolError(_) => Some(Some(1002)),
            CloseReason::HardLimit(_) | CloseReason::Greeting(_) => Some(Some(1009)),
            _ => None,
        };
        // A message that the peer had begun to send is not kept while its end waits for the owner.
        self.room.clear();
        drop(self.decoder);
        // If the owner is gone, there is nobody to report to.
        let report = Report::new(self.id, SocketEvent::Closed(closed), None, None);
        let _ = self.events.send(report).await;
        self.counts.ring();
        if let (Some(code), Some(io)) = (goodbye, end.clean) {
            // The peer gets one attempt at a close frame. Nothing waits for its success.
            let _ = timeout(limits::LAST_WORDS, writer::say_goodbye(io, self.role, code)).await;
        }
    }

    /// Reads and reports until the end, and returns the reason of the end.
    async fn pump(&mut self, outlook: &mut Outlook) -> CloseReason {
        loop {
            match self.ready(outlook).await {
                Ok(()) => {}
                Err(Halt::Ended(reason)) => return reason,
                Err(Halt::Frozen) => match self.stand_still(outlook).await {
                    Some(reason) => return reason,
                    None => continue,
                },
            }
            let deadline = self.pace_deadline();
            let mut space = self.decoder.space().limit(limits::READ_AT_ONCE_BYTES);
            tokio::select! {
                biased;
                read = self.io.read_buf(&mut space) => match read {
                    Ok(0) => return outlook.reason_or(CloseReason::Eof),
                    Ok(count) => {
                        self.counts.received(count);
                        self.decoder.note_read(count);
                        if count >= limits::READ_BYTES_MAX {
                            // A peer that sends a large message without pause must not hold up the other sockets of this thread.
                            yield_now().await;
                        }
                    }
                    Err(_) => return outlook.reason_or(CloseReason::Reset),
                },
                () = outlook.changed() => {}
                () = passed(deadline) => self.give_up(Overrun::Pace),
            }
        }
    }

    /// Reports what was read, and makes room for the next read.
    async fn ready(&mut self, outlook: &mut Outlook) -> Result<(), Halt> {
        self.report_all(outlook).await?;
        // This is checked in each round, because a peer that never pauses would starve the other branches.
        if let Some(reason) = outlook.look().await {
            return Err(reason.into());
        }
        if outlook.is_frozen {
            return Err(Halt::Frozen);
        }
        self.make_room(outlook).await
    }

    /// Neither reads nor reports until the owner says how a frozen socket goes on. Returns the reason if the socket ends.
    async fn stand_still(&mut self, outlook: &mut Outlook) -> Option<CloseReason> {
        self.moving.stands_still(|| self.decoder.unread());
        while outlook.is_frozen {
            outlook.changed().await;
            if let Some(reason) = outlook.look().await {
                return Some(reason);
            }
        }
        if let Some(io) = self.moving.take_through() {
            // What was read before is with the process that has the connection now.
            self.io = io;
            self.decoder = Decoder::new(self.role, self.limits, Bytes::new());
            self.room.clear();
            self.large_since = None;
        }
        None
    }

    /// Reports everything that was read.
    async fn report_all(&mut self, outlook: &mut Outlook) -> Result<(), Halt> {
        loop {
            if self.reading == Reading::Patient {
                self.await_peer_and_owner(outlook).await?;
            }
            let inbound = match self.decoder.decode() {
                Ok(Some(inbound)) => inbound,
                Ok(None) => return Ok(self.check_greeting(self.decoder.held())?),
                Err(Violation::HardLimit(bytes)) => return Err(CloseReason::HardLimit(bytes).into()),
                Err(violation) => return Err(CloseReason::ProtocolError(violation).into()),
            };
            if let Inbound::Binary(_) | Inbound::Oversize { .. } = inbound {
                self.large_since = None;
            }
            let mut units = limits::EVENT_UNITS;
            let event = match inbound {
                Inbound::Binary(message) => {
                    let message = self.message(message).await?;
                    units = message.units;
                    self.event(message.frame)
                }
                Inbound::Oversize { head, total, why } => {
                    SocketEvent::Oversize(OversizeHead::read(&head, total, why))
                }
                Inbound::Pong => SocketEvent::Pong,
                Inbound::Text => {
                    self.counts.text_frame();
                    continue;
                }
                Inbound::Ping(payload) => {
                    self.answer_ping(payload);
                    self.pace_questions(outlook).await?;
                    continue;
                }
                Inbound::Close(code) => return Err(CloseReason::PeerClose(code).into()),
            };
            let room = match event {
                SocketEvent::Frame(_) => self.room.take(),
                _ => None,
            };
            let share = (self.reading == Reading::Patient).then(|| Share::of(units, &self.share));
            let report = Report::new(self.id, event, share, room);
            self.events.send(report).await.map_err(|_| CloseReason::Owner)?;
            if units > limits::EVENT_UNITS {
                self.pace_questions(outlook).await?;
            }
        }
    }

    /// A caller asked something of the router itself: waits if this caller asks faster than [`limits::QUESTIONS_PER_SECOND`].
    async fn pace_questions(&mut self, outlook: &mut Outlook) -> Result<(), Halt> {
        if self.reading == Reading::Steady {
            return Ok(());
        }
        let now = Instant::now();
        self.questions.took_one(limits::QUESTIONS_PER_SECOND, limits::QUESTIONS_BURST, now);
        match self.questions.next() {
            next if next > now => pause(sleep_until(next), outlook).await,
            _ => Ok(()),
        }
    }

    /// Reads a message. Before the peer's handshake a message is small, and is looked at for its size first.
    async fn message(&mut self, bytes: Bytes) -> Result<Message<F>, CloseReason> {
        let size = bytes.len();
        if self.greeting.is_some() {
            self.check_greeting(size)?;
        }
        let Some(mut read) = self.read.take() else { return Err(CloseReason::Owner) };
        let (message, read) = match size > limits::READ_APART_BYTES {
            false => (Message::read(bytes, &mut read), read),
            true => {
                let inflow = Arc::clone(&self.inflow);
                Message::read_apart(bytes, read, &inflow).await.ok_or(CloseReason::Owner)?
            }
        };
        self.read = Some(read);
        match &message.session_id {
            Some(session_id) => self.greeted(session_id),
            None => self.greeting = self.greeting.map(|left| left.saturating_sub(size)),
        }
        Ok(message)
    }

    /// The peer's handshake has come: from now on the socket has part in what the caller's other sockets take.
    pub(super) fn greeted(&mut self, session_id: &str) {
        self.greeting = None;
        // Before the handshake no message is large, so no room is given back to another share than it was taken from.
        if let Some(among) =
            self.among.take_if(|_| self.room.is_none() && session_id.len() <= SESSION_ID_BYTES_MAX)
        {
            self.share = among.callers.share(&among.way_in, session_id);
            self.room = Grant::none(&self.inflow, &self.share);
        }
    }

    /// The event that a message stands for.
    fn event(&mut self, frame: Result<F, FrameError>) -> SocketEvent<F> {
        match frame {
            Ok(frame) => SocketEvent::Frame(frame),
            Err(error) => {
                self.garbage += 1;
                SocketEvent::Garbage { error, count: self.garbage }
            }
        }
    }

    /// Whether this many more bytes may come before the peer's handshake.
    fn check_greeting(&self, bytes: usize) -> Result<(), CloseReason> {
        match self.greeting {
            Some(left) if bytes > left => Err(CloseReason::Greeting(bytes as u64)),
            _ => Ok(()),
        }
    }

    /// Waits while the peer does not read what it asked of us, and while the caller's share of the owner's queue is used up.
    async fn await_peer_and_owner(&mut self, outlook: &mut Outlook) -> Result<(), Halt> {
        while self.counts.own() > limits::OWN_ANSWERS_LOW_BYTES {
            let counts = Arc::clone(&self.counts);
            let drained = counts.drained();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.counts.own() > limits::OWN_ANSWERS_LOW_BYTES {
                pause(drained, outlook).await?;
            }
        }
        while self.share.is_used() {
            let share = Arc::clone(&self.share);
            let freed = share.freed();
            tokio::pin!(freed);
            // The caller's other sockets wait as well, so the notice is not kept for one that begins to wait later.
            freed.as_mut().enable();
            if self.share.is_used() {
                pause(freed, outlook).await?;
            }
        }
        Ok(())
    }

    /// Takes room for the next read into a large message. If there is no room, a caller's socket is not read, and after
    /// [`limits::INFLOW_PATIENCE`] the message is given up. A member's message is given up at once.
    async fn make_room(&mut self, outlook: &mut Outlook) -> Result<(), Halt> {
        if self.decoder.held() <= limits::UNFINISHED_FREE_BYTES {
            self.room.clear();
            self.large_since = None;
            return Ok(());
        }
        let since = *self.large_since.get_or_insert_with(Instant::now);
        let size = self.decoder.next_size();
        if self.room.grow(size) {
            return Ok(());
        }
        let began = Instant::now();
        let patience = match self.reading {
            Reading::Steady => Duration::ZERO,
            Reading::Patient => self.inflow.patience,
        };
        let inflow = Arc::clone(&self.inflow);
        while began.elapsed() < patience {
            let freed = inflow.freed();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.room.grow(size) {
                // The wait was the router's fault, so it does not count against the peer's pace.
                self.large_since = Some(since + began.elapsed());
                return Ok(());
            }
            // The wait ends with the patience as well.
            timeout(patience.saturating_sub(began.elapsed()), pause(freed, outlook))
                .await
                .unwrap_or(Ok(()))?;
        }
        if self.room.grow(size) {
            return Ok(());
        }
        self.give_up(Overrun::Room);
        Ok(())
    }

    /// The moment at which a large message counts as too slow if nothing more of it comes.
    fn pace_deadline(&self) -> Option<Instant> {
        let seconds = u64::try_from(self.decoder.held() / limits::MESSAGE_BYTES_PER_SECOND).ok()?;
        Some(self.large_since? + self.inflow.grace + Duration::from_secs(seconds))
    }

    fn give_up(&mut self, why: Overrun) {
        let held = self.decoder.held();
        self.decoder.give_up(why);
        self.room.clear();
        self.large_since = None;
        if self.inflow.may_log(Instant::now()) {
            tracing::warn!(
                socket = %self.id,
                bytes = held,
                taken = self.inflow.taken(),
                "{}",
                match why {
                    Overrun::Size => "a message is too large",
                    Overrun::Room => "a message is dropped: the room for large messages on their way in is taken",
                    Overrun::Pace => "a message is dropped: its sender has not finished it in time",
                }
            );
        }
    }

    /// Queues the pong. A pong that finds no room is dropped: the peer is not reading, and would not see the pong (P10).
    fn answer_ping(&self, payload: Bytes) {
        let Some(queue) = self.pongs.upgrade() else { return };
        let pong = Command::Pong(payload);
        let (cost, own) = (pong.cost(), pong.own_cost());
        let has_room = self.counts.own() <= limits::OWN_ANSWERS_LOW_BYTES
            && self.counts.charge_within(cost, self.backlog_limit, false);
        if has_room {
            self.counts.charge_own(own);
            if queue.send(pong).is_err() {
                self.counts.release_own(own);
                self.counts.release(cost);
            }
        }
    }
}

/// Waits for a moment; for ever if there is no moment.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits until something resolves, or until the socket ends or is frozen.
async fn pause(what: impl Future<Output = ()>, outlook: &mut Outlook) -> Result<(), Halt> {
    tokio::pin!(what);
    loop {
        tokio::select! {
            biased;
            () = &mut what => return Ok(()),
            () = outlook.changed() => {
                if let Some(reason) = outlook.look().await {
                    return Err(reason.into());
                }
                if outlook.is_frozen {
                    return Err(Halt::Frozen);
                }
            }
        }
    }
}
