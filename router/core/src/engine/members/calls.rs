//! Calls at members: opened, sent, cancelled, closed.

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::{Freed, Members, Route, open_calls};
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, MemberSessionKey, Work};
use crate::ids::MemberId;

impl Members {
    /// Gives a call an id and a socket at a member; none if the member has no socket for the call.
    pub(in crate::engine) fn open(
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

    /// Takes a call off its member: late frames for the call are ignored from now on. To be called once for each route.
    pub(in crate::engine) fn close(&mut self, route: &Route, is_subscription: bool) -> Freed {
        if let Some(session) = self.sessions.get_mut(route.session) {
            session.session.close(route.id);
        }
        let Some(member) = self.members.get_mut(&route.member) else { return Freed::default() };
        member.in_flight -= 1;
        member.busy -= usize::from(!is_subscription);
        Freed { may_be_quiet: member.rest.is_on(), is_done: member.leaving && member.in_flight == 0 }
    }

    /// Sends a request on its way.
    pub(in crate::engine) fn send(&self, route: &Route, request: Bytes, io: &mut impl Io) {
        io.send(route.socket, request);
    }

    /// Sends the member a cancel, on the socket that carried the request: a cancel that overtakes its request is lost (WIRE 7.3).
    pub(in crate::engine) fn cancel(&mut self, route: &Route, now: Moment, io: &mut impl Io) {
        if let Some(session) = self.sessions.get_mut(route.session)
            && let Some(socket) = session.session.socket_for(Some(route.socket), now)
        {
            io.send(socket, frames::cancel(route.id));
        }
    }

    /// Whether the socket that carried the request is open.
    pub(in crate::engine) fn lives(&self, route: &Route) -> bool {
        let session = self.sessions.get(route.session);
        session.is_some_and(|session| session.session.sockets().any(|socket| socket == route.socket))
    }

    /// Whether the session that has a call has answered a call that was sent later: the member lives, and went on to other calls.
    pub(in crate::engine) fn has_answered_later(&self, route: &Route) -> bool {
        self.sessions.get(route.session).is_some_and(|session| session.answered > route.id)
    }

    /// The call that is open under an id in a session.
    pub(in crate::engine) fn call_under(&self, key: MemberSessionKey, id: i64) -> Option<CallKey> {
        match self.sessions.get(key)?.session.open_key(id)? {
            Work::Call(call) => Some(call),
            Work::Probe(_) => None,
        }
    }

    /// Every call that a member holds.
    pub(in crate::engine) fn calls_at(&self, id: MemberId) -> Vec<CallKey> {
        let sessions = self.members.get(&id).map(|member| member.sessions.as_slice()).unwrap_or_default();
        sessions.iter().filter_map(|key| self.sessions.get(*key)).flat_map(open_calls).collect()
    }

    /// Every call that a session holds.
    pub(in crate::engine) fn calls_of(&self, key: MemberSessionKey) -> Vec<CallKey> {
        self.sessions.get(key).map(open_calls).unwrap_or_default()
    }

    /// Moves a call to another socket of its session than `old`, if there is one: further frames and a cancel use the new socket.
    pub(in crate::engine) fn move_off(&mut self, route: &mut Route, old: SocketId, now: Moment) {
        let session = self.sessions.get_mut(route.session);
        let socket = session.and_then(|session| session.session.socket_for(None, now));
        if let Some(socket) = socket.filter(|socket| *socket != old) {
            route.socket = socket;
        }
    }

    /// A member gave a page cookie.
    pub(in crate::engine) fn gave_page(&mut self, id: MemberId, now: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.paged_at = Some(now);
        }
    }
}
