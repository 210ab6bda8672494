//! What is kept of a call that the router refused, retried or answered itself, for `call explain`.

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::envelope::OperationHead;
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::bundles::printable::Printable;
use crate::engine::calls::{About, Call, StoryStep, Told, What};
use crate::engine::keys::{CallId, CallKey, CallerKey};
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::verdict::{ErrorKind, Fault, Verdict};

impl Tables {
    /// What a call is about, and who asks.
    pub(in crate::engine) fn about(&self, caller: Option<CallerKey>, head: Option<&OperationHead>) -> About {
        let text = |text: &str| Printable(text).to_string().into_boxed_str();
        let class = head.map(OperationHead::object_class_told).filter(|class| !class.is_empty());
        About {
            caller: caller
                .and_then(|key| self.callers.get(key))
                .map(|caller| Arc::clone(&caller.id.principal)),
            connector: head.and_then(OperationHead::connector).map(|connector| text(&connector.to_string())),
            object_class: class.map(|class| text(&String::from_utf8_lossy(&class))),
        }
    }

    /// What a call in flight is about. Once a part of its answer was delivered, the request is no longer kept.
    pub(in crate::engine) fn about_call(&self, call: &Call) -> About {
        self.about(call.caller.map(|caller| caller.session()), call.head())
    }

    /// Notes the error that a call ends with. `sentence` is the router's own; a connector's own text is never kept (P9).
    pub(in crate::engine) fn explain_error(&mut self, call: CallId, class: &str, sentence: Option<&str>) {
        let (class, sentence) = (Printable(class).to_string(), sentence.map(Box::from));
        self.calls.tell(call, Told { class: class.into_boxed_str(), sentence });
    }

    /// Notes a fault of a call and what was decided.
    pub(in crate::engine) fn explain(&mut self, key: CallKey, fault: Fault, verdict: Verdict, now: Moment) {
        let member = self.calls.get(key).and_then(Call::member);
        self.explain_at(key, member, fault, verdict, now);
    }

    /// The same for a fault at this member, where several have the call.
    pub(in crate::engine) fn explain_at(
        &mut self,
        key: CallKey,
        member: Option<MemberId>,
        fault: Fault,
        verdict: Verdict,
        now: Moment,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let (after, group) = (now.since(call.since), call.group);
        // The request of a call may be dropped after its first fault, so it is read now.
        let fresh = self.calls.story(call.number).is_none().then_some(call.number);
        let what = What::Judged(call.stage_at(fault), fault, verdict);
        let configuration = self.groups.configurations().quarantine(call.configuration).map(|of| of.id);
        let members = self.outs(Some(group), Some(key));
        self.calls.explain(key, StoryStep { after, member, what, configuration, members });
        if let Some(number) = fresh {
            let about = self.calls.get(key).map(|call| self.about_call(call)).unwrap_or_default();
            self.calls.describe(number, about);
        }
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
        let step = StoryStep { after: Duration::ZERO, member: None, what, configuration: None, members };
        self.calls.explain_refusal(operation, group, reason.outcome(), step, now)
    }
}
