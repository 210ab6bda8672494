//! Old sockets are replaced by fresh ones without a failed call (M07, P11): firewalls and balancers forget connections, and a
//! member that was moved behind its name is found again.
//!
//! Towards a member the new socket is opened first. Once the new socket is ready, the old socket gets no new calls. The old socket
//! is closed in a moment in which the member holds no call, for a member sends the answers of all its calls on any of its sockets
//! (WIRE 4.2). Frames that the member still sends are read until it has closed its end as well; until then the member gets no call.
//!
//! The sockets of callers that the router dials are kept by the shell, which opens the new socket before it has the old one retired
//! ([`Event::Retire`](crate::engine::Event::Retire)).
//!
//! The router cannot open another caller's socket, and a 1.8.0 dialler never dials again (WIRE 7.5). So only a caller that was seen to
//! open a new socket in place of one that closed loses an old socket: one at a time, and never the last.

use std::collections::HashSet;
use std::time::Duration;

use rcs_proto::limits::HOLD_OFF;
use rcs_proto::session::{Side, SocketId};
use rcs_proto::time::Moment;

use crate::engine::callers::Caller;
use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, CallerKey, MemberSessionKey};
use crate::engine::members::Asking;
use crate::engine::note::Note;
use crate::engine::sockets::{Owner, Turn};
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::limits;

impl Tables {
    /// Begins and continues replacements, on each tick.
    pub(super) fn rotate_sockets(&mut self, now: Moment, io: &mut impl Io) {
        for socket in self.sockets.under_way() {
            self.go_on_rotating(socket, now, io);
        }
        self.begin_rotations(now, io);
    }

    /// The shell wants a caller's socket closed that it dialled.
    pub(in crate::engine) fn on_retire(&mut self, id: SocketId, now: Moment) {
        if let Some((Owner::Caller(key), Turn::InUse)) = self.sockets.turn(id)
            && self.is_dialled(key)
        {
            self.begin_to_retire(id, key, now);
        }
    }

    /// Sends nothing new on a socket of a caller. The socket is closed later.
    fn begin_to_retire(&mut self, id: SocketId, key: CallerKey, now: Moment) {
        self.sockets.set_turn(id, Turn::Retired(now));
        self.callers.retire(key, id);
    }

    fn is_dialled(&self, key: CallerKey) -> bool {
        self.callers.get(key).is_some_and(|caller| caller.id.side == Side::Dialled)
    }

    fn begin_rotations(&mut self, now: Moment, io: &mut impl Io) {
        let old = self.sockets.old_ones(now);
        if old.is_empty() {
            return;
        }
        let (mut members, mut callers): (HashSet<MemberId>, HashSet<CallerKey>) = Default::default();
        for owner in self.sockets.turning() {
            match owner {
                Owner::Member { member, .. } => drop(members.insert(member)),
                Owner::Caller(key) => drop(callers.insert(key)),
            }
        }
        let mut begun = 0;
        for (id, owner) in old {
            if !self.may_rotate(owner) {
                self.sockets.turn_not_before(id, now + limits::ROTATION_LOOK_AGAIN);
                continue;
            }
            // For each peer one replacement at a time.
            let is_alone = begun < limits::ROTATIONS_BEGUN
                && match owner {
                    Owner::Member { member, .. } => members.insert(member),
                    Owner::Caller(key) => callers.insert(key),
                };
            if is_alone {
                begun += 1;
                self.begin_rotation(id, owner, now, io);
            }
        }
    }

    fn may_rotate(&self, owner: Owner) -> bool {
        match owner {
            // The member has to replace a socket that the member opened.
            Owner::Member { slot: None, .. } => false,
            Owner::Member { session, member, .. } => {
                let is_current = self.members.get(member).is_some_and(|state| state.session == Some(session));
                is_current && self.members.takes(member, Asking::InPanic).is_ok()
            }
            Owner::Caller(key) => self.callers.may_lose_one(key),
        }
    }

    fn begin_rotation(&mut self, id: SocketId, owner: Owner, now: Moment, io: &mut impl Io) {
        match owner {
            Owner::Member { member, slot, .. } => {
                self.sockets.set_turn(id, Turn::Awaiting);
                if let Some(slot) = slot {
                    self.members.dial_anew(member, slot, io);
                }
            }
            Owner::Caller(key) => self.begin_to_retire(id, key, now),
        }
    }

    fn go_on_rotating(&mut self, id: SocketId, now: Moment, io: &mut impl Io) {
        match self.sockets.turn(id) {
            // The new socket carries nothing before that moment.
            Some((Owner::Member { session, .. }, Turn::Replaced(at))) if now.since(at) >= HOLD_OFF => {
                self.members.retire(session, id);
                self.sockets.set_turn(id, Turn::Retired(now));
            }
            Some((Owner::Member { session, member, .. }, Turn::Retired(at))) => {
                self.close_old_of_member(id, session, member, now.since(at), now, io);
            }
            Some((Owner::Caller(key), Turn::Retired(_))) if self.is_dialled(key) => {
                self.close_old_of_dialled_caller(id, key, io);
            }
            Some((Owner::Caller(key), Turn::Retired(at))) => {
                self.close_old_of_caller(id, key, now.since(at), now, io);
            }
            _ => {}
        }
    }

    /// Closes an old socket in a moment in which the member holds no call. A member sends the answers of all its calls on any of its
    /// sockets, even on a socket that is just being closed, and such an answer is lost (seen with 1.8.0: one of 25,000). If no such
    /// moment comes by itself, calls for the member wait a little, as if the member were full.
    fn close_old_of_member(
        &mut self,
        id: SocketId,
        session: MemberSessionKey,
        member: MemberId,
        waited: Duration,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(of) = self.members.session(session) else { return };
        let is_alone = !of.sockets().any(|socket| socket != id);
        // The fresh socket died already.
        if is_alone && self.members.get(member).is_some_and(|state| state.session == Some(session)) {
            self.members.reinstate(session, id);
            return self.sockets.reinstate(id, now);
        }
        let (subscriptions, calls): (Vec<CallKey>, Vec<CallKey>) =
            self.members.calls_of(session).into_iter().partition(|call| self.is_subscription(*call));
        let has_calls = !calls.is_empty() || self.members.is_probed_in(session);
        if has_calls || is_alone && !subscriptions.is_empty() {
            if waited >= limits::ROTATION_QUIET {
                self.begin_rest(member, now);
            }
            return;
        }
        // Subscriptions never end. Their events come on the other sockets, and a cancel must go there as well.
        for call in subscriptions {
            if let Some(route) = self.calls.route_mut(call) {
                self.members.move_off(route, id, now);
            }
        }
        self.members.let_go_of(session, id);
        self.rest_until(member, now + limits::ROTATION_CLOSE);
        self.close_gently(id, Some(member), io);
    }

    fn is_subscription(&self, call: CallKey) -> bool {
        self.calls.get(call).is_some_and(|call| call.operation.is_subscription())
    }

    /// Lets new calls for a member wait, so that the calls in flight there can end.
    fn begin_rest(&mut self, member: MemberId, now: Moment) {
        let can_wait = self.view.groups_of(member).all(|group| group.settings.queue_max > 0);
        if can_wait && self.members.may_rest(member, now) {
            self.rest_until(member, now + limits::ROTATION_REST);
        }
    }

    fn rest_until(&mut self, member: MemberId, until: Moment) {
        self.members.rest(member, until);
        self.clock.set(until, Timer::RestOver(member));
    }

    /// A member has rested for long enough.
    pub(super) fn on_rest_over(&mut self, member: MemberId, now: Moment) {
        if self.members.end_rest_if_over(member, now) {
            self.groups.places_freed();
        }
    }

    /// A call of a member that rests has ended: the moment to close the old socket may have come.
    pub(super) fn on_quiet(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        if let Some(socket) = self.sockets.retired_of(member) {
            self.go_on_rotating(socket, now, io);
        }
    }

    fn close_old_of_caller(
        &mut self,
        id: SocketId,
        key: CallerKey,
        waited: Duration,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(caller) = self.callers.get(key) else { return };
        let is_last = !caller.sockets().any(|socket| socket != id);
        let is_used = self.is_used(caller, id) || io.backlog_bytes(id) > 0;
        if is_last || is_used && waited >= limits::ROTATION_MAX {
            self.callers.reinstate(key, id);
            self.sockets.reinstate(id, now);
        } else if !is_used {
            self.callers.let_go_of(key, id);
            self.close_gently(id, None, io);
        }
    }

    /// Closes a socket that the router dialled to a caller, once no answer needs the socket. Until then the shell opens no further socket in place
    /// of another one. Subscriptions never end, so their events go on over another socket. The caller's last socket stays while the caller
    /// has calls.
    fn close_old_of_dialled_caller(&mut self, id: SocketId, key: CallerKey, io: &mut impl Io) {
        let Some(caller) = self.callers.get(key) else { return };
        let is_last = !caller.sockets().any(|socket| socket != id);
        let (subscriptions, calls): (Vec<CallKey>, Vec<CallKey>) =
            caller.open_keys().into_iter().partition(|call| self.is_subscription(*call));
        let is_needed = io.backlog_bytes(id) > 0
            || calls.iter().any(|call| is_last || self.answers_on(*call, id))
            || !is_last && caller.waits_for_infos_on(id);
        if is_needed {
            return;
        }
        for call in subscriptions {
            if self.answers_on(call, id) {
                self.calls.unpin(call);
            }
        }
        self.callers.let_go_of(key, id);
        self.close_gently(id, None, io);
    }

    /// Whether an answer is on its way on this socket.
    fn is_used(&self, caller: &Caller, id: SocketId) -> bool {
        caller.waits_for_infos_on(id) || caller.open_keys().iter().any(|call| self.answers_on(*call, id))
    }

    /// Whether the answer to this call goes out on this socket.
    fn answers_on(&self, call: CallKey, id: SocketId) -> bool {
        let end = self.calls.get(call).and_then(|call| call.caller);
        end.is_some_and(|end| end.is_pinned_to(id))
    }

    /// Closes a socket that nothing is sent on any more. The socket stays in the table until the peer has closed its end: frames that
    /// were on their way are read.
    fn close_gently(&mut self, id: SocketId, member: Option<MemberId>, io: &mut impl Io) {
        self.sockets.set_turn(id, Turn::Closing);
        io.close(id);
        io.note(Note::SocketRotated { member });
    }
}
