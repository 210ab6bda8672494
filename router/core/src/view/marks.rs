//! Operators' marks: what they want of single members at run time (P11). A fact apart from health, and from what the document
//! says: a mark outlives every change of the document but the one that takes its member away.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::View;
use crate::ids::MemberId;

/// What an operator wants of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mark {
    /// It takes calls when it can.
    #[default]
    Enabled,
    /// It gets no new call; those that it has end as they would, then its sockets are closed.
    Draining,
    /// The same, and what has not ended after [`crate::limits::DRAIN_TIME`] is ended.
    Disabled,
}

/// The marks of all members, by name; a member without one is enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks(BTreeMap<String, Mark>);

impl Marks {
    /// The mark of the member of this name.
    pub fn of(&self, member: &str) -> Mark {
        self.0.get(member).copied().unwrap_or_default()
    }

    /// Marks the member of this name.
    pub fn set(&mut self, member: &str, mark: Mark) {
        match mark {
            Mark::Enabled => drop(self.0.remove(member)),
            _ => drop(self.0.insert(member.to_owned(), mark)),
        }
    }

    /// Whether no member has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops the marks of members that are not there any more: one that comes back later is another member.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_there(name));
    }
}

impl View {
    /// The same members, groups and settings with these marks, and no others.
    #[must_use]
    pub fn with_marks(mut self, marks: &Marks) -> Self {
        for member in &mut self.members {
            member.mark = marks.of(&member.spec.name);
        }
        self
    }

    /// The same view with another mark of this member; everything else is shared with this view.
    pub(crate) fn with_mark(&self, member: MemberId, mark: Mark) -> Self {
        let mut marked = self.clone();
        let place = self.shape.member_index.get(&member);
        if let Some(member) = place.and_then(|at| marked.members.get_mut(*at)) {
            member.mark = mark;
        }
        marked
    }

    /// Whether the views were made from one document and the same settings, so that at most their marks differ. Some views that are equal
    /// are not found to be so.
    pub fn differs_in_marks_only(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shape, &other.shape)
    }
}
