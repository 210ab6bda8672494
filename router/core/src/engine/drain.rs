//! Operators' marks carried out (P11): a member that is drained gets no new call, those that it has end as they would,
//! then its sockets are closed a few at a time, and it is not dialled until the mark is taken off.
//!
//! What lives at one member for longer than a call: the pages of a paged search go on while the drain waits, and it waits
//! [`limits::PAGE_GAP`] for the next one; subscriptions never end by themselves, so they are ended at once with an error
//! that says to subscribe again.

use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::dispatch::is_subscription;
use super::probes::Standing;
use super::sockets::{Peer, Place};
use super::timers::Timer;
use super::upstream::MemberState;
use super::{CallKey, Engine, Io, Note, Slot};
use crate::health::Health;
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::Fault;
use crate::view::{AdminState, Group, Mark, NotListed};

/// How far a member's drain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Drain {
    /// It is not drained.
    #[default]
    Off,
    /// Its calls go on, until this moment at most.
    Ending(Option<Moment>),
    /// Its sockets are being closed.
    Closing,
    /// It has none.
    Over,
}

/// What an operator asks for one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkChange {
    /// Mark it as draining.
    Drain,
    /// Take that mark off.
    Undrain,
    /// Take any mark off.
    Enable,
    /// Mark it as disabled.
    Disable,
}

/// Whether a group may be left without a member that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastMember {
    /// It may not.
    Kept,
    /// The operator insists.
    Released,
}

/// Why a mark is not set. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkRefusal {
    /// Nobody is meant by the names.
    #[error(transparent)]
    NotListed(#[from] NotListed),
    /// The document says `enabled: false`.
    #[error(
        "{0:?} is disabled by the provider document (enabled: false), and a mark does not override that: change it there"
    )]
    DisabledInDocument(String),
    /// An operator disabled it.
    #[error("{0:?} is disabled, which is more than draining: enable it first")]
    Disabled(String),
    /// Nobody else of one of its groups serves.
    #[error(
        "{member:?} is the last member of group {group:?} that can serve: every call would fail. \
         Bring another one up, or insist (--force, or ?force=true)"
    )]
    LastOne {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
}

impl MarkChange {
    /// The word for logs, the API and the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

impl MemberState {
    /// Whether it still runs the calls that have to be there: pages, and what it refused a moment ago.
    pub(super) fn finishes_calls(&self) -> bool {
        self.linked && matches!(self.drain, Drain::Off | Drain::Ending(_))
    }

    /// How far the drain of a member that is taken on with this mark is.
    pub(super) fn drain_at_start(mark: Mark) -> Drain {
        if mark == Mark::Enabled { Drain::Off } else { Drain::Over }
    }

    fn has_finished(&self, now: Moment) -> bool {
        let between_pages = self.paged_at.is_some_and(|at| now.since(at) < limits::PAGE_GAP);
        self.in_flight == 0 && !(between_pages && self.member.mark == Mark::Draining)
    }
}

impl Engine {
    /// The mark that a member would have after this change. Judged by what this router sees; nothing is changed.
    ///
    /// # Errors
    /// [`MarkRefusal`]
    pub fn judge_mark(
        &self,
        group: &str,
        member: &str,
        change: MarkChange,
        last: LastMember,
    ) -> Result<Mark, MarkRefusal> {
        let name = member.to_owned();
        let member = self.view.listed_in(self.view.listed(group)?, member)?;
        if member.spec.admin == AdminState::Disabled {
            return Err(MarkRefusal::DisabledInDocument(name));
        }
        let mark = match (change, member.mark) {
            (MarkChange::Drain | MarkChange::Undrain, Mark::Disabled) => {
                return Err(MarkRefusal::Disabled(name));
            }
            (MarkChange::Drain, _) => Mark::Draining,
            (MarkChange::Disable, _) => Mark::Disabled,
            (MarkChange::Undrain | MarkChange::Enable, _) => Mark::Enabled,
        };
        if mark != Mark::Enabled
            && last == LastMember::Kept
            && let Some(group) = self.group_that_needs(member.id)
        {
            return Err(MarkRefusal::LastOne { group, member: name });
        }
        Ok(mark)
    }

    /// A group whose calls this member takes, and no other could. One that takes none is no loss.
    fn group_that_needs(&self, member: MemberId) -> Option<String> {
        let takes_calls =
            |state: &MemberState| state.linked && !state.leaving && state.member.mark == Mark::Enabled;
        if !self.members.get(&member).is_some_and(takes_calls) {
            return None;
        }
        let serves = |id: MemberId| {
            let state = self.members.get(&id);
            state.is_some_and(|state| takes_calls(state) && state.standing == Standing::Serving)
        };
        // One that is quarantined takes none of the group's calls, whatever it could.
        let may_serve = |group: &Group, id: MemberId| {
            self.groups.get(&group.id).is_some_and(|state| state.sets.may_serve(id))
        };
        let has_others = |group: &Group| {
            group.members.iter().any(|id| *id != member && serves(*id) && may_serve(group, *id))
        };
        let mut groups = self.view.groups_of(member);
        let needs = groups.find(|group| may_serve(group, member) && !has_others(group));
        needs.map(|group| group.name.clone())
    }

    /// An operator's mark of a member changed; its pickers are rebuilt by whoever calls this.
    pub(super) fn on_mark(&mut self, member: MemberId, mark: Mark, now: Moment, io: &mut impl Io) {
        let Some(state) = self.members.get_mut(&member) else { return };
        state.member.mark = mark;
        io.note(Note::MemberMarked { member, mark, calls: state.in_flight });
        match (mark, state.drain) {
            (Mark::Enabled, _) => self.put_back(member, now),
            (Mark::Draining, Drain::Off | Drain::Ending(_)) => {
                state.drain = Drain::Ending(None);
                self.end_subscriptions_at(Some(member), now, io);
            }
            (Mark::Disabled, Drain::Off | Drain::Ending(_)) => {
                state.drain = Drain::Ending(Some(now + limits::DRAIN_TIME));
                self.end_subscriptions_at(Some(member), now, io);
            }
            (_, Drain::Closing | Drain::Over) => {}
        }
    }

    /// Takes a member back. What it lost of its sockets is dialled one after the other; one that had none left starts as a
    /// fresh member.
    fn put_back(&mut self, member: MemberId, now: Moment) {
        let Some(state) = self.members.get_mut(&member) else { return };
        state.drain = Drain::Off;
        if !state.linked {
            state.health = Health::default();
        }
        state.forget_attempts();
        state.last_failure = None;
        for slot in 0..state.member.spec.sockets {
            let at = now + limits::DIAL_STAGGER * u32::from(slot);
            self.timers.set(at, Timer::Redial(member, Slot(slot)));
        }
    }

    /// Ends the subscriptions at this member, or everywhere: they would keep a drain waiting for ever.
    pub(super) fn end_subscriptions_at(&mut self, member: Option<MemberId>, now: Moment, io: &mut impl Io) {
        let is_there = |of: Option<MemberId>| member.is_none() || of == member;
        let ended: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(_, call)| is_subscription(call.operation))
            .filter(|(_, call)| is_there(call.route.map(|route| route.member)))
            .map(|(key, _)| key)
            .collect();
        for call in ended {
            self.cancel_at_member(call, now, io);
            self.fail(call, Fault::Draining, now, io);
        }
    }

    /// What is due by now for members that are drained.
    pub(super) fn look_after_drains(&mut self, now: Moment, io: &mut impl Io) {
        let drained: Vec<(MemberId, Drain)> = self
            .members
            .iter()
            .filter(|(_, state)| matches!(state.drain, Drain::Ending(_) | Drain::Closing) && !state.leaving)
            .map(|(member, state)| (*member, state.drain))
            .collect();
        for (member, drain) in drained {
            if let Drain::Ending(until) = drain {
                let is_late = until.is_some_and(|until| until <= now);
                let Some(state) = self.members.get_mut(&member) else { continue };
                if !is_late && !state.has_finished(now) {
                    continue;
                }
                state.drain = Drain::Closing;
                self.take_calls_off(member, now, io);
            }
            self.close_some(member, now, io);
        }
    }

    /// Calls whose time at the member is over: reads go elsewhere, the callers of changes hear that nobody knows.
    fn take_calls_off(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let is_there = |call: &super::Call| call.route.is_some_and(|route| route.member == member);
        let left: Vec<CallKey> =
            self.calls.iter().filter(|(_, call)| is_there(call)).map(|(key, _)| key).collect();
        for call in left {
            self.cancel_at_member(call, now, io);
            self.fail(call, Fault::MemberLost, now, io);
        }
    }

    fn close_some(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let sockets = self.sockets_of(member);
        for socket in sockets.iter().take(limits::DRAIN_CLOSES) {
            io.close(*socket);
            self.on_closed(*socket, Vec::new(), now, io);
        }
        if sockets.len() <= limits::DRAIN_CLOSES
            && let Some(state) = self.members.get_mut(&member)
        {
            state.drain = Drain::Over;
            io.note(Note::MemberDrained { member });
        }
    }

    /// Every socket towards a member, those whose handshake is under way included.
    pub(super) fn sockets_of(&self, member: MemberId) -> Vec<SocketId> {
        let is_of = |place: &Place| match place {
            Place::Member { member: of, .. } | Place::Greeting(_, Peer::Member(of, _)) => *of == member,
            _ => false,
        };
        let mut sockets: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| is_of(&socket.place)).map(|(id, _)| *id).collect();
        sockets.sort_unstable();
        sockets
    }
}
