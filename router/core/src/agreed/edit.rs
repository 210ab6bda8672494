//! Changes of single members and groups, as operators make them over the API. Each makes a new document of the present one; whether
//! the new document can be used is judged as for a whole document ([`crate::view::View::check`]).

use serde::{Deserialize, Serialize};

use super::limits::{CREDENTIAL_BYTES_MAX, HOST_BYTES_MAX, PATH_BYTES_MAX};
use super::{Document, stored};
use crate::limits::{PING_INTERVAL, PING_INTERVAL_MIN};
use crate::view::{Endpoint, GroupSpec, Link, MemberSpec};

/// A change of one member or group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// A group that does not exist yet. It comes after all other groups.
    CreateGroup(GroupSpec),
    /// Another policy or other members for the group of this name.
    ReplaceGroup(GroupSpec),
    /// The group of this name goes. Members that no group lists then are groups of their own.
    DeleteGroup {
        /// The group's name.
        group: String,
    },
    /// A member that does not exist yet, of either direction. It comes after all other members.
    AddMember(#[serde(with = "stored::one")] MemberSpec),
    /// Another address, direction or state for the member of this name.
    ReplaceMember(#[serde(with = "stored::one")] MemberSpec),
    /// The member of this name goes.
    RemoveMember {
        /// The member's name.
        member: String,
    },
    /// The group lists the member.
    AddToGroup {
        /// The group's name.
        group: String,
        /// The member's name.
        member: String,
        /// The place in the list, from 0; none: the end.
        position: Option<usize>,
    },
    /// The group does not list the member any more.
    RemoveFromGroup {
        /// The group's name.
        group: String,
        /// The member's name.
        member: String,
    },
}

/// Why a change of a member or group is refused. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditRefusal {
    /// A group that is not listed. A server in no group cannot be changed as a group.
    #[error("there is no group named {0:?}: create the group first")]
    NoGroup(String),
    /// A member that does not exist.
    #[error("there is no member named {0:?}: add the member first")]
    NoMember(String),
    /// A group of this name exists.
    #[error("there is a group named {0:?} already: choose another name, or replace that group")]
    GroupExists(String),
    /// A member of this name exists.
    #[error("there is a member named {0:?} already: choose another name, or replace that member")]
    MemberExists(String),
    /// Groups list the member that should go.
    #[error("group {group:?} still lists {member:?}: remove the member from the group first")]
    Listed {
        /// The member.
        member: String,
        /// The first group that lists it.
        group: String,
    },
    /// The group lists the member already.
    #[error("group {group:?} lists {member:?} already: to move the member, remove it from the group first")]
    InGroup {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// The group does not list the member.
    #[error("group {group:?} does not list {member:?}: see the members of the group for their names")]
    NotInGroup {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// A place beyond the end of the list.
    #[error(
        "group {group:?} has {members} members: give a position from 0 to {members}, or none for the end"
    )]
    Position {
        /// The group.
        group: String,
        /// How many members it has.
        members: usize,
    },
    /// A member that cannot be reached as described.
    #[error("member {member:?} cannot be used: {rule}")]
    Member {
        /// The member.
        member: String,
        /// What is wrong, and what to write instead.
        rule: &'static str,
    },
}

impl Edit {
    /// The document after this change.
    ///
    /// # Errors
    /// [`EditRefusal`]. A document that comes out may still break a rule of [`crate::view::View::check`].
    pub fn apply(&self, document: &Document) -> Result<Document, EditRefusal> {
        let mut after = document.clone();
        match self {
            Self::CreateGroup(group) if after.group_mut(&group.name).is_ok() => {
                return Err(EditRefusal::GroupExists(group.name.clone()));
            }
            Self::CreateGroup(group) => after.groups.push(group.clone()),
            Self::ReplaceGroup(group) => *after.group_mut(&group.name)? = group.clone(),
            Self::DeleteGroup { group } => {
                after.group_mut(group)?;
                after.groups.retain(|listed| listed.name != *group);
            }
            Self::AddMember(member) if after.member_mut(&member.name).is_ok() => {
                return Err(EditRefusal::MemberExists(member.name.clone()));
            }
            Self::AddMember(member) => after.members.push(usable(member)?),
            Self::ReplaceMember(member) => *after.member_mut(&member.name)? = usable(member)?,
            Self::RemoveMember { member } => {
                after.member_mut(member)?;
                if let Some(group) = after.groups.iter().find(|group| group.members.contains(member)) {
                    return Err(EditRefusal::Listed { member: member.clone(), group: group.name.clone() });
                }
                after.members.retain(|listed| listed.name != *member);
            }
            Self::AddToGroup { group, member, position } => {
                after.member_mut(member)?;
                add_to(after.group_mut(group)?, member, *position)?;
            }
            Self::RemoveFromGroup { group, member } => {
                let members = &mut after.group_mut(group)?.members;
                let before = members.len();
                members.retain(|listed| listed != member);
                if members.len() == before {
                    return Err(EditRefusal::NotInGroup { group: group.clone(), member: member.clone() });
                }
            }
        }
        Ok(after)
    }

    /// The word for the audit log and the API.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::CreateGroup(_) => "create_group",
            Self::ReplaceGroup(_) => "replace_group",
            Self::DeleteGroup { .. } => "delete_group",
            Self::AddMember(_) => "add_member",
            Self::ReplaceMember(_) => "replace_member",
            Self::RemoveMember { .. } => "remove_member",
            Self::AddToGroup { .. } => "add_to_group",
            Self::RemoveFromGroup { .. } => "remove_from_group",
        }
    }
}

impl Document {
    fn group_mut(&mut self, name: &str) -> Result<&mut GroupSpec, EditRefusal> {
        let found = self.groups.iter_mut().find(|group| group.name == name);
        found.ok_or_else(|| EditRefusal::NoGroup(name.to_owned()))
    }

    fn member_mut(&mut self, name: &str) -> Result<&mut MemberSpec, EditRefusal> {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.ok_or_else(|| EditRefusal::NoMember(name.to_owned()))
    }
}

fn add_to(group: &mut GroupSpec, member: &str, position: Option<usize>) -> Result<(), EditRefusal> {
    let members = group.members.len();
    if group.members.iter().any(|listed| listed == member) {
        return Err(EditRefusal::InGroup { group: group.name.clone(), member: member.to_owned() });
    }
    let position = position.unwrap_or(members);
    if position > members {
        return Err(EditRefusal::Position { group: group.name.clone(), members });
    }
    group.members.insert(position, member.to_owned());
    Ok(())
}

/// The member, if it can be reached as described. A provider document is judged more closely where it is read.
fn usable(member: &MemberSpec) -> Result<MemberSpec, EditRefusal> {
    let rule = match &member.link {
        Link::Dial(endpoint) => broken_rule(endpoint),
        Link::Accept => None,
    };
    let is_in_range = |time| (PING_INTERVAL_MIN..=PING_INTERVAL).contains(&time);
    let is_rare = !member.ping_interval.is_none_or(is_in_range);
    match rule.or(is_rare.then_some("give a time between pings of 1 s to 2.5 s, or none")) {
        Some(rule) => Err(EditRefusal::Member { member: member.name.clone(), rule }),
        None => Ok(member.clone()),
    }
}

fn broken_rule(endpoint: &Endpoint) -> Option<&'static str> {
    let Endpoint { host, port, path, transport: _, principal, key } = endpoint;
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    // Basic credentials go as ISO-8859-1 (WIRE 1.1).
    let is_latin1 = |text: &str| text.chars().all(|c| u32::from(c) <= 0xFF && !c.is_control());
    let is_long = |text: &str| text.len() > CREDENTIAL_BYTES_MAX;
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(is_of_host) {
        Some("give a host name or an address, of at most 253 bytes and without brackets")
    } else if *port == 0 {
        Some("give a port from 1 to 65535")
    } else if !path.starts_with('/')
        || path.len() > PATH_BYTES_MAX
        || !path.chars().all(|c| c.is_ascii_graphic())
    {
        Some("give a path that begins with '/', of at most 1024 bytes, such as /openicf")
    } else if principal.contains(':') || !is_latin1(principal) || is_long(principal) {
        Some("give a principal without ':', of Latin-1 characters and at most 1024 bytes")
    } else if key.expose().is_empty() || !is_latin1(key.expose()) || is_long(key.expose()) {
        Some("give a key of Latin-1 characters and at most 1024 bytes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
