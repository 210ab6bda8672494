//! What operators decided: one pure value, changed by one function that gives the same outcome wherever it runs.
//!
//! [`Agreed`] is what routing needs of it. [`ClusterState`] has [`Agreed`] and all else that the routers of a cluster replicate: its
//! [`Command`]s stand in their log, and [`stored`] says how commands and snapshots are written. A router that stands alone applies each
//! change at once.
//!
//! Nothing here reads a clock, uses randomness or looks at members. The author and the moment of a change are arguments, and members
//! and groups go by name, as each process numbers them differently. What a router merely sees can only be proposed
//! ([`sets::SetsChange::AcceptFirst`]).

mod audit;
mod cluster;
mod command;
pub mod credentials;
mod edit;
mod files;
mod latest;
pub mod limits;
pub mod marks;
mod outcome;
mod refusal;
pub mod sets;
pub mod stored;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use rcs_proto::time::Moment;
use serde::{Deserialize, Serialize};

pub use self::audit::AuditEntry;
pub use self::cluster::ClusterState;
pub use self::command::{Action, Command, RequestId, Seed, UnknownOutcome};
pub use self::edit::{Edit, EditRefusal};
pub use self::files::{Authority, FilesState, OfferedFiles};
pub use self::outcome::{CommandResult, Outcome};
pub use self::refusal::CommandRefusal;
use self::sets::{GroupDecision, Refused, SetsChange};
use crate::bundles::policy::NoneLeft;
use crate::bundles::range::StandIns;
use crate::ids::{BookFull, NameBook};
use crate::limits::NAME_BYTES_MAX;
use crate::settings::Settings;
use crate::view::hosts::{self, Hosts};
use crate::view::{Group, GroupSpec, Mark, Marks, MemberSpec, View, ViewError, is_usable_name};

/// A moment by the operators' clock: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At(pub u64);

impl At {
    /// The moment that a process's clock shows, if this is what the operators' clock showed at [`Moment::START`].
    #[must_use]
    pub fn after(self, now: Moment) -> Self {
        let since: Duration = now.since(Moment::START);
        Self(self.0.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Who wanted a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Author {
    /// An operator, over the API.
    Operator,
    /// The files that the router was given.
    Files,
    /// A router, because of what it saw of members.
    Router,
}

/// What the provider document says: members and groups in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Every RCS.
    #[serde(with = "stored::several")]
    pub members: Vec<MemberSpec>,
    /// The groups that the document lists.
    pub groups: Vec<GroupSpec>,
}

impl Document {
    /// Names of all groups: the groups that the document lists, and the servers that are groups of their own.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        let in_a_group: HashSet<&str> =
            self.groups.iter().flat_map(|group| &group.members).map(String::as_str).collect();
        let names = self.members.iter().map(|member| member.name.as_str());
        let alone = names.filter(move |name| !in_a_group.contains(name));
        self.groups.iter().map(|group| group.name.as_str()).chain(alone)
    }

    /// The names of groups, and the names of servers that groups list. Each of these names is an address of its own.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter().map(|group| group.name.as_str());
        groups.chain(self.members.iter().map(|member| member.name.as_str()))
    }

    /// How many members a group has, each host counted; none if there is no such group.
    fn members_of(&self, group: &str, hosts: &Hosts) -> Option<u32> {
        let count = |name: &str| {
            let member = self.members.iter().find(|member| member.name == name);
            member.map(|member| hosts::count(member, hosts))
        };
        let listed = self.groups.iter().find(|listed| listed.name == group);
        let of_listed =
            |listed: &GroupSpec| listed.members.iter().filter_map(|member| count(member)).sum::<u32>();
        listed.map(of_listed).or_else(|| count(group))
    }

    /// The names of all members, each host included.
    fn member_names(&self, hosts: &Hosts) -> HashSet<Cow<'_, str>> {
        let further = self.members.iter().flat_map(|member| hosts::further(member, hosts)).map(Cow::Owned);
        self.members.iter().map(|member| Cow::Borrowed(member.name.as_str())).chain(further).collect()
    }

    /// Whether a member has this name, or a host of a member.
    fn has_member(&self, name: &str, hosts: &Hosts) -> bool {
        let is_it = |member: &MemberSpec| member.name == name || hosts::is_further_host(name, member, hosts);
        self.members.iter().any(is_it)
    }
}

/// A change of what is decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Another document, other settings, or both: in one step, so that the document and the settings always fit together.
    Configured {
        /// The document; none: as it was.
        document: Option<Document>,
        /// The settings; none: as they were.
        settings: Option<Box<Settings>>,
    },
    /// A member gets a mark.
    Mark {
        /// The member's name.
        member: String,
        /// The mark; [`Mark::Enabled`] takes any other off.
        mark: Mark,
    },
    /// Something is decided for the bundle sets of a group.
    Sets {
        /// The group's name.
        group: String,
        /// The decision.
        change: SetsChange,
    },
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The value has changed.
    Changed,
    /// The value had this content already.
    Unchanged,
}

/// Why a change is refused. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No view can be made of the document.
    #[error("the document cannot be used: {}", list(.0))]
    Document(Vec<ViewError>),
    /// A mark for a member that does not exist.
    #[error("there is no server named {0:?}: see GET /v1/members")]
    NoMember(String),
    /// A decision for a group that does not exist.
    #[error("there is no group or server named {0:?}: see GET /v1/members")]
    NoGroup(String),
    /// The state of the group's sets forbids it.
    #[error(transparent)]
    Sets(#[from] Refused),
}

/// The last change that did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Who wanted it.
    pub author: Author,
    /// When.
    pub at: At,
}

/// Everything that is decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    document: Document,
    settings: Settings,
    marks: Marks,
    /// By the group's name; a group without an entry has nothing decided.
    sets: BTreeMap<String, GroupDecision>,
    /// Counts the changes that did something.
    revision: u64,
    last: Option<Stamp>,
}

impl Agreed {
    /// Applies a change. The outcome follows from the value and the arguments alone.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub fn apply(&mut self, change: Change, author: Author, at: At) -> Result<Done, Refusal> {
        let done = match change {
            Change::Configured { document, settings } => self.configure(document, settings)?,
            Change::Mark { member, mark } => self.mark(member, mark)?,
            Change::Sets { group, change } => self.decide_sets(group, change)?,
        };
        if done == Done::Changed {
            self.count_change(author, at);
        }
        Ok(done)
    }

    /// Counts a change that did something, here or beside this value in the [`ClusterState`]: so there is one revision for both.
    fn count_change(&mut self, author: Author, at: At) {
        self.revision += 1;
        self.last = Some(Stamp { author, at });
    }

    fn configure(
        &mut self,
        document: Option<Document>,
        settings: Option<Box<Settings>>,
    ) -> Result<Done, Refusal> {
        let document = document.filter(|document| *document != self.document);
        let settings = settings.filter(|settings| **settings != self.settings);
        if document.is_none() && settings.is_none() {
            return Ok(Done::Unchanged);
        }
        let after = document.as_ref().unwrap_or(&self.document);
        let hosts = settings.as_ref().map_or(&self.settings.hosts, |settings| &settings.hosts);
        View::check(&after.members, &after.groups, hosts).map_err(Refusal::Document)?;
        // A member or group that leaves loses its marks and decisions: if its name comes back later, it starts afresh.
        let names = after.member_names(hosts);
        self.marks.retain(|name| names.contains(name));
        if let Some(document) = document {
            self.document = document;
            let names: HashSet<String> = self.document.addresses().map(str::to_owned).collect();
            self.sets.retain(|name, _| names.contains(name));
        }
        if let Some(settings) = settings {
            self.settings = *settings;
        }
        let pins: Vec<_> = self
            .document
            .addresses()
            .map(|name| (name.to_owned(), self.settings.group(name).pinned))
            .collect();
        for (group, pin) in pins {
            if pin.is_some() || self.sets.contains_key(&group) {
                self.sets.entry(group).or_default().pinned_by_settings(pin);
            }
        }
        Ok(Done::Changed)
    }

    fn mark(&mut self, member: String, mark: Mark) -> Result<Done, Refusal> {
        if !self.document.has_member(&member, &self.settings.hosts) {
            return Err(Refusal::NoMember(member));
        }
        if self.marks.of(&member) == mark {
            return Ok(Done::Unchanged);
        }
        self.marks.set(&member, mark);
        Ok(Done::Changed)
    }

    fn decide_sets(&mut self, group: String, change: SetsChange) -> Result<Done, Refusal> {
        let Some(members) = self.document.members_of(&group, &self.settings.hosts) else {
            return Err(Refusal::NoGroup(group));
        };
        let follows_its_only =
            members == 1 && self.settings.group(&group).bundles.none_left == NoneLeft::KeepLast;
        let before = self.decision(&group).clone();
        let mut after = before.clone();
        after.apply(change, follows_its_only)?;
        if after == before {
            return Ok(Done::Unchanged);
        }
        self.sets.insert(group, after);
        Ok(Done::Changed)
    }

    // --- what is decided ---

    /// The view of this value: everything that routing needs, with this process's ids.
    ///
    /// # Errors
    /// [`BookFull`]
    pub fn view(&self, book: &mut NameBook) -> Result<View, BookFull> {
        let Document { members, groups } = &self.document;
        let view = View::assemble_all(book, members, groups, &self.settings.hosts)?;
        Ok(view.with_settings(&self.settings).with_marks(&self.marks))
    }

    /// What is decided for the sets of the group of this name.
    pub fn decision(&self, group: &str) -> &GroupDecision {
        static NOTHING: GroupDecision = GroupDecision::nothing();
        self.sets.get(group).unwrap_or(&NOTHING)
    }

    /// Which versions of connectors may stand for each other in a group: as an operator said last, else as in the settings.
    pub fn stand_ins<'a>(&'a self, group: &'a Group) -> &'a StandIns {
        self.decision(&group.name).stand_ins().unwrap_or(&group.settings.stand_ins)
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What operators marked.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// How many changes did something since the value was empty.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Who wanted the last change that did something, and when.
    pub fn last(&self) -> Option<Stamp> {
        self.last
    }
}

/// The beginning of a text: at most as many bytes, and whole characters.
fn clip(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

fn refuse_bad_name(name: &str) -> Result<(), CommandRefusal> {
    match is_usable_name(name) {
        true => Ok(()),
        false => Err(CommandRefusal::BadName(clip(name, NAME_BYTES_MAX).to_owned())),
    }
}

fn list(errors: &[ViewError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
