//! Who changed what, when, and from where. An entry has names and words only: no key, no token, no hash.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::command::{Action, Command};
use super::edit::Edit;
use super::limits::{AUDIT_ENTRIES_MAX, AUDIT_LINE_BYTES_MAX, FROM_BYTES_MAX, WHO_BYTES_MAX};
use super::outcome::{CommandResult, Outcome};
use super::sets::SetsChange;
use super::{At, Author, clip};
use crate::bundles::printable::Printable;
use crate::view::{GroupSpec, Mark};

/// One command that was applied or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// The index of the command's entry in the log.
    pub index: u64,
    /// The revision after it.
    pub revision: u64,
    /// When it was proposed.
    pub at: At,
    /// Who wanted it: operator, files, or a router.
    pub author: Author,
    /// The name of the person or program.
    pub who: String,
    /// The address that the wish came from.
    pub from: String,
    /// What was wanted in one word, which never changes ([`Action::label`]).
    pub action: String,
    /// What was wanted, in one line for people.
    pub line: String,
    /// `changed`, `unchanged`, or the kind of the refusal.
    pub result: String,
}

/// The latest entries, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditLog(VecDeque<AuditEntry>);

impl AuditLog {
    /// Notes a command. What files and routers offer without effect is left out, or it would push out what people did.
    pub(super) fn note(&mut self, index: u64, command: &Command, outcome: &Outcome) {
        let is_noted = match (command.author, &outcome.result) {
            (Author::Operator, _) | (_, CommandResult::Changed) => true,
            (Author::Files, result) => matches!(result, CommandResult::Refused { .. }),
            (Author::Router, _) => false,
        };
        if !is_noted {
            return;
        }
        let line = command.action.to_string();
        self.0.push_back(AuditEntry {
            index,
            revision: outcome.revision,
            at: command.at,
            author: command.author,
            who: clip(&command.who, WHO_BYTES_MAX).to_owned(),
            from: clip(&command.from, FROM_BYTES_MAX).to_owned(),
            action: command.action.label().to_owned(),
            line: clip(&line, AUDIT_LINE_BYTES_MAX).to_owned(),
            result: outcome.result.word().to_owned(),
        });
        if self.0.len() > AUDIT_ENTRIES_MAX {
            self.0.pop_front();
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &AuditEntry> {
        self.0.iter()
    }

    /// The entries that changed something after this revision, oldest first. Costs O(log n) before the first entry.
    pub(super) fn changes_after(&self, revision: u64) -> impl Iterator<Item = &AuditEntry> {
        // The revision never goes down, so the entries are sorted by it.
        let first = self.0.partition_point(|entry| entry.revision <= revision);
        self.0.range(first..).filter(|entry| entry.is_change())
    }

    pub(super) fn is_within_bounds(&self) -> bool {
        self.0.len() <= AUDIT_ENTRIES_MAX
    }

    /// The same without the lines for people, which another release may word in another way.
    pub(super) fn drop_lines(&mut self) {
        self.0.iter_mut().for_each(|entry| entry.line.clear());
    }
}

impl AuditEntry {
    /// Whether the command changed something. Each change has a revision of its own.
    pub fn is_change(&self) -> bool {
        self.result == CommandResult::Changed.word()
    }

    /// Whether the command may concern this group or one of these members. True as well for a command about another thing with such a name,
    /// and where the line is too long to say: what concerns the group is never left out.
    pub fn may_concern<'a>(&self, group: &'a str, members: impl IntoIterator<Item = &'a str>) -> bool {
        let is_of_all = ["configure", "authority"].contains(&self.action.as_str());
        let is_cut = self.line.len() + 4 > AUDIT_LINE_BYTES_MAX || self.line.is_empty();
        let mut names = std::iter::once(group).chain(members);
        is_of_all || is_cut || names.any(|name| has_word(&self.line, &Printable(name).to_string()))
    }
}

/// Whether a text has a name, and not only a longer name with the name in it.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "-_.".contains(c));
    !name.is_empty()
        && text.match_indices(name).any(|(at, found)| {
            let (before, after) = (text.get(..at), text.get(at + found.len()..));
            !is_part(before.and_then(|text| text.chars().next_back()))
                && !is_part(after.and_then(|text| text.chars().next()))
        })
}

impl Action {
    /// What is wanted in one word. Programs rely on it, so a word never changes.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Configure { .. } => "configure",
            Self::Edit(edit) => edit.label(),
            Self::Mark { .. } => "mark",
            Self::Sets { change, .. } => change.label(),
            Self::Seed(_) => "seed",
            Self::Authority(_) => "authority",
            Self::GrantApi { .. } => "grant_api",
            Self::RevokeApi { .. } => "revoke_api",
            Self::GrantCaller { .. } => "grant_caller",
            Self::RevokeCaller { .. } => "revoke_caller",
            Self::Acknowledge(_) => "acknowledge",
        }
    }
}

/// One line for people, without secrets.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configure { document, settings, digest } => {
                f.write_str("configure")?;
                if let Some(document) = document {
                    let (members, groups) = (document.members.len(), document.groups.len());
                    write!(f, " {members} members and {groups} groups")?;
                }
                if settings.is_some() {
                    write!(f, "{}settings", if document.is_some() { ", and " } else { " " })?;
                }
                write!(f, " (text {:.12})", digest.to_string())
            }
            Self::Edit(edit) => write_edit(edit, f),
            Self::Mark { member, mark } => {
                let mark = match mark {
                    Mark::Enabled => "enabled",
                    Mark::Draining => "draining",
                    Mark::Disabled => "disabled",
                };
                write!(f, "mark member {} as {mark}", Printable(member))
            }
            Self::Sets { group, change } => write_sets(group, change, f),
            Self::Seed(_) => f.write_str("set the seed of the cluster"),
            Self::Authority(authority) => {
                write!(f, "let the {} decide members and groups", authority.label())
            }
            Self::GrantApi { name, token } => {
                write!(f, "grant API token {} the role {}", Printable(name), token.role.label())
            }
            Self::RevokeApi { name } => write!(f, "revoke API token {}", Printable(name)),
            Self::GrantCaller { principal, name, .. } => {
                write!(f, "grant key {} to callers of principal {}", Printable(name), Printable(principal))
            }
            Self::RevokeCaller { principal, name } => {
                write!(f, "revoke key {} of callers of principal {}", Printable(name), Printable(principal))
            }
            Self::Acknowledge(calls) => {
                write!(f, "acknowledge {} unknown outcomes", calls.len())?;
                calls
                    .first()
                    .map_or(Ok(()), |first| write!(f, ", the first of call {}", Printable(&first.call)))
            }
        }
    }
}

fn write_edit(edit: &Edit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let group = |f: &mut fmt::Formatter<'_>, verb: &str, group: &GroupSpec| {
        write!(f, "{verb} group {} ({} of", Printable(&group.name), group.policy)?;
        // The line is cut at its bound; a hostile list must not be written out before.
        group
            .members
            .iter()
            .take(AUDIT_LINE_BYTES_MAX)
            .try_for_each(|name| write!(f, " {}", Printable(name)))?;
        f.write_str(")")
    };
    match edit {
        Edit::CreateGroup(spec) => group(f, "create", spec),
        Edit::ReplaceGroup(spec) => group(f, "replace", spec),
        Edit::DeleteGroup { group } => write!(f, "delete group {}", Printable(group)),
        Edit::AddMember(member) => write!(f, "add member {}", Printable(&member.name)),
        Edit::ReplaceMember(member) => write!(f, "replace member {}", Printable(&member.name)),
        Edit::RemoveMember { member } => write!(f, "remove member {}", Printable(member)),
        Edit::AddToGroup { group, member, position } => {
            write!(f, "add member {} to group {}", Printable(member), Printable(group))?;
            position.map_or(Ok(()), |position| write!(f, " at position {position}"))
        }
        Edit::RemoveFromGroup { group, member } => {
            write!(f, "remove member {} from group {}", Printable(member), Printable(group))
        }
    }
}

fn write_sets(group: &str, change: &SetsChange, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let group = Printable(group);
    match change {
        SetsChange::AcceptFirst { set, .. } => {
            write!(f, "accept set {} as the first of group {group}", set.short())
        }
        SetsChange::Follow { set, .. } => {
            write!(f, "accept set {} of the only member of group {group}", set.short())
        }
        SetsChange::LearnFiles { set } => {
            write!(f, "learn the files of set {} for group {group}", set.short())
        }
        SetsChange::Propose { set, .. } => write!(f, "propose set {} for group {group}", set.short()),
        SetsChange::Commit => write!(f, "commit the next set of group {group}"),
        SetsChange::Abort => write!(f, "abort the upgrade of group {group}"),
        SetsChange::Pin { set } => write!(f, "pin set {} for group {group}", set.short()),
        SetsChange::StandIns { rules } => write!(f, "set {} stand-in rules for group {group}", rules.0.len()),
    }
}

impl SetsChange {
    /// What is decided in one word. Programs rely on it, so a word never changes.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::AcceptFirst { .. } => "accept_first",
            Self::Follow { .. } => "follow",
            Self::LearnFiles { .. } => "learn_files",
            Self::Propose { .. } => "propose",
            Self::Commit => "commit",
            Self::Abort => "abort",
            Self::Pin { .. } => "pin",
            Self::StandIns { .. } => "stand_ins",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_a_group_is_never_left_out() {
        let long = format!("create group other (failover of {})", "x".repeat(AUDIT_LINE_BYTES_MAX));
        for (action, line, concerns) in [
            ("mark", "mark member n1 as draining", true),
            ("mark", "mark member n10 as draining", false),
            ("mark", "mark member other-n1 as draining", false),
            ("create_group", "create group hr (failover of n7 n8)", true),
            ("replace_group", "replace group x (failover of n7 n1)", true),
            ("commit", "commit the next set of group hr", true),
            ("commit", "commit the next set of group hr2", false),
            ("configure", "configure 3 members and 1 groups (text abc)", true),
            ("grant_api", "grant API token ci the role viewer", false),
            ("create_group", clip(&long, AUDIT_LINE_BYTES_MAX), true),
            ("mark", "", true),
        ] {
            let entry = AuditEntry {
                index: 1,
                revision: 1,
                at: At(0),
                author: Author::Operator,
                who: String::new(),
                from: String::new(),
                action: action.to_owned(),
                line: line.to_owned(),
                result: "changed".to_owned(),
            };
            assert_eq!(entry.may_concern("hr", ["n1", "n2"]), concerns, "{line}");
        }
    }
}
