//! Who answers: members, their sessions and dials, what they hold, how they stand.

mod calls;
mod dials;
mod drain;
mod fitness;
mod list;
mod member;
mod probing;
mod rest;
mod route;
mod session;
mod sessions;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::time::Moment;

pub(super) use self::drain::Drain;
pub(super) use self::list::MemberList;
pub(super) use self::member::{Asking, Member, Standing};
pub(super) use self::route::Route;
pub(super) use self::session::MemberSession;
use super::agenda::Agenda;
use super::keys::{CallKey, MemberSessionKey, MemberSessionTag, Slot, Work};
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
