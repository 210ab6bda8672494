//! The standing of members: what health checks and calls say of them, `test`s of connectors, drains and rests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::time::Moment;

use super::probing::{Next, TestProbe};
use super::{Drain, Members, Route, Standing, Turned};
use crate::engine::facade::Facade;
use crate::engine::io::Io;
use crate::engine::keys::{MemberSessionKey, Work};
use crate::health::{Finding, Probe, Unfit};
use crate::ids::MemberId;
use crate::limits;
use crate::settings::Ejection;
use crate::view::Mark;

impl Members {
    /// A health check was answered; or the next one is due, and the last one was not answered.
    pub(in crate::engine) fn probed(&mut self, id: MemberId, probe: Probe, finding: Finding) {
        if let Some(member) = self.members.get_mut(&id) {
            member.health.probed(probe, finding);
            self.changed(id);
        }
    }

    /// A call went well or badly at a member, by the bounds of its group.
    pub(in crate::engine) fn called(
        &mut self,
        id: MemberId,
        finding: Finding,
        bounds: &Ejection,
        now: Moment,
    ) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.health.called(finding, bounds, now);
        if finding == Finding::Bad {
            self.changed(id);
        }
    }

    /// A member is far slower than the others of a group.
    pub(in crate::engine) fn too_slow(&mut self, id: MemberId, bounds: &Ejection, now: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.health.too_slow(bounds, now);
            self.changed(id);
        }
    }

    /// The session that this route leads to said that it shuts down.
    pub(in crate::engine) fn shuts_down(&mut self, route: &Route) {
        let member = self.members.get_mut(&route.member);
        if let Some(member) = member.filter(|member| member.session == Some(route.session)) {
            member.health.shuts_down();
            self.changed(route.member);
        }
    }

    /// Reviews a member: returns whether its standing changed, and what the operator is to read.
    pub(in crate::engine) fn review(&mut self, id: MemberId, now: Moment) -> Option<Turned> {
        let member = self.members.get_mut(&id)?;
        let standing = member.standing_at(now);
        let before = std::mem::replace(&mut member.standing, standing);
        if before == standing {
            return None;
        }
        Some(match (before, standing) {
            (_, Standing::Serving) => {
                (member.told, member.last_failure) = (None, None);
                Turned::Up(member.list.iter().flat_map(|list| list.connectors()).count())
            }
            (Standing::Serving, Standing::Down) if member.member.mark == Mark::Enabled => {
                Turned::Down(member.in_flight)
            }
            // For a member that comes and goes there are two notes: when it is held down first, and when it serves again.
            (_, Standing::Unfit(reason))
                if before == Standing::Serving
                    || reason == Unfit::HeldDown && member.told != Some(reason) =>
            {
                member.told = Some(reason);
                Turned::Unfit(reason)
            }
            _ => Turned::Silent,
        })
    }

    /// The next member that something happened to in this event.
    pub(in crate::engine) fn next_changed(&mut self) -> Option<MemberId> {
        let id = self.changed.pop_front()?;
        if let Some(member) = self.members.get_mut(&id) {
            member.is_changed = false;
        }
        Some(id)
    }

    /// Has a member looked at when the event is settled.
    pub(in crate::engine) fn changed(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id)
            && !std::mem::replace(&mut member.is_changed, true)
        {
            self.changed.push_back(id);
        }
    }

    /// Plans the `test`s of a member's fresh session: these configurations first, before the member serves.
    pub(in crate::engine) fn warm_up(&mut self, id: MemberId, facades: Vec<Arc<Facade>>, now: Moment) {
        let Some(member) = self.members.get_mut(&id) else { return };
        // The warm-up of another session may have been cut short by this one.
        match facades.is_empty() {
            true => member.health.warmed_up(),
            false => member.health.warm_up(),
        }
        member.probes.begin_warm_up(facades, now);
        self.changed(id);
    }

    /// Notes whether a member's warm-up left out the configurations of some of its groups.
    pub(in crate::engine) fn withhold(&mut self, id: MemberId, is_withheld: bool) {
        if let Some(member) = self.members.get_mut(&id) {
            member.probes.is_withheld = is_withheld;
        }
    }

    /// Whether a member that may serve in one more group must first be warmed up with the group's configurations. A member that already
    /// serves in another group is not warmed up.
    pub(in crate::engine) fn awaits_warm_up(&self, id: MemberId) -> bool {
        let member = self.members.get(&id).filter(|member| member.linked);
        member.is_some_and(|member| member.probes.is_withheld)
    }

    /// Whether a `test` may be sent to a member now.
    pub(in crate::engine) fn is_probe_due(&self, id: MemberId, now: Moment) -> bool {
        self.members.get(&id).is_some_and(|member| member.linked && member.probes.is_due(now))
    }

    /// Chooses which of the configurations in use is tested now. If the last `test` of a configuration hangs at the member, the
    /// configuration is not tested: its turn counts as one more `test` without an answer.
    pub(in crate::engine) fn choose_probe(
        &mut self,
        id: MemberId,
        in_use: &[Arc<Facade>],
        now: Moment,
    ) -> Option<Arc<Facade>> {
        let member = self.members.get_mut(&id)?;
        let every = member.test_every.unwrap_or(limits::TEST_PROBE_EVERY);
        self.changed(id);
        let member = self.members.get_mut(&id)?;
        match member.probes.choose(in_use, every, now) {
            Next::Facade(facade) => Some(facade),
            Next::Hangs => {
                self.tested(id, Finding::Bad);
                None
            }
            Next::Nothing => {
                member.health.test_unknown();
                None
            }
        }
    }

    /// Sends a `test` of this configuration; `frame` makes its frame from the message id.
    pub(in crate::engine) fn send_probe(
        &mut self,
        id: MemberId,
        facade: &Arc<Facade>,
        frame: impl FnOnce(i64) -> Bytes,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(key) = member.session else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(socket) = session.session.socket_for(None, now) else { return };
        let open = |number| session.session.open(Work::Probe(number), now);
        let open = member.probes.begin(key, facade, now, open);
        io.send(socket, frame(open));
    }

    /// A `test` of ours was answered. Returns the member if that `test` is the one under way.
    pub(in crate::engine) fn probe_answered(
        &mut self,
        key: MemberSessionKey,
        id: i64,
        finding: Finding,
    ) -> Option<MemberId> {
        let session = self.sessions.get_mut(key)?;
        session.session.close(id);
        let member = session.member;
        self.members.get_mut(&member)?.probes.hangs_no_longer(key, id);
        self.conclude_probe(member, key, id, finding).then_some(member)
    }

    /// A member's session check does not list a `test` of the router: the `test` will get no answer.
    pub(in crate::engine) fn probe_vanished(&mut self, key: MemberSessionKey, number: u32) {
        let member = self.sessions.get(key).and_then(|session| self.members.get(&session.member));
        let mut unanswered = member.into_iter().flat_map(|member| member.probes.unanswered_in(key));
        let id = unanswered.find(|probe| probe.number == number).map(|probe| probe.id);
        drop(unanswered);
        if let Some(id) = id {
            self.probe_answered(key, id, Finding::Bad);
        }
    }

    /// The unanswered `test`s of a session, each with the moment at which it was sent.
    pub(in crate::engine) fn tests_in(&self, key: MemberSessionKey) -> Vec<(Arc<Facade>, Moment)> {
        let member = self.sessions.get(key).and_then(|session| self.members.get(&session.member));
        let unanswered = member.into_iter().flat_map(|member| member.probes.unanswered_in(key));
        unanswered.map(|probe| (Arc::clone(&probe.facade), probe.since)).collect()
    }

    /// Ends a warm-up that takes too long, and gives up a `test` that takes too long. Returns whether a `test` was given up. The member is
    /// asked to cancel the `test`, but few members can.
    pub(in crate::engine) fn end_late_probe(&mut self, id: MemberId, now: Moment, io: &mut impl Io) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        if member.probes.is_warm_up_late(now) {
            member.probes.end_warm_up();
            member.health.warmed_up();
            self.changed(id);
        }
        let Some(member) = self.members.get_mut(&id) else { return false };
        let Some((TestProbe { session: key, id: open, .. }, forgotten)) = member.probes.give_up(now) else {
            return false;
        };
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(socket) = session.session.socket_for(None, now)
        {
            io.send(socket, frames::cancel(open));
        }
        if let Some(forgotten) = forgotten
            && let Some(session) = self.sessions.get_mut(forgotten.session)
        {
            session.session.close(forgotten.id);
        }
        self.tested(id, Finding::Bad);
        true
    }

    /// The router stood still for this time, which does not count for the `test`s and warm-ups that are under way.
    pub(in crate::engine) fn stood_still(&mut self, time: Duration) {
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        for id in ids {
            if self.members.get_mut(&id).is_some_and(|member| member.probes.stood_still(time)) {
                self.changed(id);
            }
        }
    }

    fn conclude_probe(&mut self, id: MemberId, key: MemberSessionKey, open: i64, finding: Finding) -> bool {
        let member = self.members.get_mut(&id);
        let is_it = member.is_some_and(|member| member.probes.end(key, open));
        if is_it {
            self.tested(id, finding);
        }
        is_it
    }

    /// Notes how a `test` of a member ended.
    fn tested(&mut self, id: MemberId, finding: Finding) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.probes.is_warming() {
            member.health.warm_up_probed(finding);
            if member.probes.has_tested_all() {
                member.probes.end_warm_up();
                member.health.warmed_up();
            }
        } else {
            member.health.probed(Probe::Test, finding);
        }
        self.changed(id);
    }

    /// Whether a drain of a member that waits for its calls is over by now, and its sockets are to be closed.
    pub(in crate::engine) fn drain_goes_on(&mut self, id: MemberId, now: Moment) -> Option<Drain> {
        let member = self.members.get_mut(&id).filter(|member| !member.leaving)?;
        if let Drain::Ending(until) = member.drain
            && (until.is_some_and(|until| until <= now) || member.has_finished(now))
        {
            member.drain = Drain::Closing;
            return Some(Drain::Ending(until));
        }
        member.drain.is_under_way().then_some(member.drain).filter(|drain| *drain == Drain::Closing)
    }

    /// A drained member has no socket left.
    pub(in crate::engine) fn drained(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.drain = Drain::Over;
            self.changed(id);
        }
    }

    /// Whether a rest of a member may begin that nothing forces.
    pub(in crate::engine) fn may_rest(&self, id: MemberId, now: Moment) -> bool {
        self.members.get(&id).is_some_and(|member| member.rest.may_begin(now))
    }

    /// Begins a rest: new calls for the member wait until this moment at most.
    pub(in crate::engine) fn rest(&mut self, id: MemberId, until: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.rest.begin(until);
        }
    }

    /// Ends the rest of a member; returns whether there was one.
    pub(in crate::engine) fn end_rest(&mut self, id: MemberId) -> bool {
        self.members.get_mut(&id).is_some_and(|member| member.rest.end())
    }

    /// Ends the rest of a member that has lasted long enough; returns whether there was one.
    pub(in crate::engine) fn end_rest_if_over(&mut self, id: MemberId, now: Moment) -> bool {
        self.members.get_mut(&id).is_some_and(|member| member.rest.end_if_over(now))
    }
}
