//! Reads of which nothing came for long. If such a call seems to be forgotten by a member that lives, the call has a fault, which `settle`
//! judges.

use rcs_proto::time::Moment;

use crate::engine::keys::CallKey;
use crate::engine::tables::Tables;
use crate::verdict::Fault;

impl Tables {
    /// Nothing of a read's answer came for long. Three things must be true before a second member may be asked: the call is at its member
    /// for the group's `hedge_after`; the member has answered calls that were sent later, so it lives; and another member has a free place.
    pub(super) fn on_answer_overdue(&mut self, key: CallKey, now: Moment) {
        let Some((call, route)) = self.calls.get(key).and_then(|call| Some((call, call.route?))) else {
            return;
        };
        let after = self.view.group(call.group).and_then(|group| group.settings.hedge_after);
        let is_late = after.is_some_and(|after| now.since(route.sent()) >= after);
        if is_late && self.members.has_answered_later(&route) && self.has_free_member(key) {
            self.calls.fault(key, Fault::AnswerOverdue);
        }
    }
}
