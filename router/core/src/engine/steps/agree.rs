//! A change of a group's bundle sets becomes what is decided, and the group follows.

use rcs_proto::time::Moment;

use crate::agreed::sets::SetsChange;
use crate::agreed::{Author, Change, Refusal};
use crate::engine::tables::Tables;
use crate::ids::GroupId;

impl Tables {
    /// Has a change of a group's sets agreed, and carries out the decision.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub(in crate::engine) fn agree_sets(
        &mut self,
        group: GroupId,
        change: SetsChange,
        author: Author,
        now: Moment,
    ) -> Result<(), Refusal> {
        let Some(listed) = self.view.group(group) else { return Ok(()) };
        let at = self.epoch.after(now);
        let change = Change::Sets { group: listed.name.clone(), change };
        let outcome = self.agreed.apply(change, author, at);
        self.follow_decision(group, now);
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
