//! One caller: an IDM process on one way in.

use std::collections::BTreeSet;

use rcs_proto::operation::Operation;
use rcs_proto::session::{Last, Session, SocketId};
use rcs_proto::time::Moment;

use super::missing::Missing;
use super::pages::PageMemory;
use super::remembered::Facades;
use super::uses::Uses;
use super::{CallerId, ShownEdition};
use crate::engine::allowed::Allowed;
use crate::engine::facade::{Asked, Pages};
use crate::engine::keys::CallKey;
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::Paging;

/// One caller. Rooms read a caller; only the table of callers changes it.
#[derive(Debug)]
pub(in crate::engine) struct Caller {
    pub(in crate::engine) id: CallerId,
    /// The groups that the caller may use. The newest socket of the session decides.
    pub(in crate::engine) allowed: Allowed,
    pub(super) session: Session<CallKey>,
    /// Questions for connectors that no member could answer yet (WIRE 7.7: they are not asked twice).
    pub(super) infos_wanted: Vec<(SocketId, i64)>,
    /// The list of connectors that the caller was shown last.
    pub(super) shown: Option<ShownEdition>,
    pub(super) pages: PageMemory,
    pub(super) facades: Facades,
    /// The connectors that the caller's calls name.
    pub(super) uses: Uses,
    /// Ends of answers that came while no socket was open; delivered if the caller comes back.
    pub(super) kept: Vec<Last>,
    /// Bytes of these frames.
    pub(super) kept_bytes: usize,
    /// Calls that the caller waits for, and that nobody here holds.
    pub(super) missing: Missing,
    /// Calls that an earlier process has, which handed the caller's sockets over.
    pub(super) earlier: BTreeSet<i64>,
    /// When recent answers are too old to be sent again; the moment in the table's agenda for that.
    pub(super) old_at: Option<Moment>,
    /// When its last socket closed, if none is open.
    pub(super) left_at: Option<Moment>,
    /// Subscriptions among its open calls.
    pub(super) subscriptions: usize,
    /// Whether the caller opens a socket in place of one that closed.
    pub(in crate::engine) redials: Redials,
    /// When a socket closed that no other one has taken the place of.
    pub(super) lost_at: Option<Moment>,
    /// The moment in the table's agenda.
    pub(super) planned: Option<Moment>,
}

/// Whether a caller opens a socket in place of one that closed, as far as the router saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redials {
    /// The caller opened one.
    Yes,
    /// The caller had the time to open one, and did not.
    No,
    /// No socket of the caller has closed yet.
    Unknown,
}

impl Redials {
    /// The word for the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl Caller {
    pub(super) fn new(id: CallerId) -> Self {
        Self {
            id,
            allowed: Allowed::All,
            session: Session::new(),
            infos_wanted: Vec::new(),
            shown: None,
            pages: PageMemory::default(),
            facades: Facades::default(),
            uses: Uses::default(),
            kept: Vec::new(),
            kept_bytes: 0,
            missing: Missing::default(),
            earlier: BTreeSet::new(),
            old_at: None,
            left_at: None,
            subscriptions: 0,
            redials: Redials::Unknown,
            lost_at: None,
            planned: None,
        }
    }

    /// Open sockets that are ready.
    pub(in crate::engine) fn sockets(&self) -> impl Iterator<Item = SocketId> {
        self.session.sockets()
    }

    /// How many calls the caller has open, subscriptions included.
    pub(in crate::engine) fn open_calls(&self) -> usize {
        self.session.executing_count()
    }

    /// The keys of the calls that the caller has open.
    pub(in crate::engine) fn open_keys(&self) -> Vec<CallKey> {
        let mut calls = self.session.executing_keys();
        // Sorted, so that the order is the same in every run.
        calls.sort_unstable();
        calls
    }

    /// The ids of the calls that the caller has open, and those that an earlier process has, in their order.
    pub(in crate::engine) fn open_ids(&self) -> Vec<i64> {
        let all: BTreeSet<i64> = self.session.executing_ids().chain(self.earlier.iter().copied()).collect();
        all.into_iter().collect()
    }

    /// The ids of calls that an earlier process has.
    pub(in crate::engine) fn earlier_calls(&self) -> Vec<i64> {
        self.earlier.iter().copied().collect()
    }

    /// The ids of questions for connectors that have no answer yet.
    pub(in crate::engine) fn wanted_infos(&self) -> Vec<i64> {
        self.infos_wanted.iter().map(|(_, id)| *id).collect()
    }

    /// Which member gave which page.
    pub(in crate::engine) fn pages(&self) -> impl Iterator<Item = (u64, MemberId)> {
        self.pages.iter()
    }

    /// The call that the caller has open under this id.
    pub(in crate::engine) fn open_key(&self, id: i64) -> Option<CallKey> {
        self.session.executing_key(id)
    }

    /// Subscriptions among its open calls.
    pub(in crate::engine) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Whether the caller has reached its limit for calls of this kind. `calls_max` is the limit for calls other than subscriptions.
    pub(in crate::engine) fn is_at_its_limit(&self, operation: Operation, calls_max: usize) -> bool {
        match operation.is_subscription() {
            true => self.subscriptions >= limits::SUBSCRIPTIONS_PER_SESSION_MAX,
            false => self.session.executing_count() - self.subscriptions >= calls_max,
        }
    }

    /// Whether a question for connectors waits on this socket.
    pub(in crate::engine) fn waits_for_infos_on(&self, socket: SocketId) -> bool {
        self.infos_wanted.iter().any(|(of, _)| *of == socket)
    }

    /// For a search: whether the search continues another search, and which member gave its cookie. For a batch: the same about its token.
    pub(in crate::engine) fn pages_of(&self, asked: &Asked) -> Option<Pages> {
        let goes_on_after = asked.goes_on_after.as_ref()?;
        let paging = if goes_on_after.is_empty() { Paging::Starts } else { Paging::Continues };
        let member = goes_on_after.iter().find_map(|page| self.pages.member(*page));
        Some(Pages { facade: asked.facade.digest, paging, member })
    }

    /// Keeps the end of an answer for a caller without sockets. If the frame is larger than what may be kept, an error is kept in its
    /// place, so that the call has an end at least.
    pub(super) fn keep(&mut self, mut last: Last, room: usize) {
        let max = limits::KEPT_ANSWER_BYTES_MAX.min(room);
        last.frame = last.frame.filter(|frame| self.kept_bytes + frame.len() <= max);
        if self.kept.len() < limits::KEPT_ANSWERS_MAX {
            self.kept_bytes += last.frame.as_ref().map_or(0, bytes::Bytes::len);
            self.kept.push(last);
        }
    }

    /// Removes and returns the kept ends of answers.
    pub(super) fn take_kept(&mut self) -> Vec<Last> {
        self.kept_bytes = 0;
        std::mem::take(&mut self.kept)
    }

    /// Bytes that are remembered of the caller.
    pub(super) fn remembered_bytes(&self) -> usize {
        self.session.recent_bytes() + self.kept_bytes + self.facades.bytes()
    }
}
