//! What two bundle sets do not have in common, in a form that people read and programs can walk over.

mod files;
mod show;

pub use show::Line;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rcs_proto::manifest::{FileManifest, Root};

use super::digest::Digest;
use super::range::Version;
use super::wire::{ConnectorDigest, WireManifest};
use crate::limits::{DIFFERENCE_ITEMS_MAX, DIFFERENCE_PROPERTIES_MAX};

/// What a member has, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// What it told itself.
    pub wire: Option<Arc<WireManifest>>,
    /// What the agent beside it found.
    pub files: Option<Arc<FileManifest>>,
}

/// What one set has and the other has not, sorted; at most [`DIFFERENCE_ITEMS_MAX`] items, the others are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    items: Vec<Item>,
    more: usize,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// What it is.
    pub subject: Subject,
    /// How it differs.
    pub change: Change,
}

/// What can differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A connector, whatever its version.
    Connector {
        /// Its bundle.
        bundle: String,
        /// Its name.
        connector: String,
    },
    /// A file; one that changed its name with its version has the old name here.
    File {
        /// Below which folder.
        root: Root,
        /// Where below it.
        path: String,
    },
}

/// How something differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The accepted set has it, the found one has not.
    Missing(Side),
    /// The found set has it, the accepted one has not.
    Added(Side),
    /// Both have it, and not alike.
    Changed {
        /// As it was accepted.
        old: Side,
        /// As it was found.
        new: Side,
        /// The parts of it that differ, where they are known.
        parts: Parts,
    },
}

/// The connector or the file as one of the two sets has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// The version: of a connector, its bundle's version; of a file, the version in its manifest or its name.
    pub version: Option<String>,
    /// Its digest; none for what has no bytes, such as a link to nothing.
    pub digest: Option<Digest>,
    /// What stands there instead of bytes.
    pub oddity: Option<&'static str>,
    /// Where it lies, if that is not the subject's own path.
    pub path: Option<String>,
}

/// Properties of a connector that differ, the first [`DIFFERENCE_PROPERTIES_MAX`] of each kind by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts {
    /// Only the accepted set has these.
    pub missing: Vec<String>,
    /// Only the found set has these.
    pub added: Vec<String>,
    /// Type, order, flags, default or operations of these differ.
    pub changed: Vec<String>,
    /// How many more there are, of all kinds.
    pub more: usize,
    /// Display name, pooling or operations of the connector itself differ.
    pub traits: bool,
}

impl Difference {
    /// What `found` has other than `accepted`. A depth that one of them lacks is not compared.
    pub fn between(accepted: &Manifest, found: &Manifest) -> Self {
        let mut items = Vec::new();
        if let (Some(old), Some(new)) = (&accepted.wire, &found.wire)
            && old.digest() != new.digest()
        {
            connectors(old, new, &mut items);
        }
        if let (Some(old), Some(new)) = (&accepted.files, &found.files)
            && old.digest() != new.digest()
        {
            files::compare(old, new, &mut items);
        }
        items.sort();
        let more = items.len().saturating_sub(DIFFERENCE_ITEMS_MAX);
        items.truncate(DIFFERENCE_ITEMS_MAX);
        items.shrink_to_fit();
        Self { items, more }
    }

    /// The items: connectors first, then files, each by name.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Items that were left out.
    pub fn more(&self) -> usize {
        self.more
    }

    /// All items, those left out as well.
    pub fn len(&self) -> usize {
        self.items.len() + self.more
    }

    /// Whether nothing differs that could be compared.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Change {
    /// The word for it in logs and the API.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Added(_) => "added",
            Self::Changed { .. } => "changed",
        }
    }
}

/// The versions of one connector in both sets.
#[derive(Default)]
struct Versions<'a> {
    old: BTreeMap<&'a str, &'a ConnectorDigest>,
    new: BTreeMap<&'a str, &'a ConnectorDigest>,
}

fn connectors(old: &WireManifest, new: &WireManifest, items: &mut Vec<Item>) {
    let mut all: BTreeMap<(&str, &str), Versions> = BTreeMap::new();
    for (key, digest) in old.connectors() {
        let versions = all.entry((&key.bundle_name, &key.connector_name)).or_default();
        versions.old.insert(&key.bundle_version, digest);
    }
    for (key, digest) in new.connectors() {
        let versions = all.entry((&key.bundle_name, &key.connector_name)).or_default();
        versions.new.insert(&key.bundle_version, digest);
    }
    for ((bundle, connector), versions) in all {
        let subject = Subject::Connector { bundle: bundle.to_owned(), connector: connector.to_owned() };
        versions.compare(&subject, items);
    }
}

impl Versions<'_> {
    fn compare(mut self, subject: &Subject, items: &mut Vec<Item>) {
        let mut tell = |change| items.push(Item { subject: subject.clone(), change });
        let in_both: BTreeSet<&str> =
            self.old.keys().filter(|version| self.new.contains_key(*version)).copied().collect();
        for version in in_both {
            let (Some(old), Some(new)) = (self.old.remove(version), self.new.remove(version)) else {
                continue;
            };
            if old.whole != new.whole {
                let (sides, parts) = ((side(version, old), side(version, new)), Parts::between(old, new));
                tell(Change::Changed { old: sides.0, new: sides.1, parts });
            }
        }
        // What is left has other versions: the lowest of one set became the lowest of the other.
        let (mut old, mut new) = (in_order(self.old).into_iter(), in_order(self.new).into_iter());
        loop {
            tell(match (old.next(), new.next()) {
                (None, None) => return,
                (Some((version, old)), None) => Change::Missing(side(version, old)),
                (None, Some((version, new))) => Change::Added(side(version, new)),
                (Some((from, old)), Some((to, new))) => {
                    let parts = Parts::between(old, new);
                    Change::Changed { old: side(from, old), new: side(to, new), parts }
                }
            });
        }
    }
}

/// By number where the texts are versions (1.9 before 1.10), as texts otherwise.
fn in_order<'a>(versions: BTreeMap<&'a str, &'a ConnectorDigest>) -> Vec<(&'a str, &'a ConnectorDigest)> {
    let mut sorted: Vec<_> = versions.into_iter().collect();
    sorted.sort_by_cached_key(|(text, _)| (text.parse::<Version>().ok(), (*text).to_owned()));
    sorted
}

fn side(version: &str, connector: &ConnectorDigest) -> Side {
    Side { version: Some(version.to_owned()), digest: Some(connector.whole), ..Side::default() }
}

impl Parts {
    fn between(old: &ConnectorDigest, new: &ConnectorDigest) -> Self {
        let mut parts = Self { traits: old.traits != new.traits, ..Self::default() };
        let names: BTreeSet<&str> =
            old.properties.keys().chain(new.properties.keys()).map(|name| &**name).collect();
        for name in names {
            let kind = match (old.properties.get(name), new.properties.get(name)) {
                (Some(_), None) => &mut parts.missing,
                (None, Some(_)) => &mut parts.added,
                (Some(old), Some(new)) if old != new => &mut parts.changed,
                _ => continue,
            };
            if kind.len() < DIFFERENCE_PROPERTIES_MAX {
                kind.push(name.to_owned());
            } else {
                parts.more += 1;
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests;
