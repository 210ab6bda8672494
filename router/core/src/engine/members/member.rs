//! One member, whether it can be reached or not.

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::time::Moment;

use super::drain::Drain;
use super::probing::ProbePlan;
use super::rest::Rest;
use crate::bundles::group::Server;
use crate::engine::keys::MemberSessionKey;
use crate::engine::list::MemberList;
use crate::engine::out::Out;
use crate::engine::peer::DialOrigin;
use crate::health::{Health, Unfit};
use crate::limits;
use crate::view::{self, AdminState, Link, Mark};

/// One member. Rooms read a member; only the table of members changes it.
#[derive(Debug)]
pub(in crate::engine) struct Member {
    /// What document and operators say of it.
    pub(in crate::engine) member: view::Member,
    pub(super) slots: Vec<SlotState>,
    /// Its sessions that are open: several servers may answer at one address.
    pub(super) sessions: Vec<MemberSessionKey>,
    /// The session that gets new calls: the one whose socket joined last.
    pub(in crate::engine) session: Option<MemberSessionKey>,
    /// Whether the member is linked: it has a session that reported its connectors.
    pub(in crate::engine) linked: bool,
    pub(super) health: Health,
    pub(super) probes: ProbePlan,
    /// Time between two `test`s: the shortest time of the member's groups; none if no group wants `test`s.
    pub(super) test_every: Option<Duration>,
    /// The standing that was noted for the operator last: whether the member gets calls, by its link and health.
    pub(in crate::engine) standing: Standing,
    /// Why the member gets no calls, as noted for the operator since the member served last.
    pub(super) told: Option<Unfit>,
    /// Whether the member is leaving: it gets no new calls, and is let go with its last call.
    pub(in crate::engine) leaving: bool,
    /// How far an operator's drain of the member is.
    pub(in crate::engine) drain: Drain,
    pub(super) rest: Rest,
    /// Attempts to use the member through another router since the last success.
    pub(super) way_attempts: u32,
    /// When it gave a page cookie last.
    pub(super) paged_at: Option<Moment>,
    /// The connectors that the member reported last, kept while the member is away.
    pub(in crate::engine) list: Option<MemberList>,
    /// Whether the groups judge the member by `list`: not while it is away, nor while its session has reported no list.
    pub(super) is_judged: bool,
    /// The kind of server that the member says it runs.
    pub(in crate::engine) server: Option<Server>,
    /// Where the member in client mode connected from last.
    pub(in crate::engine) origin: Option<Arc<DialOrigin>>,
    /// Calls that it holds.
    pub(super) in_flight: usize,
    /// Calls among `in_flight` that take a place: all but subscriptions.
    pub(super) busy: usize,
    /// The reason of the last failed attempt that was noted for the operator. The same reason is not noted again.
    pub(super) last_failure: Option<String>,
    /// The last failed attempt to reach the member, or the last connection that the router closed because of what the member sent. Kept
    /// while the member serves.
    pub(in crate::engine) last_error: Option<LastError>,
    /// Whether the member's standing is reviewed when the event is settled.
    pub(super) is_changed: bool,
    /// The moment in the table's agenda.
    pub(super) planned: Option<Moment>,
}

/// Why a member could not be reached, or why the router closed a connection to the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct LastError {
    /// The reason in a few words.
    pub(in crate::engine) label: &'static str,
    /// The reason in a sentence for the operator, without secrets.
    pub(in crate::engine) text: String,
    /// When it happened last.
    pub(in crate::engine) at: Moment,
}

/// One slot of a member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlotState {
    /// Whether a socket is open for the slot.
    pub(super) open: bool,
    /// Attempts since the member was last of use.
    pub(super) attempts: u32,
}

/// The standing of a member. A change of the standing is noted for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Standing {
    /// The member has no link.
    #[default]
    Down,
    /// The member has a link and gets no calls, except in a panic.
    Unfit(Unfit),
    /// The member gets calls.
    Serving,
}

/// The kind of call that a member is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Asking {
    /// New calls.
    New,
    /// New calls in a panic: so many members of the group are unfit that the health checks say more about what the members share
    /// than about each member (panic threshold).
    InPanic,
    /// Calls that have to be at the member: a page whose state the member holds, or a call that is retried at the member.
    Begun,
}

impl Member {
    pub(super) fn new(member: view::Member) -> Self {
        let slots = vec![SlotState::default(); usize::from(member.spec.sockets)];
        Self {
            drain: Drain::at_start(member.mark),
            rest: Rest::default(),
            way_attempts: 0,
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
            origin: None,
            in_flight: 0,
            busy: 0,
            last_failure: None,
            last_error: None,
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

    /// Whether the member is in client mode: it dials the router.
    pub(in crate::engine) fn dials_us(&self) -> bool {
        self.member.spec.link == Link::Accept
    }

    /// Whether the member should have sockets: both the document and the operator let it serve.
    pub(super) fn wants_sockets(&self) -> bool {
        !self.leaving && self.member.spec.admin == AdminState::Enabled && self.member.mark == Mark::Enabled
    }

    /// The next attempt to reach the member waits only as long as a first attempt.
    pub(super) fn forget_attempts(&mut self) {
        for slot in &mut self.slots {
            slot.attempts = 0;
        }
        self.way_attempts = 0;
    }

    /// Why the member may have no calls of this kind. Reasons of its groups, and whether a place is free, are asked elsewhere.
    pub(super) fn out(&self, asking: Asking) -> Option<Out> {
        if asking == Asking::Begun {
            // A member that left the document finishes the calls that have to be there.
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

    /// Why the member has no free place, if it may hold `in_flight_max` calls.
    pub(super) fn full(&self, in_flight_max: usize) -> Option<Out> {
        if self.rest.is_on() { Some(Out::Resting) } else { (self.busy >= in_flight_max).then_some(Out::Full) }
    }

    /// Whether a drain of the member has nothing left to wait for.
    pub(super) fn has_finished(&self, now: Moment) -> bool {
        let between_pages = self.paged_at.is_some_and(|at| now.since(at) < limits::PAGE_GAP);
        self.in_flight == 0 && !(between_pages && self.member.mark == Mark::Draining)
    }

    /// The standing now.
    pub(super) fn standing_at(&self, now: Moment) -> Standing {
        match (self.linked, self.health.unfit(now)) {
            (false, _) => Standing::Down,
            (true, Some(reason)) => Standing::Unfit(reason),
            (true, None) => Standing::Serving,
        }
    }

    /// When the member gets calls again by time alone; `None` if only an observation ends the reason why it gets no calls.
    pub(in crate::engine) fn out_until(&self) -> Option<Moment> {
        match self.standing {
            Standing::Unfit(reason) => self.health.ends_at(reason),
            Standing::Down | Standing::Serving => None,
        }
    }

    /// When something is due for the member next, session checks apart.
    pub(super) fn due_at(&self) -> Option<Moment> {
        let drains = (self.drain.is_under_way() && !self.leaving).then_some(Moment::START);
        self.probes.due_at(self.linked).into_iter().chain(drains).chain(self.out_until()).min()
    }
}
