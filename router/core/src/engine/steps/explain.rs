//! What is kept of a call that the router refused, retried or answered itself, for `call explain`.

use std::time::Duration;

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::engine::calls::{StoryStep, What};
use crate::engine::keys::{CallId, CallKey};
use crate::engine::tables::Tables;
use crate::ids::GroupId;
use crate::verdict::{ErrorKind, Fault, Verdict};

impl Tables {
    /// Notes a fault of a call and what was decided.
    pub(in crate::engine) fn explain(&mut self, key: CallKey, fault: Fault, verdict: Verdict, now: Moment) {
        let Some(call) = self.calls.get(key) else { return };
        let (after, member, group) = (now.since(call.since), call.member(), call.group);
        let what = What::Judged(call.stage_at(fault), fault, verdict);
        let members = self.outs(Some(group), Some(key));
        self.calls.explain(key, StoryStep { after, member, what, members });
    }

    /// Notes a call that was refused when it came; returns the id of the refused call.
    pub(in crate::engine) fn explain_refusal(
        &mut self,
        operation: Operation,
        group: Option<GroupId>,
        reason: ErrorKind,
        now: Moment,
    ) -> CallId {
        let members = self.outs(group, None);
        let what = What::Refused(reason);
        let step = StoryStep { after: Duration::ZERO, member: None, what, members };
        self.calls.explain_refusal(operation, group, reason.outcome(), step, now)
    }
}
