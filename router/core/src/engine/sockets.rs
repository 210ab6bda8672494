//! What each open socket is, and what its events mean: before the handshake, then as a part of a session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames::Identity;
use rcs_proto::limits as wire_limits;
use rcs_proto::session::{Handshake, HandshakeStep, Remote, Side, SocketId};
use rcs_proto::time::Moment;

use super::rotation::Turn;
use super::timers::Timer;
use super::{DownstreamKey, Engine, Io, Moved, Note, OversizeFrame, Selector, Slot, UpstreamKey};
use crate::ids::MemberId;
use crate::limits;

/// An open socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) place: Place,
    /// Time between two pings of a member's socket, none if they are off. For callers the view says it.
    ping_every: Option<Duration>,
    pinged_at: Moment,
    /// Pings since the last sign of life.
    unanswered: u32,
    /// What it had moved when it was pinged last.
    moved: Moved,
    pub(super) opened_at: Moment,
    /// How far its replacement by a fresh one is.
    pub(super) turn: Turn,
}

/// Where an open socket belongs.
#[derive(Debug)]
pub(super) enum Place {
    /// Its peer is not known yet.
    Greeting(Handshake, Peer),
    /// A caller's.
    Caller(DownstreamKey),
    /// A member's.
    Member { session: UpstreamKey, member: MemberId, slot: Slot },
}

impl Socket {
    /// A socket that was pinged just now, as it were.
    pub(super) fn new(place: Place, ping_every: Option<Duration>, now: Moment) -> Self {
        Self {
            place,
            ping_every,
            pinged_at: now,
            unanswered: 0,
            moved: Moved::default(),
            opened_at: now,
            turn: Turn::InUse,
        }
    }

    /// Whether bytes moved since the last look that only a living peer can have moved: a long message may take longer than
    /// a pong behind it. What the kernel takes into an empty queue says nothing of the peer.
    pub(super) fn is_moving(&mut self, moved: Moved, backlog: usize) -> bool {
        let before = std::mem::replace(&mut self.moved, moved);
        moved.received != before.received || backlog > 0 && moved.written != before.written
    }
}

/// What is known before the handshake.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Caller(Selector, Arc<str>),
    Member(MemberId, Slot),
}

impl Engine {
    pub(super) fn on_accepted(
        &mut self,
        socket: SocketId,
        selector: Selector,
        principal: Arc<str>,
        now: Moment,
    ) {
        let identity = self.identities.towards_callers(selector);
        let (handshake, _) = Handshake::start(Side::Accepted, &identity, now);
        self.greet(socket, handshake, Peer::Caller(selector, principal), now);
    }

    pub(super) fn greet(&mut self, socket: SocketId, handshake: Handshake, peer: Peer, now: Moment) {
        let place = Place::Greeting(handshake, peer);
        let before = self.sockets.insert(socket, Socket::new(place, None, now));
        assert!(before.is_none(), "{socket} was opened twice");
        self.timers.set(now + wire_limits::HANDSHAKE_DEADLINE, Timer::Handshake(socket));
    }

    pub(super) fn on_frame(&mut self, socket: SocketId, envelope: Envelope, now: Moment, io: &mut impl Io) {
        // A socket that is not there is closed, and its last frames were still on the way.
        let Some(Socket { place, unanswered, .. }) = self.sockets.get_mut(&socket) else { return };
        *unanswered = 0;
        match place {
            Place::Caller(session) => {
                let session = *session;
                self.on_caller_frame(session, socket, envelope, now, io);
            }
            Place::Member { session, .. } => {
                let session = *session;
                self.on_member_frame(session, socket, envelope, now, io);
            }
            Place::Greeting(handshake, peer) => {
                let identity = identity_towards(&self.identities, peer);
                let step = handshake.receive(envelope, &identity);
                self.on_handshake_step(socket, step, now, io);
            }
        }
    }

    fn on_handshake_step(&mut self, socket: SocketId, step: HandshakeStep, now: Moment, io: &mut impl Io) {
        match step {
            HandshakeStep::Wait => {}
            HandshakeStep::Failed(error) => self.disconnect(socket, &error.to_string(), now, io),
            HandshakeStep::Done { remote, reply, parked } => {
                // Registered first, answered then: nothing that follows can find the session unknown (WIRE 7.9).
                self.join(socket, remote, now, io);
                if let Some(reply) = reply {
                    io.send(socket, reply);
                }
                io.hold(socket, wire_limits::HOLD_OFF);
                self.after_join(socket, now, io);
                for envelope in parked {
                    self.on_frame(socket, envelope, now, io);
                }
            }
        }
    }

    fn join(&mut self, socket: SocketId, remote: Remote, now: Moment, io: &mut impl Io) {
        let Some(Socket { place: Place::Greeting(_, peer), .. }) = self.sockets.remove(&socket) else {
            unreachable!("{socket} shook hands twice")
        };
        match peer {
            Peer::Caller(selector, principal) => {
                self.join_caller(socket, selector, principal, remote, now, io)
            }
            Peer::Member(member, slot) => self.join_member(socket, member, slot, remote, now, io),
        }
    }

    /// What a socket that has joined brings about.
    fn after_join(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        if let Some(Place::Caller(session)) = self.place(socket) {
            let session = *session;
            self.deliver_kept(session, now, io);
        }
    }

    pub(super) fn on_handshake_overdue(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        if let Some(Place::Greeting(handshake, _)) = self.place(socket)
            && handshake.is_overdue(now)
        {
            let seconds = wire_limits::HANDSHAKE_DEADLINE.as_secs();
            self.disconnect(socket, &format!("no OpenICF handshake came within {seconds} s"), now, io);
        }
    }

    /// Closes a socket because of what came, or did not come, from it. It is out of use at once: nothing that is queued behind
    /// the close is written, and its peer may be frozen and take long to close.
    pub(super) fn disconnect(&mut self, socket: SocketId, reason: &str, now: Moment, io: &mut impl Io) {
        match self.place(socket) {
            Some(Place::Member { member, .. } | Place::Greeting(_, Peer::Member(member, _))) => {
                io.note(Note::MemberDisconnected { member: *member, reason });
            }
            Some(Place::Caller(_) | Place::Greeting(_, Peer::Caller(..))) => {
                io.note(Note::CallerDisconnected { reason });
            }
            None => return,
        }
        io.close(socket);
        self.on_closed(socket, Vec::new(), now, io);
    }

    pub(super) fn on_garbage(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        match self.place(socket) {
            // We can dial again, and calls on a member that talks nonsense would hang.
            Some(Place::Member { .. } | Place::Greeting(_, Peer::Member(..))) => {
                self.disconnect(socket, "it sent a frame that is no OpenICF message", now, io);
            }
            // A 1.8.0 dialler never comes back: ignore it, as its peers do (WIRE 1.2, 7.5).
            Some(Place::Caller(_) | Place::Greeting(_, Peer::Caller(..))) => {
                io.note(Note::FrameIgnored { socket })
            }
            None => {}
        }
    }

    pub(super) fn on_oversize(
        &mut self,
        socket: SocketId,
        message_id: i64,
        what: OversizeFrame,
        bytes: usize,
        now: Moment,
        io: &mut impl Io,
    ) {
        match (self.place(socket), what) {
            (Some(Place::Caller(session)), OversizeFrame::Request) => {
                let session = *session;
                self.refuse_oversize(session, socket, message_id, bytes, now, io);
            }
            (Some(Place::Member { session, .. }), OversizeFrame::Answer) => {
                let session = *session;
                self.on_answer_oversize(session, message_id, now, io);
            }
            _ => io.note(Note::FrameIgnored { socket }),
        }
    }

    pub(super) fn on_pong(&mut self, socket: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.unanswered = 0;
        }
    }

    fn place(&self, socket: SocketId) -> Option<&Place> {
        self.sockets.get(&socket).map(|socket| &socket.place)
    }

    /// Pings the sockets whose turn it is. Towards members a socket that stays silent is closed, for we dial again; towards
    /// callers the ping only keeps middle boxes from closing an idle socket, for a 1.8.0 dialler would not come back (WIRE 7.5).
    pub(super) fn send_pings(&mut self, now: Moment, io: &mut impl Io) {
        let mut silent = Vec::new();
        let callers = self.view.router().caller_ping_every;
        for (id, socket) in &mut self.sockets {
            let every = match socket.place {
                Place::Caller(_) => callers,
                Place::Member { .. } => socket.ping_every,
                Place::Greeting(..) => None,
            };
            let is_due = every.is_some_and(|every| now.since(socket.pinged_at) >= every);
            if is_due && socket.is_moving(io.moved(*id), io.backlog_bytes(*id)) {
                socket.unanswered = 0;
            }
            match socket.place {
                // Nothing is written behind a close.
                _ if socket.turn == Turn::Closing => {}
                Place::Caller(_) | Place::Member { .. } if !is_due => {}
                Place::Member { .. } if socket.unanswered >= limits::PING_MISSES_MAX => silent.push(*id),
                Place::Caller(_) | Place::Member { .. } => {
                    socket.unanswered = socket.unanswered.saturating_add(1);
                    socket.pinged_at = now;
                    io.ping(*id);
                }
                Place::Greeting(..) => {}
            }
        }
        for socket in silent {
            self.disconnect(socket, "it answers no ping", now, io);
        }
    }

    pub(super) fn on_closed(&mut self, socket: SocketId, unsent: Vec<Bytes>, now: Moment, io: &mut impl Io) {
        let owed = self.take_back(socket, unsent, now);
        let closed = self.sockets.remove(&socket);
        let is_replaced = closed.as_ref().is_some_and(Socket::is_replaced);
        match closed.map(|socket| socket.place) {
            Some(Place::Caller(session)) => self.on_caller_socket_closed(session, socket, owed, now, io),
            Some(Place::Member { session, member, slot }) => {
                self.on_member_socket_closed(session, socket, now, io);
                if is_replaced {
                    self.end_rest(member);
                } else {
                    self.redial_later(member, slot, now, io);
                }
            }
            Some(Place::Greeting(_, Peer::Member(member, slot))) => {
                self.redial_later(member, slot, now, io);
            }
            Some(Place::Greeting(_, Peer::Caller(..))) | None => {}
        }
    }
}

fn identity_towards(identities: &super::identity::Identities, peer: &Peer) -> Identity {
    match peer {
        Peer::Caller(selector, _) => identities.towards_callers(*selector),
        Peer::Member(member, _) => identities.towards_member(*member),
    }
}
