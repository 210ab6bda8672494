//! The table of members: their sessions and dials, the calls that they hold, their standing, drains and rests.

mod calls;
mod dials;
mod drain;
mod fitness;
mod member;
mod probing;
mod rest;
mod route;
mod session;
mod sessions;
mod ways;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::time::Moment;

pub(super) use self::drain::Drain;
pub(super) use self::member::{Asking, LastError, Member, Standing};
pub(super) use self::route::Route;
pub(super) use self::session::{GivenUp, MemberSession};
use self::ways::Ways;
use super::agenda::Agenda;
use super::keys::{CallKey, MemberSessionKey, MemberSessionTag, Slot, Work};
use super::list::MemberList;
use super::out::Out;
use crate::arena::Arena;
use crate::health::{Health, Unfit};
use crate::ids::MemberId;
use crate::limits;
use crate::view::{self, Endpoint, Mark};

/// The table.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Members of the view, and those that left it with calls in flight.
    members: BTreeMap<MemberId, Member>,
    sessions: Arena<MemberSessionTag, MemberSession>,
    /// Sessions that have ended, kept until the event is settled: the verdict on their calls needs them.
    ended: Vec<MemberSessionKey>,
    /// The highest message id of the sessions that ended: no id is given out twice under one identity (WIRE 4.2).
    last_id: i64,
    /// Dials under way, at most one for each slot, with the endpoint that is dialled.
    dials: BTreeMap<(MemberId, Slot), Endpoint>,
    /// Members in client mode that are connected here, and those that are connected to other routers.
    ways: Ways,
    /// Members whose standing is reviewed when the event is settled.
    changed: VecDeque<MemberId>,
    /// When something is to be done for a member, or for one of its sessions.
    agenda: Agenda<MemberId>,
}

/// A socket has joined a member's session.
pub(super) struct Joined {
    /// The session.
    pub(super) session: MemberSessionKey,
    /// Whether new calls go to this session from now on, and did not before.
    pub(super) is_other: bool,
    /// Whether `is_other`, and new calls went to another session before.
    pub(super) is_other_server: bool,
    /// The list that the session had reported before another server took the session's place.
    pub(super) told: Option<MemberList>,
}

/// What is left of a session when a socket has left it.
pub(super) enum Left {
    /// The session has other sockets, and these open calls.
    Sockets(Vec<CallKey>),
    /// The session has ended, with these open calls.
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

/// A change of a member's standing, as it is noted for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// The member gets calls from now on. The number of connectors that it reported.
    Up(usize),
    /// The member gets no calls any more. The number of calls that it held.
    Down(usize),
    /// The member can be reached and gets no calls.
    Unfit(Unfit),
    /// The standing changed, and the operator knows that already, or need not know.
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

    /// Whether a member may have calls of this kind now; the error is the reason why not. This method and
    /// [`super::groups::Groups::candidates`] alone say who may have a call.
    pub(super) fn takes(&self, id: MemberId, asking: Asking) -> Result<(), Out> {
        match self.members.get(&id) {
            None => Err(Out::Gone),
            Some(member) => member.out(asking).map_or(Ok(()), Err),
        }
    }

    /// Whether a member has a free place, if it may hold `in_flight_max` calls; the error is the reason why not.
    pub(super) fn has_place(&self, id: MemberId, in_flight_max: usize) -> Result<(), Out> {
        match self.members.get(&id) {
            None => Err(Out::Gone),
            Some(member) => member.full(in_flight_max).map_or(Ok(()), Err),
        }
    }

    /// The connectors that a member reported last, if the list could be read.
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

    /// A member left the document, or changed in it: the member gets no new calls. Returns whether it holds calls.
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
            self.ways.forget(id);
        }
    }

    /// An operator marked a member. Returns the calls that it holds, and whether a drain begins.
    pub(super) fn mark(&mut self, id: MemberId, mark: Mark, now: Moment) -> (usize, bool) {
        let Some(member) = self.members.get_mut(&id) else { return (0, false) };
        member.member.mark = mark;
        let (drain, begins) = member.drain.marked(mark, now);
        member.drain = drain;
        if mark == Mark::Enabled {
            // Sockets that the member lacks are dialled again. A member without sockets starts as a fresh member.
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

    // --- when something is due ---

    /// The members for which something is due by now.
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
        Work::Probe(_) => None,
    };
    let mut calls: Vec<CallKey> = session.session.open_keys().into_iter().filter_map(call).collect();
    // The same in every run.
    calls.sort_unstable();
    calls
}

#[cfg(test)]
mod tests;
