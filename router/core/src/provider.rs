//! IDM's own `provisioner.openicf.connectorinfoprovider` document, read as it stands (R08, R09, C01-C17,
//! W01-W09).
//!
//! Flow: `json` parses it and keeps what serde_json would drop silently; `walk` reads typed values out of it
//! and collects findings with their paths; `members` and `groups` know the entries; [`Reading`] is the
//! outcome; [`report`] shows it; [`mod@write`] is the way back, and [`changes`] compares. Every fault is reported at once, and a document with one error gives no
//! [`Provider`] at all.
//!
//! The file is IDM's, so what IDM accepts is accepted: wrapped and quoted numbers, property substitution,
//! both spellings and both places of groups. What it means differently here is a warning.

use std::collections::{BTreeMap, HashMap};

use rcs_proto::icf::Secret;

use crate::agreed::Document;
use crate::ids::NameBook;
use crate::limits::{MEMBERS_MAX, PROVIDER_DOCUMENT_BYTES_MAX};
use crate::view::{AdminState, GroupSpec, MemberSpec, View, ViewError};

pub mod changes;
mod groups;
mod json;
mod members;
mod problem;
pub mod report;
mod walk;
pub mod write;

pub use problem::{Finding, Problem, Severity};

use json::Tree;
use walk::{Field, Object, Reader, found};

/// What `&{NAME}` stands for in a document: names and values, the caller's choice (usually the environment).
/// A name with dots is also looked up in the form of an environment variable (`rcs.host` as `RCS_HOST`), as
/// IDM does.
pub type Properties = BTreeMap<String, String>;

/// Keys of members that are given outside the document, because IDM's own document has them encrypted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    /// By the member's name. These keys replace the keys of the document.
    pub by_name: BTreeMap<String, Secret<String>>,
    /// By the member's name: the keys that are in force. Where the document has an encrypted key or none, the member keeps its key.
    pub kept: BTreeMap<String, Secret<String>>,
    /// The key of every other member whose key is encrypted or missing in the document.
    pub others: Option<Secret<String>>,
}

/// The `_id` of the document.
pub const DOCUMENT_ID: &str = "provisioner.openicf.connectorinfoprovider";

/// What a document means, free of errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Servers, then clients, in the order of the document.
    pub members: Vec<MemberEntry>,
    /// Groups in the order of the document; a group listed in both places counts once.
    pub groups: Vec<GroupEntry>,
}

/// A server or a client.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberEntry {
    /// Where the document has it, e.g. `remoteConnectorServers[1]`.
    pub path: String,
    /// Its display name, if it has one.
    pub display_name: Option<String>,
    /// What routing needs.
    pub spec: MemberSpec,
}

/// A group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupEntry {
    /// Where the document has it.
    pub path: String,
    /// Its display name, if it has one.
    pub display_name: Option<String>,
    /// What routing needs; its members all exist.
    pub spec: GroupSpec,
    /// Names it lists that no member has (C13).
    pub unresolved: Vec<String>,
}

/// The outcome of reading a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The document's meaning; `None` if a finding is an error.
    pub provider: Option<Provider>,
    /// Everything there is to say, in the order of the document.
    pub findings: Vec<Finding>,
}

/// Reads a document. Never fails as a whole: what is wrong is in the findings.
pub fn read(document: &[u8], properties: &Properties) -> Reading {
    read_with(document, properties, &Keys::default())
}

/// Reads a document, with keys that are given outside the document.
pub fn read_with(document: &[u8], properties: &Properties, keys: &Keys) -> Reading {
    let mut reader = Reader::new(properties, keys);
    let provider = read_document(&mut reader, document);
    let findings = reader.finish();
    let clean = findings.iter().all(|f| f.problem.severity() != Severity::Error);
    Reading { provider: provider.filter(|_| clean), findings }
}

impl Reading {
    /// The findings of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |f| f.problem.severity() == severity)
    }
}

impl Provider {
    /// The members and groups that it asks for.
    pub fn document(&self) -> Document {
        Document {
            members: self.members.iter().map(|m| m.spec.clone()).collect(),
            groups: self.groups.iter().map(|g| g.spec.clone()).collect(),
        }
    }

    /// The view that it asks for, without settings and marks. What can still fail is what depends on the views before: the book
    /// of names.
    pub fn view(&self, book: &mut NameBook) -> Result<View, Vec<ViewError>> {
        let Document { members, groups } = self.document();
        View::build(book, members, groups)
    }
}

/// The arrays of the document, with what an entry without `type` is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Servers,
    Clients,
    ServersGroups,
    ClientsGroups,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryType {
    Server,
    Client,
    ServersGroup,
    ClientsGroup,
}

impl Place {
    const ALL: [Self; 4] = [Self::Servers, Self::Clients, Self::ServersGroups, Self::ClientsGroups];

    const fn key(self) -> &'static str {
        match self {
            Self::Servers => "remoteConnectorServers",
            Self::Clients => "remoteConnectorClients",
            Self::ServersGroups => "remoteConnectorServersGroups",
            Self::ClientsGroups => "remoteConnectorClientsGroups",
        }
    }

    /// What its entries may be; the first is what one without `type` is.
    const fn holds(self) -> &'static [EntryType] {
        match self {
            Self::Servers => &[EntryType::Server, EntryType::ServersGroup],
            Self::Clients => &[EntryType::Client, EntryType::ClientsGroup],
            Self::ServersGroups => &[EntryType::ServersGroup],
            Self::ClientsGroups => &[EntryType::ClientsGroup],
        }
    }
}

impl EntryType {
    const ALL: [Self; 4] = [Self::Server, Self::ServersGroup, Self::Client, Self::ClientsGroup];

    /// The names of R02.
    const fn name(self) -> &'static str {
        match self {
            Self::Server => "remoteConnectorServer",
            Self::Client => "remoteConnectorClient",
            Self::ServersGroup => "remoteConnectorServersGroup",
            Self::ClientsGroup => "remoteConnectorClientsGroup",
        }
    }

    const fn home(self) -> Place {
        match self {
            Self::Server => Place::Servers,
            Self::Client => Place::Clients,
            Self::ServersGroup => Place::ServersGroups,
            Self::ClientsGroup => Place::ClientsGroups,
        }
    }
}

fn read_document(reader: &mut Reader<'_>, document: &[u8]) -> Option<Provider> {
    if document.len() > PROVIDER_DOCUMENT_BYTES_MAX {
        reader.report("", Problem::DocumentTooLong { bytes: document.len() });
        return None;
    }
    let document = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    if document.trim_ascii().is_empty() {
        reader.report("", Problem::Empty);
        return None;
    }
    let tree: Tree = match serde_json::from_slice(document) {
        Ok(tree) => tree,
        Err(e) => {
            reader.report("", Problem::Syntax(e.to_string()));
            return None;
        }
    };
    let Some(root) = Object::new(String::new(), &tree) else {
        reader.report("", Problem::WrongType { expected: "an object", found: found(&tree) });
        return None;
    };
    reader.check_fields(&root, ROOT_FIELDS);
    if let Field::Given(id) = reader.text(&root, "_id")
        && id != DOCUMENT_ID
    {
        reader.report(&root.child("_id"), Problem::OtherDocument(walk::shortened(&id)));
    }
    let mut provider = read_entries(reader, &root);
    if reader.flag(&root, "enabled").or(true) {
        report_idle_groups(reader, &provider);
    } else {
        reader.report("enabled", Problem::ProviderDisabled);
        provider.members.iter_mut().for_each(|m| m.spec.admin = AdminState::Disabled);
    }
    Some(provider)
}

const ROOT_FIELDS: &[&str] = &[
    "_id",
    "_rev",
    "connectorsLocation",
    "enabled",
    "remoteConnectorServers",
    "remoteConnectorClients",
    "remoteConnectorServersGroups",
    "remoteConnectorClientsGroups",
];

fn read_entries(reader: &mut Reader<'_>, root: &Object<'_>) -> Provider {
    let mut members = members::Members::default();
    let mut groups = groups::Groups::default();
    let mut entries = 0;
    for place in Place::ALL {
        let array = reader.array(root, place.key());
        if array.len() > MEMBERS_MAX {
            let problem = Problem::TooMany { what: "entries", found: array.len(), max: MEMBERS_MAX };
            reader.report(place.key(), problem);
        }
        for (path, tree) in array.into_iter().take(MEMBERS_MAX) {
            entries += 1;
            let Some(entry) = Object::new(path.clone(), tree) else {
                reader.report(&path, Problem::WrongType { expected: "an object", found: found(tree) });
                continue;
            };
            match entry_type(reader, &entry, place) {
                Some(EntryType::Server) => members.read_server(reader, &entry),
                Some(EntryType::Client) => members.read_client(reader, &entry),
                Some(EntryType::ServersGroup | EntryType::ClientsGroup) => groups.read(reader, &entry, place),
                None => {}
            }
        }
    }
    if entries == 0 {
        reader.report("", Problem::NothingToRoute);
    }
    if members.entries.len() > MEMBERS_MAX {
        reader.report(
            "",
            Problem::TooMany { what: "servers and clients", found: members.entries.len(), max: MEMBERS_MAX },
        );
    }
    let groups = groups.resolve(reader, &members);
    Provider { members: members.entries, groups }
}

/// What an entry is, by its `type`, or by its place and looks.
fn entry_type(reader: &mut Reader<'_>, entry: &Object<'_>, place: Place) -> Option<EntryType> {
    let first = *place.holds().first()?;
    let last = *place.holds().last()?;
    match reader.text(entry, "type") {
        Field::Bad => None,
        Field::Absent => Some(if entry.get("serversList").is_some() { last } else { first }),
        Field::Given(name) => match EntryType::ALL.into_iter().find(|t| t.name() == name) {
            Some(kind) if place.holds().contains(&kind) => Some(kind),
            Some(kind) => {
                let belongs = kind.home().key();
                reader.report(&entry.child("type"), Problem::WrongPlace { found: kind.name(), belongs });
                None
            }
            None => {
                reader.report(&entry.child("type"), Problem::UnknownType(walk::shortened(&name)));
                None
            }
        },
    }
}

/// Points out groups that cannot serve. Those that list a server with an error of its own are left alone.
fn report_idle_groups(reader: &mut Reader<'_>, provider: &Provider) {
    let usable = |m: &MemberEntry| m.spec.admin == AdminState::Enabled;
    let members: HashMap<&str, bool> =
        provider.members.iter().map(|m| (m.spec.name.as_str(), usable(m))).collect();
    for group in &provider.groups {
        let listed = &group.spec.members;
        if !listed.is_empty() && listed.iter().all(|m| members.get(m.as_str()) == Some(&false)) {
            reader.report(&group.path, Problem::NoUsableMember(group.spec.name.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
