//! The view: one immutable snapshot of everything routing needs to know about members and groups (P7).
//!
//! A change builds a new view and swaps it in as a whole, so related facts are never seen half changed. What
//! a member is doing at the moment (connected, healthy) is not in here: that is the engine's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::icf::Secret;
use serde::{Deserialize, Serialize};

use crate::balance::Policy;
use crate::ids::{BookFull, GroupId, MemberId, NameBook};
use crate::limits::{
    GROUPS_MAX, MEMBERS_MAX, MEMBERS_PER_GROUP_MAX, NAME_BYTES_MAX, SOCKETS_PER_SESSION_MAX,
};
use crate::settings::{GroupSettings, RouterSettings, Settings};

pub(crate) mod hosts;
mod listed;
mod marks;

pub use self::hosts::Hosts;
use self::hosts::WithHosts;
pub use self::listed::NotListed;
pub use self::marks::{Mark, Marks};

/// The path below which the router takes OpenICF connections (WIRE 1.1).
pub const OPENICF_PATH: &str = "/openicf";

/// The snapshot. Built by [`View::build`], never changed. Views that differ in marks alone share everything else, so that a mark costs the
/// same in a large view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    members: Vec<Member>,
    shape: Arc<Shape>,
}

/// What a view has beside its members and their marks.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shape {
    groups: Vec<Group>,
    member_index: HashMap<MemberId, usize>,
    group_index: HashMap<GroupId, usize>,
    member_names: HashMap<String, MemberId>,
    group_names: HashMap<String, GroupId>,
    /// The places of each member's groups.
    groups_of: HashMap<MemberId, Vec<usize>>,
    /// All hosts of a server in client mode, by the first of them, for servers that have several.
    hosts: HashMap<MemberId, Vec<MemberId>>,
    router: RouterSettings,
}

/// One RCS.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its identity over the life of the process.
    pub id: MemberId,
    /// What the document says of it.
    pub spec: Arc<MemberSpec>,
    /// What an operator says of it at run time.
    pub mark: Mark,
}

/// What the document says of one RCS.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberSpec {
    /// Its name: unique among members and groups, 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Who opens the sockets.
    pub link: Link,
    /// Sockets to keep open, 1 to [`SOCKETS_PER_SESSION_MAX`]; for [`Link::Accept`] the RCS decides, and this
    /// is not used.
    pub sockets: u8,
    /// Time between two pings of each socket; none: no pings.
    pub ping_interval: Option<Duration>,
    /// Whether the document wants it.
    pub admin: AdminState,
}

/// Who opens the sockets between router and member (M01, M02).
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// Server mode: the router dials.
    Dial(Endpoint),
    /// Client mode: the member dials the router and is known by its name (C08).
    Accept,
}

/// Where and how to dial a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
    /// Path of the upgrade request, `/openicf` unless the document says otherwise (C15).
    pub path: String,
    /// Plain or TLS (C07).
    pub transport: Transport,
    /// User name of the Basic credentials; a stock RCS takes any (WIRE 1.1).
    pub principal: String,
    /// Password of the Basic credentials: the key set with the server's setKey (C06).
    pub key: Secret<String>,
}

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `ws`
    Plain,
    /// `wss`
    Tls,
}

/// Whether the document wants a member: a fact apart from what is observed, and from operators' marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// Takes calls when it can.
    Enabled,
    /// Stays in the document, is not reached and gets no call (C11).
    Disabled,
}

/// Members that stand in for each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its identity over the life of the process.
    pub id: GroupId,
    /// Its name: the last segment of its path, and a principal that selects it.
    pub name: String,
    /// How calls are spread.
    pub policy: Policy,
    /// Its members in list order, which is the order of priority (G04).
    pub members: Vec<MemberId>,
    /// Whether the document lists it.
    pub origin: GroupOrigin,
    /// What else an operator set for it.
    pub settings: GroupSettings,
}

/// Where a group comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupOrigin {
    /// The document lists it.
    Listed,
    /// A server no group lists: a group of one with its name, as a connectorHostRef may name a server as well
    /// (B02).
    Standalone,
    /// The address of a server that groups list: a group of one under the server's name, for callers that name the server. Calls reach
    /// this group by its name only. The connector of a call never chooses it, and lists leave it out while nobody uses it.
    Address,
}

/// What an operator says of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its name.
    pub name: String,
    /// How calls are spread.
    pub policy: Policy,
    /// Names of its members in list order.
    pub members: Vec<String>,
}

/// What the path of an upgrade request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathTarget {
    /// `/openicf`: the principal, or the connector key of each call, decides.
    AnyGroup,
    /// `/openicf/GROUP`.
    Group(GroupId),
    /// `/openicf/NAME` and no group has this name.
    UnknownGroup(String),
    /// No OpenICF path at all.
    NotOpenIcf,
}

/// The path of an upgrade request is no path of OpenICF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no OpenICF endpoint here")]
pub struct NotOpenIcf;

/// Why members and groups make no view. Every offence is named, not the first alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A name is empty, too long, or holds a character that cannot stand in a path or a principal.
    #[error(
        "the name {0:?} cannot be used: use 1 to {NAME_BYTES_MAX} bytes, without '/', ':', '?', '#', '%', \
        control characters, and spaces at its ends"
    )]
    BadName(String),
    /// Two members of one name.
    #[error("two members are named {0:?}: rename one of them")]
    TwoMembers(String),
    /// Two groups of one name.
    #[error("two groups are named {0:?}: rename one of them")]
    TwoGroups(String),
    /// A group and a member of one name: a connectorHostRef could mean either.
    #[error("a group and a member are both named {0:?}: rename one of them")]
    GroupAndMember(String),
    /// A group lists a name no member has.
    #[error(
        "group {group:?} lists {member:?}, but no member has this name: add the member, or remove it from the group"
    )]
    UnknownMember {
        /// The group.
        group: String,
        /// The name it lists.
        member: String,
    },
    /// A group lists a member twice.
    #[error("group {group:?} lists {member:?} twice: remove one of the two")]
    ListedTwice {
        /// The group.
        group: String,
        /// The name it lists.
        member: String,
    },
    /// A number of sockets out of range.
    #[error("member {member:?} has {sockets} sockets: use 1 to {SOCKETS_PER_SESSION_MAX}")]
    Sockets {
        /// The member.
        member: String,
        /// What was asked for.
        sockets: u8,
    },
    /// More than a bound of [`crate::limits`] allows.
    #[error("{found} {what}, but at most {max} are allowed: split the document over several routers")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many may be.
        max: usize,
    },
    /// The names of this process are used up.
    #[error(transparent)]
    BookFull(#[from] BookFull),
}

impl View {
    /// Builds the snapshot. `book` keeps ids stable from view to view. Each server is a group of one as well, after the listed groups, so
    /// a server keeps its address when a group begins to list it.
    pub fn build(
        book: &mut NameBook,
        members: Vec<MemberSpec>,
        groups: Vec<GroupSpec>,
    ) -> Result<Self, Vec<ViewError>> {
        let none = Hosts::new();
        Self::check(&members, &groups, &none)?;
        Self::assemble_all(book, &members, &groups, &none).map_err(|full| vec![full.into()])
    }

    /// The same for members, groups and hosts that were checked before.
    pub(crate) fn assemble_all(
        book: &mut NameBook,
        members: &[MemberSpec],
        groups: &[GroupSpec],
        hosts: &Hosts,
    ) -> Result<Self, BookFull> {
        Self::assemble(book, WithHosts::of(members, groups, hosts))
    }

    /// Whether members, groups and hosts make a view. Says the same in every process.
    ///
    /// # Errors
    /// Every offence, not the first alone.
    pub fn check(members: &[MemberSpec], groups: &[GroupSpec], hosts: &Hosts) -> Result<(), Vec<ViewError>> {
        let all = WithHosts::of(members, groups, hosts);
        let offences = offences(&all);
        if offences.is_empty() { Ok(()) } else { Err(offences) }
    }

    fn assemble(book: &mut NameBook, all: WithHosts) -> Result<Self, BookFull> {
        let WithHosts { members: specs, listed: mut groups, own, hosts } = all;
        let listed = groups.len();
        groups.extend(own);
        let mut all = Vec::with_capacity(specs.len());
        let mut shape = Shape::default();
        let in_a_group: HashSet<String> =
            groups.iter().take(listed).flat_map(|group| group.members.iter().cloned()).collect();
        for spec in specs {
            let id = book.member(&spec.name)?;
            shape.member_index.insert(id, all.len());
            shape.member_names.insert(spec.name.clone(), id);
            all.push(Member { id, spec: Arc::new(spec), mark: Mark::default() });
        }
        for (place, spec) in groups.into_iter().enumerate() {
            let id = book.group(&spec.name)?;
            let members: Vec<MemberId> =
                spec.members.iter().filter_map(|m| shape.member_names.get(m).copied()).collect();
            for member in &members {
                shape.groups_of.entry(*member).or_default().push(shape.groups.len());
            }
            let origin = match place < listed {
                true => GroupOrigin::Listed,
                false if in_a_group.contains(&spec.name) => GroupOrigin::Address,
                false => GroupOrigin::Standalone,
            };
            shape.group_index.insert(id, shape.groups.len());
            shape.group_names.insert(spec.name.clone(), id);
            let (name, policy, settings) = (spec.name, spec.policy, GroupSettings::default());
            shape.groups.push(Group { id, name, policy, members, origin, settings });
        }
        for names in hosts {
            let ids: Vec<MemberId> =
                names.iter().filter_map(|name| shape.member_names.get(name).copied()).collect();
            if let Some(first) = ids.first() {
                shape.hosts.insert(*first, ids);
            }
        }
        Ok(Self { members: all, shape: Arc::new(shape) })
    }

    /// The same members and groups with these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: &Settings) -> Self {
        let shape = Arc::make_mut(&mut self.shape);
        for group in &mut shape.groups {
            group.settings = settings.group(&group.name).clone();
        }
        shape.router = settings.router.clone();
        self
    }

    /// What is set for the whole router.
    pub fn router(&self) -> &RouterSettings {
        &self.shape.router
    }

    /// Every member, in the order of the document.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Every group: the listed ones in the order of the document, then the groups of one, [`GroupOrigin::Address`] included.
    pub fn groups(&self) -> &[Group] {
        &self.shape.groups
    }

    /// The groups that the document means: all except the addresses of servers that groups list.
    pub fn meant_groups(&self) -> impl Iterator<Item = &Group> {
        self.shape.groups.iter().filter(|group| group.origin != GroupOrigin::Address)
    }

    /// The member of this id, if this view has it.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.shape.member_index.get(&id).and_then(|at| self.members.get(*at))
    }

    /// The group of this id, if this view has it.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.shape.group_index.get(&id).and_then(|at| self.shape.groups.get(*at))
    }

    /// The member of this exact name.
    pub fn member_named(&self, name: &str) -> Option<&Member> {
        self.shape.member_names.get(name).and_then(|id| self.member(*id))
    }

    /// The group of this exact name: a listed group, or a server that is its own group.
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.shape.group_names.get(name).and_then(|id| self.group(*id))
    }

    /// The groups that have the member: the groups that list it, which may be several (C12), and the group of its own name.
    pub fn groups_of(&self, member: MemberId) -> impl Iterator<Item = &Group> + Clone {
        self.shape.groups_of.get(&member).into_iter().flatten().filter_map(|at| self.shape.groups.get(*at))
    }

    /// The hosts of the server in client mode whose first host this is; nothing for a member of which one process runs.
    pub fn hosts_of(&self, first: MemberId) -> &[MemberId] {
        self.shape.hosts.get(&first).map_or(&[], Vec::as_slice)
    }

    /// The group a downstream principal selects: the one of its name.
    pub fn group_by_principal(&self, principal: &str) -> Option<&Group> {
        self.group_named(principal)
    }

    /// The name of a member in client mode in the path of its upgrade request: `/openicf/NAME` or `/openicf/0/NAME`. The number, which stands
    /// for one of several IDMs, may also stand alone.
    ///
    /// # Errors
    /// The path is none of these, nor `/openicf`.
    pub fn name_in_path<'a>(&self, path: &'a str) -> Result<Option<&'a str>, NotOpenIcf> {
        let path = path.strip_prefix(self.shape.router.context_path.as_str()).unwrap_or(path);
        let rest = path.strip_prefix(OPENICF_PATH).ok_or(NotOpenIcf)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Ok(None);
        }
        let rest = rest.strip_prefix('/').ok_or(NotOpenIcf)?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match rest.split_once('/') {
            // A member may have a name of digits.
            None if is_number(rest) && self.member_named(rest).is_none() => Ok(None),
            None => Ok(Some(rest)),
            Some((number, name)) if is_number(number) && !name.is_empty() && !name.contains('/') => {
                Ok(Some(name))
            }
            Some(_) => Err(NotOpenIcf),
        }
    }

    /// What the path of an upgrade request selects. The listener has removed the query and resolved the escapes, so a path that was
    /// escaped twice names no group. The context path of the settings, and one final slash, are ignored.
    pub fn path_target(&self, path: &str) -> PathTarget {
        let path = path.strip_prefix(self.shape.router.context_path.as_str()).unwrap_or(path);
        let Some(rest) = path.strip_prefix(OPENICF_PATH) else { return PathTarget::NotOpenIcf };
        match rest.strip_prefix('/').map(|r| r.strip_suffix('/').unwrap_or(r)) {
            None if rest.is_empty() => PathTarget::AnyGroup,
            None => PathTarget::NotOpenIcf,
            Some("") => PathTarget::AnyGroup,
            Some(name) => match self.group_named(name) {
                Some(group) => PathTarget::Group(group.id),
                None => PathTarget::UnknownGroup(name.to_owned()),
            },
        }
    }
}

impl Group {
    /// The path that selects this group.
    pub fn path(&self) -> String {
        let mut path = format!("{OPENICF_PATH}/");
        for byte in self.name.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    path.push(char::from(byte))
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
        path
    }
}

/// Whether a name can be a path segment, a Basic principal (which ends at its colon) and a metric label.
pub fn is_usable_name(name: &str) -> bool {
    let bad = |c: char| c.is_control() || matches!(c, '/' | ':' | '?' | '#' | '%');
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(bad)
        && name.trim() == name
        && name != "."
        && name != ".."
}

fn own_groups(members: &[MemberSpec]) -> Vec<GroupSpec> {
    let own = |m: &MemberSpec| GroupSpec {
        name: m.name.clone(),
        policy: Policy::Failover,
        members: vec![m.name.clone()],
    };
    members.iter().map(own).collect()
}

fn offences(all: &WithHosts) -> Vec<ViewError> {
    let WithHosts { members, listed, own, hosts: _ } = all;
    let mut found = Vec::new();
    too_many(&mut found, "members, each host counted", members.len(), MEMBERS_MAX);
    let groups = listed.len() + own.len();
    too_many(&mut found, "groups, the one of each server included", groups, GROUPS_MAX);
    let mut member_names = HashSet::new();
    for m in members {
        if !is_usable_name(&m.name) {
            found.push(ViewError::BadName(m.name.clone()));
        }
        if !member_names.insert(m.name.as_str()) {
            found.push(ViewError::TwoMembers(m.name.clone()));
        }
        if m.sockets == 0 || usize::from(m.sockets) > SOCKETS_PER_SESSION_MAX {
            found.push(ViewError::Sockets { member: m.name.clone(), sockets: m.sockets });
        }
    }
    let mut group_names = HashSet::new();
    for g in listed {
        if !is_usable_name(&g.name) {
            found.push(ViewError::BadName(g.name.clone()));
        }
        if !group_names.insert(g.name.as_str()) {
            found.push(ViewError::TwoGroups(g.name.clone()));
        }
        if member_names.contains(g.name.as_str()) {
            found.push(ViewError::GroupAndMember(g.name.clone()));
        }
        list_offences(&mut found, g, &member_names);
    }
    found
}

fn list_offences(found: &mut Vec<ViewError>, group: &GroupSpec, members: &HashSet<&str>) {
    too_many(found, "members in one group", group.members.len(), MEMBERS_PER_GROUP_MAX);
    let mut seen = HashSet::new();
    for name in &group.members {
        if !members.contains(name.as_str()) {
            found.push(ViewError::UnknownMember { group: group.name.clone(), member: name.clone() });
        }
        if !seen.insert(name) {
            found.push(ViewError::ListedTwice { group: group.name.clone(), member: name.clone() });
        }
    }
}

fn too_many(found: &mut Vec<ViewError>, what: &'static str, n: usize, max: usize) {
    if n > max {
        found.push(ViewError::TooMany { what, found: n, max });
    }
}

#[cfg(test)]
mod tests;
