//! A change of a group's bundle sets becomes what is decided, and the group follows.

use rcs_proto::time::Moment;

use crate::agreed::sets::SetsChange;
use crate::agreed::{At, Author, Change, Refusal};
use crate::engine::tables::Tables;
use crate::ids::GroupId;

impl Tables {
    /// Has a change of a group's sets agreed, and carries out the decision.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub(in crate::engine) fn agree_sets(
        &mut self,
        group: String,
        change: SetsChange,
        author: Author,
        at: At,
        now: Moment,
    ) -> Result<(), Refusal> {
        // The view may have the group no longer, or not yet. What is agreed must not depend on that: all routers agree on the same value.
        let listed = self.view.group_named(&group).map(|listed| listed.id);
        let outcome = self.agreed.apply(Change::Sets { group, change }, author, at);
        if let Some(group) = listed {
            self.follow_decision(group, now);
            self.groups.proposal_is_decided(group);
        }
        outcome.map(drop)
    }

    /// Has a group follow what is decided for its sets.
    pub(in crate::engine) fn follow_decision(&mut self, group: GroupId, now: Moment) {
        let Self { view, agreed, groups, .. } = self;
        if let Some(listed) = view.group(group) {
            groups.decided(group, agreed.decision(&listed.name), now);
            // The decision may change which versions stand in for each other.
            groups.is_stale(group);
        }
    }
}
