//! The callers' side: sessions of IDMs, and what their frames mean.

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::limits as wire_limits;
use rcs_proto::session::{Event as SessionEvent, Last, Remote, Session, SocketId};
use rcs_proto::time::Moment;

use super::affinity::{Facades, PageMemory};
use super::infos::ShownEdition;
use super::rotation::Redials;
use super::sockets::{Place, Socket};
use super::timers::Timer;
use super::{CallKey, Engine, Io, Note, Selector};
use crate::limits;
use crate::slots::Key;
use crate::verdict::{Circumstances, Cut, ErrorKind, Stage};

/// Names one caller's session.
pub type DownstreamKey = Key<Downstream>;

/// Who a caller is: two connections with all three equal belong to one session. The principal is a part of it, so that
/// nobody joins a session by knowing its id.
pub(super) type CallerId = (Selector, Arc<str>, String);

/// One caller: an IDM process on one way in.
#[derive(Debug)]
pub struct Downstream {
    pub(super) id: CallerId,
    pub(super) session: Session<CallKey>,
    /// Questions for connectors that no member could answer yet (WIRE 7.7: they are not asked twice).
    pub(super) infos_wanted: Vec<(SocketId, i64)>,
    /// The list that it was shown last.
    pub(super) shown: Option<ShownEdition>,
    pub(super) pages: PageMemory,
    pub(super) facades: Facades,
    /// Ends of answers that came while no socket was open; delivered if the caller comes back.
    pub(super) kept: Vec<Last>,
    /// When its last socket closed, if none is open.
    left_at: Option<Moment>,
    pub(super) subscriptions: usize,
    /// Whether it opens a socket in place of one that closed.
    pub(super) redials: Redials,
    /// When a socket closed that no other one has taken the place of.
    pub(super) lost_at: Option<Moment>,
}

impl Engine {
    pub(super) fn join_caller(
        &mut self,
        socket: SocketId,
        selector: Selector,
        principal: Arc<str>,
        remote: Remote,
        now: Moment,
        io: &mut impl Io,
    ) {
        let id: CallerId = (selector, principal, remote.session_id);
        let key = match self.callers.get(&id).copied() {
            Some(key) => key,
            None if self.downstreams.len() >= limits::DOWNSTREAM_SESSIONS_MAX
                && !self.forget_a_leaver(now, io) =>
            {
                let reason = format!("{} callers are connected already", limits::DOWNSTREAM_SESSIONS_MAX);
                io.note(Note::CallerDisconnected { reason: &reason });
                io.close(socket);
                return;
            }
            None => self.new_caller(id, io),
        };
        let Some(caller) = self.downstreams.get_mut(key) else { unreachable!("callers names only sessions") };
        if caller.session.sockets().count() >= limits::SOCKETS_PER_SESSION_MAX {
            let reason = format!("it has {} sockets already", limits::SOCKETS_PER_SESSION_MAX);
            io.note(Note::CallerDisconnected { reason: &reason });
            io.close(socket);
            return;
        }
        caller.session.join(socket, now);
        caller.left_at = None;
        if caller.lost_at.take().is_some() {
            caller.redials = Redials::Yes;
        }
        let place = Place::Caller(key);
        self.sockets.insert(socket, Socket::new(place, None, now));
    }

    /// Forgets the caller that left first, so that another finds a place; answers whether there was one.
    fn forget_a_leaver(&mut self, now: Moment, io: &mut impl Io) -> bool {
        let left = self.downstreams.iter().filter_map(|(key, caller)| Some((caller.left_at?, key)));
        let Some((_, first)) = left.min_by_key(|(left_at, _)| *left_at) else { return false };
        self.forget_caller(first, now, io);
        true
    }

    fn new_caller(&mut self, id: CallerId, io: &mut impl Io) -> DownstreamKey {
        let key = self.downstreams.insert(Downstream {
            id: id.clone(),
            session: Session::new(),
            infos_wanted: Vec::new(),
            shown: None,
            pages: PageMemory::default(),
            facades: Facades::default(),
            kept: Vec::new(),
            left_at: None,
            subscriptions: 0,
            redials: Redials::Unknown,
            lost_at: None,
        });
        self.callers.insert(id, key);
        io.note(Note::CallerJoined { callers: self.downstreams.len() });
        key
    }

    pub(super) fn on_caller_frame(
        &mut self,
        key: DownstreamKey,
        socket: SocketId,
        envelope: Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        match caller.session.receive(&envelope, now) {
            SessionEvent::Call => self.on_call(key, socket, envelope, now, io),
            SessionEvent::Cancel(call) => self.on_cancel(call, now, io),
            SessionEvent::Control(checked) => {
                for call in checked.abandoned {
                    self.abandon(call, now, io);
                }
                self.answer_control(key, socket, checked.id, checked.wants_connector_infos, io);
            }
            SessionEvent::AnswerRefused(Some(last)) => {
                io.hold(socket, wire_limits::HOLD_OFF);
                self.deliver_again(key, last, Some(socket), now, io);
            }
            SessionEvent::AnswerRefused(None) => self.on_part_refused(key, envelope.message_id, now, io),
            SessionEvent::HandshakeAgain => {
                let identity = self.identities.towards_callers(caller.id.0);
                io.send(socket, frames::handshake_response(&identity));
            }
            SessionEvent::Reply(frame) => io.send(socket, frame),
            // Callers execute nothing for us: what else they send answers nothing that we asked.
            SessionEvent::ConfigurationChange
            | SessionEvent::Answer(_)
            | SessionEvent::NotRun(_)
            | SessionEvent::ConnectorInfos(_)
            | SessionEvent::Ignored(_) => {}
        }
    }

    /// Answers a session check at once, the question for connectors as soon as there is something to answer.
    fn answer_control(
        &mut self,
        key: DownstreamKey,
        socket: SocketId,
        id: i64,
        wants_infos: bool,
        io: &mut impl Io,
    ) {
        if !wants_infos {
            return io.send(socket, frames::control_response(id, None));
        }
        let Some(selector) = self.downstreams.get(key).map(|caller| caller.id.0) else { return };
        match self.connector_infos(selector) {
            Some(infos) => {
                io.send(socket, frames::control_response(id, Some(infos)));
                self.was_shown(key, selector);
            }
            None => {
                if let Some(caller) = self.downstreams.get_mut(key)
                    && caller.infos_wanted.len() < limits::SOCKETS_PER_SESSION_MAX * 4
                {
                    caller.infos_wanted.push((socket, id));
                }
            }
        }
    }

    fn was_shown(&mut self, key: DownstreamKey, selector: Selector) {
        let shown = self.edition(selector);
        if let Some(caller) = self.downstreams.get_mut(key) {
            caller.shown = shown;
        }
    }

    /// Answers the callers that asked for connectors before any member was known.
    pub(super) fn answer_waiting_infos(&mut self, io: &mut impl Io) {
        let waiting: Vec<(DownstreamKey, Selector)> = self
            .downstreams
            .iter()
            .filter(|(_, caller)| !caller.infos_wanted.is_empty())
            .map(|(key, caller)| (key, caller.id.0))
            .collect();
        for (key, selector) in waiting {
            let Some(infos) = self.connector_infos(selector) else { continue };
            let Some(caller) = self.downstreams.get_mut(key) else { continue };
            for (socket, id) in std::mem::take(&mut caller.infos_wanted) {
                io.send(socket, frames::control_response(id, Some(infos.clone())));
            }
            self.was_shown(key, selector);
        }
    }

    pub(super) fn refuse_oversize(
        &mut self,
        key: DownstreamKey,
        socket: SocketId,
        id: i64,
        bytes: usize,
        now: Moment,
        io: &mut impl Io,
    ) {
        // The operation stays unknown: the frame was dropped before anything but its head was read.
        let operation = rcs_proto::operation::Operation::Unknown;
        let group = match self.downstreams.get(key).map(|caller| caller.id.0) {
            Some(Selector::Group(group)) => Some(group),
            _ => None,
        };
        let call = self.explain_refusal(operation, group, ErrorKind::RequestTooLarge, now);
        let name = group.and_then(|group| self.view.group(group)).map(|group| group.name.as_str());
        let circumstances = Circumstances { operation, group: name, member: None };
        let error = ErrorKind::RequestTooLarge.to_error(&circumstances);
        let text = format!("{} (The request has {bytes} bytes.) (call {call})", error.message);
        let frame = frames::error(id, error.class, &text);
        let last = Last { id, operation, frame: Some(frame.clone()), since: now };
        self.deliver_last(key, frame, last, Some(socket), now, io);
    }

    pub(super) fn check_caller(&mut self, key: DownstreamKey, now: Moment, io: &mut impl Io) {
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        caller.session.settle(|socket| io.backlog_bytes(socket) <= limits::SOCKET_BACKLOG_LOW);
        if let Some((socket, frame)) = caller.session.due_check(now, &[]) {
            io.send(socket, frame);
        }
    }

    pub(super) fn on_caller_socket_closed(
        &mut self,
        key: DownstreamKey,
        socket: SocketId,
        owed: Vec<Last>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        let left = caller.session.leave(socket);
        caller.lost_at.get_or_insert(now);
        caller.infos_wanted.retain(|(asked_on, _)| *asked_on != socket);
        // What went out last may have died with the socket: copies do no harm (WIRE 4.3).
        let again = caller.session.unconfirmed(socket, now);
        let delivered = again.iter().map(|last| last.id).collect();
        for last in again {
            self.deliver_again(key, Last { since: now, ..last }, None, now, io);
        }
        self.deliver_owed(key, owed, &delivered, now, io);
        let calls = self.downstreams.get(key).map(|c| c.session.executing_keys()).unwrap_or_default();
        let has_left = self.downstreams.get(key).is_some_and(|caller| caller.left_at.is_some());
        if left == 0 && !has_left {
            io.note(Note::CallerLeft { calls: calls.len() });
            if let Some(caller) = self.downstreams.get_mut(key) {
                caller.left_at = Some(now);
            }
            self.timers.set(now + limits::CALLER_KEPT, Timer::Linger(key));
        }
        for call in calls {
            self.on_caller_socket_lost(call, socket, left, now, io);
        }
    }

    /// A caller that comes back gets the answers that came meanwhile.
    pub(super) fn deliver_kept(&mut self, key: DownstreamKey, now: Moment, io: &mut impl Io) {
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        for last in std::mem::take(&mut caller.kept) {
            self.deliver_again(key, Last { since: now, ..last }, None, now, io);
        }
    }

    pub(super) fn on_linger_over(&mut self, key: DownstreamKey, now: Moment, io: &mut impl Io) {
        let Some(caller) = self.downstreams.get(key) else { return };
        // It may have come back, and have left again later.
        if caller.left_at.is_none_or(|left_at| now.since(left_at) < limits::CALLER_KEPT) {
            return;
        }
        self.forget_caller(key, now, io);
    }

    fn forget_caller(&mut self, key: DownstreamKey, now: Moment, io: &mut impl Io) {
        let open =
            self.downstreams.get(key).map(|caller| caller.session.executing_keys()).unwrap_or_default();
        for call in open {
            self.abandon(call, now, io);
        }
        if let Some(caller) = self.downstreams.remove(key) {
            self.callers.remove(&caller.id);
        }
    }

    /// Hands a frame to a caller: on the given socket while it lives, else on the next one, or on the one with the least that
    /// waits if that one is slow. Answers the socket that took it.
    pub(super) fn deliver(
        &mut self,
        key: DownstreamKey,
        pinned: Option<SocketId>,
        frame: Bytes,
        now: Moment,
        io: &mut impl Io,
    ) -> Option<SocketId> {
        let session = &mut self.downstreams.get_mut(key)?.session;
        let mut socket = session.socket_for(pinned, now)?;
        if pinned != Some(socket) && io.backlog_bytes(socket) > limits::SOCKET_BACKLOG_LOW {
            socket = session.sockets().min_by_key(|socket| io.backlog_bytes(*socket))?;
        }
        io.send(socket, frame);
        Some(socket)
    }

    /// The same for the end of an answer. `last` is what is sent if this may not have arrived, or could not be sent at all.
    pub(super) fn deliver_last(
        &mut self,
        key: DownstreamKey,
        frame: Bytes,
        last: Last,
        pinned: Option<SocketId>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let sent = self.deliver(key, pinned, frame, now, io);
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        match sent {
            Some(socket) => {
                if io.backlog_bytes(socket) > limits::SOCKET_BACKLOG_LOW {
                    caller.session.linger(last.id, socket);
                }
                caller.session.sent_last(socket, last, now);
            }
            None => caller.keep(last),
        }
    }

    /// Sends the end of an answer once more, or an error in its place.
    pub(super) fn deliver_again(
        &mut self,
        key: DownstreamKey,
        last: Last,
        pinned: Option<SocketId>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let frame = last.frame.clone().unwrap_or_else(|| lost_on_the_way(&last));
        self.deliver_last(key, frame, last, pinned, now, io);
    }

    /// A part of an answer, not the last, was refused and is missing for good.
    fn on_part_refused(&mut self, key: DownstreamKey, id: i64, now: Moment, io: &mut impl Io) {
        let call = self.downstreams.get(key).and_then(|caller| caller.session.executing_key(id));
        let Some(call) = call else { return };
        if self.calls.get(call).is_some_and(|call| call.stage() == Stage::PartlyAnswered) {
            self.cancel_at_member(call, now, io);
            self.cut(call, Cut::LostOnTheWay, now, io);
        }
    }
}

impl Downstream {
    /// Keeps the end of an answer; without its frame if that is too much, so that the caller hears of it at least.
    pub(super) fn keep(&mut self, mut last: Last) {
        let bytes: usize = self.kept.iter().filter_map(|last| last.frame.as_ref()).map(Bytes::len).sum();
        last.frame = last.frame.filter(|frame| bytes + frame.len() <= limits::KEPT_ANSWER_BYTES_MAX);
        if self.kept.len() < limits::KEPT_ANSWERS_MAX {
            self.kept.push(last);
        }
    }
}

/// What a caller is told whose answer came from the member and was lost after that.
fn lost_on_the_way(last: &Last) -> Bytes {
    let error = ErrorKind::of_lost(last.operation).to_error_on_the_way(last.operation);
    frames::error(last.id, error.class, &error.message)
}
