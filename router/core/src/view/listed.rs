//! Finds the group and the member that operators name.

use super::{Group, Member, View};

/// No group or member has the name. The text says where to find the names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotListed {
    /// No such group.
    #[error("there is no group or server named {0:?}: see `rcs-router member list` or GET /v1/members")]
    NoGroup(String),
    /// The group does not list it.
    #[error(
        "group {group:?} has no member named {member:?}: see `rcs-router member list` or GET /v1/members"
    )]
    NoMember {
        /// The group.
        group: String,
        /// The name that was asked for.
        member: String,
    },
}

impl View {
    /// The group of this name, or the server that is its own group.
    ///
    /// # Errors
    /// [`NotListed::NoGroup`]
    pub fn listed(&self, group: &str) -> Result<&Group, NotListed> {
        self.group_named(group).ok_or_else(|| NotListed::NoGroup(group.to_owned()))
    }

    /// The member of this name in this group.
    ///
    /// # Errors
    /// [`NotListed::NoMember`]
    pub fn listed_in(&self, group: &Group, member: &str) -> Result<&Member, NotListed> {
        let found = self.member_named(member).filter(|found| group.members.contains(&found.id));
        let missing = || NotListed::NoMember { group: group.name.clone(), member: member.to_owned() };
        found.ok_or_else(missing)
    }
}
