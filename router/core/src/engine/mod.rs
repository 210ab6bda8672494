//! The sole owner of the router's live state: who is connected, what is in flight, who gets the next call.
//!
//! The world chooses an [`Event`]; [`Engine::apply`] changes the state and asks [`Io`] for effects. Nothing here waits, reads a
//! clock or touches a socket, so every fault can be replayed in a test, and the state can be looked at as plain data.
//!
//! The way of a call: `downstream` (request in) ▸ `dispatch` (group) ▸ `admission` (a place at a member, or the queue) ▸ `upstream` (frame back) ▸ `answer`
//! (to the caller) — and `failure` when anything on the way breaks.

mod admission;
mod affinity;
mod answer;
mod budget;
mod bundles;
mod call;
mod deadline;
mod dispatch;
mod downstream;
mod drain;
mod explain;
mod failure;
mod farewell;
mod identity;
mod infos;
mod io;
mod lists;
mod probes;
mod queue;
mod report;
mod rotation;
mod selector;
mod sockets;
mod stream_ends;
mod suspects;
mod timers;
mod unsent;
mod upstream;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

pub use self::admission::Waiting;
pub use self::bundles::{
    BundleChange, BundleRefusal, BundlesReport, MemberBundles, ProposedSet, UnknownMember,
};
pub use self::call::{Call, CallKey, Caller, Pages, Progress, Route};
pub use self::deadline::Deadline;
use self::dispatch::GroupState;
use self::downstream::CallerId;
pub use self::downstream::{Downstream, DownstreamKey};
pub use self::drain::{LastMember, MarkChange, MarkRefusal};
use self::explain::Explained;
pub use self::explain::{CallId, CallReport, StepReport};
use self::identity::Identities;
pub use self::io::{Backlog, Io, Moved, Note, Slot};
pub use self::report::{Administration, CallerReport, GroupReport, MemberReport, Report};
pub use self::rotation::Redials;
pub use self::selector::{Refusal, Selector, select};
use self::sockets::Socket;
pub use self::stream_ends::StreamKind;
pub use self::suspects::Loss;
use self::suspects::Suspect;
use self::timers::{Timer, Timers};
use self::upstream::MemberState;
pub use self::upstream::{DialFailure, Upstream, UpstreamKey};
use crate::ids::{GroupId, MemberId};
use crate::slots::Slots;
use crate::view::{Endpoint, View};

/// Something that happened in the world. It has no `Debug`: frames that come back unsent are payload.
pub enum Event {
    /// A caller's socket was upgraded.
    Accepted {
        /// The socket.
        socket: SocketId,
        /// Which group its path or its principal chose.
        selector: Selector,
        /// The principal that it proved to be.
        principal: Arc<str>,
    },
    /// A socket towards a member was upgraded.
    Dialled {
        /// The member.
        member: MemberId,
        /// For which of its slots.
        slot: Slot,
        /// The socket.
        socket: SocketId,
    },
    /// An attempt to reach a member failed.
    DialFailed {
        /// The member.
        member: MemberId,
        /// For which of its slots.
        slot: Slot,
        /// Whether to try again soon.
        failure: DialFailure,
        /// A sentence for the operator, without secrets.
        reason: String,
    },
    /// A frame arrived.
    Frame {
        /// On this socket.
        socket: SocketId,
        /// What was read of it.
        envelope: Envelope,
    },
    /// A frame over the size limit arrived and was dropped; its head was read.
    Oversize {
        /// On this socket.
        socket: SocketId,
        /// Its message id.
        message_id: i64,
        /// Whether it was a request or (part of) an answer.
        what: OversizeFrame,
        /// Its size.
        bytes: usize,
    },
    /// A binary frame arrived that is no message of the protocol.
    Garbage {
        /// On this socket.
        socket: SocketId,
    },
    /// A pong arrived.
    Pong {
        /// On this socket.
        socket: SocketId,
    },
    /// A socket is gone, whoever closed it. The last event of a socket.
    Closed {
        /// The socket.
        socket: SocketId,
        /// Queued frames that its peer cannot have; anything else may have arrived.
        unsent: Vec<Bytes>,
    },
    /// The moment that [`Engine::next_wake`] named has come.
    Wake,
    /// The operator's document changed.
    View(Arc<View>),
    /// The process is asked to end: no new calls, and subscriptions end.
    Drain,
    /// The time for that is over: every call that is left gets its answer now, and new ones are kept.
    DrainOver,
    /// Let so many callers go. Repeated until [`Engine::has_callers`] says no, with pauses in which peers can close.
    LetGo {
        /// How many, beyond those that were begun with the last time.
        callers: usize,
    },
}

/// Which side of a call an over-long frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OversizeFrame {
    /// A caller's request.
    Request,
    /// A frame of a member's answer.
    Answer,
}

/// What an id that we opened at a member stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A caller's call.
    Call(CallKey),
    /// A `test` of our own.
    Probe,
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They are.
    Serving,
    /// They are refused; those in flight go on.
    Draining,
    /// They are kept until their caller is let go, and refused then.
    Leaving,
}

/// The router's live state.
#[derive(Debug)]
pub struct Engine {
    view: Arc<View>,
    phase: Phase,
    identities: Identities,
    /// Where each open socket belongs.
    sockets: HashMap<SocketId, Socket>,
    /// Callers' sessions.
    downstreams: Slots<Downstream>,
    /// Callers' sessions by who they are.
    callers: HashMap<CallerId, DownstreamKey>,
    /// Members of the view, and those that left it with calls in flight.
    members: BTreeMap<MemberId, MemberState>,
    /// Members' sessions; a member that restarts gets a new one.
    upstreams: Slots<Upstream>,
    /// The highest id of the members' sessions that ended: none is given out twice under one identity (WIRE 4.2).
    last_id: i64,
    /// Pickers and cursors of the groups.
    groups: HashMap<GroupId, GroupState>,
    /// Every call in flight.
    calls: Slots<Call>,
    /// Bytes of the requests that they keep.
    request_bytes: usize,
    /// Dials under way, with the endpoint that they lead to: one for each slot.
    dials: HashMap<(MemberId, Slot), Endpoint>,
    timers: Timers,
    /// Callers that have one socket left, which is closed next.
    going: Vec<DownstreamKey>,
    /// Why calls were refused or repeated.
    explained: Explained,
    /// Calls that a dying socket gave back unsent; empty between two events.
    unsent: Vec<CallKey>,
    /// Calls that are held back because they may be poison.
    suspects: Vec<Suspect>,
    /// Groups in which calls wait for a place, each once.
    waiting_groups: Vec<GroupId>,
    /// Whether a place may have become free since they were given away last.
    places_freed: bool,
}

impl Engine {
    /// An engine without members. `seed` makes its session ids unique: two routers must never share one (WIRE section 8).
    pub fn new(seed: [u64; 2], now: Moment) -> Self {
        let mut timers = Timers::default();
        timers.set(now + crate::limits::TICK, Timer::Tick);
        Self {
            view: Arc::default(),
            phase: Phase::Serving,
            identities: Identities::new(seed),
            sockets: HashMap::new(),
            downstreams: Slots::default(),
            callers: HashMap::new(),
            members: BTreeMap::new(),
            upstreams: Slots::default(),
            last_id: 0,
            groups: HashMap::new(),
            calls: Slots::default(),
            request_bytes: 0,
            dials: HashMap::new(),
            timers,
            unsent: Vec::new(),
            going: Vec::new(),
            explained: Explained::default(),
            suspects: Vec::new(),
            waiting_groups: Vec::new(),
            places_freed: false,
        }
    }

    /// When to apply [`Event::Wake`] next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// The view in force.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Whether every call has its answer.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// Changes the state by one event.
    pub fn apply(&mut self, event: Event, now: Moment, io: &mut impl Io) {
        match event {
            Event::Frame { socket, envelope } => self.on_frame(socket, envelope, now, io),
            Event::Accepted { socket, selector, principal } => {
                self.on_accepted(socket, selector, principal, now)
            }
            Event::Dialled { member, slot, socket } => self.on_dialled(member, slot, socket, now, io),
            Event::DialFailed { member, slot, failure, reason } => {
                self.on_dial_failed(member, slot, failure, &reason, now, io)
            }
            Event::Oversize { socket, message_id, what, bytes } => {
                self.on_oversize(socket, message_id, what, bytes, now, io)
            }
            Event::Garbage { socket } => self.on_garbage(socket, now, io),
            Event::Pong { socket } => self.on_pong(socket),
            Event::Closed { socket, unsent } => self.on_closed(socket, unsent, now, io),
            Event::Wake => self.on_wake(now, io),
            Event::View(view) => self.on_view(view, now, io),
            Event::Drain => {
                self.phase = Phase::Draining;
                self.end_subscriptions_at(None, now, io);
            }
            Event::DrainOver => {
                self.on_drain_over(now, io);
                self.begin_farewell();
            }
            Event::LetGo { callers } => self.let_callers_go(callers, now, io),
        }
        self.give_places(now, io);
    }

    fn on_tick(&mut self, now: Moment, io: &mut impl Io) {
        self.send_pings(now, io);
        let members: Vec<UpstreamKey> = self.upstreams.iter().map(|(key, _)| key).collect();
        for session in members {
            self.check_member(session, now, io);
        }
        let callers: Vec<DownstreamKey> = self.downstreams.iter().map(|(key, _)| key).collect();
        for session in callers {
            self.check_caller(session, now, io);
        }
        self.tick_bundles(now, io);
        self.compare_members(now, io);
        self.look_after_members(now, io);
        self.look_after_drains(now, io);
        self.learn_who_redials(now);
        self.rotate_sockets(now, io);
        self.look_after_suspects(now, io);
        self.end_overdue(now, io);
        self.end_overdue_waits(now, io);
        self.timers.set(now + crate::limits::TICK, Timer::Tick);
    }

    fn on_wake(&mut self, now: Moment, io: &mut impl Io) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Handshake(socket) => self.on_handshake_overdue(socket, now, io),
                Timer::Redial(member, slot) => self.dial(member, slot, io),
                Timer::CheckMember(session) => self.check_member(session, now, io),
                Timer::Repeat(call, member) => self.repeat(call, member, now, io),
                Timer::LetGo(member) => self.let_go(member, now, io),
                Timer::Orphan { call, id } => self.on_orphan_overdue(call, id, now, io),
                Timer::Linger(session) => self.on_linger_over(session, now, io),
                Timer::Quiet(member) => self.on_quiet(member, now, io),
                Timer::RestOver(member) => self.on_rest_over(member, now),
                Timer::Tick => self.on_tick(now, io),
            }
        }
    }
}

#[cfg(test)]
mod tests;
