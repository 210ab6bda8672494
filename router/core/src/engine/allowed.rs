//! The groups that a caller may use.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The groups that a caller may use, by name, because a caller may be given a group that the document does not have yet. A clone is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowed {
    /// Every group.
    All,
    /// These groups and no other.
    Only(Arc<BTreeSet<String>>),
}

impl Allowed {
    /// These groups and no other.
    pub fn only<'a>(groups: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Only(Arc::new(groups.into_iter().map(str::to_owned).collect()))
    }

    /// The principal, if it may use some groups only.
    pub(super) fn of<'a>(&self, principal: &'a str) -> Option<&'a str> {
        matches!(self, Self::Only(_)).then_some(principal)
    }

    /// Whether the caller may use the group of this name.
    pub fn has(&self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(groups) => groups.contains(group),
        }
    }
}
