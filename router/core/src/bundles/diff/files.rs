//! The files of two sets side by side. A JAR that has another version usually has another name: it is told as changed, not as
//! one that is missing and one that was added.

use std::collections::BTreeMap;

use rcs_proto::manifest::{Content, FileEntry, FileManifest, Root};

use super::{Change, Item, Parts, Side, Subject};

pub(super) fn compare(old: &FileManifest, new: &FileManifest, items: &mut Vec<Item>) {
    let mut missing = Vec::new();
    for file in old.files() {
        match new.get(file.root, &file.path) {
            None => missing.push(file),
            Some(found) if is_same(file, found) => {}
            Some(found) => items.push(changed(file, found)),
        }
    }
    let mut added: Vec<&FileEntry> =
        new.files().iter().filter(|file| old.get(file.root, &file.path).is_none()).collect();
    pair(&mut missing, &mut added, by_bundle, items);
    pair(&mut missing, &mut added, by_name, items);
    items.extend(missing.into_iter().map(|file| item(file, Change::Missing(side(file)))));
    items.extend(added.into_iter().map(|file| item(file, Change::Added(side(file)))));
}

/// What makes two files of different names one file in two versions.
type Identity = (Root, String);

/// Removes the pairs of files with equal identities from both lists. Lists and identities are in order, and so is the result.
fn pair(
    missing: &mut Vec<&FileEntry>,
    added: &mut Vec<&FileEntry>,
    identity: fn(&FileEntry) -> Option<Identity>,
    items: &mut Vec<Item>,
) {
    let mut partners: BTreeMap<Identity, Vec<usize>> = BTreeMap::new();
    for (at, file) in added.iter().enumerate().rev() {
        if let Some(identity) = identity(file) {
            partners.entry(identity).or_default().push(at);
        }
    }
    let mut taken = vec![false; added.len()];
    missing.retain(|file| {
        let partner = identity(file).and_then(|identity| partners.get_mut(&identity)?.pop());
        let Some((at, found)) = partner.and_then(|at| Some((at, added.get(at)?))) else { return true };
        if let Some(taken) = taken.get_mut(at) {
            *taken = true;
        }
        items.push(changed(file, found));
        false
    });
    let mut taken = taken.into_iter();
    added.retain(|_| !taken.next().unwrap_or(false));
}

fn by_bundle(file: &FileEntry) -> Option<Identity> {
    file.bundle.as_ref().map(|bundle| (file.root, bundle.name.clone()))
}

/// The path without the version in the file's name: `ojdbc8-21.1.jar` is `ojdbc8` and `.jar`.
fn by_name(file: &FileEntry) -> Option<Identity> {
    let (start, end) = version_in(&file.path)?;
    Some((file.root, format!("{}*{}", file.path.get(..start)?, file.path.get(end..)?)))
}

/// Where the version in a file's name begins and ends: behind the first `-` before a digit, up to the extension.
fn version_in(path: &str) -> Option<(usize, usize)> {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let end = path.rfind('.').filter(|dot| *dot > name)?;
    let bytes = path.as_bytes();
    let start = (name + 1..end)
        .find(|at| bytes.get(at - 1) == Some(&b'-') && bytes.get(*at).is_some_and(u8::is_ascii_digit))?;
    // Digits behind the last dot are a version as well and no extension.
    let is_extension = bytes.get(end + 1).is_some_and(u8::is_ascii_alphabetic);
    is_extension.then_some((start, end))
}

fn is_same(old: &FileEntry, new: &FileEntry) -> bool {
    // A link counts where it is all that there is.
    old.content == new.content && (matches!(old.content, Content::File { .. }) || old.link == new.link)
}

fn changed(old: &FileEntry, new: &FileEntry) -> Item {
    let moved = (old.path != new.path).then(|| new.path.clone());
    let new = Side { path: moved, ..side(new) };
    item(old, Change::Changed { old: side(old), new, parts: Parts::default() })
}

fn item(file: &FileEntry, change: Change) -> Item {
    Item { subject: Subject::File { root: file.root, path: file.path.clone() }, change }
}

fn side(file: &FileEntry) -> Side {
    let told = file.bundle.as_ref().map(|bundle| bundle.version.clone());
    let version = told
        .or_else(|| version_in(&file.path).and_then(|(from, to)| Some(file.path.get(from..to)?.to_owned())));
    match file.content {
        Content::File { sha256, .. } => Side { version, digest: Some(sha256), ..Side::default() },
        Content::Odd(oddity) => Side { version, oddity: Some(oddity.name()), ..Side::default() },
    }
}
