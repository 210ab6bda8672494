//! One look at all files below `bundleDir` and `libDir` (P27, P28, W06).
//!
//! Names are listed as the RCS sees them: a link to a file is that file, a link to a folder below the roots is that folder. What
//! cannot be told whole is not told at all: a manifest that leaves a file out would make two members equal that are not.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rcs_proto::limits::{MANIFEST_FILES_MAX, MANIFEST_PATH_BYTES_MAX};
use rcs_proto::manifest::{Content, FileEntry, FileManifest, Oddity, Root, Shown};

use super::file::{self, NoReading, Reading};
use crate::limits::{AGENT_DEPTH_MAX, AGENT_NAMES_MAX, AGENT_TOLD_MAX, AGENT_WATCHES_MAX};

/// The two folders.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `bundleDir`
    pub bundles: PathBuf,
    /// `libDir`
    pub lib: PathBuf,
}

impl Roots {
    fn each(&self) -> [(Root, &Path); 2] {
        [(Root::Bundles, &self.bundles), (Root::Lib, &self.lib)]
    }
}

/// Which files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Those that the file system says have changed (inode, size, times), and new ones.
    Changed,
    /// All.
    Everything,
}

/// Looks again and again, and remembers what it read.
#[derive(Debug)]
pub struct Scanner {
    roots: Roots,
    readings: HashMap<(Root, String), Reading>,
    buffer: Vec<u8>,
}

/// What a look found.
#[derive(Debug)]
pub struct Scan {
    /// All files, or why they cannot be told.
    pub outcome: Result<FileManifest, Vec<Trouble>>,
    /// Roots that are not there. The RCS has nothing in them either, so they count as empty.
    pub missing: Vec<Root>,
    /// What to watch for the next change.
    pub watch: Vec<Watched>,
    /// Files that were read, not remembered.
    pub files_read: usize,
    /// Their bytes.
    pub bytes_read: u64,
}

/// Something whose changes matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A folder that a root lies in: the root may come, go or be replaced.
    Above(PathBuf),
    /// A folder with what is in it.
    Folder(PathBuf),
    /// A file outside of the roots that a link leads to.
    Target(PathBuf),
}

/// Something that cannot be told to a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    place: Shown,
    sentence: String,
}

impl Trouble {
    fn new(root: Root, path: &str, sentence: impl Into<String>) -> Self {
        let place = if path.is_empty() { root.to_string() } else { format!("{root}/{path}") };
        Self { place: Shown::new(&place), sentence: sentence.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.sentence)
    }
}

impl Scanner {
    /// Nothing read yet.
    pub fn new(roots: Roots) -> Self {
        Self { roots, readings: HashMap::new(), buffer: Vec::new() }
    }

    /// Looks at everything. Blocks while files are read.
    pub fn scan(&mut self, depth: Depth) -> Scan {
        let before = std::mem::take(&mut self.readings);
        let real = self.roots.each().map(|(_, path)| path.canonicalize().ok());
        let mut walk = Walk {
            real_roots: real.iter().flatten().cloned().collect(),
            depth,
            before,
            now: HashMap::new(),
            buffer: &mut self.buffer,
            files: Vec::new(),
            troubles: Vec::new(),
            watch: Vec::new(),
            missing: Vec::new(),
            names: 0,
            files_read: 0,
            bytes_read: 0,
        };
        for (root, path) in self.roots.each() {
            walk.root(root, path);
        }
        let Walk { files, mut troubles, watch, missing, now, files_read, bytes_read, .. } = walk;
        self.readings = now;
        let manifest = FileManifest::of(files);
        let outcome = match manifest {
            Ok(manifest) if troubles.is_empty() => Ok(manifest),
            Ok(_) => Err(troubles),
            Err(error) => {
                troubles.push(Trouble {
                    place: Shown::new("the files"),
                    sentence: format!("cannot be reported: {error}"),
                });
                Err(troubles)
            }
        };
        Scan { outcome, missing, watch, files_read, bytes_read }
    }
}

/// A scan that is going on.
struct Walk<'a> {
    /// The roots without links.
    real_roots: Vec<PathBuf>,
    depth: Depth,
    before: HashMap<(Root, String), Reading>,
    now: HashMap<(Root, String), Reading>,
    buffer: &'a mut Vec<u8>,
    files: Vec<FileEntry>,
    troubles: Vec<Trouble>,
    watch: Vec<Watched>,
    missing: Vec<Root>,
    names: usize,
    files_read: usize,
    bytes_read: u64,
}

/// A folder that is being listed.
struct Folder<'a> {
    root: Root,
    /// Where it is.
    path: &'a Path,
    /// The same below the root, with a `/` behind; empty for the root.
    below: &'a str,
    /// Where a link leads by which it was reached, with a `/` behind.
    link: Option<&'a str>,
    /// It, and those it is in, as the file system numbers them.
    chain: &'a [(u64, u64)],
}

impl Walk<'_> {
    fn root(&mut self, root: Root, path: &Path) {
        if let Some(above) = path.parent() {
            self.watch(Watched::Above(above.to_path_buf()));
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                let chain = [number(&metadata)];
                self.folder(&Folder { root, path, below: "", link: None, chain: &chain });
            }
            Ok(_) => self.trouble(root, "", "is not a folder"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.missing.push(root),
            Err(error) => self.trouble(root, "", format!("cannot be read: {error}")),
        }
    }

    fn folder(&mut self, folder: &Folder<'_>) {
        let Folder { root, path, below, .. } = *folder;
        if folder.chain.len() > AGENT_DEPTH_MAX {
            return self.trouble(
                root,
                below,
                format!("is deeper than {AGENT_DEPTH_MAX} folders; is this the right folder?"),
            );
        }
        // Before the names are read: what is added after that is told by the watch of the scan before.
        self.watch(Watched::Folder(path.to_path_buf()));
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            // It went away since its name was read; whoever watches its parent knows.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !below.is_empty() => return,
            Err(error) => return self.trouble(root, below, format!("cannot be read: {error}")),
        };
        let projected = is_projected(path);
        for entry in entries {
            self.names += 1;
            if self.names == AGENT_NAMES_MAX {
                self.trouble(
                    root,
                    below,
                    format!("brings the folders to more than {AGENT_NAMES_MAX} names in total; is this the right folder?"),
                );
            }
            // The manifest fails then, or there is trouble enough.
            if self.names >= AGENT_NAMES_MAX
                || self.files.len() > MANIFEST_FILES_MAX
                || self.troubles.len() >= AGENT_TOLD_MAX
            {
                return;
            }
            match entry {
                Ok(entry) => self.name(folder, &entry, projected),
                Err(error) => return self.trouble(root, below, format!("cannot be listed: {error}")),
            }
        }
    }

    fn name(&mut self, folder: &Folder<'_>, entry: &fs::DirEntry, projected: Projected) {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            let shown = format!("{}{}", folder.below, entry.file_name().to_string_lossy());
            return self.trouble(folder.root, &shown, "has a name that is not UTF-8; rename it");
        };
        if projected == Projected::Yes && name.starts_with("..") {
            return;
        }
        let below = format!("{}{name}", folder.below);
        if below.len() > MANIFEST_PATH_BYTES_MAX || below.contains(char::is_control) {
            let sentence =
                format!("has control characters, or more than {MANIFEST_PATH_BYTES_MAX} bytes; rename it");
            return self.trouble(folder.root, &below, sentence);
        }
        let link = folder.link.map(|link| format!("{link}{name}"));
        let path = entry.path();
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.trouble(folder.root, &below, format!("cannot be read: {error}")),
        };
        if metadata.is_symlink() {
            self.link(folder, &path, below);
        } else if metadata.is_dir() {
            self.enter(folder, &path, &below, link.as_deref(), &metadata);
        } else if metadata.is_file() {
            self.file(folder.root, &path, below, link, &metadata);
        } else {
            self.odd(folder.root, below, Oddity::Special, link);
        }
    }

    /// Goes down; a folder that is in itself is none.
    fn enter(
        &mut self,
        above: &Folder<'_>,
        path: &Path,
        below: &str,
        link: Option<&str>,
        metadata: &Metadata,
    ) {
        let chain = [above.chain, &[number(metadata)]].concat();
        let (below, link) = (format!("{below}/"), link.map(|link| format!("{link}/")));
        self.folder(&Folder { root: above.root, path, below: &below, link: link.as_deref(), chain: &chain });
    }

    fn link(&mut self, folder: &Folder<'_>, path: &Path, below: String) {
        let root = folder.root;
        let target = match fs::read_link(path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                return self.trouble(root, &below, format!("is a link that cannot be read: {error}"));
            }
        };
        let usable = |text: &&str| text.len() <= MANIFEST_PATH_BYTES_MAX && !text.contains(char::is_control);
        let Some(target) = target.to_str().filter(usable) else {
            return self.trouble(
                root,
                &below,
                "is a link whose target cannot be reported: its path is not UTF-8, or too long",
            );
        };
        let link = Some(target.to_owned());
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => {
                if let Ok(real) = path.canonicalize()
                    && !self.is_inside(&real)
                {
                    self.watch(Watched::Target(real));
                }
                self.file(root, path, below, link, &metadata);
            }
            Ok(metadata) if metadata.is_dir() => match path.canonicalize() {
                Ok(real) if self.leads_back(folder, &real, &metadata) => {
                    self.odd(root, below, Oddity::Loop, link)
                }
                Ok(real) if self.is_inside(&real) => {
                    self.enter(folder, path, &below, Some(target), &metadata)
                }
                Ok(_) => self.odd(root, below, Oddity::Outside, link),
                Err(error) => {
                    self.trouble(root, &below, format!("is a link that cannot be followed: {error}"))
                }
            },
            Ok(_) => self.odd(root, below, Oddity::Special, link),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    self.odd(root, below, Oddity::Dangling, link)
                }
                _ if is_loop(&error) => self.odd(root, below, Oddity::Loop, link),
                _ => self.trouble(root, &below, format!("is a link that cannot be followed: {error}")),
            },
        }
    }

    /// Whether a folder is one that we are in, or one that holds the roots.
    fn leads_back(&self, folder: &Folder<'_>, real: &Path, metadata: &Metadata) -> bool {
        folder.chain.contains(&number(metadata)) || self.real_roots.iter().any(|root| root.starts_with(real))
    }

    fn is_inside(&self, real: &Path) -> bool {
        self.real_roots.iter().any(|root| real.starts_with(root))
    }

    fn file(&mut self, root: Root, path: &Path, below: String, link: Option<String>, metadata: &Metadata) {
        let key = (root, below);
        let known = self.before.remove(&key);
        let known = known.filter(|reading| self.depth == Depth::Changed && reading.still_holds(metadata));
        let reading = match known {
            Some(reading) => reading,
            None => match file::read(path, self.buffer) {
                Ok(reading) => {
                    self.files_read += 1;
                    self.bytes_read += reading.bytes;
                    reading
                }
                Err(NoReading::Io(error)) if error.kind() == io::ErrorKind::NotFound => return,
                Err(error) => return self.trouble(root, &key.1, error.to_string()),
            },
        };
        let content = Content::File { sha256: reading.sha256, bytes: reading.bytes };
        self.files.push(FileEntry {
            root,
            path: key.1.clone(),
            content,
            bundle: reading.bundle.clone(),
            link,
        });
        self.now.insert(key, reading);
    }

    fn odd(&mut self, root: Root, path: String, oddity: Oddity, link: Option<String>) {
        self.files.push(FileEntry { root, path, content: Content::Odd(oddity), bundle: None, link });
    }

    fn trouble(&mut self, root: Root, path: &str, sentence: impl Into<String>) {
        if self.troubles.len() < AGENT_TOLD_MAX {
            self.troubles.push(Trouble::new(root, path, sentence));
        }
    }

    fn watch(&mut self, watched: Watched) {
        if self.watch.len() < AGENT_WATCHES_MAX {
            self.watch.push(watched);
        }
    }
}

/// Whether Kubernetes put a folder there as a volume (ConfigMap, Secret): `..data` leads to a folder named by the time of day, and
/// each name of the volume is a link through it. Names with two dots are the machinery, and differ from pod to pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Projected {
    Yes,
    No,
}

fn is_projected(folder: &Path) -> Projected {
    match folder.join("..data").symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Projected::Yes,
        _ => Projected::No,
    }
}

fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// More links in a row than the kernel follows.
fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
