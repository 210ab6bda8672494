//! What a group proposed last for its bundle sets to the routers of the cluster, and when it may propose again. A lost proposal is made again,
//! and a settled engine does not flood the log.

use rcs_proto::time::Moment;

use super::Groups;
use crate::agreed::sets::SetsChange;
use crate::ids::GroupId;
use crate::limits::PROPOSAL_AGAIN;

/// A proposal. Kept until the same change may be proposed again, even if something was decided before.
#[derive(Debug)]
pub(super) struct Proposed {
    change: SetsChange,
    /// When any change may be proposed again.
    pub(super) again: Moment,
    /// Whether the log decided something for the group's sets since.
    is_decided: bool,
}

impl Proposed {
    /// Whether the group may propose this before `again`. If two routers saw different sets of the only member of a group, each would
    /// follow the member again as soon as the other one has. So a second [`SetsChange::Follow`] waits.
    fn permits(&self, wish: &SetsChange) -> bool {
        let is_follow = |change: &SetsChange| matches!(change, SetsChange::Follow { .. });
        self.is_decided && *wish != self.change && !(is_follow(wish) && is_follow(&self.change))
    }
}

impl Groups {
    /// Whether a group proposes this change now. If so, the proposal is under way from now on.
    pub(in crate::engine) fn begins_proposal(&mut self, id: GroupId, wish: &SetsChange, now: Moment) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return false };
        let may = |proposed: &Proposed| proposed.again <= now || proposed.permits(wish);
        if !group.proposed.as_ref().is_none_or(may) {
            return false;
        }
        let again = now + PROPOSAL_AGAIN;
        group.proposed = Some(Proposed { change: wish.clone(), again, is_decided: false });
        self.plan(id);
        true
    }

    /// The log decided something for a group's sets: its proposal, or another one. The group may propose something else from now on.
    pub(in crate::engine) fn proposal_is_decided(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let Some(proposed) = &mut group.proposed else { return };
        proposed.is_decided = true;
        if group.sets.wish().is_some() {
            self.wishing.insert(id);
        }
    }

    /// Time passed: a proposal that is due is forgotten, so that the group may propose the same change again.
    pub(in crate::engine) fn proposal_is_due(&mut self, id: GroupId, now: Moment) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if group.proposed.take_if(|proposed| proposed.again <= now).is_some() {
            self.plan(id);
        }
    }

    /// What a group wishes is not decided yet: its members are judged by what is decided so far.
    pub(in crate::engine) fn judged_meanwhile(&mut self, id: GroupId, now: Moment) {
        self.change_sets(id, |sets| sets.judged_meanwhile(now));
    }
}
