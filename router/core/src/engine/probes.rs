//! Probes towards members, in layers (P6): pings are in `sockets`; here are session checks, which prove that the
//! framework lives, and a connector's own `test`, which proves that its resource does (G17), also as the warm-up of a
//! fresh member (X02).

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::messages::{ConnectorKey, OperationRequest, TestOpRequest};
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::affinity::Facade;
use super::upstream::MemberState;
use super::{CallKey, Engine, Io, Note, UpstreamKey, Work};
use crate::health::{Finding, Probe, Unfit};
use crate::ids::MemberId;
use crate::limits;
use crate::view::Mark;

/// The `test` that is under way at a member.
#[derive(Debug)]
pub(super) struct TestProbe {
    session: UpstreamKey,
    id: i64,
    since: Moment,
}

/// What a member's probes have to do.
#[derive(Debug, Default)]
pub(super) struct ProbePlan {
    under_way: Option<TestProbe>,
    /// When the next one is due.
    next_at: Moment,
    /// Which of the configurations in use had its turn last.
    turn: usize,
    /// Configurations that are to be tested before the member serves; and since when that takes.
    warm_up: Vec<Arc<Facade>>,
    warming_since: Option<Moment>,
}

/// How a member stands: what the operator is told when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no link, or has not told its connectors.
    #[default]
    Down,
    /// It has a link and gets no calls, unless its whole group stands no better.
    Unfit(Unfit),
    /// It gets calls.
    Serving,
}

impl MemberState {
    fn standing_at(&self, now: Moment) -> Standing {
        match (self.linked, self.health.unfit(now)) {
            (false, _) => Standing::Down,
            (true, Some(reason)) => Standing::Unfit(reason),
            (true, None) => Standing::Serving,
        }
    }
}

impl Engine {
    /// What is due towards members by now: probes that are late, probes to send, standings that time changes.
    pub(super) fn look_after_members(&mut self, now: Moment, io: &mut impl Io) {
        let members: Vec<MemberId> = self.members.keys().copied().collect();
        for member in members {
            self.end_late_probe(member, now, io);
            self.send_probe(member, now, io);
            self.review(member, now, io);
        }
    }

    /// Tells a change of a member's standing, and rebuilds the pickers for it.
    pub(super) fn review(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        if self.members.get(&member).is_some_and(|state| !state.linked) {
            self.forget_judgement(member, now, io);
        }
        let Some(state) = self.members.get_mut(&member) else { return };
        let standing = state.standing_at(now);
        let before = std::mem::replace(&mut state.standing, standing);
        if before == standing {
            return;
        }
        match (before, standing) {
            (_, Standing::Serving) => {
                (state.told, state.last_failure) = (None, None);
                let connectors = state.list.iter().flat_map(|list| list.connectors()).count();
                io.note(Note::MemberUp { member, connectors })
            }
            (Standing::Serving, Standing::Down) if state.member.mark == Mark::Enabled => {
                io.note(Note::MemberDown { member, calls: state.in_flight })
            }
            // One that comes and goes is told of when it is held down first, and then when it serves again.
            (_, Standing::Unfit(reason))
                if before == Standing::Serving || reason == Unfit::HeldDown && state.told != Some(reason) =>
            {
                state.told = Some(reason);
                io.note(Note::MemberUnfit { member, reason });
            }
            _ => {}
        }
        self.rebuild_pickers();
    }

    /// The member said that it shuts down: it gets no more calls in this session.
    pub(super) fn on_shutting_down(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Some(route) = self.calls.get(key).and_then(|call| call.route) else { return };
        if let Some(state) =
            self.members.get_mut(&route.member).filter(|state| state.session == Some(route.session))
        {
            state.health.shuts_down();
        }
        self.review(route.member, now, io);
    }

    /// A member's fresh session: it is tested with what its groups use before it gets traffic.
    pub(super) fn warm_up(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let facades = self.facades_in_use(member, now);
        let Some(state) = self.members.get_mut(&member) else { return };
        state.probes = ProbePlan { next_at: now, ..ProbePlan::default() };
        if facades.is_empty() {
            return;
        }
        state.health.warm_up();
        state.probes.warm_up = facades;
        state.probes.warming_since = Some(now);
        self.send_probe(member, now, io);
    }

    /// After a change of the view: how often each member is tested.
    pub(super) fn set_test_intervals(&mut self, now: Moment) {
        for state in self.members.values_mut() {
            state.test_every = None;
        }
        for group in self.view.groups() {
            for member in &group.members {
                if let (Some(every), Some(state)) = (group.settings.test_every, self.members.get_mut(member))
                {
                    state.test_every = Some(state.test_every.map_or(every, |other| other.min(every)));
                }
            }
        }
        for state in self.members.values_mut() {
            let every = state.test_every.unwrap_or(limits::TEST_PROBE_EVERY);
            state.probes.next_at = state.probes.next_at.min(now + every);
        }
    }

    fn facades_in_use(&self, member: MemberId, now: Moment) -> Vec<Arc<Facade>> {
        let tested = self.view.groups_of(member).filter(|group| group.settings.test_every.is_some());
        let groups = tested.filter_map(|group| self.groups.get(&group.id));
        let mut facades: Vec<Arc<Facade>> = Vec::new();
        for facade in groups.flat_map(|group| group.facades.in_use(now)) {
            if !facades.iter().any(|known| known.digest == facade.digest) {
                facades.push(Arc::clone(facade));
            }
        }
        facades
    }

    fn send_probe(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let Some(state) = self.members.get(&member) else { return };
        let is_due = state.probes.next_at <= now || state.probes.warming_since.is_some();
        if !state.linked || state.probes.under_way.is_some() || !is_due {
            return;
        }
        let facades = self.facades_in_use(member, now);
        let Some(state) = self.members.get_mut(&member) else { return };
        let probes = &mut state.probes;
        probes.next_at = now + state.test_every.unwrap_or(limits::TEST_PROBE_EVERY);
        let facade = match probes.warm_up.pop() {
            Some(facade) => facade,
            None if facades.is_empty() => return state.health.test_unknown(),
            None => {
                probes.turn = (probes.turn + 1) % facades.len();
                Arc::clone(&facades[probes.turn])
            }
        };
        let Some(session) = state.session else { return };
        let connector = self.connector_at(member, &facade);
        let Some(upstream) = self.upstreams.get_mut(session) else { return };
        let Some(socket) = upstream.session.socket_for(None, now) else { return };
        let id = upstream.session.open(Work::Probe, now);
        if let Some(state) = self.members.get_mut(&member) {
            state.probes.under_way = Some(TestProbe { session, id, since: now });
        }
        io.send(socket, test_frame(id, connector, &facade));
    }

    /// The answer to a `test` of ours.
    pub(super) fn on_probe_answer(
        &mut self,
        session: UpstreamKey,
        envelope: &Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(upstream) = self.upstreams.get_mut(session) else { return };
        let member = upstream.member;
        upstream.session.close(envelope.message_id);
        let finding = match &envelope.kind {
            // A member without this connector, or a connector without the operation, says nothing of its resource.
            Kind::Error(error) if !says_nothing(&error.class, &error.message) => Finding::Bad,
            _ => Finding::Good,
        };
        self.conclude_probe(member, session, envelope.message_id, finding, now, io);
    }

    fn end_late_probe(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let Some(state) = self.members.get_mut(&member) else { return };
        if state.probes.warming_since.is_some_and(|since| now.since(since) >= limits::WARM_UP_MAX) {
            state.probes.warming_since = None;
            state.probes.warm_up.clear();
            state.health.warmed_up();
        }
        let Some(probe) = &state.probes.under_way else { return };
        if now.since(probe.since) < limits::TEST_PROBE_DEADLINE {
            return;
        }
        let (session, id) = (probe.session, probe.id);
        if let Some(upstream) = self.upstreams.get_mut(session) {
            upstream.session.close(id);
        }
        self.conclude_probe(member, session, id, Finding::Bad, now, io);
    }

    fn conclude_probe(
        &mut self,
        member: MemberId,
        session: UpstreamKey,
        id: i64,
        finding: Finding,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(state) = self.members.get_mut(&member) else { return };
        if !state.probes.under_way.as_ref().is_some_and(|probe| probe.session == session && probe.id == id) {
            return;
        }
        state.probes.under_way = None;
        if state.probes.warming_since.is_some() {
            state.health.warm_up_probed(finding);
            if state.probes.warm_up.is_empty() {
                state.probes.warming_since = None;
                state.health.warmed_up();
            }
        } else {
            state.health.probed(Probe::Test, finding);
        }
        self.send_probe(member, now, io);
        self.review(member, now, io);
    }

    /// A member whose pings are off, and whose session checks are not answered: its sockets are closed if nothing moves on them,
    /// as those of one that answers no ping. Calls that it holds would wait for their deadlines.
    pub(super) fn end_silent(&mut self, session: UpstreamKey, now: Moment, io: &mut impl Io) {
        let Some(upstream) = self.upstreams.get(session) else { return };
        let Some(state) = self.members.get(&upstream.member) else { return };
        if state.member.spec.ping_interval.is_some() {
            return;
        }
        let failing = state.health.unfit(now) == Some(Unfit::ChecksUnanswered);
        let sockets: Vec<SocketId> = upstream.session.sockets().collect();
        let mut moving = false;
        for id in &sockets {
            if let Some(socket) = self.sockets.get_mut(id) {
                moving |= socket.is_moving(io.moved(*id), io.backlog_bytes(*id));
            }
        }
        if failing && !moving {
            for socket in sockets {
                self.disconnect(socket, "it answers no session check, and pings are off", now, io);
            }
        }
    }

    /// A session check was answered, or the next one is due and the last was not.
    pub(super) fn on_check_result(
        &mut self,
        member: MemberId,
        finding: Finding,
        now: Moment,
        io: &mut impl Io,
    ) {
        if let Some(state) = self.members.get_mut(&member) {
            state.health.probed(Probe::Check, finding);
        }
        self.review(member, now, io);
    }
}

fn says_nothing(class: &str, message: &str) -> bool {
    class.ends_with("UnsupportedOperationException") || message.starts_with("Connector not found")
}

fn test_frame(id: i64, connector: Option<ConnectorKey>, facade: &Facade) -> Bytes {
    let request = OperationRequest {
        connector_key: connector,
        connector_facade_key: facade.key.clone(),
        test: Some(TestOpRequest {}),
        ..Default::default()
    };
    frames::operation(id, &request)
}
