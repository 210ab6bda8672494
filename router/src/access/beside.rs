//! The files that the file of credentials names. They come into force together with it, and are followed with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rcs_cli::file::read_secret;
use zeroize::Zeroizing;

use crate::file::Content;
use crate::secrets::{Seen, is_unchanged};

/// What the files held when they were read last.
#[derive(Debug, Default)]
pub(super) struct Beside(BTreeMap<PathBuf, Read>);

#[derive(Debug)]
enum Read {
    /// A file that everybody may read.
    Plain(Content, usize),
    Secret(Seen, usize),
}

impl Beside {
    /// Reads a file that everybody may read.
    ///
    /// # Errors
    /// A sentence that goes on after the path.
    pub(super) fn plain(&mut self, path: &str, most: usize) -> Result<Vec<u8>, String> {
        let content = Content::read(Path::new(path), most);
        let found = match &content {
            Content::Text(bytes) => Ok(bytes.clone()),
            Content::Unreadable(why) => Err(format!("cannot be read: {why}")),
        };
        self.0.insert(path.into(), Read::Plain(content, most));
        found
    }

    /// Reads a file with a secret.
    ///
    /// # Errors
    /// A sentence that goes on after the path.
    pub(super) fn secret(&mut self, path: &str, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
        let seen = read_secret(Path::new(path), most).map_err(|error| error.to_string());
        let found = match &seen {
            Ok(file) => Ok(file.bytes.clone()),
            Err(why) => Err(format!("cannot be read: {why}")),
        };
        self.0.insert(path.into(), Read::Secret(seen, most));
        found
    }

    /// Whether every file is as it was.
    pub(super) fn is_unchanged(&self) -> bool {
        self.0.iter().all(|(path, read)| match read {
            Read::Plain(content, most) => Content::read(path, *most) == *content,
            Read::Secret(seen, most) => is_unchanged(&read_secret(path, *most), seen),
        })
    }

    /// A sentence for each file with a secret that every user of the machine can read.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|read| match read {
            Read::Plain(..) => None,
            Read::Secret(seen, _) => seen.as_ref().ok()?.warning.as_deref(),
        })
    }
}
