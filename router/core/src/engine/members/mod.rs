//! Who answers: members, their sessions and dials, what they hold, how they stand.

mod dials;
mod drain;
mod list;
mod member;
mod probing;
mod rest;
mod route;
mod session;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::session::{Event as SessionEvent, Remote, Session, SocketId};
use rcs_proto::time::Moment;

pub(super) use self::drain::Drain;
pub(super) use self::list::MemberList;
pub(super) use self::member::{Asking, Member, Standing};
use self::probing::{Next, ProbePlan, TestProbe};
pub(super) use self::route::Route;
pub(super) use self::session::MemberSession;
use self::session::server_of;
use super::agenda::Agenda;
use super::facade::Facade;
use super::io::Io;
use super::keys::{CallKey, MemberSessionKey, MemberSessionTag, Slot, Work};
use super::out::Out;
use crate::arena::Arena;
use crate::health::{Finding, Health, Probe, Unfit};
use crate::ids::MemberId;
use crate::limits;
use crate::settings::Ejection;
use crate::view::{self, Endpoint, Mark};

/// The table.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Members of the view, and those that left it with calls in flight.
    members: BTreeMap<MemberId, Member>,
    sessions: Arena<MemberSessionTag, MemberSession>,
    /// Sessions that have ended. They are kept until the event is settled: calls that they held are judged by them.
    ended: Vec<MemberSessionKey>,
    /// The highest id of the sessions that ended: none is given out twice under one identity (WIRE 4.2).
    last_id: i64,
    /// Dials under way, with the endpoint that they lead to: one for each slot.
    dials: BTreeMap<(MemberId, Slot), Endpoint>,
    /// Members that are looked at when the event is settled.
    changed: VecDeque<MemberId>,
    /// When something is to be done for a member, or for one of its sessions.
    agenda: Agenda<MemberId>,
}

/// A socket has joined a member's session.
pub(super) struct Joined {
    /// The session.
    pub(super) session: MemberSessionKey,
    /// Whether it is another one than the session that got new calls until now; it gets them from now on.
    pub(super) is_other: bool,
    /// Whether there was one before.
    pub(super) is_other_server: bool,
    /// What the session told before another server took its place.
    pub(super) told: Option<MemberList>,
}

/// What is left of a session when a socket has left it.
pub(super) enum Left {
    /// Other sockets, and these open calls.
    Sockets(Vec<CallKey>),
    /// Nothing: the session has ended with these open calls.
    Nothing(Vec<CallKey>),
}

/// What the end of a call at a member brings about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    /// The member rests, and may have no call left.
    pub(super) may_be_quiet: bool,
    /// The member left the document, and holds no call any more.
    pub(super) is_done: bool,
}

/// A change of how a member stands, as the operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// It takes calls from now on; it told so many connectors.
    Up(usize),
    /// It takes none any more; it held so many calls.
    Down(usize),
    /// It can be reached and gets none.
    Unfit(Unfit),
    /// It stands otherwise, and the operator knows, or need not know.
    Silent,
}

impl Members {
    // --- what is there ---

    pub(super) fn get(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// A session that is open, or has ended in this event.
    pub(super) fn session(&self, key: MemberSessionKey) -> Option<&MemberSession> {
        self.sessions.get(key)
    }

    #[cfg(test)]
    pub(super) fn has_no_sessions(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Why a member takes no calls of this kind now. With [`super::groups::Groups::candidates`] the only answer to who may have
    /// a call.
    pub(super) fn takes(&self, id: MemberId, asking: Asking) -> Result<(), Out> {
        match self.members.get(&id) {
            None => Err(Out::Gone),
            Some(member) => member.out(asking).map_or(Ok(()), Err),
        }
    }

    /// Why a member that takes calls has no free place for one, if it may hold so many.
    pub(super) fn has_place(&self, id: MemberId, in_flight_max: usize) -> Result<(), Out> {
        match self.members.get(&id) {
            None => Err(Out::Gone),
            Some(member) => member.full(in_flight_max).map_or(Ok(()), Err),
        }
    }

    /// What a member told last, if that could be read.
    pub(super) fn told_by(&self, id: MemberId) -> Option<&Arc<crate::bundles::wire::WireManifest>> {
        self.members.get(&id)?.list.as_ref()?.wire.as_ref().ok()
    }

    // --- what document and operator want ---

    /// Takes a member on.
    pub(super) fn add(&mut self, member: view::Member) {
        let id = member.id;
        let before = self.members.insert(id, Member::new(member));
        assert!(before.is_none(), "{id} was taken on twice");
        self.changed(id);
    }

    /// A member left the document, or is another one in it: no new calls. Returns whether it holds any.
    pub(super) fn leaves(&mut self, id: MemberId) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        member.leaving = true;
        let holds_calls = member.in_flight > 0;
        self.changed(id);
        holds_calls
    }

    /// Forgets a member that left and holds no call and no socket.
    pub(super) fn remove(&mut self, id: MemberId) {
        if let Some(mut member) = self.members.remove(&id) {
            assert_eq!(member.in_flight, 0, "{id} is forgotten with calls");
            self.agenda.plan(id, &mut member.planned, None);
            self.changed.retain(|changed| *changed != id);
        }
    }

    /// An operator marked a member. Returns the calls that it holds, and whether a drain begins.
    pub(super) fn mark(&mut self, id: MemberId, mark: Mark, now: Moment) -> (usize, bool) {
        let Some(member) = self.members.get_mut(&id) else { return (0, false) };
        member.member.mark = mark;
        let (drain, begins) = member.drain.marked(mark, now);
        member.drain = drain;
        if mark == Mark::Enabled {
            // What it lost of its sockets is dialled again; one that had none left starts as a fresh member.
            if !member.linked {
                member.health = Health::default();
            }
            member.forget_attempts();
            member.last_failure = None;
        }
        let held = member.in_flight;
        self.changed(id);
        (held, begins)
    }

    /// How often members are tested, as their groups want: the shortest time of each member's groups.
    pub(super) fn test_every(&mut self, every: &HashMap<MemberId, Duration>, now: Moment) {
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.test_every = every.get(&id).copied();
            member.probes.no_later_than(now + member.test_every.unwrap_or(limits::TEST_PROBE_EVERY));
            self.changed(id);
        }
    }

    // --- sessions ---

    /// A socket joins a member's session; a process that was not seen before has a new one.
    pub(super) fn join(
        &mut self,
        id: MemberId,
        socket: SocketId,
        remote: Remote,
        now: Moment,
    ) -> Option<Joined> {
        let member = self.members.get_mut(&id)?;
        let sessions = &self.sessions;
        let is_of = |key: &&MemberSessionKey| {
            sessions.get(**key).is_some_and(|session| session.remote == remote.session_id)
        };
        // Not always the current one: several servers may answer at one address.
        let known = member.sessions.iter().find(is_of).copied();
        let is_other = known.is_none() || member.session != known;
        let is_other_server = is_other && member.session.is_some();
        member.server = server_of(&remote);
        let key = match known {
            Some(key) => key,
            None => {
                let mut session = Session::checked_every(limits::CHECK_PROBE_EVERY);
                session.go_on_after(self.last_id);
                session.want_connector_infos(now);
                let remote = remote.session_id;
                let session = MemberSession { member: id, remote, session, told: None, checks_since_told: 0 };
                let key = self.sessions.insert(session);
                member.sessions.push(key);
                key
            }
        };
        let session = self.sessions.get_mut(key)?;
        let told = session.told.clone();
        if is_other {
            member.session = Some(key);
            // Out of rotation until a new session has told its connectors.
            if told.is_some() && !member.linked {
                member.health.linked(now);
            }
            member.linked = told.is_some();
        }
        session.session.join(socket, now);
        // It told its connectors before another server took its place, and may have others now.
        if is_other && told.is_some() {
            session.session.want_connector_infos(now);
        }
        self.changed(id);
        Some(Joined { session: key, is_other, is_other_server, told })
    }

    /// What a frame of a member means.
    pub(super) fn receive(
        &mut self,
        key: MemberSessionKey,
        envelope: &Envelope,
        now: Moment,
    ) -> Option<(MemberId, SessionEvent<Work>)> {
        let session = self.sessions.get_mut(key)?;
        Some((session.member, session.session.receive(envelope, now)))
    }

    /// A socket has left a member's session.
    pub(super) fn leave(&mut self, key: MemberSessionKey, socket: SocketId, now: Moment) -> Option<Left> {
        let session = self.sessions.get_mut(key)?;
        let left = session.session.leave(socket);
        let calls = open_calls(session);
        let id = session.member;
        if left > 0 {
            return Some(Left::Sockets(calls));
        }
        self.ended.push(key);
        if let Some(member) = self.members.get_mut(&id) {
            member.sessions.retain(|known| *known != key);
            if member.session == Some(key) {
                member.session = None;
                if std::mem::replace(&mut member.linked, false) {
                    member.health.lost(now);
                }
            }
        }
        self.changed(id);
        Some(Left::Nothing(calls))
    }

    /// Forgets the sessions that have ended, once nothing of them is asked for any more.
    pub(super) fn bury(&mut self) {
        for key in std::mem::take(&mut self.ended) {
            if let Some(session) = self.sessions.remove(key) {
                self.last_id = self.last_id.max(session.session.last_id());
            }
        }
    }

    /// Sends nothing new on a socket.
    pub(super) fn retire(&mut self, key: MemberSessionKey, socket: SocketId) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.session.retire(socket);
        }
    }

    /// A socket that is being closed by us belongs to the session no longer.
    pub(super) fn let_go_of(&mut self, key: MemberSessionKey, socket: SocketId) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.session.leave(socket);
        }
    }

    /// The processes that live, by what their sessions showed.
    pub(super) fn living(&self) -> HashSet<(MemberId, &str)> {
        let sessions = self.sessions.iter().map(|(_, session)| session);
        let living = sessions.filter(|session| session.session.is_connected());
        living.map(|session| (session.member, session.remote.as_str())).collect()
    }

    /// Which process of a member was lost: that of the route, or else the one of `touched` that has no socket any more.
    pub(super) fn lost_process(
        &self,
        route: Option<&Route>,
        touched: Option<MemberId>,
    ) -> Option<&MemberSession> {
        match (route, touched) {
            (Some(route), _) => self.sessions.get(route.session),
            // The request was on a socket that died before the last one, and was not sent on that.
            (None, Some(member)) => {
                let mut ended = self.ended.iter().filter_map(|key| self.sessions.get(*key));
                ended.find(|session| session.member == member)
            }
            (None, None) => None,
        }
    }

    /// Which of its processes a session belongs to, for [`super::calls::Loss`].
    pub(super) fn remote(session: &MemberSession) -> (MemberId, String) {
        (session.member, session.remote.clone())
    }

    // --- calls ---

    /// Gives a call an id and a socket at a member; none if the member cannot take it.
    pub(super) fn open(
        &mut self,
        id: MemberId,
        call: CallKey,
        is_subscription: bool,
        now: Moment,
    ) -> Option<Route> {
        let member = self.members.get_mut(&id)?;
        let key = member.session?;
        let session = &mut self.sessions.get_mut(key)?.session;
        let socket = session.socket_for(None, now)?;
        let open = session.open(Work::Call(call), now);
        member.in_flight += 1;
        member.busy += usize::from(!is_subscription);
        Some(Route { member: id, session: key, id: open, socket, sent: now })
    }

    /// Takes a call off its member: late frames for it are ignored from now on. Once for each route.
    pub(super) fn close(&mut self, route: &Route, is_subscription: bool) -> Freed {
        if let Some(session) = self.sessions.get_mut(route.session) {
            session.session.close(route.id);
        }
        let Some(member) = self.members.get_mut(&route.member) else { return Freed::default() };
        member.in_flight -= 1;
        member.busy -= usize::from(!is_subscription);
        Freed { may_be_quiet: member.rest.is_on(), is_done: member.leaving && member.in_flight == 0 }
    }

    /// Sends a request on its way.
    pub(super) fn send(&self, route: &Route, request: Bytes, io: &mut impl Io) {
        io.send(route.socket, request);
    }

    /// Tells the member that nobody waits for the call any more: on the socket that carried the request, as a cancel that
    /// overtakes its call is lost (WIRE 7.3).
    pub(super) fn cancel(&mut self, route: &Route, now: Moment, io: &mut impl Io) {
        if let Some(session) = self.sessions.get_mut(route.session)
            && let Some(socket) = session.session.socket_for(Some(route.socket), now)
        {
            io.send(socket, frames::cancel(route.id));
        }
    }

    /// Whether the socket that carried the request is open.
    pub(super) fn lives(&self, route: &Route) -> bool {
        let session = self.sessions.get(route.session);
        session.is_some_and(|session| session.session.sockets().any(|socket| socket == route.socket))
    }

    /// The call that is open under an id in a session.
    pub(super) fn call_under(&self, key: MemberSessionKey, id: i64) -> Option<CallKey> {
        match self.sessions.get(key)?.session.open_key(id)? {
            Work::Call(call) => Some(call),
            Work::Probe => None,
        }
    }

    /// Every call that a member holds.
    pub(super) fn calls_at(&self, id: MemberId) -> Vec<CallKey> {
        let sessions = self.members.get(&id).map(|member| member.sessions.as_slice()).unwrap_or_default();
        sessions.iter().filter_map(|key| self.sessions.get(*key)).flat_map(open_calls).collect()
    }

    /// Every call that a session holds.
    pub(super) fn calls_of(&self, key: MemberSessionKey) -> Vec<CallKey> {
        self.sessions.get(key).map(open_calls).unwrap_or_default()
    }

    /// Has what follows of a call come, and a cancel go, on another socket than `old`, if there is one.
    pub(super) fn move_off(&mut self, route: &mut Route, old: SocketId, now: Moment) {
        let session = self.sessions.get_mut(route.session);
        let socket = session.and_then(|session| session.session.socket_for(None, now));
        if let Some(socket) = socket.filter(|socket| *socket != old) {
            route.socket = socket;
        }
    }

    /// A member gave a page cookie.
    pub(super) fn gave_page(&mut self, id: MemberId, now: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.paged_at = Some(now);
        }
    }

    // --- connectors ---

    /// The connectors that a session told. A server writes the same bytes as long as it lives and has the same connectors, and
    /// most write them again after a restart: then nothing is read. Returns the member and its list, if the session is the
    /// one that gets new calls.
    pub(super) fn told(&mut self, key: MemberSessionKey, infos: Bytes) -> Option<(MemberId, MemberList)> {
        let session = self.sessions.get_mut(key)?;
        session.checks_since_told = 0;
        let member = self.members.get(&session.member);
        let is_of = |list: &&MemberList| list.infos == infos;
        let of_member = || member.and_then(|member| member.list.as_ref());
        let known = session.told.as_ref().filter(is_of).or_else(|| of_member().filter(is_of)).cloned();
        let list = known.unwrap_or_else(|| MemberList::read(infos));
        session.told = Some(list.clone());
        let is_current = member.is_some_and(|member| member.session == Some(key));
        is_current.then_some((session.member, list))
    }

    /// The list is the member's from now on. Returns whether it is another one than before, and whether the member's groups
    /// must judge it.
    pub(super) fn take_list(&mut self, id: MemberId, list: MemberList) -> (bool, bool) {
        let Some(member) = self.members.get_mut(&id) else { return (false, false) };
        let is_new = member.list.as_ref().is_none_or(|known| known.infos != list.infos);
        let was_judged = std::mem::replace(&mut member.is_judged, true);
        if is_new {
            member.list = Some(list);
        }
        self.changed(id);
        (is_new, is_new || !was_judged)
    }

    /// The member's groups judge it by what it told no longer; returns whether they did.
    pub(super) fn forget_judgement(&mut self, id: MemberId) -> bool {
        self.members.get_mut(&id).is_some_and(|member| std::mem::take(&mut member.is_judged))
    }

    /// What its session told, if that counts: its groups are to know it.
    pub(super) fn judged_list(&self, id: MemberId) -> Option<&MemberList> {
        let member = self.members.get(&id).filter(|member| member.is_judged)?;
        member.list.as_ref()
    }

    /// A member has told its connectors and can be reached; returns whether it could not before.
    pub(super) fn link(&mut self, id: MemberId, now: Moment) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        member.forget_attempts();
        let is_new = !std::mem::replace(&mut member.linked, true);
        if is_new {
            member.health.linked(now);
        }
        self.changed(id);
        is_new
    }

    // --- session checks ---

    /// Sends the session check that is due; every so many-th asks for the connectors as well, for that is how a change of a
    /// bundle set is found that nobody announced (G12). Returns the member if the last check was not answered.
    pub(super) fn check(&mut self, key: MemberSessionKey, now: Moment, io: &mut impl Io) -> Option<MemberId> {
        let session = self.sessions.get_mut(key)?;
        let id = session.member;
        let is_current = self.members.get(&id).is_some_and(|member| member.session == Some(key));
        // This check is one more.
        if is_current && session.told.is_some() && session.checks_since_told + 1 >= limits::DRIFT_CHECKS {
            session.session.recheck_connector_infos();
        }
        let missed = session.session.is_check_unanswered();
        let sent = session.session.due_check(now, &[]);
        if let Some((socket, frame)) = sent {
            session.checks_since_told = session.checks_since_told.saturating_add(1);
            io.send(socket, frame);
            self.changed(id);
            return missed.then_some(id);
        }
        None
    }

    /// The sessions of a member.
    pub(super) fn sessions_of(&self, id: MemberId) -> Vec<MemberSessionKey> {
        self.members.get(&id).map(|member| member.sessions.clone()).unwrap_or_default()
    }

    /// Whether nothing but session checks says that a session lives, as its pings are off.
    pub(super) fn has_no_pings(&self, key: MemberSessionKey) -> bool {
        self.member_of(key).is_some_and(|member| member.member.spec.ping_interval.is_none())
    }

    /// Whether the session checks of a member are not answered.
    pub(super) fn looks_silent(&self, key: MemberSessionKey, now: Moment) -> bool {
        let unfit = self.member_of(key).and_then(|member| member.health.unfit(now));
        unfit == Some(Unfit::ChecksUnanswered)
    }

    fn member_of(&self, key: MemberSessionKey) -> Option<&Member> {
        self.sessions.get(key).and_then(|session| self.members.get(&session.member))
    }

    /// Whether a `test` of ours is under way in a session.
    pub(super) fn is_probed_in(&self, key: MemberSessionKey) -> bool {
        let session = self.sessions.get(key);
        session.is_some_and(|session| session.session.open_keys().contains(&Work::Probe))
    }

    // --- health ---

    /// A health check was answered, or the next one is due and the last was not.
    pub(super) fn probed(&mut self, id: MemberId, probe: Probe, finding: Finding) {
        if let Some(member) = self.members.get_mut(&id) {
            member.health.probed(probe, finding);
            self.changed(id);
        }
    }

    /// A call went well or badly at a member, by the bounds of its group.
    pub(super) fn called(&mut self, id: MemberId, finding: Finding, bounds: &Ejection, now: Moment) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.health.called(finding, bounds, now);
        if finding == Finding::Bad {
            self.changed(id);
        }
    }

    /// A member is far slower than the others of a group.
    pub(super) fn too_slow(&mut self, id: MemberId, bounds: &Ejection, now: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.health.too_slow(bounds, now);
            self.changed(id);
        }
    }

    /// The session that this route leads to said that it shuts down.
    pub(super) fn shuts_down(&mut self, route: &Route) {
        let member = self.members.get_mut(&route.member);
        if let Some(member) = member.filter(|member| member.session == Some(route.session)) {
            member.health.shuts_down();
            self.changed(route.member);
        }
    }

    /// Looks at a member anew: whether its standing is another one, and what the operator is told.
    pub(super) fn review(&mut self, id: MemberId, now: Moment) -> Option<Turned> {
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
            // One that comes and goes is told of when it is held down first, and then when it serves again.
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
    pub(super) fn next_changed(&mut self) -> Option<MemberId> {
        let id = self.changed.pop_front()?;
        if let Some(member) = self.members.get_mut(&id) {
            member.is_changed = false;
        }
        Some(id)
    }

    /// Has a member looked at when the event is settled.
    pub(super) fn changed(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id)
            && !std::mem::replace(&mut member.is_changed, true)
        {
            self.changed.push_back(id);
        }
    }

    // --- probes ---

    /// The plan for the `test`s of a member's fresh session: these configurations first, before it serves.
    pub(super) fn warm_up(&mut self, id: MemberId, facades: Vec<Arc<Facade>>, now: Moment) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if !facades.is_empty() {
            member.health.warm_up();
        }
        member.probes = ProbePlan::of_fresh_session(facades, now);
        self.changed(id);
    }

    /// Whether a `test` may be sent to a member now.
    pub(super) fn is_probe_due(&self, id: MemberId, now: Moment) -> bool {
        self.members.get(&id).is_some_and(|member| member.linked && member.probes.is_due(now))
    }

    /// Which configuration is tested now, of those in use.
    pub(super) fn choose_probe(
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
            Next::Nothing => {
                member.health.test_unknown();
                None
            }
        }
    }

    /// Sends a `test`; `frame` writes it under its id.
    pub(super) fn send_probe(
        &mut self,
        id: MemberId,
        frame: impl FnOnce(i64) -> Bytes,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(key) = member.session else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(socket) = session.session.socket_for(None, now) else { return };
        let open = session.session.open(Work::Probe, now);
        member.probes.under_way = Some(TestProbe { session: key, id: open, since: now });
        io.send(socket, frame(open));
    }

    /// The answer to a `test` of ours. Returns the member if the `test` was the one that is under way.
    pub(super) fn probe_answered(
        &mut self,
        key: MemberSessionKey,
        id: i64,
        finding: Finding,
    ) -> Option<MemberId> {
        let session = self.sessions.get_mut(key)?;
        session.session.close(id);
        let member = session.member;
        self.conclude_probe(member, key, id, finding).then_some(member)
    }

    /// Ends a warm-up, and a `test`, that take too long; returns whether a `test` did.
    pub(super) fn end_late_probe(&mut self, id: MemberId, now: Moment) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        if member.probes.is_warm_up_late(now) {
            member.probes.end_warm_up();
            member.health.warmed_up();
            self.changed(id);
        }
        let Some(member) = self.members.get_mut(&id) else { return false };
        if !member.probes.is_probe_late(now) {
            return false;
        }
        let Some((key, open)) = member.probes.under_way.as_ref().map(|probe| (probe.session, probe.id))
        else {
            return false;
        };
        if let Some(session) = self.sessions.get_mut(key) {
            session.session.close(open);
        }
        self.conclude_probe(id, key, open, Finding::Bad)
    }

    fn conclude_probe(&mut self, id: MemberId, key: MemberSessionKey, open: i64, finding: Finding) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        if !member.probes.under_way.as_ref().is_some_and(|probe| (probe.session, probe.id) == (key, open)) {
            return false;
        }
        member.probes.under_way = None;
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
        true
    }

    // --- drains and rests ---

    /// Whether a drain of a member that waits for its calls is over by now, and its sockets are to be closed.
    pub(super) fn drain_goes_on(&mut self, id: MemberId, now: Moment) -> Option<Drain> {
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
    pub(super) fn drained(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.drain = Drain::Over;
            self.changed(id);
        }
    }

    /// Whether a rest of a member may begin that nothing forces.
    pub(super) fn may_rest(&self, id: MemberId, now: Moment) -> bool {
        self.members.get(&id).is_some_and(|member| member.rest.may_begin(now))
    }

    /// The calls for a member wait until this moment at most.
    pub(super) fn rest(&mut self, id: MemberId, until: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.rest.begin(until);
        }
    }

    /// They wait no longer; returns whether they did.
    pub(super) fn end_rest(&mut self, id: MemberId) -> bool {
        self.members.get_mut(&id).is_some_and(|member| member.rest.end())
    }

    /// The same for a rest that has lasted long enough.
    pub(super) fn end_rest_if_over(&mut self, id: MemberId, now: Moment) -> bool {
        self.members.get_mut(&id).is_some_and(|member| member.rest.end_if_over(now))
    }

    // --- when something is due ---

    /// The members that something is to be done for by now.
    pub(super) fn due(&self, now: Moment) -> Vec<MemberId> {
        self.agenda.due(now)
    }

    /// Works out anew when something is to be done for a member.
    pub(super) fn plan(&mut self, id: MemberId) {
        let Some(at) = self.due_at(id) else { return };
        if let Some(member) = self.members.get_mut(&id) {
            self.agenda.plan(id, &mut member.planned, at);
        }
    }

    fn due_at(&self, id: MemberId) -> Option<Option<Moment>> {
        let member = self.members.get(&id)?;
        let sessions = member.sessions.iter().filter_map(|key| self.sessions.get(*key));
        let checks = sessions.filter_map(|session| session.session.next_check());
        Some(checks.chain(member.due_at()).min())
    }

    /// What must be true between two events. `at` counts the open calls of a member, and those of them that take a place.
    #[cfg(test)]
    pub(super) fn assert_settled(&self, at: impl Fn(MemberId) -> (usize, usize)) {
        assert!(self.changed.is_empty() && self.ended.is_empty(), "members are not looked at");
        for (id, member) in &self.members {
            assert_eq!((member.in_flight, member.busy), at(*id), "calls at {id}");
            assert_eq!(Some(member.planned), self.due_at(*id), "the agenda of {id}");
            assert_eq!(member.linked, member.standing != Standing::Down, "{id} stands as its link says");
            let mut of_it: Vec<_> =
                self.sessions.iter().filter(|(_, s)| s.member == *id).map(|(k, _)| k).collect();
            of_it.sort();
            let mut listed = member.sessions.clone();
            listed.sort();
            assert_eq!(of_it, listed, "sessions of {id}");
        }
    }
}

fn open_calls(session: &MemberSession) -> Vec<CallKey> {
    let call = |work| match work {
        Work::Call(call) => Some(call),
        Work::Probe => None,
    };
    let mut calls: Vec<CallKey> = session.session.open_keys().into_iter().filter_map(call).collect();
    // The same in every run.
    calls.sort_unstable();
    calls
}

#[cfg(test)]
mod tests;
