//! A group whose members can do something else than before gets another picker (CONTRIBUTING: policies build, pickers pick).

use std::sync::Arc;

use crate::bundles::wire::WireManifest;
use crate::engine::members::Asking;
use crate::engine::tables::Tables;
use crate::ids::{MemberId, MemberSet};
use crate::limits;
use crate::view::Group;

impl Tables {
    pub(super) fn rebuild_pickers(&mut self) {
        while let Some(id) = self.groups.next_stale() {
            let view = Arc::clone(&self.view);
            let Some(listed) = view.group(id) else { continue };
            let (available, reachable) = self.available(listed);
            let told = self.told_in(listed, &available);
            let Self { groups, agreed, .. } = self;
            groups.rebuild(listed, available, reachable, told, agreed.stand_ins(listed));
        }
    }

    /// The members of a group that get calls: the fit members. If too few are fit, all members that can be reached: then the health
    /// checks say more about what the members share than about each member (panic threshold). A member whose bundle set keeps it
    /// from serving gets no calls, not even in a panic (P5). The second set has all members that can be reached.
    fn available(&self, listed: &Group) -> (MemberSet, MemberSet) {
        let sets = self.groups.sets(listed.id);
        let may_serve = |id: &&MemberId| sets.is_some_and(|sets| sets.may_serve(**id));
        let taking = |asking: Asking| {
            let members = listed.members.iter().filter(may_serve);
            members.filter(move |id| self.members.takes(**id, asking).is_ok()).copied()
        };
        let (fit, reachable) = (taking(Asking::New), taking(Asking::InPanic));
        let panics = fit.clone().count() * 100 < reachable.clone().count() * limits::PANIC_PERCENT;
        let reachable: MemberSet = reachable.collect();
        (if panics { reachable.clone() } else { fit.collect() }, reachable)
    }

    /// The connectors of the members that count, in list order.
    fn told_in(&self, listed: &Group, available: &MemberSet) -> Vec<(MemberId, Arc<WireManifest>)> {
        let sets = self.groups.sets(listed.id);
        let counts = |member: &&MemberId| {
            // Of a member that is away, only its last list is known, and counts. A linked member with a wrong set does not count.
            let is_away = self.members.get(**member).is_some_and(|state| !state.linked);
            is_away || available.contains(**member) || sets.is_some_and(|sets| sets.may_serve(**member))
        };
        let counting = listed.members.iter().filter(counts);
        counting.filter_map(|member| Some((*member, Arc::clone(self.members.told_by(*member)?)))).collect()
    }
}
