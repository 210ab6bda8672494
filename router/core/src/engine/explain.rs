//! Why a call was refused, repeated or answered by the router itself: which members there were, and what was decided at each
//! fault. Kept for the latest of such calls, by the id that stands in the log and in the error's text.
//!
//! Calls that simply succeed leave nothing here, and pay for it with one number. No payload, no key, no name of the caller's.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use super::probes::Standing;
use super::{CallKey, Engine};
use crate::ids::{GroupId, MemberId};
use crate::limits;
use crate::verdict::{ErrorKind, Fault, Outcome, Stage, Verdict};
use crate::view::{AdminState, Mark};

/// Names a call for people, for the life of the process: a number in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for CallId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// What is remembered of such calls, the latest of them.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// The id of the last call that came.
    last: CallId,
    calls: HashMap<CallId, Story>,
    /// In the order in which their first fault came.
    order: VecDeque<CallId>,
}

/// One call.
#[derive(Debug)]
struct Story {
    operation: Operation,
    group: Option<GroupId>,
    since: Moment,
    end: Option<(Outcome, Duration)>,
    steps: Vec<Step>,
    /// Steps that were not kept.
    more_steps: u32,
}

/// One fault, and what was decided.
#[derive(Debug)]
struct Step {
    after: Duration,
    member: Option<MemberId>,
    what: What,
    /// The members of the group at that moment.
    members: Vec<(MemberId, Chance)>,
}

#[derive(Debug)]
enum What {
    Refused(ErrorKind),
    Judged(Stage, Fault, Verdict),
}

/// Why a member could not have the call next, or that it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chance {
    /// It has the call, or had it until now.
    Here,
    Tried,
    Gone,
    DisabledInDocument,
    Draining,
    Disabled,
    Down,
    /// Its bundle set is not the group's.
    Quarantined,
    /// It has another version of the connector that the call is for, and others have that one.
    OtherVersion,
    Unfit(crate::health::Unfit),
    Full,
    Free,
}

impl Chance {
    const fn label(self) -> &'static str {
        match self {
            Self::Here => "has_it",
            Self::Tried => "tried",
            Self::Gone => "not_in_the_document",
            Self::DisabledInDocument => "disabled_in_document",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Down => "down",
            Self::Quarantined => "quarantined",
            Self::OtherVersion => "other_version",
            Self::Unfit(reason) => reason.label(),
            Self::Full => "full",
            Self::Free => "free",
        }
    }
}

impl Explained {
    /// The id of a call that comes now.
    pub(super) fn next_id(&mut self) -> CallId {
        self.last.0 += 1;
        self.last
    }

    /// A call that met a fault before has ended.
    pub(super) fn end(&mut self, id: CallId, outcome: Outcome, took: Duration) {
        if let Some(story) = self.calls.get_mut(&id) {
            story.end = Some((outcome, took));
        }
    }

    fn story(&mut self, id: CallId, new: impl FnOnce() -> Story) -> &mut Story {
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
    fn add(&mut self, step: Step) {
        match self.steps.len() < limits::EXPLAINED_STEPS_MAX {
            true => self.steps.push(step),
            false => self.more_steps += 1,
        }
    }
}

/// A call as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallReport {
    /// Its id.
    pub id: CallId,
    /// What was asked.
    pub operation: &'static str,
    /// The group, if one was found.
    pub group: Option<String>,
    /// How long ago it came.
    pub ago: Duration,
    /// How it ended and how long it took, if it has.
    pub end: Option<(&'static str, Duration)>,
    /// What went wrong, in order.
    pub steps: Vec<StepReport>,
    /// Steps that were not kept.
    pub more_steps: u32,
}

/// One fault of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// Time since the call came.
    pub after: Duration,
    /// The member that had it.
    pub member: Option<String>,
    /// How far it had got there; none for a call that was refused.
    pub stage: Option<String>,
    /// What went wrong, or why it was refused.
    pub fault: String,
    /// What was decided.
    pub verdict: String,
    /// The members of the group in their order, each with why it could not have the call next, or `free`.
    pub members: Vec<(String, &'static str)>,
}

impl Engine {
    /// Notes a fault of a call and what was decided.
    pub(super) fn explain(&mut self, key: CallKey, fault: Fault, verdict: Verdict, now: Moment) {
        let Some(call) = self.calls.get(key) else { return };
        let (id, operation, group, since) = (call.number, call.operation, call.group, call.since);
        let step = Step {
            after: now.since(since),
            member: call.route.map(|route| route.member),
            what: What::Judged(call.stage_at(fault), fault, verdict),
            members: self.chances(Some(group), Some(key)),
        };
        let new =
            || Story { operation, group: Some(group), since, end: None, steps: Vec::new(), more_steps: 0 };
        self.explained.story(id, new).add(step);
        if let Some(call) = self.calls.get_mut(key) {
            call.is_explained = true;
        }
    }

    /// Notes a call that was refused when it came; answers the id that it has for that.
    pub(super) fn explain_refusal(
        &mut self,
        operation: Operation,
        group: Option<GroupId>,
        reason: ErrorKind,
        now: Moment,
    ) -> CallId {
        let id = self.explained.next_id();
        let members = self.chances(group, None);
        let step = Step { after: Duration::ZERO, member: None, what: What::Refused(reason), members };
        let end = Some((reason.outcome(), Duration::ZERO));
        let new = || Story { operation, group, since: now, end, steps: Vec::new(), more_steps: 0 };
        self.explained.story(id, new).add(step);
        id
    }

    /// The call of this id, if it is one of the latest that were refused, repeated or answered by the router.
    pub fn explanation(&self, id: CallId, now: Moment) -> Option<CallReport> {
        let story = self.explained.calls.get(&id)?;
        Some(CallReport {
            id,
            operation: story.operation.label(),
            group: story.group.map(|group| self.group_name(group)),
            ago: now.since(story.since),
            end: story.end.map(|(outcome, took)| (outcome.label(), took)),
            steps: story.steps.iter().map(|step| self.step_report(step)).collect(),
            more_steps: story.more_steps,
        })
    }

    /// The ids of the latest such calls, the latest first, at most so many.
    pub fn explained_calls(&self, count: usize) -> Vec<CallId> {
        self.explained.order.iter().rev().take(count).copied().collect()
    }

    fn step_report(&self, step: &Step) -> StepReport {
        let (stage, fault, verdict) = match step.what {
            What::Refused(reason) => (None, reason.label().to_owned(), "refuse".to_owned()),
            What::Judged(stage, fault, verdict) => {
                (Some(snake(&format!("{stage:?}"))), snake(&format!("{fault:?}")), verdict_label(verdict))
            }
        };
        let named = |(member, chance): &(MemberId, Chance)| (self.member_name(*member), chance.label());
        StepReport {
            after: step.after,
            member: step.member.map(|member| self.member_name(member)),
            stage,
            fault,
            verdict,
            members: step.members.iter().map(named).collect(),
        }
    }

    /// How likely each member of the group was to get the call.
    fn chances(&self, group: Option<GroupId>, call: Option<CallKey>) -> Vec<(MemberId, Chance)> {
        let Some(group) = group.and_then(|group| self.view.group(group)) else { return Vec::new() };
        let call = call.and_then(|key| self.calls.get(key));
        let full = group.settings.member_in_flight_max;
        let state = self.groups.get(&group.id);
        let is_quarantined = |id| state.is_some_and(|state| !state.sets.may_serve(id));
        let wanted = call.and_then(|call| call.head()).map(|head| &head.connector_key);
        let takers = state.and_then(|state| state.versions.as_ref()?.work_out(wanted?));
        let has_other = |id| takers.as_ref().is_some_and(|takers| !takers.contains(id));
        let chance = |id: MemberId| match self.members.get(&id) {
            _ if call.and_then(|call| call.route).is_some_and(|route| route.member == id) => Chance::Here,
            _ if call.is_some_and(|call| call.tried.contains(id)) => Chance::Tried,
            None => Chance::Gone,
            Some(state) if state.leaving => Chance::Gone,
            Some(state) => match (state.member.spec.admin, state.member.mark, state.standing) {
                (AdminState::Disabled, ..) => Chance::DisabledInDocument,
                (_, Mark::Draining, _) => Chance::Draining,
                (_, Mark::Disabled, _) => Chance::Disabled,
                (_, _, Standing::Down) => Chance::Down,
                _ if is_quarantined(id) => Chance::Quarantined,
                _ if has_other(id) => Chance::OtherVersion,
                (_, _, Standing::Unfit(reason)) => Chance::Unfit(reason),
                (_, _, Standing::Serving) if state.busy >= full => Chance::Full,
                (_, _, Standing::Serving) => Chance::Free,
            },
        };
        group.members.iter().map(|id| (*id, chance(*id))).collect()
    }

    fn group_name(&self, id: GroupId) -> String {
        self.view.group(id).map_or_else(|| id.to_string(), |group| group.name.clone())
    }

    fn member_name(&self, id: MemberId) -> String {
        self.view.member(id).map_or_else(|| id.to_string(), |member| member.spec.name.clone())
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
