//! Explanations: why a call was refused, retried or answered by the router itself, which members there were, and what was decided at
//! each fault. Kept for the latest of such calls, by the id that stands in the log and in the error's text.
//!
//! Calls that simply succeed leave nothing here, and cost one number each. An explanation has no payload and no key. From a connector's
//! own error only the class is kept, because the text may hold what the connector was given (P9).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::engine::keys::CallId;
use crate::engine::out::Out;
use crate::ids::{ConfigurationId, GroupId, MemberId};
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

/// What a call is about, and who asks. Peers chose these names, so they are made fit for one line of a log, and cut to
/// [`limits::EXPLAINED_TEXT_CHARS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct About {
    /// The principal that the caller proved.
    pub(in crate::engine) caller: Option<Arc<str>>,
    /// The connector, as the request names it.
    pub(in crate::engine) connector: Option<Box<str>>,
    /// The object class.
    pub(in crate::engine) object_class: Option<Box<str>>,
}

/// The error that a call ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Told {
    /// The class of the exception.
    pub(in crate::engine) class: Box<str>,
    /// The router's own sentence; `None` for an error of a connector.
    pub(in crate::engine) sentence: Option<Box<str>>,
}

/// One call.
#[derive(Debug)]
pub(in crate::engine) struct Story {
    pub(in crate::engine) operation: Operation,
    pub(in crate::engine) group: Option<GroupId>,
    pub(in crate::engine) about: About,
    /// The member that had the call last.
    pub(in crate::engine) member: Option<MemberId>,
    /// The error that the call ended with.
    pub(in crate::engine) told: Option<Told>,
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
    /// The configuration of the call, if it was quarantined.
    pub(in crate::engine) configuration: Option<ConfigurationId>,
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

    /// The id of the latest call.
    pub(super) fn last_id(&self) -> CallId {
        self.last
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Story> {
        self.calls.get_mut(&id)
    }

    /// The calls with a story, the latest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (CallId, &Story)> {
        self.order.iter().rev().filter_map(|id| Some((*id, self.calls.get(id)?)))
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
        let (about, member, told) = (About::default(), None, None);
        Self { operation, group, about, member, told, since, end: None, steps: Vec::new(), more_steps: 0 }
    }

    pub(super) fn add(&mut self, step: StoryStep) {
        self.member = step.member.or(self.member);
        match self.steps.len() < limits::EXPLAINED_STEPS_MAX {
            true => self.steps.push(step),
            false => self.more_steps += 1,
        }
    }
}
