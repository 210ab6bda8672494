//! A socket opens, shakes hands, and joins a session. A frame that comes on a socket goes to the session that the socket belongs to.

use rcs_proto::frames::Identity;
use rcs_proto::limits as wire_limits;
use rcs_proto::messages::handshake_message::ServerType;
use rcs_proto::session::{Handshake, HandshakeStep, Remote, Side, SocketId};
use rcs_proto::time::Moment;

use crate::engine::allowed::Allowed;
use crate::engine::callers::{CallerId, NotJoined};
use crate::engine::clock::Timer;
use crate::engine::event::OversizeReason;
use crate::engine::frame::Frame;
use crate::engine::identity::Identities;
use crate::engine::io::Io;
use crate::engine::keys::Slot;
use crate::engine::note::Note;
use crate::engine::peer::{DialledBy, Peer, TurnedAway};
use crate::engine::selector::Selector;
use crate::engine::sockets::Belongs;
use crate::engine::tables::Tables;
use crate::ids::{MemberId, NameBook};
use crate::limits;

impl Tables {
    /// A socket was upgraded, whoever dialled.
    pub(in crate::engine) fn on_opened(
        &mut self,
        socket: SocketId,
        side: Side,
        peer: Peer,
        now: Moment,
        io: &mut impl Io,
    ) {
        let is_wanted = match &peer {
            Peer::Member { member, by: DialledBy::Router(router) } => {
                self.is_way_wanted(*member, *router, now)
            }
            Peer::Member { member, by } => self.is_wanted(*member, by.slot(), io),
            // A call that was forwarded once is not forwarded again: the member itself must be connected here.
            Peer::Caller { selector, .. } => {
                selector.forwards_to().is_none_or(|member| self.members.is_here(member))
            }
        };
        if !is_wanted {
            return io.close(socket);
        }
        let identity = identity_towards(&self.identities, &self.book, side, &peer);
        let (handshake, first) = Handshake::start(side, &identity, now);
        if let Some(first) = first {
            io.send(socket, first);
        }
        self.sockets.greet(socket, handshake, peer, now);
        self.clock.set(now + limits::handshake_deadline(side), Timer::Handshake(socket));
    }

    /// Whether a member is still to be used through this router, which was dialled for it.
    fn is_way_wanted(&mut self, member: MemberId, router: u32, now: Moment) -> bool {
        self.members.end_way(member);
        let is_wanted = self.members.way_to(member) == Some(router);
        if !is_wanted {
            self.clock.set(now, Timer::Via(member));
        }
        is_wanted
    }

    /// Whether a member may have the socket. A socket that we dialled must be for a free slot and for the member's present endpoint.
    fn is_wanted(&mut self, member: MemberId, slot: Option<Slot>, io: &mut impl Io) -> bool {
        match slot {
            Some(slot) => self.members.end_dial(member, slot, io) && self.members.slot_opened(member, slot),
            None => {
                let is_known = self.members.get(member).is_some_and(|member| !member.leaving);
                is_known && !self.has_all_sockets(member, io)
            }
        }
    }

    /// Whether a member that dials has as many sockets as it may have, handshakes under way included. Descriptors are the process's.
    fn has_all_sockets(&self, member: MemberId, io: &mut impl Io) -> bool {
        // The handshakes of all hosts of a name count at the first host, until the session of each is known.
        let hosts = self.view.hosts_of(member).len().max(1);
        let has_all = self.sockets.of(member).len() >= hosts * limits::SOCKETS_PER_DIALLING_MEMBER_MAX;
        if has_all {
            let reason = format!(
                "it opened one more socket than the {} it may have",
                limits::SOCKETS_PER_DIALLING_MEMBER_MAX
            );
            io.note(Note::MemberDisconnected { member, reason: &reason });
        }
        has_all
    }

    /// A frame arrived.
    pub(in crate::engine) fn on_frame(
        &mut self,
        socket: SocketId,
        frame: Frame,
        now: Moment,
        io: &mut impl Io,
    ) {
        // If the socket is not in the table, it is closed, and its last frames were still on the way.
        match self.sockets.heard(socket) {
            None => {}
            Some(Belongs::Caller(session)) => {
                let session = *session;
                self.on_caller_frame(session, socket, frame, now, io);
            }
            Some(Belongs::Member { session, .. }) => {
                let session = *session;
                self.on_member_frame(session, socket, frame, now, io);
            }
            Some(Belongs::Greeting(handshake, peer)) => {
                let identity = identity_towards(&self.identities, &self.book, handshake.side(), peer);
                let step = handshake.receive(frame, &identity);
                self.on_handshake_step(socket, step, now, io);
            }
        }
    }

    fn on_handshake_step(
        &mut self,
        socket: SocketId,
        step: HandshakeStep<Frame>,
        now: Moment,
        io: &mut impl Io,
    ) {
        match step {
            HandshakeStep::Wait => {}
            HandshakeStep::Failed(error) => match self.sockets.belongs(socket) {
                Some(Belongs::Greeting(handshake, peer)) if peer.has_dialled(handshake.side()) => {
                    self.turn_away(socket, TurnedAway::Handshake(error), now, io);
                }
                _ => self.disconnect(socket, &error.to_string(), now, io),
            },
            HandshakeStep::Done { remote, .. } if self.is_server_among_callers(socket, &remote) => {
                self.turn_away(socket, TurnedAway::ServerAmongCallers, now, io);
            }
            HandshakeStep::Done { remote, reply, parked } => {
                // First registered, then answered: no frame that follows can find the session unknown (WIRE 7.9).
                self.join(socket, remote, now, io);
                if let Some(reply) = reply {
                    io.send(socket, reply);
                }
                io.hold(socket, wire_limits::HOLD_OFF);
                if let Some(Belongs::Caller(session)) = self.sockets.belongs(socket) {
                    self.callers.deliver_kept(*session, now, io);
                }
                for frame in parked {
                    self.on_frame(socket, frame, now, io);
                }
            }
        }
    }

    /// Whether a peer with a caller's credential shows in its handshake that it is a connector server. A Java peer does not show this: servers
    /// and IDMs run the same framework, and an IDM too may have connectors of its own.
    fn is_server_among_callers(&self, socket: SocketId, remote: &Remote) -> bool {
        let is_dotnet = remote.server_type == ServerType::Dotnet;
        is_dotnet
            && matches!(
                self.sockets.belongs(socket),
                Some(Belongs::Greeting(handshake, peer @ Peer::Caller { .. })) if peer.has_dialled(handshake.side())
            )
    }

    fn join(&mut self, socket: SocketId, remote: Remote, now: Moment, io: &mut impl Io) {
        match self.sockets.take_greeting(socket) {
            Some((side, Peer::Caller { selector, principal, allowed })) => {
                let id = CallerId { selector, principal, side, remote: remote.session_id };
                self.join_caller(socket, id, allowed, now, io);
            }
            Some((_, Peer::Member { member, by: by @ DialledBy::Router(router) })) => {
                // The member may have connected to this router meanwhile.
                match self.members.way_to(member) == Some(router) {
                    true => self.join_member(socket, member, by, remote, now, io),
                    false => io.close(socket),
                }
            }
            Some((_, Peer::Member { member, by })) => {
                let host = self.members.host(self.view.hosts_of(member), &remote.session_id, now);
                match host.filter(|host| *host != member) {
                    Some(host) if self.has_all_sockets(host, io) => io.close(socket),
                    host => self.join_member(socket, host.unwrap_or(member), by, remote, now, io),
                }
            }
            None => {}
        }
    }

    pub(super) fn join_caller(
        &mut self,
        socket: SocketId,
        id: CallerId,
        allowed: Allowed,
        now: Moment,
        io: &mut impl Io,
    ) {
        let side = id.side;
        let joined = match self.callers.named(&id) {
            Some(key) => self.callers.join(key, socket, now).map(|()| key),
            None if self.callers.is_full() && !self.forget_a_leaver(now, io) => {
                Err(NotJoined::TooManyCallers)
            }
            None => {
                let key = self.callers.add(id);
                io.note(Note::CallerJoined { callers: self.callers.len() });
                self.callers.join(key, socket, now).map(|()| key)
            }
        };
        let reason = match joined {
            Ok(key) => {
                self.callers.allow(key, allowed);
                return self.sockets.open(socket, Belongs::Caller(key), side, None, now);
            }
            Err(NotJoined::TooManyCallers) => {
                format!("{} callers are connected already", limits::DOWNSTREAM_SESSIONS_MAX)
            }
            Err(NotJoined::TooManySockets) => {
                format!("it has {} sockets already", limits::SOCKETS_PER_SESSION_MAX)
            }
        };
        io.note(Note::CallerDisconnected { reason: &reason });
        io.close(socket);
    }

    /// Forgets the caller that left first, so that another caller finds a place; returns whether a caller had left.
    fn forget_a_leaver(&mut self, now: Moment, io: &mut impl Io) -> bool {
        let Some(first) = self.callers.first_leaver() else { return false };
        self.forget_caller(first, now, io);
        true
    }

    fn join_member(
        &mut self,
        socket: SocketId,
        member: MemberId,
        by: DialledBy,
        remote: Remote,
        now: Moment,
        io: &mut impl Io,
    ) {
        let slot = by.slot();
        let via = by.via();
        let Some(joined) = self.members.join(member, socket, (remote, via), now) else {
            return io.close(socket);
        };
        if via.is_none() {
            // A way through another router is not needed any more.
            self.clock.set(now, Timer::Via(member));
        }
        if let DialledBy::Member(origin) = by {
            self.members.came_from(member, origin);
        }
        if joined.is_other_server {
            io.note(Note::MemberChangedIdentity { member });
        }
        let session = joined.session;
        let ping_every = self.members.get(member).and_then(|member| member.member.spec.ping_interval);
        let side = if slot.is_some() || via.is_some() { Side::Dialled } else { Side::Accepted };
        self.sockets.open(socket, Belongs::Member { session, member, slot }, side, ping_every, now);
        if let Some(slot) = slot {
            self.sockets.replace_by(socket, member, slot, now);
        }
        self.clock.set(now + wire_limits::HOLD_OFF, Timer::CheckMember(session));
        if joined.is_other {
            self.forget_judgement(member, now);
            if let Some(list) = joined.told {
                self.take_list(member, list, now, io);
            }
        }
    }

    /// A frame arrived that is no message of the protocol.
    pub(in crate::engine) fn on_garbage(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        match self.sockets.belongs(socket).map(Belongs::member) {
            // We can dial again, and calls on a member that talks nonsense would hang.
            Some(Some(_)) => {
                self.disconnect(socket, "it sent a frame that is no OpenICF message", now, io);
            }
            // A 1.8.0 dialler never comes back after a close: ignore the frame, as its Java peers do (WIRE 1.2, 7.5).
            Some(None) => io.note(Note::FrameIgnored { socket }),
            None => {}
        }
    }

    /// What let the socket in counts no more. Of a caller too: to go on with it would be worse than an IDM that does not dial again.
    pub(in crate::engine) fn on_revoked(
        &mut self,
        socket: SocketId,
        reason: &str,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(member) = self.sockets.belongs(socket).map(Belongs::member) else { return };
        if let Some(member) = member {
            self.members.failed(member, "connection closed by the router", reason, now);
        }
        // Whoever revokes tells it for all sockets of a credential.
        self.close_socket(socket, now, io);
    }

    /// A request of a caller was dropped: it was too large, or found no room.
    pub(in crate::engine) fn on_request_oversize(
        &mut self,
        socket: SocketId,
        message_id: i64,
        bytes: usize,
        why: OversizeReason,
        now: Moment,
        io: &mut impl Io,
    ) {
        match self.sockets.belongs(socket) {
            Some(Belongs::Caller(session)) => {
                let session = *session;
                self.refuse_oversize(session, socket, message_id, (bytes, why), now, io);
            }
            _ => io.note(Note::FrameIgnored { socket }),
        }
    }

    /// A frame of a member's answer was dropped: it was too large, or found no room.
    pub(in crate::engine) fn on_answer_frame_oversize(
        &mut self,
        socket: SocketId,
        message_id: i64,
        now: Moment,
        io: &mut impl Io,
    ) {
        match self.sockets.belongs(socket) {
            Some(Belongs::Member { session, .. }) => {
                let session = *session;
                self.on_answer_oversize(session, message_id, now, io);
            }
            _ => io.note(Note::FrameIgnored { socket }),
        }
    }

    /// A pong arrived.
    pub(in crate::engine) fn on_pong(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        for call in self.sockets.ponged(socket) {
            self.on_proof(call, now, io);
        }
    }
}

fn identity_towards(identities: &Identities, book: &NameBook, side: Side, peer: &Peer) -> Identity {
    match peer {
        Peer::Caller { selector: Selector::Via(member), .. } => {
            identities.towards_router(book.member_name(*member))
        }
        Peer::Caller { selector, principal, allowed } => {
            identities.towards_caller(side, selector.group_name(book), principal, allowed)
        }
        Peer::Member { member, .. } => identities.towards_member(book.member_name(*member)),
    }
}
