//! What people are told of calls that were refused, retried or answered by the router.

use std::time::Duration;

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use super::{About, CallId, CallKey, Calls, Outcome, Story, StoryStep, Told};
use crate::ids::GroupId;

impl Calls {
    /// Notes a fault of a call, what was decided, and how its group's members stood.
    pub(in crate::engine) fn explain(&mut self, key: CallKey, step: StoryStep) {
        let Some(call) = self.entries.get_mut(key) else { return };
        call.is_explained = true;
        let (operation, group, since) = (call.operation, Some(call.group), call.since);
        self.explained.story(call.number, || Story::new(operation, group, since)).add(step);
    }

    /// Notes a call that was refused when it came; returns the id of the refused call.
    pub(in crate::engine) fn explain_refusal(
        &mut self,
        operation: Operation,
        group: Option<GroupId>,
        outcome: Outcome,
        step: StoryStep,
        now: Moment,
    ) -> CallId {
        let id = self.explained.next_id();
        self.explained.story(id, || Story::new(operation, group, now)).add(step);
        self.explained.end(id, outcome, Duration::ZERO);
        id
    }

    /// The id of the latest call.
    pub(in crate::engine) fn last_id(&self) -> CallId {
        self.explained.last_id()
    }

    /// What a call with a story is about.
    pub(in crate::engine) fn describe(&mut self, id: CallId, about: About) {
        if let Some(story) = self.explained.get_mut(id) {
            story.about = about;
        }
    }

    /// The error that a call with a story ends with.
    pub(in crate::engine) fn tell(&mut self, id: CallId, told: Told) {
        if let Some(story) = self.explained.get_mut(id) {
            story.told = Some(told);
        }
    }

    /// All calls with a story, the latest first.
    pub(in crate::engine) fn stories(&self) -> impl Iterator<Item = (CallId, &Story)> {
        self.explained.all()
    }

    /// What is remembered of a call that the router refused, retried or answered itself.
    pub(in crate::engine) fn story(&self, id: CallId) -> Option<&Story> {
        self.explained.get(id)
    }

    /// The ids of the latest calls that have a story, the latest first, at most `count`.
    pub(in crate::engine) fn latest_stories(&self, count: usize) -> Vec<CallId> {
        self.explained.latest(count)
    }
}
