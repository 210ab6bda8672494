//! One member, whether it can be reached or not.

use std::time::Duration;

use rcs_proto::time::Moment;

use super::drain::Drain;
use super::list::MemberList;
use super::probing::ProbePlan;
use super::rest::Rest;
use crate::bundles::group::Server;
use crate::engine::keys::MemberSessionKey;
use crate::engine::out::Out;
use crate::health::{Health, Unfit};
use crate::limits;
use crate::view::{self, AdminState, Mark};

/// One member. Others read it; only the table of members changes it.
#[derive(Debug)]
pub(in crate::engine) struct Member {
    /// What document and operators say of it.
    pub(in crate::engine) member: view::Member,
    pub(super) slots: Vec<SlotState>,
    /// Its sessions that are open: several servers may answer at one address.
    pub(super) sessions: Vec<MemberSessionKey>,
    /// The session that gets new calls: the one whose socket joined last.
    pub(in crate::engine) session: Option<MemberSessionKey>,
    /// Whether it can be reached: a session that told its connectors.
    pub(in crate::engine) linked: bool,
    pub(super) health: Health,
    pub(super) probes: ProbePlan,
    /// Time between two `test`s: the shortest of its groups; none if they want none.
    pub(super) test_every: Option<Duration>,
    /// What follows from link and health: whether it gets calls, and what the operator was told last.
    pub(in crate::engine) standing: Standing,
    /// Why it gets no calls, as the operator was told since it served last.
    pub(super) told: Option<Unfit>,
    /// Whether it left the document: no new calls, gone with its last one.
    pub(in crate::engine) leaving: bool,
    /// How far an operator's drain of it is.
    pub(in crate::engine) drain: Drain,
    pub(super) rest: Rest,
    /// When it gave a page cookie last.
    pub(super) paged_at: Option<Moment>,
    /// Its connectors as it told them last, kept over its absence.
    pub(in crate::engine) list: Option<MemberList>,
    /// Whether its groups judge it by them: not while it is away, or has a session that told nothing.
    pub(super) is_judged: bool,
    /// What its server says that it is.
    pub(in crate::engine) server: Option<Server>,
    /// Calls that it holds.
    pub(super) in_flight: usize,
    /// Those among them that take a place: subscriptions do not.
    pub(super) busy: usize,
    /// What the operator was told of the last failed attempt; not repeated while it stays the same.
    pub(super) last_failure: Option<String>,
    /// Whether it is among those that are looked at when the event is settled.
    pub(super) is_changed: bool,
    /// The moment in the table's agenda.
    pub(super) planned: Option<Moment>,
}

/// One of the sockets to be kept open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlotState {
    /// Whether a socket is open for it.
    pub(super) open: bool,
    /// Attempts since the member was last of use.
    pub(super) attempts: u32,
}

/// How a member stands: what the operator is told when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Standing {
    /// It has no link, or has not told its connectors.
    #[default]
    Down,
    /// It has a link and gets no calls, unless its whole group stands no better.
    Unfit(Unfit),
    /// It gets calls.
    Serving,
}

/// For which calls a member is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Asking {
    /// New ones.
    New,
    /// New ones while so many members of the group are unfit that the health checks say more of what the members share than of
    /// each of them (panic threshold).
    InPanic,
    /// Those that have to be there: a page whose state the member holds, or a call that is repeated at the member.
    Begun,
}

impl Member {
    pub(super) fn new(member: view::Member) -> Self {
        let slots = vec![SlotState::default(); usize::from(member.spec.sockets)];
        Self {
            drain: Drain::at_start(member.mark),
            rest: Rest::default(),
            paged_at: None,
            member,
            slots,
            sessions: Vec::new(),
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
            is_changed: false,
            planned: None,
        }
    }

    /// Its name.
    pub(in crate::engine) fn name(&self) -> &str {
        &self.member.spec.name
    }

    /// Calls that it holds.
    pub(in crate::engine) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Calls that it holds, subscriptions apart.
    #[cfg(test)]
    pub(in crate::engine) fn busy(&self) -> usize {
        self.busy
    }

    /// Whether it should have sockets: neither document nor operator keeps it away.
    pub(super) fn wants_sockets(&self) -> bool {
        !self.leaving && self.member.spec.admin == AdminState::Enabled && self.member.mark == Mark::Enabled
    }

    /// The next attempt to reach it waits no longer than the first.
    pub(super) fn forget_attempts(&mut self) {
        for slot in &mut self.slots {
            slot.attempts = 0;
        }
    }

    /// Why it takes no calls of this kind. Groups have reasons of their own; whether it has a free place is another question.
    pub(super) fn out(&self, asking: Asking) -> Option<Out> {
        if asking == Asking::Begun {
            // One that left the document finishes what has to be there.
            return match (self.linked, self.drain.lets_calls_go_on()) {
                (false, _) => Some(Out::Down),
                (true, false) => Some(Out::Draining),
                (true, true) => None,
            };
        }
        match (self.leaving, self.member.spec.admin, self.member.mark, self.standing) {
            (true, ..) => Some(Out::Gone),
            (_, AdminState::Disabled, ..) => Some(Out::DisabledInDocument),
            (_, _, Mark::Draining, _) => Some(Out::Draining),
            (_, _, Mark::Disabled, _) => Some(Out::Disabled),
            (.., Standing::Down) => Some(Out::Down),
            (.., Standing::Unfit(reason)) if asking == Asking::New || reason == Unfit::ShuttingDown => {
                Some(Out::Unfit(reason))
            }
            (.., Standing::Unfit(_) | Standing::Serving) => None,
        }
    }

    /// Why it has no free place, if it may hold so many calls.
    pub(super) fn full(&self, in_flight_max: usize) -> Option<Out> {
        if self.rest.is_on() { Some(Out::Resting) } else { (self.busy >= in_flight_max).then_some(Out::Full) }
    }

    /// Whether a drain of it has nothing to wait for any more.
    pub(super) fn has_finished(&self, now: Moment) -> bool {
        let between_pages = self.paged_at.is_some_and(|at| now.since(at) < limits::PAGE_GAP);
        self.in_flight == 0 && !(between_pages && self.member.mark == Mark::Draining)
    }

    /// How it stands now.
    pub(super) fn standing_at(&self, now: Moment) -> Standing {
        match (self.linked, self.health.unfit(now)) {
            (false, _) => Standing::Down,
            (true, Some(reason)) => Standing::Unfit(reason),
            (true, None) => Standing::Serving,
        }
    }

    /// When something is to be done for it next, its session checks apart.
    pub(super) fn due_at(&self) -> Option<Moment> {
        let drains = (self.drain.is_under_way() && !self.leaving).then_some(Moment::START);
        let stands = match self.standing {
            Standing::Unfit(reason) => self.health.ends_at(reason),
            Standing::Down | Standing::Serving => None,
        };
        self.probes.due_at(self.linked).into_iter().chain(drains).chain(stands).min()
    }
}
