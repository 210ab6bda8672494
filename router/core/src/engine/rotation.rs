//! Old sockets are replaced by fresh ones without a failed call (M07, P11): firewalls and balancers forget connections, and a
//! member that was moved behind its name is found again.
//!
//! Towards a member the new socket is opened first. Once it is ready the old one gets no new calls, and is closed in a moment
//! in which the member holds none: it sends the answers of all its calls on any of its sockets (WIRE 4.2). Frames that it still
//! sends are read until it has closed its end as well, and until then it gets no call.
//!
//! A caller's socket cannot be opened by us, and a 1.8.0 dialler never dials again (WIRE 7.5): only callers that were seen to
//! come back with a new socket lose an old one, one at a time, and never the last.

use std::collections::HashSet;
use std::time::Duration;

use rcs_proto::limits::HOLD_OFF;
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::dispatch::is_subscription;
use super::sockets::{Place, Socket};
use super::timers::Timer;
use super::{Call, CallKey, DownstreamKey, Engine, Io, Note, Slot, UpstreamKey, Work};
use crate::ids::MemberId;
use crate::limits;
use crate::slots::Slots;
use crate::view::Mark;

/// How far the replacement of a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is not under way.
    InUse,
    /// Another one is being dialled for its slot.
    Awaiting,
    /// That one joined at this moment.
    Replaced(Moment),
    /// Nothing new is sent on it since this moment.
    Retired(Moment),
    /// Its close is written; what the peer had sent by then is still read.
    Closing,
}

/// Whether a peer opens a socket in place of one that closed, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redials {
    /// It did.
    Yes,
    /// It had the time to, and did not.
    No,
    /// It never lost one.
    Unknown,
}

impl Redials {
    /// The word for the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the calls for a member wait for a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// Until when at most, if they do.
    until: Option<Moment>,
    /// Not again before.
    next_at: Moment,
}

impl Rest {
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }
}

impl Socket {
    /// Whether another socket has, or had, the place of this one.
    pub(super) fn is_replaced(&self) -> bool {
        !matches!(self.turn, Turn::InUse | Turn::Awaiting)
    }

    fn is_due(&self, id: SocketId, ttl: Duration, now: Moment) -> bool {
        self.turn == Turn::InUse && now.since(self.opened_at) >= share_of(ttl, id)
    }
}

/// Between three quarters of the TTL and all of it, so that sockets of one age do not turn at once.
fn share_of(ttl: Duration, id: SocketId) -> Duration {
    let mixed = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
    ttl / 256 * (192 + mixed as u32)
}

/// Whose socket it is.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    Member(UpstreamKey, MemberId, Slot),
    Caller(DownstreamKey),
}

impl Engine {
    /// A new socket joined for this slot: one that was there before is replaced.
    pub(super) fn replace_by(&mut self, new: SocketId, member: MemberId, slot: Slot, now: Moment) {
        let is_slot = |place: &Place| matches!(place, Place::Member { member: of, slot: at, .. } if (*of, *at) == (member, slot));
        for (id, socket) in &mut self.sockets {
            if *id != new && is_slot(&socket.place) && !socket.is_replaced() {
                socket.turn = Turn::Replaced(now);
            }
        }
    }

    /// Callers that had the time to replace a socket and did not.
    pub(super) fn learn_who_redials(&mut self, now: Moment) {
        let late = |caller: &super::Downstream| {
            caller.redials != Redials::No
                && caller.lost_at.is_some_and(|at| now.since(at) >= limits::CALLER_KEPT)
        };
        let known: Vec<DownstreamKey> =
            self.downstreams.iter().filter(|(_, caller)| late(caller)).map(|(key, _)| key).collect();
        for key in known {
            if let Some(caller) = self.downstreams.get_mut(key) {
                caller.redials = Redials::No;
            }
        }
    }

    /// Begins and continues replacements. Looked at on each tick.
    pub(super) fn rotate_sockets(&mut self, now: Moment, io: &mut impl Io) {
        let mut under_way: Vec<SocketId> = self
            .sockets
            .iter()
            .filter(|(_, socket)| matches!(socket.turn, Turn::Replaced(_) | Turn::Retired(_)))
            .map(|(id, _)| *id)
            .collect();
        under_way.sort_unstable();
        for socket in under_way {
            self.go_on_rotating(socket, now, io);
        }
        if let Some(ttl) = self.view.router().socket_ttl {
            self.begin_rotations(ttl, now, io);
        }
    }

    fn begin_rotations(&mut self, ttl: Duration, now: Moment, io: &mut impl Io) {
        let mut due: Vec<(SocketId, Owner)> = self
            .sockets
            .iter()
            .filter(|(id, socket)| socket.is_due(**id, ttl, now))
            .filter_map(|(id, socket)| Some((*id, owner(&socket.place)?)))
            .filter(|(_, owner)| self.may_rotate(*owner))
            .collect();
        if due.is_empty() {
            return;
        }
        due.sort_unstable_by_key(|(id, _)| *id);
        let mut turning: HashSet<MemberId> = HashSet::new();
        let mut turning_callers: Vec<DownstreamKey> = Vec::new();
        for socket in self.sockets.values().filter(|socket| socket.turn != Turn::InUse) {
            match owner(&socket.place) {
                Some(Owner::Member(_, member, _)) => drop(turning.insert(member)),
                Some(Owner::Caller(key)) => turning_callers.push(key),
                None => {}
            }
        }
        let mut begun = 0;
        for (id, owner) in due {
            let is_alone = match owner {
                Owner::Member(_, member, _) => turning.insert(member),
                Owner::Caller(key) => !turning_callers.contains(&key),
            };
            if is_alone && begun < limits::ROTATIONS_BEGUN {
                begun += 1;
                if let Owner::Caller(key) = owner {
                    turning_callers.push(key);
                }
                self.begin_rotation(id, owner, now, io);
            }
        }
    }

    fn may_rotate(&self, owner: Owner) -> bool {
        match owner {
            Owner::Member(session, member, _) => self.members.get(&member).is_some_and(|state| {
                state.linked
                    && !state.leaving
                    && state.member.mark == Mark::Enabled
                    && state.session == Some(session)
            }),
            Owner::Caller(key) => self.downstreams.get(key).is_some_and(|caller| {
                caller.redials == Redials::Yes
                    && caller.lost_at.is_none()
                    && caller.session.sockets().count() > 1
            }),
        }
    }

    fn begin_rotation(&mut self, id: SocketId, owner: Owner, now: Moment, io: &mut impl Io) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match owner {
            Owner::Member(_, member, slot) => {
                socket.turn = Turn::Awaiting;
                self.dial_anew(member, slot, io);
            }
            Owner::Caller(key) => {
                socket.turn = Turn::Retired(now);
                if let Some(caller) = self.downstreams.get_mut(key) {
                    caller.session.retire(id);
                }
            }
        }
    }

    fn go_on_rotating(&mut self, id: SocketId, now: Moment, io: &mut impl Io) {
        let Some(socket) = self.sockets.get(&id) else { return };
        match (owner(&socket.place), socket.turn) {
            // The new one takes nothing before that moment.
            (Some(Owner::Member(session, ..)), Turn::Replaced(at)) if now.since(at) >= HOLD_OFF => {
                if let Some(upstream) = self.upstreams.get_mut(session) {
                    upstream.session.retire(id);
                }
                if let Some(socket) = self.sockets.get_mut(&id) {
                    socket.turn = Turn::Retired(now);
                }
            }
            (Some(Owner::Member(session, member, _)), Turn::Retired(at)) => {
                self.close_old_of_member(id, session, member, now.since(at), now, io);
            }
            (Some(Owner::Caller(key)), Turn::Retired(at)) => {
                self.close_old_of_caller(id, key, now.since(at), now, io);
            }
            _ => {}
        }
    }

    /// A member sends the answers of all its calls on any of its sockets, also on one that is just being closed, and such an
    /// answer is lost (seen with 1.8.0: one of 25,000). So the old socket is closed in a moment in which the member holds no
    /// call. If there is none by itself, its calls wait a little: as if it were full.
    fn close_old_of_member(
        &mut self,
        id: SocketId,
        session: UpstreamKey,
        member: MemberId,
        waited: Duration,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(upstream) = self.upstreams.get_mut(session) else { return };
        let calls = &self.calls;
        let subscriptions: Vec<CallKey> =
            upstream.session.open_keys().into_iter().filter_map(subscription(calls)).collect();
        let has_calls = upstream.session.open_count() > subscriptions.len();
        let is_alone = !upstream.session.sockets().any(|socket| socket != id);
        if has_calls || is_alone && !subscriptions.is_empty() {
            if waited >= limits::ROTATION_QUIET {
                self.begin_rest(member, now);
            }
            return;
        }
        // They never end; their events come on the other sockets, and a cancel must as well.
        for call in subscriptions {
            let Some(socket) = upstream.session.socket_for(None, now).filter(|socket| *socket != id) else {
                continue;
            };
            if let Some(route) = self.calls.get_mut(call).and_then(|call| call.route.as_mut()) {
                route.socket = socket;
            }
        }
        upstream.session.leave(id);
        self.rest_until(member, now + limits::ROTATION_CLOSE);
        self.close_gently(id, Some(member), io);
    }

    /// Lets the calls for a member wait, so that those that it has can end.
    fn begin_rest(&mut self, member: MemberId, now: Moment) {
        let can_wait = self.view.groups_of(member).all(|group| group.settings.queue_max > 0);
        let is_due = |rest: &Rest| !rest.is_on() && rest.next_at <= now;
        if can_wait && self.members.get(&member).is_some_and(|state| is_due(&state.rest)) {
            self.rest_until(member, now + limits::ROTATION_REST);
        }
    }

    fn rest_until(&mut self, member: MemberId, until: Moment) {
        if let Some(state) = self.members.get_mut(&member) {
            state.rest.until = Some(until);
            self.timers.set(until, Timer::RestOver(member));
        }
    }

    pub(super) fn on_rest_over(&mut self, member: MemberId, now: Moment) {
        let Some(state) = self.members.get_mut(&member) else { return };
        if state.rest.until.is_some_and(|until| until <= now) {
            state.rest.next_at = now + limits::ROTATION_AGAIN;
            self.end_rest(member);
        }
    }

    /// Gives a member calls again.
    pub(super) fn end_rest(&mut self, member: MemberId) {
        if let Some(state) = self.members.get_mut(&member)
            && state.rest.until.take().is_some()
        {
            self.places_freed = true;
        }
    }

    /// A call of a member that rests has ended: the moment may have come.
    pub(super) fn on_quiet(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let is_retired = |socket: &Socket| {
            matches!(socket.turn, Turn::Retired(_))
                && matches!(&socket.place, Place::Member { member: of, .. } if *of == member)
        };
        let retired = self.sockets.iter().find(|(_, socket)| is_retired(socket)).map(|(id, _)| *id);
        if let Some(socket) = retired {
            self.go_on_rotating(socket, now, io);
        }
    }

    fn close_old_of_caller(
        &mut self,
        id: SocketId,
        key: DownstreamKey,
        waited: Duration,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        let is_last = !caller.session.sockets().any(|socket| socket != id);
        let calls = caller.session.executing_keys();
        let is_used = caller.infos_wanted.iter().any(|(socket, _)| *socket == id)
            || io.backlog_bytes(id) > 0
            || calls.iter().any(|call| {
                let caller = self.calls.get(*call).and_then(|call| call.caller);
                caller.is_some_and(|caller| caller.socket == Some(id))
            });
        if is_last || is_used && waited >= limits::ROTATION_MAX {
            caller.session.reinstate(id);
            if let Some(socket) = self.sockets.get_mut(&id) {
                (socket.turn, socket.opened_at) = (Turn::InUse, now);
            }
        } else if !is_used {
            caller.session.leave(id);
            self.close_gently(id, None, io);
        }
    }

    /// Closes a socket that nothing is sent on any more. It stays in the table until its peer has closed its end: frames that
    /// were on their way are read.
    fn close_gently(&mut self, id: SocketId, member: Option<MemberId>, io: &mut impl Io) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.turn = Turn::Closing;
        }
        io.close(id);
        io.note(Note::SocketRotated { member });
    }
}

/// The call behind an open id, if it is a subscription.
fn subscription(calls: &Slots<Call>) -> impl Fn(Work) -> Option<CallKey> + '_ {
    move |work| match work {
        Work::Call(key) => calls.get(key).filter(|call| is_subscription(call.operation)).map(|_| key),
        Work::Probe => None,
    }
}

fn owner(place: &Place) -> Option<Owner> {
    match place {
        Place::Member { session, member, slot } => Some(Owner::Member(*session, *member, *slot)),
        Place::Caller(key) => Some(Owner::Caller(*key)),
        Place::Greeting(..) => None,
    }
}
