//! What the files of an RCS are: the manifest that an agent beside it reports to routers (B01-B09, P27, P28, W05, W06).
//!
//! A [`FileManifest`] lists every file below the folders of bundles and of libraries. Its [`Digest`] is one for equal content,
//! in whatever order the files were found. A [`Report`] carries it as JSON, and a [`Proof`] says that the reporter knows
//! the member's key. All of it is judged as if a stranger had sent it: nothing invalid can be held by these types.

mod digest;
mod proof;
mod report;
#[cfg(test)]
mod tests;

use std::fmt;

pub use digest::{Digest, Hasher, NoDigest};
pub use proof::{HEAD_HEADER, Head, NoNonce, Nonce, PROOF_HEADER, Proof, ProofKey, WrongProof};
pub use report::{Challenge, Report, ReportError, ReportedSet, listing};

use crate::limits::{
    MANIFEST_FILES_MAX, MANIFEST_PATH_BYTES_MAX, MANIFEST_SHOWN_BYTES_MAX, MANIFEST_TEXT_BYTES_MAX,
};

/// First line of the canonical form. Another way to write it gets another number.
const CANONICAL_FORM: &[u8] = b"rcs-manifest-1\n";

/// All files of one RCS, valid and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileManifest {
    files: Vec<FileEntry>,
    digest: Digest,
}

impl FileManifest {
    /// The manifest of these files, in whatever order they come.
    ///
    /// # Errors
    /// [`ManifestError`]: an entry that is not valid, two of one path, too many.
    pub fn of(mut files: Vec<FileEntry>) -> Result<Self, ManifestError> {
        files.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        Self::of_sorted(files)
    }

    /// The manifest of these files, which must be in order: by root, then by the bytes of the path.
    ///
    /// # Errors
    /// [`ManifestError`]: as [`FileManifest::of`], and for another order.
    pub fn of_sorted(files: Vec<FileEntry>) -> Result<Self, ManifestError> {
        if files.len() > MANIFEST_FILES_MAX {
            return Err(ManifestError::TooManyFiles);
        }
        for file in &files {
            file.check().map_err(|fault| ManifestError::Entry { place: file.shown(), fault })?;
        }
        for (one, next) in files.iter().zip(files.iter().skip(1)) {
            match one.place().cmp(&next.place()) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(ManifestError::Twice { place: next.shown() }),
                std::cmp::Ordering::Greater => return Err(ManifestError::Order { place: next.shown() }),
            }
        }
        let digest = canonical_digest(&files);
        Ok(Self { files, digest })
    }

    /// The files, by root, then by path.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// SHA-256 of the canonical form: for each file its root, its path and its content, with separators that stand in none of
    /// them. A link's target counts where it is all that there is; what a bundle calls itself is in its bytes anyway.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The entry of that place.
    pub fn get(&self, root: Root, path: &str) -> Option<&FileEntry> {
        let at = self.files.binary_search_by(|file| file.place().cmp(&(root, path))).ok()?;
        self.files.get(at)
    }
}

/// One file, or what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Which folder it is below.
    pub root: Root,
    /// Where it is below it: segments with `/` between them, none of them empty, `.` or `..`, and no control character.
    /// At most [`MANIFEST_PATH_BYTES_MAX`] bytes.
    pub path: String,
    /// What it holds.
    pub content: Content,
    /// What a connector bundle calls itself. Told for readers; not part of the digest.
    pub bundle: Option<Bundle>,
    /// Where the link leads by which it comes to its place, as the link says. Part of the digest for an [`Oddity`] only.
    pub link: Option<String>,
}

impl FileEntry {
    /// What entries are sorted by, and what one manifest holds once.
    pub fn place(&self) -> (Root, &str) {
        (self.root, &self.path)
    }

    fn shown(&self) -> Shown {
        Shown::new(&format!("{self}"))
    }

    fn check(&self) -> Result<(), EntryFault> {
        check_path(&self.path)?;
        if let Some(link) = &self.link {
            check_text(link, MANIFEST_PATH_BYTES_MAX).map_err(EntryFault::Link)?;
        }
        if let Some(bundle) = &self.bundle {
            for text in [&bundle.name, &bundle.version] {
                check_text(text, MANIFEST_TEXT_BYTES_MAX).map_err(EntryFault::Bundle)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for FileEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root, self.path)
    }
}

/// The folder that a path starts from. The order of these is the order of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// `bundleDir` (P28).
    Bundles,
    /// `libDir` (P27).
    Lib,
}

impl Root {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bundles => "bundles",
            Self::Lib => "lib",
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A file.
    File {
        /// SHA-256 of its bytes.
        sha256: Digest,
        /// How many they are.
        bytes: u64,
    },
    /// Something that has no bytes to compare.
    Odd(Oddity),
}

/// Why a name below a root has no bytes to compare. What lies behind it is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// A link to nothing.
    Dangling,
    /// A link that leads back to a folder it is in, or to itself.
    Loop,
    /// A link to a folder outside of the roots.
    Outside,
    /// Neither file nor folder: a socket, a pipe, a device.
    Special,
}

impl Oddity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dangling, Self::Loop, Self::Outside, Self::Special];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dangling => "dangling",
            Self::Loop => "loop",
            Self::Outside => "outside",
            Self::Special => "special",
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dangling => "a link to nothing",
            Self::Loop => "a link that leads back to itself",
            Self::Outside => "a link to a folder outside, which is not followed",
            Self::Special => "neither a file nor a folder",
        })
    }
}

/// What a bundle's own `META-INF/MANIFEST.MF` calls it. Both texts have 1 to [`MANIFEST_TEXT_BYTES_MAX`] bytes and no
/// control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bundle {
    /// `ConnectorBundle-Name`
    pub name: String,
    /// `ConnectorBundle-Version`
    pub version: String,
}

/// Why files make no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More than [`MANIFEST_FILES_MAX`].
    #[error(
        "there are more than {MANIFEST_FILES_MAX} files; move files that are not part of the bundles elsewhere"
    )]
    TooManyFiles,
    /// An entry that cannot be.
    #[error("{place}: {fault}")]
    Entry {
        /// Which.
        place: Shown,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// One place has two entries.
    #[error("{place} is listed twice")]
    Twice {
        /// Which.
        place: Shown,
    },
    /// An entry stands behind one that it should come before.
    #[error("{place} is out of order; files are sorted by root, then by the bytes of the path")]
    Order {
        /// Which.
        place: Shown,
    },
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// The path's text.
    #[error("the path {0}")]
    Path(TextFault),
    /// The path has an empty segment, `.` or `..`.
    #[error("the path must have `/` between names, and no name that is empty, `.` or `..`")]
    Segment,
    /// The link's text.
    #[error("the link's target {0}")]
    Link(TextFault),
    /// The bundle's texts.
    #[error("the bundle's name or version {0}")]
    Bundle(TextFault),
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It has more bytes than it may.
    #[error("is longer than {most} bytes")]
    TooLong {
        /// The bound.
        most: usize,
    },
    /// It has a control character, which could forge lines of a log or of the canonical form.
    #[error("has a control character")]
    Control,
}

/// Text from outside, cut and escaped so that it can stand in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// At most [`MANIFEST_SHOWN_BYTES_MAX`] bytes of a text, with control characters escaped.
    pub fn new(text: &str) -> Self {
        let mut shown = String::new();
        for character in text.chars() {
            let before = shown.len();
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
            if shown.len() > MANIFEST_SHOWN_BYTES_MAX {
                shown.truncate(before);
                shown.push_str("...");
                break;
            }
        }
        Self(shown)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn check_path(path: &str) -> Result<(), EntryFault> {
    check_text(path, MANIFEST_PATH_BYTES_MAX).map_err(EntryFault::Path)?;
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(EntryFault::Segment);
    }
    Ok(())
}

fn check_text(text: &str, most: usize) -> Result<(), TextFault> {
    if text.is_empty() {
        Err(TextFault::Empty)
    } else if text.len() > most {
        Err(TextFault::TooLong { most })
    } else if text.chars().any(char::is_control) {
        Err(TextFault::Control)
    } else {
        Ok(())
    }
}

/// A line for each file, `\0` between its fields. Paths and links hold neither; digests and the names of oddities cannot be
/// taken for each other.
fn canonical_digest(files: &[FileEntry]) -> Digest {
    let mut hash = Hasher::new();
    hash.update(CANONICAL_FORM);
    for file in files {
        let (content, detail) = match file.content {
            Content::File { sha256, bytes } => (sha256.to_string(), bytes.to_string()),
            Content::Odd(oddity) => (oddity.name().to_owned(), file.link.clone().unwrap_or_default()),
        };
        for field in [file.root.name(), &file.path, &content] {
            hash.update(field.as_bytes());
            hash.update(b"\0");
        }
        hash.update(detail.as_bytes());
        hash.update(b"\n");
    }
    hash.finish()
}
