//! The names of members and groups, which the engine's notes give by number; and the two kinds of peers, as logs and metrics name
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use rcs_core::ids::{GroupId, MemberId};
use rcs_core::view::View;

/// The kind of peer that a socket belongs to: the label `side` of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// Callers.
    Downstream,
    /// Members.
    Upstream,
}

/// Names by id, never forgotten: a note may come of a member that has left the view.
#[derive(Debug, Default)]
pub(crate) struct Names {
    members: HashMap<MemberId, Arc<str>>,
    groups: HashMap<GroupId, Arc<str>>,
    /// The view that was learned last.
    view: Option<Arc<View>>,
}

impl Names {
    /// Takes over the names of a view.
    pub(crate) fn learn(&mut self, view: &Arc<View>) {
        self.view = Some(Arc::clone(view));
        for member in view.members() {
            self.members.entry(member.id).or_insert_with(|| member.spec.name.as_str().into());
        }
        for group in view.groups() {
            self.groups.entry(group.id).or_insert_with(|| group.name.as_str().into());
        }
    }

    /// A member's name. Every id in a note comes from a view that was learned.
    pub(crate) fn member(&self, id: MemberId) -> Arc<str> {
        self.members.get(&id).cloned().unwrap_or_default()
    }

    /// The names of the groups of a member, if there are `most` at most. None: the member has more groups, or has left the view.
    pub(crate) fn groups_of(&self, id: MemberId, most: usize) -> Option<Vec<Arc<str>>> {
        let groups = self.view.as_ref()?.groups_of(id).take(most + 1);
        let names: Vec<Arc<str>> = groups.map(|group| self.group(group.id)).collect();
        (1..=most).contains(&names.len()).then_some(names)
    }

    /// A group's name.
    pub(crate) fn group(&self, id: GroupId) -> Arc<str> {
        self.groups.get(&id).cloned().unwrap_or_default()
    }
}
