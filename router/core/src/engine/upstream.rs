//! The members' side: dialling, sessions of RCS, and what their frames mean.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::messages::handshake_message::ServerType;
use rcs_proto::session::{Event as SessionEvent, Handshake, Ignored, Remote, Session, Side, SocketId};
use rcs_proto::time::Moment;

use super::drain::Drain;
use super::infos;
use super::lists::MemberList;
use super::probes::{ProbePlan, Standing};
use super::rotation::Rest;
use super::sockets::{Peer, Place, Socket};
use super::timers::Timer;
use super::{Engine, Io, Note, Slot, Work};
use crate::backoff::reconnect_wait;
use crate::bundles::group::Server;
use crate::health::{Finding, Health, Unfit};
use crate::ids::MemberId;
use crate::limits;
use crate::slots::Key;
use crate::verdict::Fault;
use crate::view::{AdminState, Link, Mark, Member};

/// Names one session of a member.
pub type UpstreamKey = Key<Upstream>;

/// Why a member could not be reached, as far as the next attempt depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// It does not listen, or does not answer: it may at any moment.
    Unreachable,
    /// It refused our credentials, or what it speaks is not what the document says: only the operator can mend that.
    Refused,
}

/// One session of a member. Ends when its last socket closes.
#[derive(Debug)]
pub struct Upstream {
    pub(super) member: MemberId,
    pub(super) remote: String,
    pub(super) session: Session<Work>,
    /// The connectors that it told last.
    pub(super) told: Option<MemberList>,
    /// Session checks since then.
    pub(super) checks_since_told: u32,
}

/// One member, whether it can be reached or not.
#[derive(Debug)]
pub(super) struct MemberState {
    pub(super) member: Member,
    slots: Vec<SlotState>,
    /// The session that gets new calls: the one whose socket joined last.
    pub(super) session: Option<UpstreamKey>,
    /// Whether it can be reached: a session that told its connectors.
    pub(super) linked: bool,
    pub(super) health: Health,
    pub(super) probes: ProbePlan,
    /// Time between two `test`s: the shortest of its groups; none if they want none.
    pub(super) test_every: Option<Duration>,
    /// What follows from the two: who gets calls, and what the operator was told last.
    pub(super) standing: Standing,
    /// Why it gets no calls, as the operator was told since it served last.
    pub(super) told: Option<Unfit>,
    /// Whether it left the document: no new calls, gone with its last one.
    pub(super) leaving: bool,
    /// How far an operator's drain of it is.
    pub(super) drain: Drain,
    /// Whether its calls wait for a moment.
    pub(super) rest: Rest,
    /// When it gave a page cookie last.
    pub(super) paged_at: Option<Moment>,
    /// Its connectors as it told them last, kept over its absence.
    pub(super) list: Option<MemberList>,
    /// Whether its groups judge it by them: not while it is away, or has a session that told nothing.
    pub(super) is_judged: bool,
    /// What its server says that it is.
    pub(super) server: Option<Server>,
    /// Calls that it holds.
    pub(super) in_flight: usize,
    /// Those among them that take a place: subscriptions do not.
    pub(super) busy: usize,
    /// What the operator was told of the last failed attempt; not repeated while it stays the same.
    pub(super) last_failure: Option<String>,
}

/// One of the sockets to be kept open.
#[derive(Clone, Copy, Debug, Default)]
struct SlotState {
    /// Whether a socket is open for it.
    open: bool,
    /// Attempts since the member was last of use.
    attempts: u32,
}

impl MemberState {
    fn new(member: Member) -> Self {
        let slots = vec![SlotState::default(); usize::from(member.spec.sockets)];
        Self {
            drain: Self::drain_at_start(member.mark),
            rest: Rest::default(),
            paged_at: None,
            member,
            slots,
            session: None,
            linked: false,
            health: Health::default(),
            probes: ProbePlan::default(),
            test_every: None,
            standing: Standing::default(),
            told: None,
            leaving: false,
            list: None,
            is_judged: false,
            server: None,
            in_flight: 0,
            busy: 0,
            last_failure: None,
        }
    }

    fn wants_sockets(&self) -> bool {
        !self.leaving && self.member.spec.admin == AdminState::Enabled && self.member.mark == Mark::Enabled
    }

    /// The next attempt to reach it waits no longer than the first.
    pub(super) fn forget_attempts(&mut self) {
        for slot in &mut self.slots {
            slot.attempts = 0;
        }
    }
}

impl Engine {
    /// Takes another view: dials new members, lets go of removed ones once their calls are done, rebuilds the pickers. A
    /// member that changed in the document is let go and taken on anew; one that an operator marked keeps what it has.
    pub(super) fn on_view(&mut self, view: Arc<crate::view::View>, now: Moment, io: &mut impl Io) {
        let mut marked: Vec<(MemberId, Mark)> = Vec::new();
        for (id, state) in &mut self.members {
            match view.member(*id).filter(|member| member.spec == state.member.spec) {
                None => {
                    state.leaving = true;
                    let wait = if state.in_flight == 0 { Duration::ZERO } else { limits::DRAIN_TIME };
                    self.timers.set(now + wait, Timer::LetGo(*id));
                }
                Some(member) if member.mark != state.member.mark => marked.push((*id, member.mark)),
                Some(_) => {}
            }
        }
        self.view = view.clone();
        // Out of the pickers first: a call that moves because of a mark must not come back.
        for (id, mark) in &marked {
            if let Some(state) = self.members.get_mut(id) {
                state.member.mark = *mark;
            }
        }
        self.rebuild_pickers();
        self.sets_follow_view(now, io);
        for (id, mark) in marked {
            self.on_mark(id, mark, now, io);
        }
        for member in view.members() {
            if !self.members.contains_key(&member.id) {
                self.add_member(member, io);
            }
        }
        self.set_test_intervals(now);
        self.rebuild_pickers();
        self.refresh_infos(io);
    }

    fn add_member(&mut self, member: &Member, io: &mut impl Io) {
        self.members.insert(member.id, MemberState::new(member.clone()));
        for slot in 0..member.spec.sockets {
            self.dial(member.id, Slot(slot), io);
        }
    }

    /// Ends what a leaving member still has: its sockets are closed, calls that did not finish in time are answered. One
    /// that is in the document in another form is taken on anew.
    pub(super) fn let_go(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        if !self.members.get(&member).is_some_and(|state| state.leaving) {
            return;
        }
        for socket in self.sockets_of(member) {
            io.close(socket);
            self.on_closed(socket, Vec::new(), now, io);
        }
        self.members.remove(&member);
        let view = Arc::clone(&self.view);
        if let Some(member) = view.member(member) {
            self.add_member(member, io);
        }
        self.set_test_intervals(now);
        self.rebuild_pickers();
        self.refresh_infos(io);
    }

    /// Dials a member for a slot, unless that has a socket or will have one: a member that was taken on anew may have wishes
    /// left from before.
    pub(super) fn dial(&mut self, member: MemberId, slot: Slot, io: &mut impl Io) {
        let place = self.members.get(&member).and_then(|state| state.slots.get(usize::from(slot.0)));
        if place.is_some_and(|place| !place.open) {
            self.dial_anew(member, slot, io);
        }
    }

    /// Dials a member for a slot that may have a socket.
    pub(super) fn dial_anew(&mut self, member: MemberId, slot: Slot, io: &mut impl Io) {
        let Some(state) = self.members.get_mut(&member).filter(|state| state.wants_sockets()) else { return };
        // A member in client mode dials us.
        if let Link::Dial(endpoint) = &state.member.spec.link
            && let Entry::Vacant(vacant) = self.dials.entry((member, slot))
        {
            vacant.insert(endpoint.clone());
            io.dial(member, slot, endpoint);
        }
    }

    /// Notes the end of a dial; answers whether it was for the endpoint that the member has now. If not, that is dialled.
    fn end_dial(&mut self, member: MemberId, slot: Slot, io: &mut impl Io) -> bool {
        let dialled = self.dials.remove(&(member, slot));
        let state = self.members.get_mut(&member);
        let Some(state) = state.filter(|state| usize::from(slot.0) < state.slots.len()) else { return false };
        match (&state.member.spec.link, dialled) {
            (Link::Dial(endpoint), Some(dialled)) if *endpoint == dialled => true,
            _ => {
                self.dial(member, slot, io);
                false
            }
        }
    }

    pub(super) fn redial_later(&mut self, member: MemberId, slot: Slot, now: Moment, io: &mut impl Io) {
        let random = io.random();
        let Some(state) = self.members.get_mut(&member) else { return };
        let is_wanted = state.wants_sockets();
        let Some(place) = state.slots.get_mut(usize::from(slot.0)) else { return };
        place.open = false;
        if !is_wanted {
            return;
        }
        let wait = reconnect_wait(place.attempts, random);
        place.attempts = place.attempts.saturating_add(1);
        self.timers.set(now + wait, Timer::Redial(member, slot));
    }

    pub(super) fn on_dialled(
        &mut self,
        member: MemberId,
        slot: Slot,
        socket: SocketId,
        now: Moment,
        io: &mut impl Io,
    ) {
        if !self.end_dial(member, slot, io) {
            return io.close(socket);
        }
        let state = self.members.get_mut(&member).filter(|state| state.wants_sockets());
        let Some(place) = state.and_then(|state| state.slots.get_mut(usize::from(slot.0))) else {
            return io.close(socket);
        };
        place.open = true;
        let identity = self.identities.towards_member(member);
        let (handshake, first) = Handshake::start(Side::Dialled, &identity, now);
        if let Some(first) = first {
            io.send(socket, first);
        }
        self.greet(socket, handshake, Peer::Member(member, slot), now);
    }

    pub(super) fn on_dial_failed(
        &mut self,
        member: MemberId,
        slot: Slot,
        failure: DialFailure,
        reason: &str,
        now: Moment,
        io: &mut impl Io,
    ) {
        if !self.end_dial(member, slot, io) {
            return;
        }
        let Some(state) = self.members.get_mut(&member) else { return };
        if state.last_failure.as_deref() != Some(reason) {
            state.last_failure = Some(reason.to_owned());
            io.note(Note::DialFailed { member, reason });
        }
        match failure {
            DialFailure::Unreachable => self.redial_later(member, slot, now, io),
            DialFailure::Refused => {
                self.timers.set(now + limits::REFUSED_CREDENTIALS_WAIT, Timer::Redial(member, slot));
            }
        }
    }

    pub(super) fn join_member(
        &mut self,
        socket: SocketId,
        member: MemberId,
        slot: Slot,
        remote: Remote,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(state) = self.members.get_mut(&member) else { return io.close(socket) };
        let ping_every = state.member.spec.ping_interval;
        // Not always the current one: several servers may answer at one address.
        let known = self
            .upstreams
            .iter()
            .find(|(_, upstream)| upstream.member == member && upstream.remote == remote.session_id)
            .map(|(key, upstream)| (key, upstream.told.clone()));
        let is_current = known.as_ref().is_some_and(|(key, _)| state.session == Some(*key));
        if state.session.is_some() && !is_current {
            io.note(Note::MemberChangedIdentity { member });
        }
        state.server = server_of(&remote);
        let (key, told) = match known {
            Some(known) => known,
            None => {
                let mut session = Session::checked_every(limits::CHECK_PROBE_EVERY);
                session.go_on_after(self.last_id);
                session.want_connector_infos(now);
                let remote = remote.session_id;
                let upstream = Upstream { member, remote, session, told: None, checks_since_told: 0 };
                (self.upstreams.insert(upstream), None)
            }
        };
        if !is_current {
            state.session = Some(key);
            // Out of rotation until a new session has told its connectors.
            if told.is_some() && !state.linked {
                state.health.linked(now);
            }
            state.linked = told.is_some();
        }
        if let Some(upstream) = self.upstreams.get_mut(key) {
            upstream.session.join(socket, now);
            // It told its connectors before another server took its place, and may have others now.
            if !is_current && told.is_some() {
                upstream.session.want_connector_infos(now);
            }
        }
        let place = Place::Member { session: key, member, slot };
        self.sockets.insert(socket, Socket::new(place, ping_every, now));
        self.replace_by(socket, member, slot, now);
        self.timers.set(now + rcs_proto::limits::HOLD_OFF, Timer::CheckMember(key));
        if !is_current {
            self.forget_judgement(member, now, io);
            if let Some(list) = told {
                self.take_list(member, list, now, io);
            }
            self.review(member, now, io);
        }
    }

    /// Sends the session check that is due; one that was not answered by then counts.
    pub(super) fn check_member(&mut self, key: UpstreamKey, now: Moment, io: &mut impl Io) {
        self.look_for_drift(key);
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let member = upstream.member;
        let missed = upstream.session.is_check_unanswered();
        let Some((socket, frame)) = upstream.session.due_check(now, &[]) else { return };
        upstream.checks_since_told = upstream.checks_since_told.saturating_add(1);
        io.send(socket, frame);
        if missed {
            self.on_check_result(member, Finding::Bad, now, io);
            self.end_silent(key, now, io);
        }
    }

    pub(super) fn on_member_frame(
        &mut self,
        key: UpstreamKey,
        socket: SocketId,
        envelope: Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        match upstream.session.receive(&envelope, now) {
            SessionEvent::Answer(Work::Call(call)) => self.on_answer(call, envelope, now, io),
            SessionEvent::NotRun(Work::Call(call)) => self.fail(call, Fault::RefusedBeforeHandshake, now, io),
            SessionEvent::Answer(Work::Probe) | SessionEvent::NotRun(Work::Probe) => {
                self.on_probe_answer(key, &envelope, now, io);
            }
            SessionEvent::Ignored(Ignored::CheckAnswered) => {
                let member = upstream.member;
                self.on_check_result(member, Finding::Good, now, io);
            }
            SessionEvent::ConnectorInfos(infos) => self.on_connector_infos(key, infos, now, io),
            SessionEvent::ConfigurationChange => self.on_configuration_change(key, &envelope, now, io),
            SessionEvent::Control(checked) => {
                let infos = checked.wants_connector_infos.then(infos::none);
                io.send(socket, frames::control_response(checked.id, infos));
                for work in checked.vanished {
                    if let Work::Call(call) = work {
                        self.fail(call, Fault::MemberLost, now, io);
                    }
                }
            }
            SessionEvent::HandshakeAgain => {
                let identity = self.identities.towards_member(upstream.member);
                io.send(socket, frames::handshake_response(&identity));
            }
            SessionEvent::Reply(frame) => io.send(socket, frame),
            // A member calls nothing here: Java answers a call of a connector that it does not have the same way.
            SessionEvent::Call => {
                let class = "org.identityconnectors.framework.common.exceptions.ConnectorException";
                io.send(
                    socket,
                    frames::error(envelope.message_id, class, "Connector not found: the router has none"),
                );
            }
            // Members ask nothing that has an answer to be refused.
            SessionEvent::Cancel(_) | SessionEvent::AnswerRefused(_) | SessionEvent::Ignored(_) => {}
        }
    }

    /// A connector changed its configuration: told to every caller that used this exact facade key (WIRE section 6).
    fn on_configuration_change(
        &mut self,
        key: UpstreamKey,
        envelope: &Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let rcs_proto::envelope::Kind::Operation(head) = &envelope.kind else { return };
        if !self.upstreams.get(key).is_some_and(|upstream| self.members.contains_key(&upstream.member)) {
            return;
        }
        let users: Vec<_> = self
            .downstreams
            .iter()
            .filter(|(_, caller)| caller.facades.contains(&head.facade_key))
            .map(|(key, _)| key)
            .collect();
        for caller in users {
            self.deliver(caller, None, envelope.frame().clone(), now, io);
        }
    }

    pub(super) fn on_member_socket_closed(
        &mut self,
        key: UpstreamKey,
        socket: SocketId,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let member = upstream.member;
        if upstream.session.leave(socket) > 0 {
            let open = upstream.session.open_keys();
            for call in std::mem::take(&mut self.unsent) {
                self.fail(call, Fault::SocketLost, now, io);
            }
            for work in open {
                if let Work::Call(call) = work {
                    self.on_member_socket_lost(call, socket, now, io);
                }
            }
            return;
        }
        let calls = upstream.session.open_keys();
        if let Some(state) = self.members.get_mut(&member).filter(|state| state.session == Some(key)) {
            state.session = None;
            if std::mem::replace(&mut state.linked, false) {
                state.health.lost(now);
            }
        }
        // First out of rotation, then the calls: none of them comes back here.
        self.review(member, now, io);
        for call in std::mem::take(&mut self.unsent) {
            self.fail(call, Fault::MemberLost, now, io);
        }
        for work in calls {
            if let Work::Call(call) = work {
                self.fail(call, Fault::MemberLost, now, io);
            }
        }
        if let Some(upstream) = self.upstreams.remove(key) {
            self.last_id = self.last_id.max(upstream.session.last_id());
        }
    }
}

/// What a server says that it is. rcs-node says what a Java server says, and none tells its version (B09).
fn server_of(remote: &Remote) -> Option<Server> {
    let product = match remote.server_type {
        ServerType::Java => "java",
        ServerType::Dotnet => "dotnet",
        ServerType::Unknown => return None,
    };
    Some(Server { product: product.to_owned(), version: None })
}
