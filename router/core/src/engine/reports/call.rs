//! Why a call was refused, retried or answered by the router (`call explain`).

use std::time::Duration;

use rcs_proto::time::Moment;

use crate::engine::calls::{StoryStep, What};
use crate::engine::keys::CallId;
use crate::engine::out::Out;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::verdict::Verdict;

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
    /// The outcome, and how long the call took, if it has ended.
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
        let story = self.calls.story(id)?;
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

    fn step_report(&self, step: &StoryStep) -> StepReport {
        let (stage, fault, verdict) = match step.what {
            What::Refused(reason) => (None, reason.label().to_owned(), "refuse".to_owned()),
            What::Judged(stage, fault, verdict) => {
                (Some(snake(&format!("{stage:?}"))), snake(&format!("{fault:?}")), verdict_label(verdict))
            }
        };
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
