//! The sole owner of the router's live state: the connected peers, the calls in flight, and the member that gets the next call.
//!
//! The shell chooses an [`Event`]; [`Engine::apply`] changes the state and asks [`Io`] for effects. Nothing here waits, reads a
//! clock or touches a socket, so every fault can be replayed in a test, and the state can be looked at as plain data.
//!
//! The rooms, from the top: `way` (what comes on sockets: the way of a call, a file a stage) and `upkeep` (what time, agents and
//! operators bring about) change the tables and leave work behind. `settle` does what must always follow, in one order. `reports`
//! only reads. `steps` has what `way`, `upkeep` and `settle` share: a retry, a free place and a dying socket take the same steps as
//! a fresh call. Below are the tables, each with private fields: `groups`, `calls`, `callers`, `members`, `sockets`, and the
//! `clock`. ARCHITECTURE.md has the rules; a test holds them.

mod agenda;
mod allowed;
mod asked;
mod callers;
mod calls;
mod clock;
mod event;
mod facade;
mod frame;
mod groups;
mod identity;
mod io;
mod keys;
mod list;
mod members;
mod moved;
mod note;
mod out;
mod peer;
mod reports;
mod selector;
mod settle;
mod sockets;
mod steps;
mod tables;
mod upkeep;
mod way;

use std::sync::Arc;

use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

pub use self::allowed::Allowed;
use self::asked::Asked;
use self::callers::Callers;
pub use self::callers::Redials;
use self::calls::Calls;
use self::clock::{Clock, Timer};
pub use self::event::{
    AgentSays, Answer, Deciding, DialFailure, Event, NotQuarantined, OversizeFrame, OversizeReason, Phase,
    Ticket, UnknownMember, Wish,
};
pub use self::frame::{Frame, FrameReader};
use self::groups::Groups;
use self::identity::Identities;
pub use self::io::{Backlog, Io, Moved, Proposal};
pub use self::keys::{CallId, Slot};
use self::members::Members;
pub use self::moved::{MovedCaller, MovedSession};
pub use self::note::{Note, ReleasedBy, UnservedCalls};
pub use self::peer::{DialOrigin, DialledBy, Peer, TurnedAway};
pub use self::reports::{
    Administration, BundlesReport, CallFilter, CallReport, CallerReport, ConfigurationReport, GroupReport,
    GroupSupply, MemberBundles, MemberError, MemberMode, MemberReport, Report, StepReport,
};
pub use self::selector::{Refusal, Selector, select};
use self::sockets::Sockets;
use self::tables::Tables;
use crate::agreed::{Agreed, At};
use crate::ids::NameBook;
use crate::limits::TICK;
use crate::view::View;

/// What an engine begins with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The seed of the session ids that callers are shown: routers with the same seed show their callers the same ids (WIRE section 8).
    pub seed: [u64; 2],
    /// The seed of the session ids that members are shown: drawn at random by each process. A member would file the sockets of routers with
    /// one id under one session, and answer a call of one router on a socket of another (WIRE 4.2). After a restart the member may still
    /// answer calls of the process before, while the new process gives the same message ids again.
    pub own_seed: [u64; 2],
    /// The router's number in its cluster; 0 for a router that stands alone.
    pub router: u16,
    /// The present moment, by the process's clock.
    pub now: Moment,
    /// What the operators' clock showed at [`Moment::START`].
    pub epoch: At,
    /// Who decides what is agreed: this router alone, or the routers of its cluster.
    pub deciding: Deciding,
}

/// The router's live state.
#[derive(Debug)]
pub struct Engine {
    tables: Tables,
}

impl Engine {
    /// An engine without members.
    pub fn new(start: Start) -> Self {
        let mut clock = Clock::default();
        clock.set(start.now + TICK, Timer::Tick);
        let tables = Tables {
            agreed: Agreed::default(),
            view: Arc::default(),
            book: NameBook::new(),
            phase: Phase::Serving,
            identities: Identities::new(start.seed, start.own_seed),
            epoch: start.epoch,
            deciding: start.deciding,
            asked: Asked::default(),
            sockets: Sockets::default(),
            callers: Callers::default(),
            members: Members::default(),
            groups: Groups::default(),
            calls: Calls::of_router(start.router),
            clock,
        };
        Self { tables }
    }

    /// Changes the state by one event: the only way to change it.
    pub fn apply(&mut self, event: Event, now: Moment, io: &mut impl Io) {
        let tables = &mut self.tables;
        let mut answer = None;
        match event {
            Event::Frame { socket, frame } => tables.on_frame(socket, frame, now, io),
            Event::Opened { socket, side, peer } => tables.on_opened(socket, side, peer, now, io),
            Event::WayFailed { member, reason } => tables.on_way_failed(member, &reason, now, io),
            Event::Elsewhere(routers) => tables.on_elsewhere(routers, now),
            Event::Moved { caller, sockets } => tables.on_moved(&caller, &sockets, now, io),
            Event::EarlierHas { socket, open } => tables.on_earlier_has(socket, open),
            Event::EarlierGone => tables.on_earlier_gone(now, io),
            Event::Retire { socket } => tables.on_retire(socket, now),
            Event::DialFailed { member, slot, failure, reason } => {
                tables.on_dial_failed(member, slot, failure, &reason, now, io);
            }
            Event::Oversize { socket, message_id, what: OversizeFrame::Request, bytes, why } => {
                tables.on_request_oversize(socket, message_id, bytes, why, now, io);
            }
            Event::Oversize { socket, message_id, what: OversizeFrame::Answer, .. } => {
                tables.on_answer_frame_oversize(socket, message_id, now, io);
            }
            Event::Garbage { socket } => tables.on_garbage(socket, now, io),
            Event::Revoked { socket, reason } => tables.on_revoked(socket, &reason, now, io),
            Event::Pong { socket } => tables.on_pong(socket, now, io),
            Event::Closed { socket, unsent } => tables.on_closed(socket, unsent, now, io),
            Event::Wake => tables.on_wake(now, io),
            Event::Agreed { change, author, at, ticket } => {
                answer = tables.on_agreed(change, author, at, ticket, now, io);
            }
            Event::NotAgreed { ticket, reason } => answer = tables.asked.not_agreed(ticket, reason),
            Event::Restored(agreed) => tables.on_restored(*agreed, now, io),
            Event::Included { ticket } => answer = tables.asked.ends(Some(ticket), Ok(())),
            Event::Operator { ticket, wish } => answer = tables.on_wish(ticket, wish, now, io),
            Event::Agent { ticket, member, says } => {
                answer = Some((ticket, Answer::Agent(tables.on_agent(&member, says, now))));
            }
            Event::Drain => tables.on_drain(),
            Event::DrainOver => tables.on_drain_over(),
            Event::LetGo { callers } => tables.let_callers_go(callers, now, io),
        }
        tables.settle(now, io);
        if let Some((ticket, answer)) = answer {
            io.answer(ticket, answer);
        }
    }

    /// When to apply [`Event::Wake`] next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.tables.clock.next()
    }

    /// The view in force.
    pub fn view(&self) -> &Arc<View> {
        &self.tables.view
    }

    /// What operators decided.
    pub fn agreed(&self) -> &Agreed {
        &self.tables.agreed
    }

    /// Whether every call has its answer, also those that an earlier process has.
    pub fn is_idle(&self) -> bool {
        self.tables.calls.is_empty() && self.tables.callers.with_earlier() == 0
    }

    /// Whether a caller has a socket that is not being closed.
    pub fn has_callers(&self) -> bool {
        self.tables.callers.connected().next().is_some()
    }

    /// How many callers are connected.
    pub fn connected_callers(&self) -> usize {
        self.tables.callers.connected().count()
    }

    /// The callers that dialled this router, as another process takes them over.
    pub fn moved_callers(&self) -> Vec<MovedCaller> {
        self.tables.moved_callers()
    }

    /// The calls without an answer of each caller, by one socket of the caller.
    pub fn calls_of_sockets(&self) -> Vec<(SocketId, Vec<i64>)> {
        self.tables.calls_of_sockets()
    }

    /// Groups, members, and what is in flight.
    pub fn report(&self) -> Report {
        self.tables.report()
    }

    /// The known callers, including those whose last socket closed within [`crate::limits::CALLER_KEPT`].
    pub fn callers(&self) -> Vec<CallerReport> {
        self.tables.caller_reports()
    }

    /// The explanation of a call, if the call is one of the latest that were refused, retried or answered by the router.
    pub fn explanation(&self, id: CallId, now: Moment) -> Option<CallReport> {
        self.tables.call_report(id, now)
    }

    /// The explanations of the latest calls that were refused, retried or answered by the router, the latest first.
    pub fn explanations(&self, filter: &CallFilter, now: Moment) -> Vec<CallReport> {
        self.tables.call_reports(filter, now)
    }

    /// The calls in flight, the oldest first.
    pub fn open_calls(&self, filter: &CallFilter, now: Moment) -> Vec<CallReport> {
        self.tables.open_call_reports(filter, now)
    }

    /// The ids of the latest calls that have an explanation, the latest first, at most `count`.
    pub fn explained_calls(&self, count: usize) -> Vec<CallId> {
        self.tables.calls.latest_stories(count)
    }

    /// The configurations that are quarantined, in the order of their names.
    pub fn quarantined(&self, now: Moment) -> Vec<ConfigurationReport> {
        self.tables.configuration_reports(now)
    }

    /// The bundle sets of the group of this name, or of the server that is its own group.
    pub fn bundles(&self, group: &str, now: Moment) -> Option<BundlesReport> {
        self.tables.bundles_report(group, now)
    }
}

#[cfg(test)]
pub(crate) mod tests;
