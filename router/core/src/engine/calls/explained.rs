//! Explanations: why a call was refused, retried or answered by the router itself, which members there were, and what was decided at
//! each fault. Kept for the latest of such calls, by the id that stands in the log and in the error's text.
//!
//! Calls that simply succeed leave nothing here, and cost one number each. An explanation has no payload, no key and no name of a
//! caller.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::engine::keys::CallId;
use crate::engine::out::Out;
use crate::ids::{GroupId, MemberId};
use crate::limits;
use crate::verdict::{ErrorKind, Fault, Outcome, Stage, Verdict};

/// What is remembered of such calls, the latest of them.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// The id of the last call that came.
    last: CallId,
    calls: BTreeMap<CallId, Story>,
    /// The stories, in the order in which the first fault of each call came.
    order: VecDeque<CallId>,
}

/// One call.
#[derive(Debug)]
pub(in crate::engine) struct Story {
    pub(in crate::engine) operation: Operation,
    pub(in crate::engine) group: Option<GroupId>,
    /// When it came.
    pub(in crate::engine) since: Moment,
    /// How it ended and how long it took, if it has.
    pub(in crate::engine) end: Option<(Outcome, Duration)>,
    pub(in crate::engine) steps: Vec<StoryStep>,
    /// Steps that were not kept.
    pub(in crate::engine) more_steps: u32,
}

/// One fault, and what was decided.
#[derive(Debug)]
pub(in crate::engine) struct StoryStep {
    /// Time since the call came.
    pub(in crate::engine) after: Duration,
    /// The member that had it.
    pub(in crate::engine) member: Option<MemberId>,
    pub(in crate::engine) what: What,
    /// The members of the group at that moment, each with why it could not have the call next.
    pub(in crate::engine) members: Vec<(MemberId, Option<Out>)>,
}

/// What a step was.
#[derive(Debug)]
pub(in crate::engine) enum What {
    /// The call was refused when it came.
    Refused(ErrorKind),
    /// It met a fault, and this was decided.
    Judged(Stage, Fault, Verdict),
}

impl Explained {
    pub(super) fn of_router(router: u16) -> Self {
        Self { last: CallId::before_first(router), ..Self::default() }
    }

    /// The id of a call that comes now.
    pub(super) fn next_id(&mut self) -> CallId {
        self.last = self.last.next();
        self.last
    }

    pub(super) fn get(&self, id: CallId) -> Option<&Story> {
        self.calls.get(&id)
    }

    /// The ids of the latest calls with a story, the latest first, at most `count`.
    pub(super) fn latest(&self, count: usize) -> Vec<CallId> {
        self.order.iter().rev().take(count).copied().collect()
    }

    /// A call that met a fault before has ended.
    pub(super) fn end(&mut self, id: CallId, outcome: Outcome, took: Duration) {
        if let Some(story) = self.calls.get_mut(&id) {
            story.end = Some((outcome, took));
        }
    }

    /// The story of this call, begun if it is new.
    pub(super) fn story(&mut self, id: CallId, new: impl FnOnce() -> Story) -> &mut Story {
        if !self.calls.contains_key(&id) {
            if self.order.len() >= limits::EXPLAINED_CALLS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.calls.remove(&oldest);
            }
            self.order.push_back(id);
        }
        self.calls.entry(id).or_insert_with(new)
    }
}

impl Story {
    pub(super) fn new(operation: Operation, group: Option<GroupId>, since: Moment) -> Self {
        Self { operation, group, since, end: None, steps: Vec::new(), more_steps: 0 }
    }

    pub(super) fn add(&mut self, step: StoryStep) {
        match self.steps.len() < limits::EXPLAINED_STEPS_MAX {
            true => self.steps.push(step),
            false => self.more_steps += 1,
        }
    }
}
