//! Follows the view: new members are taken on and dialled, members that left are let go. Handles dials, and what is due for links.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::icf::ConnectorKey;
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use crate::bundles::range::StandIns;
use crate::engine::clock::Timer;
use crate::engine::event::DialFailure;
use crate::engine::groups::connector_of;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, CallerKey, Slot};
use crate::engine::note::Note;
use crate::engine::peer::TurnedAway;
use crate::engine::sockets::{Belongs, SocketSettings};
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::Fault;
use crate::view::{self, AdminState, GroupOrigin, Mark};

impl Tables {
    /// Follows what operators decided: dials new members, lets go of removed members once their calls are done. A member that
    /// changed in the document is let go and taken on anew. A member that an operator marked keeps its sockets and calls.
    pub(super) fn follow_view(&mut self, now: Moment, io: &mut impl Io) {
        let view = match self.agreed.view(&mut self.book) {
            Ok(view) => Arc::new(view),
            Err(full) => return io.note(Note::ViewNotFollowed { reason: &full.to_string() }),
        };
        let before = std::mem::replace(&mut self.view, Arc::clone(&view));
        for left in before.groups().iter().filter(|group| view.group(group.id).is_none()) {
            self.tell_group_left(left, now, io);
        }
        io.publish(&view);
        let router = view.router();
        let (caller_ping_every, ttl) = (router.caller_ping_every, router.socket_ttl);
        self.sockets.set(SocketSettings { caller_ping_every, ttl });
        for call in self.groups.follow(&view) {
            self.calls.stop_waiting(call);
            self.calls.fault(call, Fault::NoMember);
        }
        let marked = self.part_with_changed_members(&view, now);
        self.sets_follow_view(now);
        for (id, mark) in marked {
            self.on_mark(id, mark, now, io);
        }
        for member in view.members() {
            if self.members.get(member.id).is_none() {
                self.add_member(member, io);
            }
        }
        self.set_test_intervals(now);
    }

    /// A member of the view has another mark, and nothing else has changed. What is done costs the same in a large view.
    pub(super) fn follow_mark(&mut self, id: MemberId, mark: Mark, now: Moment, io: &mut impl Io) {
        let view = Arc::new(self.view.with_mark(id, mark));
        self.view = Arc::clone(&view);
        io.publish(&view);
        let Some(listed) = view.member(id) else { return };
        if mark != Mark::Enabled || listed.spec.admin != AdminState::Enabled {
            self.is_absent(id, now);
        }
        // A member that leaves, because the document has it in another form, gets its mark when it comes back.
        let is_as_listed = |member: &view::Member| member.spec == listed.spec && member.mark != mark;
        if self.members.get(id).is_some_and(|state| is_as_listed(&state.member)) {
            self.on_mark(id, mark, now, io);
        }
        for group in view.groups_of(id) {
            self.groups.is_stale(group.id);
            self.groups.list_is_stale(group.id);
        }
    }

    /// A group has left the document. If callers use the group, the operator is told. Open calls of these callers end as they would, and
    /// their new calls are refused for as long as they are connected.
    fn tell_group_left(&self, group: &view::Group, now: Moment, io: &mut impl Io) {
        let (users, calls) = self.callers.on_way_in(group.id);
        let by_connector = if group.origin == GroupOrigin::Address { 0 } else { self.left_alone(group, now) };
        if users.callers + by_connector > 0 {
            let (group, callers, principals) = (group.id, users.callers, users.names());
            io.note(Note::GroupLeft { group, callers, by_connector, principals: &principals, calls });
        }
    }

    /// Callers for whom the connector decides, and that lately used a connector which only this group had.
    fn left_alone(&self, group: &view::Group, now: Moment) -> usize {
        let Some(shown) = self.groups.shown(group.id) else { return 0 };
        let none = StandIns::default();
        let is_there = |member: &MemberId, connector: &ConnectorKey| {
            self.members.told_by(*member).is_some_and(|wire| wire.connectors().contains_key(connector))
        };
        let is_only = |connector: &ConnectorKey| {
            let mut others = self.view.meant_groups().flat_map(|other| &other.members);
            shown.has(connector, &none) && !others.any(|member| is_there(member, connector))
        };
        self.callers.used_by_connector(&group.name, now, |key| {
            connector_of(key).is_some_and(|connector| is_only(&connector))
        })
    }

    /// Begins to let go of members that left the view, or changed in it. Returns the members whose mark changed, with the new mark.
    fn part_with_changed_members(&mut self, view: &view::View, now: Moment) -> Vec<(MemberId, Mark)> {
        let mut marked = Vec::new();
        let mut leaving = Vec::new();
        for (id, state) in self.members.iter() {
            match view.member(id).filter(|member| member.spec == state.member.spec) {
                None => leaving.push(id),
                Some(member) if member.mark != state.member.mark => marked.push((id, member.mark)),
                Some(_) => {}
            }
        }
        for id in leaving {
            let wait = if self.members.leaves(id) { limits::DRAIN_TIME } else { Duration::ZERO };
            self.clock.set(now + wait, Timer::LetGo(id));
        }
        marked
    }

    fn add_member(&mut self, member: &view::Member, io: &mut impl Io) {
        self.members.add(member.clone());
        self.members.dial_all(member.id, io);
        self.clock.set(Moment::START, Timer::Via(member.id));
    }

    /// How often each member is tested, as its groups want.
    fn set_test_intervals(&mut self, now: Moment) {
        let mut every: HashMap<MemberId, Duration> = HashMap::new();
        for group in self.view.meant_groups() {
            let Some(of_group) = group.settings.test_every else { continue };
            for member in &group.members {
                every.entry(*member).and_modify(|other| *other = of_group.min(*other)).or_insert(of_group);
            }
        }
        self.members.test_every(&every, now);
    }

    /// Ends what a leaving member still has: its sockets are closed, and calls that did not finish in time are answered. Once no call
    /// is left, the member is forgotten; if the document has it in another form, it is taken on anew.
    pub(super) fn let_go(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        if !self.members.get(member).is_some_and(|state| state.leaving) {
            return;
        }
        let sockets = self.sockets.of(member);
        for socket in &sockets {
            self.close_socket(*socket, now, io);
        }
        // What follows from the closed sockets is settled first: the groups no longer judge the member, and its calls end or move.
        // Only then the member is forgotten.
        if !sockets.is_empty() {
            return self.clock.set(now + Duration::from_nanos(1), Timer::LetGo(member));
        }
        // When the last call of the member ends, the member is let go again (`Timer::LetGo`).
        if self.members.get(member).is_some_and(|state| state.in_flight() > 0) {
            return;
        }
        self.members.remove(member);
        let view = Arc::clone(&self.view);
        if let Some(listed) = view.member(member) {
            self.add_member(listed, io);
            self.set_test_intervals(now);
        }
        for group in view.groups_of(member) {
            self.groups.is_stale(group.id);
            self.groups.list_is_stale(group.id);
        }
    }

    /// An attempt to reach a member failed.
    pub(in crate::engine) fn on_dial_failed(
        &mut self,
        member: MemberId,
        slot: Slot,
        failure: DialFailure,
        reason: &str,
        now: Moment,
        io: &mut impl Io,
    ) {
        if !self.members.end_dial(member, slot, io) {
            return;
        }
        self.members.failed(member, failure.label(), reason, now);
        if self.members.is_new_failure(member, reason) {
            io.note(Note::DialFailed { member, reason });
        }
        self.is_absent(member, now);
        if failure.is_lasting() {
            self.members.slot_failed(member, slot);
            self.clock.set(now + limits::REFUSED_CREDENTIALS_WAIT, Timer::Redial(member, slot));
        } else {
            self.redial_later(member, slot, now, io);
        }
    }

    /// The time that a socket has for its handshake is over.
    pub(super) fn on_handshake_overdue(&mut self, socket: SocketId, now: Moment, io: &mut impl Io) {
        let Some(Belongs::Greeting(handshake, peer)) = self.sockets.belongs(socket) else { return };
        let side = handshake.side();
        let (deadline, has_dialled) = (limits::handshake_deadline(side), peer.has_dialled(side));
        if !handshake.is_older(now, deadline) {
            return;
        }
        let has_frames = handshake.has_frames();
        match has_dialled {
            true if has_frames => self.turn_away(socket, TurnedAway::NoHandshake, now, io),
            true => self.turn_away(socket, TurnedAway::Silent, now, io),
            false => {
                let seconds = deadline.as_secs();
                self.disconnect(socket, &format!("no OpenICF handshake came within {seconds} s"), now, io);
            }
        }
    }

    /// A caller did not come back.
    pub(super) fn on_linger_over(&mut self, key: CallerKey, now: Moment, io: &mut impl Io) {
        // The caller may have come back, and have left again later.
        if self.callers.is_gone(key, now) {
            self.forget_caller(key, now, io);
        }
    }

    /// Sends a call to the same member again.
    pub(super) fn repeat(&mut self, key: CallKey, member: MemberId, now: Moment, io: &mut impl Io) {
        // The call may have ended before its moment came.
        if self.calls.get(key).is_some_and(|call| call.route.is_none() && !call.is_waiting()) {
            self.dispatch_at(key, Some(member), now, io);
        }
    }

    /// A socket died that carried this call's request, or may have carried its answer, and nothing (more) of the answer came
    /// within [`limits::ORPHAN_WAIT`].
    pub(super) fn on_orphan_overdue(&mut self, key: CallKey, sends: u32, now: Moment) {
        if !self.calls.unwatch(key, sends) {
            return;
        }
        let Some(call) = self.calls.get(key) else { return };
        if call.operation.is_subscription() {
            return;
        }
        // Parts of the answer still arrive. Whatever was lost with the socket counts as missing `ORPHAN_WAIT` after the last
        // part.
        let until = call.progressed_at + limits::ORPHAN_WAIT;
        if until > now {
            self.calls.watch(key);
            return self.clock.set(until, Timer::Orphan { call: key, sends });
        }
        self.calls.is_orphaned(key);
    }
}
