//! Groups whose members can do something else than before get another picker (CONTRIBUTING: policies build, pickers pick).

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
            let available = self.available(listed);
            let told = self.told_in(listed, &available);
            let Self { groups, agreed, .. } = self;
            groups.rebuild(listed, available, told, agreed.stand_ins(listed));
        }
    }

    /// The members of a group that get calls: the fit ones; all that can be reached if too few of them are fit, for then
    /// the health checks say more of what the members share than of each of them (panic threshold). Members that may not serve
    /// for their bundle sets are none of them, in a panic neither (P5).
    fn available(&self, listed: &Group) -> MemberSet {
        let sets = self.groups.sets(listed.id);
        let may_serve = |id: &&MemberId| sets.is_some_and(|sets| sets.may_serve(**id));
        let taking = |asking: Asking| {
            let members = listed.members.iter().filter(may_serve);
            members.filter(move |id| self.members.takes(**id, asking).is_ok()).copied()
        };
        let (fit, reachable) = (taking(Asking::New), taking(Asking::InPanic));
        let panics = fit.clone().count() * 100 < reachable.clone().count() * limits::PANIC_PERCENT;
        if panics { reachable.collect() } else { fit.collect() }
    }

    /// The connectors of the members that count, in list order.
    fn told_in(&self, listed: &Group, available: &MemberSet) -> Vec<(MemberId, Arc<WireManifest>)> {
        let sets = self.groups.sets(listed.id);
        let counts = |member: &&MemberId| {
            // Of one that is away nothing else is known than what it had; one that is here with a wrong set takes nothing.
            let is_away = self.members.get(**member).is_some_and(|state| !state.linked);
            is_away || available.contains(**member) || sets.is_some_and(|sets| sets.may_serve(**member))
        };
        let counting = listed.members.iter().filter(counts);
        counting.filter_map(|member| Some((*member, Arc::clone(self.members.told_by(*member)?)))).collect()
    }
}
