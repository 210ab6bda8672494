//! The bundle sets of groups, and the lists of connectors that callers are shown.

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::manifest::{Digest, FileManifest};
use rcs_proto::time::Moment;

use super::Groups;
use crate::agreed::sets::{GroupDecision, SetsChange};
use crate::bundles::group::{GroupSets, Told};
use crate::bundles::infos::{Review, Shown};
use crate::bundles::wire::WireManifest;
use crate::engine::allowed::Allowed;
use crate::ids::{GroupId, MemberId};
use crate::{limits, view};

/// The lists of several groups as one list, for callers whose calls choose the group.
#[derive(Debug)]
pub(in crate::engine) struct ListOfSeveral {
    /// The list; none while no group has one.
    pub(in crate::engine) list: Option<Bytes>,
    /// A digest of the editions of these groups' lists.
    pub(in crate::engine) edition: Option<u64>,
    /// The lists from which this list was made.
    of: Vec<Bytes>,
    is_stale: bool,
}

impl Groups {
    /// What is known of a group's sets.
    pub(in crate::engine) fn sets(&self, id: GroupId) -> Option<&GroupSets> {
        self.groups.get(&id).map(|group| &group.sets)
    }

    /// Something happened to a group's sets; what follows is left to be settled.
    pub(in crate::engine) fn sets_change(
        &mut self,
        id: GroupId,
        change: impl FnOnce(&mut GroupSets) -> Vec<Told>,
    ) {
        self.change_sets(id, change);
        if self.sets(id).is_some_and(|sets| sets.wish().is_some()) {
            self.wishing.insert(id);
        }
    }

    pub(super) fn change_sets(&mut self, id: GroupId, change: impl FnOnce(&mut GroupSets) -> Vec<Told>) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let (serving, shown) = (group.sets.serving().clone(), group.sets.shown());
        let told = change(&mut group.sets);
        let let_in = group.sets.serving().iter().filter(|member| !serving.contains(*member));
        self.let_in.extend(let_in);
        // A member that joins with a matching set serves without a note. So the serving members are compared as well.
        if *group.sets.serving() != serving || !told.is_empty() {
            self.stale.insert(id);
        }
        if group.sets.shown() != shown {
            self.stale_lists.insert(id);
        }
        self.told.extend(told.into_iter().map(|told| (id, told)));
        self.restated.insert(id);
        self.plan(id);
    }

    /// What the next group has to propose for its sets.
    pub(in crate::engine) fn next_wish(&mut self) -> Option<(GroupId, SetsChange)> {
        loop {
            let id = self.wishing.pop_first()?;
            if let Some(wish) = self.sets(id).and_then(GroupSets::wish) {
                return Some((id, wish));
            }
        }
    }

    /// The next member that may serve in a group since this event.
    pub(in crate::engine) fn next_let_in(&mut self) -> Option<MemberId> {
        self.let_in.pop_first()
    }

    /// Takes out what is to be noted of bundle sets for operators.
    pub(in crate::engine) fn take_told(&mut self) -> Vec<(GroupId, Told)> {
        std::mem::take(&mut self.told)
    }

    /// This was decided for the sets of a group.
    pub(in crate::engine) fn decided(&mut self, id: GroupId, decision: &GroupDecision, now: Moment) {
        let wish_before = self.sets(id).and_then(GroupSets::wish);
        self.change_sets(id, |sets| sets.follow(decision, now));
        // A wish that was refused is not proposed again before something happens.
        let wish = self.sets(id).and_then(GroupSets::wish);
        if wish.is_some() && wish != wish_before {
            self.wishing.insert(id);
        }
    }

    /// An agent reports that a member's files still have this digest; returns whether the group knows the files.
    pub(in crate::engine) fn agent_heard(
        &mut self,
        id: GroupId,
        member: MemberId,
        files: &Digest,
        now: Moment,
    ) -> bool {
        let knows = self.groups.get_mut(&id).is_some_and(|group| group.sets.agent_heard(member, files, now));
        self.plan(id);
        knows
    }

    /// What the agent of a member reported last, if one of these groups holds it.
    pub(in crate::engine) fn files_of<'a>(
        &self,
        member: MemberId,
        groups: impl IntoIterator<Item = &'a view::Group>,
    ) -> Option<Arc<FileManifest>> {
        groups.into_iter().find_map(|group| self.groups.get(&group.id)?.sets.files(member))
    }

    /// The next group whose list is to be looked at.
    pub(in crate::engine) fn next_stale_list(&mut self) -> Option<GroupId> {
        let id = self.stale_lists.pop_first()?;
        self.lists_of_several_are_stale();
        Some(id)
    }

    /// The connectors that the members of a group reported may have changed.
    pub(in crate::engine) fn list_is_stale(&mut self, id: GroupId) {
        if self.groups.contains_key(&id) {
            self.stale_lists.insert(id);
        }
    }

    /// Makes a group's list anew, from its sets and the connectors that its members reported last.
    pub(in crate::engine) fn renew_list<'a>(
        &mut self,
        listed: &view::Group,
        told: impl IntoIterator<Item = (&'a Arc<WireManifest>, &'a Bytes)> + Clone,
    ) -> Review {
        let Some(group) = self.groups.get_mut(&listed.id) else { return Review::Same };
        group.shown.refresh(group.sets.shown(), told, &listed.settings.visible)
    }

    /// The list of the groups that a caller may use; `None` if a group's list may have changed since this list was made.
    pub(in crate::engine) fn list_of_several(&self, allowed: &Allowed) -> Option<&ListOfSeveral> {
        self.lists_of_several.get(allowed).filter(|list| !list.is_stale)
    }

    /// Makes the list of these groups anew, if a group has another list than before. `merge` costs as much as the lists together.
    pub(in crate::engine) fn renew_list_of_several(
        &mut self,
        allowed: &Allowed,
        of: Vec<Bytes>,
        edition: Option<u64>,
        merge: impl FnOnce(&[Bytes]) -> Option<Bytes>,
    ) -> &ListOfSeveral {
        let list = match self.lists_of_several.remove(allowed).filter(|known| known.of == of) {
            Some(known) => known.list,
            None => merge(&of),
        };
        if self.lists_of_several.len() >= limits::LISTS_OF_SEVERAL_MAX {
            self.lists_of_several.clear();
        }
        let list = ListOfSeveral { list, edition, of, is_stale: false };
        self.lists_of_several.entry(allowed.clone()).insert_entry(list).into_mut()
    }

    pub(super) fn lists_of_several_are_stale(&mut self) {
        for list in self.lists_of_several.values_mut() {
            list.is_stale = true;
        }
    }

    /// What callers of a group are shown.
    pub(in crate::engine) fn shown(&self, id: GroupId) -> Option<&Shown> {
        self.groups.get(&id).map(|group| &group.shown)
    }
}
