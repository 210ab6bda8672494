//! Frames on their way to a caller: which socket a frame goes to, what is kept while the caller has no socket, what is sent once
//! more.

use std::collections::HashSet;

use bytes::Bytes;
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use super::{CallerEnd, Callers, lost_on_the_way};
use crate::engine::io::{Backlog, Io};
use crate::engine::keys::CallerKey;
use crate::limits::{self, Room};
use crate::verdict::CallError;

/// Where a frame waits for a caller that does not read (`rcs_proto::driver`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Waits {
    /// A part of an answer of many frames: on disk, if there is room.
    OnDisk,
    /// The last frame of an answer: nothing that lies on disk is in its way.
    InMemory,
}

impl Callers {
    /// Whether queuing `more` bytes would exceed the backlog limit of the call's socket, its session, or the process. The last
    /// two count only if the call's own socket is backlogged, so slow callers do not fail the calls of fast ones.
    pub(in crate::engine) fn is_backlogged(
        &self,
        end: &CallerEnd,
        more: usize,
        waits: Waits,
        io: &impl Io,
    ) -> bool {
        let total = io.backlog_total();
        if total.bytes() + more <= limits::SOCKET_BACKLOG_LOW {
            return false;
        }
        let Some(caller) = self.sessions.get(end.session) else { return false };
        let sockets = || caller.session.sockets().map(|socket| io.backlog(socket));
        let of_call = match end.socket {
            Some(socket) => io.backlog(socket),
            None => sockets().min_by_key(|backlog| backlog.bytes()).unwrap_or_default(),
        };
        let is_over = |backlog: Backlog, room: Room| {
            backlog.memory + more > room.memory || waits == Waits::OnDisk && backlog.disk + more > room.disk
        };
        is_over(of_call, limits::CALL_BACKLOG_MAX)
            || of_call.bytes() > limits::SOCKET_BACKLOG_LOW
                && (is_over(sockets().sum(), limits::SESSION_BACKLOG_MAX)
                    || is_over(total, limits::PROCESS_BACKLOG_MAX))
    }

    /// Hands a part of an answer to its caller; returns the end with the socket that the rest of the answer goes to.
    pub(in crate::engine) fn deliver(
        &mut self,
        end: &CallerEnd,
        frame: Bytes,
        now: Moment,
        io: &mut impl Io,
    ) -> CallerEnd {
        let socket = self.send(end.session, end.socket, frame, now, io);
        CallerEnd { socket, ..*end }
    }

    /// Hands the end of an answer to its caller. `last` is sent later if the end could not be sent, or may not have arrived.
    pub(in crate::engine) fn deliver_last(
        &mut self,
        end: &CallerEnd,
        frame: Bytes,
        last: Last,
        now: Moment,
        io: &mut impl Io,
    ) {
        self.send_last(end.session, end.socket, frame, last, now, io);
    }

    /// Answers a frame that came on this socket, for a call that is in no table.
    pub(in crate::engine) fn reply_last(
        &mut self,
        key: CallerKey,
        socket: SocketId,
        last: Last,
        now: Moment,
        io: &mut impl Io,
    ) {
        let frame = last.frame.clone().unwrap_or_else(|| lost_on_the_way(&last));
        let chosen = self.choose(key, Some(socket), now, io);
        if let Some(chosen) = chosen {
            io.reply(chosen, frame);
        }
        self.note_last(key, chosen, last, now);
    }

    /// Sends a caller a frame that belongs to none of its calls.
    pub(in crate::engine) fn tell(&mut self, key: CallerKey, frame: Bytes, now: Moment, io: &mut impl Io) {
        self.send(key, None, frame, now, io);
    }

    /// Keeps the end of an answer until the caller comes back, or is let go.
    pub(in crate::engine) fn keep(&mut self, key: CallerKey, last: Last) {
        self.change(key, |caller, room| caller.keep(last, room));
    }

    /// Answers the calls that a caller still waits for, and that nobody here holds; returns their number. If much waits for the
    /// caller's sockets, the answers may be among it, and the calls are answered later.
    pub(in crate::engine) fn answer_missing(
        &mut self,
        key: CallerKey,
        now: Moment,
        io: &mut impl Io,
    ) -> usize {
        let Some(caller) = self.sessions.get_mut(key) else { return 0 };
        let is_slow =
            caller.session.sockets().any(|socket| io.backlog_bytes(socket) > limits::SOCKET_BACKLOG_LOW);
        if is_slow {
            caller.missing.put_off(now + limits::NOT_HELD_WAIT);
        }
        let due = caller.missing.take_due(now);
        self.missing -= due.len();
        let error = CallError::of_no_call();
        for id in &due {
            self.send(key, None, rcs_proto::frames::error(*id, error.class, &error.message), now, io);
        }
        self.plan(key);
        due.len()
    }

    /// A caller that comes back gets the answers that came meanwhile.
    pub(in crate::engine) fn deliver_kept(&mut self, key: CallerKey, now: Moment, io: &mut impl Io) {
        for last in self.change(key, |caller, _| caller.take_kept()).unwrap_or_default() {
            self.send_again(key, Last { since: now, ..last }, None, now, io);
        }
    }

    /// A socket died. The ends of answers that went out on it last may have died with it, and are sent once more: copies do no harm
    /// (WIRE 4.3). `owed` are the ends of answers that certainly were not sent.
    pub(in crate::engine) fn deliver_what_was_lost(
        &mut self,
        key: CallerKey,
        dead: SocketId,
        owed: Vec<Last>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(again) = self.change(key, |caller, _| caller.session.unconfirmed(dead, now)) else { return };
        let delivered: HashSet<i64> = again.iter().map(|last| last.id).collect();
        for last in again {
            self.send_again(key, Last { since: now, ..last }, None, now, io);
        }
        for last in owed.into_iter().filter(|last| !delivered.contains(&last.id)) {
            self.send_again(key, last, None, now, io);
        }
    }

    /// Sends the end of an answer once more, or an error in its place.
    fn send_again(
        &mut self,
        key: CallerKey,
        last: Last,
        pinned: Option<SocketId>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let frame = last.frame.clone().unwrap_or_else(|| lost_on_the_way(&last));
        self.send_last(key, pinned, frame, last, now, io);
    }

    fn send_last(
        &mut self,
        key: CallerKey,
        pinned: Option<SocketId>,
        frame: Bytes,
        last: Last,
        now: Moment,
        io: &mut impl Io,
    ) {
        let sent = self.send(key, pinned, frame, now, io);
        self.note_last(key, sent, last, now);
    }

    /// Notes the end of an answer that went to this socket. If the end went to no socket, it is kept.
    fn note_last(&mut self, key: CallerKey, sent: Option<SocketId>, last: Last, now: Moment) {
        self.change(key, |caller, room| match sent {
            Some(socket) => {
                caller.session.sent_last(socket, last, now);
                caller.session.limit_recent(room);
            }
            None => caller.keep(last, room),
        });
        if let Some(caller) = self.sessions.get_mut(key)
            && caller.old_at.is_none()
        {
            let old_at = Some(now + rcs_proto::limits::RECENT_ANSWER_KEPT);
            self.old_answers.plan(key, &mut caller.old_at, old_at);
        }
    }

    /// Hands a frame to a caller. Returns the socket that the frame went to.
    fn send(
        &mut self,
        key: CallerKey,
        pinned: Option<SocketId>,
        frame: Bytes,
        now: Moment,
        io: &mut impl Io,
    ) -> Option<SocketId> {
        let socket = self.choose(key, pinned, now, io)?;
        io.send(socket, frame);
        Some(socket)
    }

    /// The socket for a frame to a caller: the given socket while it lives, else the next one. If the next socket is slow, the socket with
    /// the least waiting bytes.
    fn choose(
        &mut self,
        key: CallerKey,
        pinned: Option<SocketId>,
        now: Moment,
        io: &impl Io,
    ) -> Option<SocketId> {
        let session = &mut self.sessions.get_mut(key)?.session;
        let socket = session.socket_for(pinned, now)?;
        if pinned == Some(socket) || io.backlog_bytes(socket) <= limits::SOCKET_BACKLOG_LOW {
            return Some(socket);
        }
        session.sockets().min_by_key(|socket| io.backlog_bytes(*socket))
    }
}
