//! A socket is gone, or the router ends it: what the socket's session and calls lose.

use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, CallerKey, MemberSessionKey, Slot};
use crate::engine::members::Left;
use crate::engine::note::Note;
use crate::engine::peer::{DialledBy, Peer, TurnedAway};
use crate::engine::sockets::Belongs;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::{Cut, Fault, Stage};

/// What a dying socket gave back unsent: the peer certainly does not have these frames.
#[derive(Debug, Default)]
pub(in crate::engine) struct Unsent {
    /// Calls whose requests were not sent. These calls have been taken off their member.
    pub(in crate::engine) calls: Vec<CallKey>,
    /// Ends of answers that the caller is still owed.
    pub(in crate::engine) ends: Vec<Last>,
}

impl Tables {
    /// Closes a socket because of what the peer sent or failed to send. The socket is out of use at once: frames queued behind
    /// the close are not written, and a frozen peer may take long to close.
    pub(in crate::engine) fn disconnect(
        &mut self,
        socket: SocketId,
        reason: &str,
        now: Moment,
        io: &mut impl Io,
    ) {
        match self.sockets.belongs(socket).map(Belongs::member) {
            Some(Some(member)) => {
                self.members.failed(member, "connection closed by the router", reason, now);
                io.note(Note::MemberDisconnected { member, reason });
            }
            Some(None) => io.note(Note::CallerDisconnected { reason }),
            None => return,
        }
        io.close(socket);
        self.closed(socket, Unsent::default(), now, io);
    }

    /// Closes a socket whose peer dialled, and is neither a caller nor a member. The peer is told.
    pub(in crate::engine) fn turn_away(
        &mut self,
        socket: SocketId,
        why: TurnedAway,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(belongs) = self.sockets.belongs(socket) else { return };
        if let Some(member) = belongs.member() {
            self.members.failed(member, "connection closed by the router", why.label(), now);
        }
        io.turn_away(socket, why);
        self.closed(socket, Unsent::default(), now, io);
    }

    /// Closes a socket without a note.
    pub(in crate::engine) fn close_socket(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        io.close(socket);
        self.closed(socket, Unsent::default(), now, io);
    }

    /// A socket is gone.
    pub(in crate::engine) fn closed(
        &mut self,
        socket: SocketId,
        unsent: Unsent,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(gone) = self.sockets.remove(socket) else { return };
        gone.awaiting.into_iter().for_each(|call| self.lost_proof(call, io));
        match gone.belongs {
            Belongs::Caller(session) => self.caller_lost_socket(session, socket, unsent.ends, now, io),
            Belongs::Member { session, member, slot } => {
                self.member_lost_socket(session, socket, unsent.calls, now, io);
                match slot {
                    _ if gone.is_replaced => self.end_rest(member),
                    Some(slot) => self.redial_later(member, slot, now, io),
                    None => {}
                }
            }
            Belongs::Greeting(_, Peer::Member { member, by: DialledBy::Us(slot) }) => {
                self.redial_later(member, slot, now, io);
            }
            Belongs::Greeting(_, Peer::Member { member, by: DialledBy::Router(_) }) => {
                self.way_failed(member, now, io)
            }
            Belongs::Greeting(_, Peer::Member { by: DialledBy::Member(_), .. } | Peer::Caller { .. }) => {}
        }
    }

    fn member_lost_socket(
        &mut self,
        session: MemberSessionKey,
        socket: SocketId,
        unsent: Vec<CallKey>,
        now: Moment,
        io: &mut impl Io,
    ) {
        match self.members.leave(session, socket, now) {
            None => {}
            Some(Left::Sockets(calls)) => {
                unsent.into_iter().for_each(|call| self.calls.fault(call, Fault::SocketLost));
                for call in calls {
                    self.call_lost_socket(call, (session, socket), now, io);
                }
            }
            Some(Left::Nothing(calls)) => {
                self.look_elsewhere(session, now, io);
                let calls: Vec<CallKey> = unsent.into_iter().chain(calls).collect();
                self.blame(session, &calls, now, io);
                for call in calls {
                    self.lost_in(call, session, Fault::MemberLost, now, io);
                }
            }
        }
    }

    /// A socket of a member is gone while other sockets of the session live. A call that the dead socket carried may be lost. The
    /// answer to any other call of the session may be lost, too: answers come on any socket (WIRE 4.2).
    fn call_lost_socket(
        &mut self,
        key: CallKey,
        (session, socket): (MemberSessionKey, SocketId),
        now: Moment,
        io: &mut impl Io,
    ) {
        self.calls.lost_socket(key, now);
        let Some(call) = self.calls.get(key) else { return };
        if call.is_hedged() {
            // A hedged call has another member to answer it. Whether this member was lost shows when its last socket closes. But if neither
            // request can count on its socket, the call goes on at the other member, and is watched there.
            if !call.routes().any(|route| self.members.lives(&route)) {
                self.goes_on_at_other(key, session, Fault::SocketLost, now, io);
            }
            return;
        }
        let Some(route) = call.route else { return };
        if route.is_on(socket) {
            return self.calls.fault(key, Fault::SocketLost);
        }
        // Writes and logins wait for their deadline. A lost answer cannot be told from a slow one, and failing early would answer
        // "outcome unknown" to calls that would have succeeded.
        if call.class().is_read() {
            self.watch(key, now);
        }
    }

    fn caller_lost_socket(
        &mut self,
        key: CallerKey,
        socket: SocketId,
        owed: Vec<Last>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(left) = self.callers.leave(key, socket, now) else { return };
        self.callers.deliver_what_was_lost(key, socket, owed, now, io);
        let calls = self.callers.get(key).map(|caller| caller.open_keys()).unwrap_or_default();
        if left.may_redial {
            self.clock.set(now + limits::CALLER_KEPT, Timer::Redials(key));
        }
        if left.is_away {
            io.note(Note::CallerLeft { calls: calls.len() });
            self.clock.set(now + limits::CALLER_KEPT, Timer::Linger(key));
        }
        for call in calls {
            self.call_lost_callers_socket(call, socket, left.sockets, now, io);
        }
    }

    /// A socket of a call's caller is gone; `left` other sockets of the caller's session live.
    fn call_lost_callers_socket(
        &mut self,
        key: CallKey,
        socket: SocketId,
        left: usize,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        if left == 0 && call.is_cancellable() {
            return self.abandon(key, now, io);
        }
        let is_pinned = call.caller.is_some_and(|caller| caller.is_pinned_to(socket));
        // A batch that its caller may have ended is left to its quiet end.
        if is_pinned && call.stage() == Stage::PartlyAnswered && !call.may_be_ended_by_caller() {
            // Items that were on the dead socket are missing for good, so the stream must not end as if it were complete (P13).
            self.cut(key, Cut::LostOnTheWay, io);
        }
    }

    /// Has a member dialled again for this slot, after a pause.
    pub(in crate::engine) fn redial_later(
        &mut self,
        member: MemberId,
        slot: Slot,
        now: Moment,
        io: &mut impl Io,
    ) {
        let random = io.random();
        if let Some(wait) = self.members.slot_closed(member, slot, random) {
            self.clock.set(now + wait, Timer::Redial(member, slot));
        }
    }

    /// Ends the rest of a member during which a socket was replaced: the member gets calls again.
    pub(in crate::engine) fn end_rest(&mut self, member: MemberId) {
        if self.members.end_rest(member) {
            self.groups.places_freed();
        }
    }
}
