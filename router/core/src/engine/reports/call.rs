//! Why a call was refused, retried or answered by the router (`call explain`).

use std::collections::BinaryHeap;
use std::time::Duration;

use rcs_proto::time::Moment;

use crate::agreed::At;
use crate::engine::calls::{Call, Story, StoryStep, What};
use crate::engine::keys::{CallId, CallKey};
use crate::engine::out::Out;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::limits;
use crate::verdict::{Outcome, Verdict};

/// A call as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallReport {
    /// Its id.
    pub id: CallId,
    /// What was asked.
    pub operation: &'static str,
    /// The group, if one was found.
    pub group: Option<String>,
    /// The member that has the call, or had it last.
    pub member: Option<String>,
    /// The principal that the caller proved.
    pub caller: Option<String>,
    /// The connector, as the request names it.
    pub connector: Option<String>,
    /// The object class.
    pub object_class: Option<String>,
    /// The class of the exception that the call ended with, and the router's sentence in it. A connector's own text is not kept (P9).
    pub error: Option<(String, Option<String>)>,
    /// How far a call in flight has got; `None` for a call that has ended.
    pub stage: Option<String>,
    /// When the call came.
    pub at: At,
    /// How long ago it came.
    pub ago: Duration,
    /// The outcome, and how long the call took, if it has ended.
    pub end: Option<(&'static str, Duration)>,
    /// What went wrong, in order.
    pub steps: Vec<StepReport>,
    /// Steps that were not kept.
    pub more_steps: u32,
}

/// Which calls an operator asks for. A field that is `None` selects all calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Calls of the group of this name.
    pub group: Option<String>,
    /// Calls that the member of this name has, or had last.
    pub member: Option<String>,
    /// Calls of callers with this principal.
    pub caller: Option<String>,
    /// Calls with this outcome.
    pub outcome: Option<Outcome>,
    /// Calls that came at this moment or later.
    pub after: Option<At>,
    /// The most calls that are returned; bounded by [`limits::CALLS_REPORTED_MAX`].
    pub limit: usize,
}

/// [`CallFilter`] with ids in the place of names. A name that is not known selects no calls.
struct Wanted<'a> {
    filter: &'a CallFilter,
    group: Option<Option<GroupId>>,
    member: Option<Option<MemberId>>,
}

impl Wanted<'_> {
    fn fits(&self, group: Option<GroupId>, member: Option<MemberId>, caller: Option<&str>, at: At) -> bool {
        self.group.is_none_or(|wanted| wanted.is_some() && wanted == group)
            && self.member.is_none_or(|wanted| wanted.is_some() && wanted == member)
            && self.filter.caller.as_deref().is_none_or(|wanted| Some(wanted) == caller)
            && self.filter.after.is_none_or(|after| after.0 <= at.0)
    }

    fn limit(&self) -> usize {
        self.filter.limit.min(limits::CALLS_REPORTED_MAX)
    }
}

/// One fault of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// Time since the call came.
    pub after: Duration,
    /// The member that had it.
    pub member: Option<String>,
    /// How far the call had got there; none for a call that was refused.
    pub stage: Option<String>,
    /// What went wrong, or why it was refused.
    pub fault: String,
    /// What was decided.
    pub verdict: String,
    /// The members of the group in their order, each with why it could not have the call next, or `free`.
    pub members: Vec<(String, &'static str)>,
}

impl Tables {
    /// The call of this id, if it is one of the latest that were refused, retried or answered by the router.
    pub(in crate::engine) fn call_report(&self, id: CallId, now: Moment) -> Option<CallReport> {
        self.calls.story(id).map(|story| self.story_report(id, story, now))
    }

    /// The latest calls that were refused, retried or answered by the router and that the filter selects, the latest first.
    pub(in crate::engine) fn call_reports(&self, filter: &CallFilter, now: Moment) -> Vec<CallReport> {
        let wanted = self.wanted(filter);
        let fits = |(_, story): &(CallId, &Story)| {
            let ends = filter.outcome.is_none_or(|wanted| story.end.is_some_and(|(end, _)| end == wanted));
            let caller = story.about.caller.as_deref();
            ends && wanted.fits(story.group, story.member, caller, self.epoch.after(story.since))
        };
        let stories = self.calls.stories().filter(fits).take(wanted.limit());
        stories.map(|(id, story)| self.story_report(id, story, now)).collect()
    }

    /// The calls in flight that the filter selects, the oldest first.
    pub(in crate::engine) fn open_call_reports(&self, filter: &CallFilter, now: Moment) -> Vec<CallReport> {
        let wanted = self.wanted(filter);
        let limit = wanted.limit();
        // The heap holds the oldest calls so far, the youngest of them on top.
        let mut oldest: BinaryHeap<(Moment, CallKey)> = BinaryHeap::new();
        for (key, call) in self.calls.iter() {
            if oldest.len() >= limit && oldest.peek().is_none_or(|(youngest, _)| call.since >= *youngest) {
                continue;
            }
            let caller = call.caller.and_then(|caller| self.callers.get(caller.session()));
            let principal = caller.map(|caller| &*caller.id.principal);
            if wanted.fits(Some(call.group), call.member(), principal, self.epoch.after(call.since)) {
                oldest.push((call.since, key));
                if oldest.len() > limit {
                    oldest.pop();
                }
            }
        }
        let calls = oldest.into_sorted_vec().into_iter().filter_map(|(_, key)| self.calls.get(key));
        calls.map(|call| self.open_call_report(call, now)).collect()
    }

    fn wanted<'a>(&self, filter: &'a CallFilter) -> Wanted<'a> {
        let group = filter.group.as_ref().map(|name| self.view.group_named(name).map(|group| group.id));
        let member = filter.member.as_ref().map(|name| self.view.member_named(name).map(|member| member.id));
        Wanted { filter, group, member }
    }

    fn open_call_report(&self, call: &Call, now: Moment) -> CallReport {
        let about = self.about_call(call);
        let story = self.calls.story(call.number);
        CallReport {
            id: call.number,
            operation: call.operation.label(),
            group: Some(self.group_name(call.group)),
            member: call.member().map(|member| self.member_name(member)),
            caller: about.caller.map(|caller| caller.to_string()),
            connector: about.connector.map(String::from),
            object_class: about.object_class.map(String::from),
            error: None,
            stage: Some(if call.is_waiting() {
                "waits_for_a_place".to_owned()
            } else {
                snake(&format!("{:?}", call.stage()))
            }),
            at: self.epoch.after(call.since),
            ago: now.since(call.since),
            end: None,
            steps: story.map(|story| self.step_reports(story)).unwrap_or_default(),
            more_steps: story.map_or(0, |story| story.more_steps),
        }
    }

    fn story_report(&self, id: CallId, story: &Story, now: Moment) -> CallReport {
        let about = &story.about;
        CallReport {
            id,
            operation: story.operation.label(),
            group: story.group.map(|group| self.group_name(group)),
            member: story.member.map(|member| self.member_name(member)),
            caller: about.caller.as_ref().map(ToString::to_string),
            connector: about.connector.as_ref().map(ToString::to_string),
            object_class: about.object_class.as_ref().map(ToString::to_string),
            error: story
                .told
                .as_ref()
                .map(|told| (told.class.to_string(), told.sentence.as_ref().map(ToString::to_string))),
            stage: None,
            at: self.epoch.after(story.since),
            ago: now.since(story.since),
            end: story.end.map(|(outcome, took)| (outcome.label(), took)),
            steps: self.step_reports(story),
            more_steps: story.more_steps,
        }
    }

    fn step_reports(&self, story: &Story) -> Vec<StepReport> {
        story.steps.iter().map(|step| self.step_report(step)).collect()
    }

    fn step_report(&self, step: &StoryStep) -> StepReport {
        let (stage, fault, verdict) = match step.what {
            What::Refused(reason) => (None, reason.label().to_owned(), "refuse".to_owned()),
            What::Judged(stage, fault, verdict) => {
                (Some(snake(&format!("{stage:?}"))), snake(&format!("{fault:?}")), verdict_label(verdict))
            }
        };
        let fault =
            step.configuration.map_or_else(|| fault.clone(), |id| format!("{fault} (configuration {id})"));
        let named = |(member, out): &(MemberId, Option<Out>)| (self.member_name(*member), Out::label(*out));
        StepReport {
            after: step.after,
            member: step.member.map(|member| self.member_name(member)),
            stage,
            fault,
            verdict,
            members: step.members.iter().map(named).collect(),
        }
    }

    fn group_name(&self, id: GroupId) -> String {
        self.book.group_name(id).to_owned()
    }

    fn member_name(&self, id: MemberId) -> String {
        self.book.member_name(id).to_owned()
    }
}

fn verdict_label(verdict: Verdict) -> String {
    match verdict {
        Verdict::Answer(kind) => format!("answer {}", kind.label()),
        other => snake(&format!("{other:?}")),
    }
}

/// `MemberLost` as `member_lost`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}
