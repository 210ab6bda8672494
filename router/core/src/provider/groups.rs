//! Groups of the document, in both of their places (C09, C10, C12, C13, C16, G01, G04).

use super::members::{Members, usable_name};
use super::problem::Problem;
use super::walk::{Field, Object, Reader, found, shortened};
use super::{GroupEntry, Place, json::Tree};
use crate::balance::Policy;
use crate::limits::{LISTED_GROUPS_MAX, MEMBERS_PER_GROUP_MAX};
use crate::view::{GroupSpec, is_usable_name};

const GROUP_FIELDS: &[&str] =
    &["type", "systemType", "displayName", "name", "enabled", "algorithm", "serversList"];

/// The groups found so far.
#[derive(Default)]
pub(super) struct Groups {
    found: Vec<Found>,
}

struct Found {
    place: Place,
    path: String,
    display_name: Option<String>,
    name: String,
    policy: Policy,
    /// Path and name of each server it lists.
    listed: Vec<(String, String)>,
}

impl Groups {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, entry: &Object<'_>, place: Place) {
        reader.check_fields(entry, GROUP_FIELDS);
        let name = usable_name(reader, entry, Place::ServersGroups);
        let display_name = reader.filled(entry, "displayName").given();
        // A wrong algorithm was reported; the group goes on, so that the faults of its list are found as
        // well.
        let policy = policy(reader, entry).unwrap_or_default();
        let listed = servers_list(reader, entry);
        let enabled = reader.flag(entry, "enabled").or(true);
        let Some(name) = name else { return };
        if !enabled {
            reader.report(entry.path(), Problem::GroupDisabled(name));
            return;
        }
        self.found.push(Found { place, path: entry.path().to_owned(), display_name, name, policy, listed });
    }

    /// Ties groups to members, once all are known.
    pub(super) fn resolve(self, reader: &mut Reader<'_>, members: &Members) -> Vec<GroupEntry> {
        if self.found.len() > LISTED_GROUPS_MAX {
            reader.report(
                "",
                Problem::TooMany { what: "groups", found: self.found.len(), max: LISTED_GROUPS_MAX },
            );
        }
        self.report_places(reader);
        let mut groups: Vec<GroupEntry> = Vec::new();
        let mut seen: Vec<&Found> = Vec::new();
        for group in &self.found {
            let path = format!("{}.name", group.path);
            match seen.iter().find(|s| s.name == group.name) {
                Some(first) if first.place != group.place && first.means_the_same(group) => continue,
                Some(first) => {
                    let (name, first) = (group.name.clone(), first.path.clone());
                    reader.report(&path, Problem::TwoGroups { name, first });
                    continue;
                }
                None => seen.push(group),
            }
            if let Some(first) = members.path_of(&group.name) {
                let (name, first) = (group.name.clone(), first.to_owned());
                reader.report(&path, Problem::GroupAndMember { name, first });
            }
            groups.push(group.resolved(reader, members));
        }
        groups
    }

    /// IDM 8.1.1 reads only the top-level arrays, the examples of the vendor's pages have only the others: both are taken,
    /// and a group that is not in the top-level one is pointed out (C16).
    fn report_places(&self, reader: &mut Reader<'_>) {
        for group in &self.found {
            let home = match group.place {
                Place::Servers => Place::ServersGroups,
                Place::Clients => Place::ClientsGroups,
                Place::ServersGroups | Place::ClientsGroups => continue,
            };
            if !self.found.iter().any(|g| g.place == home && g.name == group.name) {
                reader.report(&group.path, Problem::GroupInMemberArray { belongs: home.key() });
            }
        }
    }
}

impl Found {
    fn means_the_same(&self, other: &Self) -> bool {
        let names = |g: &Self| g.listed.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        self.policy == other.policy && names(self) == names(other)
    }

    fn resolved(&self, reader: &mut Reader<'_>, members: &Members) -> GroupEntry {
        let known = |name: &str| members.path_of(name).is_some();
        let some_known = self.listed.iter().any(|(_, name)| known(name));
        let (mut names, mut unresolved) = (Vec::new(), Vec::new());
        for (path, name) in &self.listed {
            if known(name) {
                names.push(name.clone());
                continue;
            }
            if some_known {
                let (group, name) = (self.name.clone(), name.clone());
                reader.report(path, Problem::Dangling { group, name });
            }
            unresolved.push(name.clone());
        }
        if !some_known && !self.listed.is_empty() {
            let path = format!("{}.serversList", self.path);
            reader.report(&path, Problem::NoMemberLeft { group: self.name.clone() });
        }
        let spec = GroupSpec { name: self.name.clone(), policy: self.policy, members: names };
        GroupEntry { path: self.path.clone(), display_name: self.display_name.clone(), spec, unresolved }
    }
}

fn policy(reader: &mut Reader<'_>, entry: &Object<'_>) -> Option<Policy> {
    match reader.filled(entry, "algorithm") {
        Field::Absent => Some(Policy::default()),
        Field::Bad => None,
        Field::Given(name) => Policy::from_name(&name).or_else(|| {
            reader.report(&entry.child("algorithm"), Problem::UnknownAlgorithm(shortened(&name)));
            None
        }),
    }
}

/// The names a group lists; each as `{"name": ...}`, or as a bare text.
fn servers_list(reader: &mut Reader<'_>, entry: &Object<'_>) -> Vec<(String, String)> {
    let items = reader.array(entry, "serversList");
    let is_array = matches!(entry.get("serversList"), Some(Tree::Array(_)) | None);
    if items.is_empty() && is_array {
        reader.report(&entry.child("serversList"), Problem::EmptyGroup);
    }
    if items.len() > MEMBERS_PER_GROUP_MAX {
        let problem =
            Problem::TooMany { what: "servers in one group", found: items.len(), max: MEMBERS_PER_GROUP_MAX };
        reader.report(&entry.child("serversList"), problem);
    }
    let mut listed: Vec<(String, String)> = Vec::new();
    for (path, tree) in items.into_iter().take(MEMBERS_PER_GROUP_MAX) {
        let (path, name) = match (Object::new(path.clone(), tree), tree) {
            (Some(item), _) => match reader.required(&item, "name") {
                Some(name) => (item.child("name"), name),
                None => continue,
            },
            (None, Tree::Text(name)) => (path, name.clone()),
            (None, other) => {
                let expected = "an object with a name";
                reader.report(&path, Problem::WrongType { expected, found: found(other) });
                continue;
            }
        };
        if !is_usable_name(&name) {
            reader.report(&path, Problem::BadName(shortened(&name)));
        } else if listed.iter().any(|(_, n)| *n == name) {
            reader.report(&path, Problem::ListedTwice(shortened(&name)));
        } else {
            listed.push((path, name));
        }
    }
    listed
}
