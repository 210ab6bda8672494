//! Sessions of members: sockets join and leave, and lists of connectors arrive.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use rcs_proto::envelope::Envelope;
use rcs_proto::session::{Event as SessionEvent, Remote, Session, SocketId};
use rcs_proto::time::Moment;

use super::session::server_of;
use super::{GivenUp, Joined, Left, Member, MemberList, MemberSession, Members, Route, open_calls};
use crate::engine::io::Io;
use crate::engine::keys::{MemberSessionKey, Work};
use crate::engine::peer::DialOrigin;
use crate::health::Unfit;
use crate::ids::MemberId;
use crate::limits;
use crate::view::Mark;

impl Members {
    /// A socket joins a member's session, through the router `via` if there is one. A process that was not seen before gets a new session.
    pub(in crate::engine) fn join(
        &mut self,
        id: MemberId,
        socket: SocketId,
        (remote, via): (Remote, Option<u32>),
        now: Moment,
    ) -> Option<Joined> {
        let member = self.members.get_mut(&id)?;
        let sessions = &self.sessions;
        let is_of = |key: &&MemberSessionKey| {
            sessions.get(**key).is_some_and(|session| session.remote == remote.session_id)
        };
        // This is not always the current session: several servers may answer at one address.
        let known = member.sessions.iter().find(is_of).copied();
        let is_other = known.is_none() || member.session != known;
        let before = member.session.filter(|_| is_other).and_then(|key| sessions.get(key));
        // A member that is used through a router, or no longer, is the same server.
        let is_other_server = before.is_some_and(|before| before.via.is_none() && via.is_none());
        member.server = server_of(&remote);
        let key = match known {
            Some(key) => key,
            None => {
                let mut session = Session::checked_every(limits::CHECK_PROBE_EVERY);
                session.go_on_after(self.last_id);
                session.want_connector_infos(now);
                let remote = remote.session_id;
                let session = MemberSession {
                    member: id,
                    remote,
                    via,
                    parted_at: None,
                    session,
                    answered: 0,
                    told: None,
                    checks_since_told: 0,
                    checks_missed: 0,
                    given_up: VecDeque::new(),
                };
                let key = self.sessions.insert(session);
                member.sessions.push(key);
                key
            }
        };
        let session = self.sessions.get_mut(key)?;
        let told = session.told.clone();
        if is_other {
            member.session = Some(key);
            // Out of rotation until a new session has reported its connectors.
            if told.is_some() && !member.linked {
                member.health.linked(now);
            }
            member.linked = told.is_some();
        }
        session.session.join(socket, now);
        session.parted_at = None;
        // The session reported its connectors before another server took its place, and may have other connectors now.
        if is_other && told.is_some() {
            session.session.want_connector_infos(now);
        }
        self.changed(id);
        Some(Joined { session: key, is_other, is_other_server, told })
    }

    /// Which of the hosts of one server in client mode the process with this session id is: the host that the process is already, else
    /// the first host without a process that operators let serve, else any without a process, else one whose process is silent, else the last
    /// host. Its process then has lost its place, as if it had restarted.
    pub(in crate::engine) fn host(
        &self,
        hosts: &[MemberId],
        session_id: &str,
        now: Moment,
    ) -> Option<MemberId> {
        let members = || hosts.iter().filter_map(|id| self.members.get(id).map(|member| (*id, member)));
        let is_it = |key: &MemberSessionKey| {
            self.sessions.get(*key).is_some_and(|session| session.remote == session_id)
        };
        let known = members().find(|(_, member)| member.sessions.iter().any(is_it));
        let is_own =
            |key: &MemberSessionKey| self.sessions.get(*key).is_some_and(|session| session.via.is_none());
        let is_free =
            |(_, member): &(MemberId, &Member)| !member.leaving && !member.sessions.iter().any(is_own);
        let free = || members().filter(is_free);
        let serves = |(_, member): &(MemberId, &Member)| member.member.mark == Mark::Enabled;
        let is_silent =
            |(_, member): &(MemberId, &Member)| member.health.unfit(now) == Some(Unfit::ChecksUnanswered);
        known
            .or_else(|| free().find(serves))
            .or_else(|| free().next())
            .or_else(|| members().find(is_silent))
            .or_else(|| members().next_back())
            .map(|(id, _)| id)
    }

    /// A socket of a member in client mode came from there.
    pub(in crate::engine) fn came_from(&mut self, id: MemberId, origin: Arc<DialOrigin>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.origin = Some(origin);
        }
    }

    /// What a frame of a member means.
    pub(in crate::engine) fn receive(
        &mut self,
        key: MemberSessionKey,
        envelope: &Envelope,
        now: Moment,
    ) -> Option<(MemberId, SessionEvent<Work>)> {
        let session = self.sessions.get_mut(key)?;
        let event = session.session.receive(envelope, now);
        if let SessionEvent::Answer(Work::Call(_)) = event {
            session.answered = session.answered.max(envelope.message_id);
        }
        Some((session.member, event))
    }

    /// A socket has left a member's session.
    pub(in crate::engine) fn leave(
        &mut self,
        key: MemberSessionKey,
        socket: SocketId,
        now: Moment,
    ) -> Option<Left> {
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
                let sessions = &self.sessions;
                let lives = |key: &&MemberSessionKey| {
                    sessions.get(**key).is_some_and(|session| session.session.is_connected())
                };
                member.session = member.sessions.iter().rev().find(lives).copied();
                if std::mem::replace(&mut member.linked, false) {
                    member.health.lost(now);
                }
                // Another server that answers at the member's address is the member again, once it has told its connectors.
                if let Some(other) = member.session.and_then(|other| self.sessions.get_mut(other)) {
                    other.session.want_connector_infos(now);
                }
            }
        }
        self.changed(id);
        Some(Left::Nothing(calls))
    }

    /// Forgets the sessions that have ended. Called when the event is settled.
    pub(in crate::engine) fn bury(&mut self) {
        for key in std::mem::take(&mut self.ended) {
            if let Some(session) = self.sessions.remove(key) {
                if let Some(member) = self.members.get_mut(&session.member) {
                    member.probes.forget_session(key);
                }
                self.plan(session.member);
                self.last_id = self.last_id.max(session.session.last_id());
            }
        }
    }

    /// Sends nothing new on a socket.
    pub(in crate::engine) fn retire(&mut self, key: MemberSessionKey, socket: SocketId) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.session.retire(socket);
        }
    }

    /// Takes that back.
    pub(in crate::engine) fn reinstate(&mut self, key: MemberSessionKey, socket: SocketId) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.session.reinstate(socket);
        }
    }

    /// A socket that is being closed by us belongs to the session no longer.
    pub(in crate::engine) fn let_go_of(&mut self, key: MemberSessionKey, socket: SocketId) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.session.leave(socket);
        }
    }

    /// The processes that live: each as its member, the session id that it showed, and the router through which the member is used. At the
    /// other end of a session through a router is that router: such a session says nothing of the member's process.
    pub(in crate::engine) fn living(&self) -> HashSet<(MemberId, &str, Option<u32>)> {
        let sessions = self.sessions.iter().map(|(_, session)| session);
        let living = sessions.filter(|session| session.session.is_connected());
        living.map(|session| (session.member, session.remote.as_str(), session.via)).collect()
    }

    /// Which process of a member was lost: the process of the route; without a route, the process of `touched` that has no socket any
    /// more.
    pub(in crate::engine) fn lost_process(
        &self,
        route: Option<&Route>,
        touched: Option<MemberId>,
    ) -> Option<&MemberSession> {
        match (route, touched) {
            (Some(route), _) => self.sessions.get(route.session),
            // The request went out on an earlier socket, which died, and was not sent on the last one.
            (None, Some(member)) => {
                let mut ended = self.ended.iter().filter_map(|key| self.sessions.get(*key));
                ended.find(|session| session.member == member)
            }
            (None, None) => None,
        }
    }

    /// The member and process that a session belongs to, for [`super::calls::Loss`].
    pub(in crate::engine) fn remote(session: &MemberSession) -> (MemberId, String) {
        (session.member, session.remote.clone())
    }

    /// The router that is gone, if the session led through a router and has ended. While it goes on, the router itself tells of each call that
    /// was lost with the member.
    pub(in crate::engine) fn lost_way(session: &MemberSession) -> Option<u32> {
        session.via.filter(|_| !session.session.is_connected())
    }

    /// A session reported its connectors. A server writes the same bytes as long as it lives and has the same connectors, and most
    /// servers write the same bytes after a restart. A list with the same bytes changes nothing. Returns the member and its list, if new
    /// calls go to this session.
    pub(in crate::engine) fn told(
        &mut self,
        key: MemberSessionKey,
        list: MemberList,
    ) -> Option<(MemberId, MemberList)> {
        let session = self.sessions.get_mut(key)?;
        session.checks_since_told = 0;
        let member = self.members.get(&session.member);
        let is_of = |known: &&MemberList| known.digest == list.digest;
        let of_member = || member.and_then(|member| member.list.as_ref());
        let known = session.told.as_ref().filter(is_of).or_else(|| of_member().filter(is_of)).cloned();
        let list = known.unwrap_or(list);
        session.told = Some(list.clone());
        let is_current = member.is_some_and(|member| member.session == Some(key));
        is_current.then_some((session.member, list))
    }

    /// The list is the member's from now on. Returns whether the list changed, and whether the member's groups must judge the member
    /// by it.
    pub(in crate::engine) fn take_list(&mut self, id: MemberId, list: MemberList) -> (bool, bool) {
        let Some(member) = self.members.get_mut(&id) else { return (false, false) };
        let is_new = member.list.as_ref().is_none_or(|known| known.digest != list.digest);
        let was_judged = std::mem::replace(&mut member.is_judged, true);
        if is_new {
            member.list = Some(list);
        }
        self.changed(id);
        (is_new, is_new || !was_judged)
    }

    /// The member's groups no longer judge it by its list; returns whether they did until now.
    pub(in crate::engine) fn forget_judgement(&mut self, id: MemberId) -> bool {
        self.members.get_mut(&id).is_some_and(|member| std::mem::take(&mut member.is_judged))
    }

    /// The list of a member, if its groups judge the member by it.
    pub(in crate::engine) fn judged_list(&self, id: MemberId) -> Option<&MemberList> {
        let member = self.members.get(&id).filter(|member| member.is_judged)?;
        member.list.as_ref()
    }

    /// A member has reported its connectors: it is linked. Returns whether the link is new.
    pub(in crate::engine) fn link(&mut self, id: MemberId, now: Moment) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        member.forget_attempts();
        let is_new = !std::mem::replace(&mut member.linked, true);
        if is_new {
            member.health.linked(now);
        }
        self.changed(id);
        is_new
    }

    /// Sends the session check that is due. One check in [`limits::DRIFT_CHECKS`] also asks for the connectors: this finds a change of
    /// a bundle set that nobody announced (G12). Returns the member if the last check was not answered.
    pub(in crate::engine) fn check(
        &mut self,
        key: MemberSessionKey,
        now: Moment,
        io: &mut impl Io,
    ) -> Option<MemberId> {
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
            // The member is looked after for other reasons, too. Only then the last check had its time.
            session.checks_missed = if missed { session.checks_missed.saturating_add(1) } else { 0 };
            session.checks_since_told = session.checks_since_told.saturating_add(1);
            io.send(socket, frame);
            self.changed(id);
            return missed.then_some(id);
        }
        None
    }

    /// The sessions of a member.
    pub(in crate::engine) fn sessions_of(&self, id: MemberId) -> Vec<MemberSessionKey> {
        self.members.get(&id).map(|member| member.sessions.clone()).unwrap_or_default()
    }

    /// The open sockets of a session.
    pub(in crate::engine) fn sockets_of(&self, key: MemberSessionKey) -> Vec<SocketId> {
        self.sessions.get(key).map(|session| session.sockets().collect()).unwrap_or_default()
    }

    /// Whether nothing but session checks says that a session lives, as its pings are off.
    pub(in crate::engine) fn has_no_pings(&self, key: MemberSessionKey) -> bool {
        self.member_of(key).is_some_and(|member| member.member.spec.ping_interval.is_none())
    }

    /// Whether the session checks of a member are not answered.
    pub(in crate::engine) fn looks_silent(&self, key: MemberSessionKey, now: Moment) -> bool {
        let unfit = self.member_of(key).and_then(|member| member.health.unfit(now));
        unfit == Some(Unfit::ChecksUnanswered)
    }

    /// Whether the session checks of a member are not answered. If nothing but session checks says that the member lives, the last check
    /// counts alone, once it waits for longer than a member that is well takes.
    pub(in crate::engine) fn misses_checks(&self, id: MemberId, now: Moment) -> bool {
        let Some(member) = self.members.get(&id) else { return false };
        let is_late = || {
            let session = member.session.and_then(|key| self.sessions.get(key))?;
            let asked_at = session.session.next_check()? - limits::CHECK_PROBE_EVERY;
            Some(session.session.is_check_unanswered() && now.since(asked_at) >= limits::ANSWER_AWAITED)
        };
        let has_no_pings = member.member.spec.ping_interval.is_none();
        member.health.unfit(now) == Some(Unfit::ChecksUnanswered) || has_no_pings && is_late() == Some(true)
    }

    /// Whether so many session checks in a row were missed that the session is given up, even for the last member of a group.
    pub(in crate::engine) fn misses_too_many(&self, key: MemberSessionKey) -> bool {
        let session = self.sessions.get(key);
        session.is_some_and(|session| session.checks_missed >= limits::CHECK_MISSES_OF_LAST_MAX)
    }

    pub(super) fn member_of(&self, key: MemberSessionKey) -> Option<&Member> {
        self.sessions.get(key).and_then(|session| self.members.get(&session.member))
    }

    /// Whether a `test` of the router is under way in a session, apart from `test`s that hang.
    pub(in crate::engine) fn is_probed_in(&self, key: MemberSessionKey) -> bool {
        self.member_of(key).is_some_and(|member| member.probes.is_under_way_in(key))
    }

    /// A call of a session was given up without an answer, and may still run there.
    pub(in crate::engine) fn was_given_up(&mut self, key: MemberSessionKey, given_up: GivenUp) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.given_up.len() >= limits::GIVEN_UP_CALLS_MAX {
            session.given_up.pop_front();
        }
        session.given_up.push_back(given_up);
    }

    /// The calls of a session that were given up within [`limits::GIVEN_UP_SUSPECT`].
    pub(in crate::engine) fn given_up_in(
        &self,
        key: MemberSessionKey,
        now: Moment,
    ) -> impl Iterator<Item = &GivenUp> {
        let given_up = self.sessions.get(key).into_iter().flat_map(|session| &session.given_up);
        given_up.filter(move |call| now.since(call.at) <= limits::GIVEN_UP_SUSPECT)
    }
}
