//! The file of the list: one JSON object on each line, in a directory that only one router uses.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Entry;
use crate::limits::{UNKNOWN_FILE_BYTES_MAX, UNKNOWN_OUTCOMES_MAX};

/// The name of the file.
const FILE: &str = "unknown-outcomes.jsonl";
/// The lock file, which a router holds while it uses the directory.
const LOCK: &str = "lock";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The directory, or a file in it, cannot be opened, read or written.
    #[error(
        "the data directory's {path} cannot be used: {source}. Make it a directory that this user may write"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("the data directory {0} is in use by another router: give each router a directory of its own")]
    InUse(PathBuf),
    /// The file is longer than any file that this router writes.
    #[error("{0} is longer than any list that the router writes: move it away")]
    TooLong(PathBuf),
    /// The thread that keeps the list cannot be started.
    #[error("cannot start the thread that keeps unknown outcomes: {0}")]
    Thread(io::Error),
}

/// The file, and the lock of its directory.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: File,
    /// Lines that the file has.
    lines: usize,
    _lock: File,
}

impl Kept {
    /// Opens the list of a directory. Returns its entries. Lines that cannot be read are logged and left out.
    pub(super) fn open(directory: &Path) -> Result<(Self, VecDeque<Entry>), DataDirError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        let lock_path = directory.join(LOCK);
        let lock =
            private(OpenOptions::new().write(true).create(true), &lock_path).map_err(fault(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(directory.to_owned())),
            Err(TryLockError::Error(source)) => return Err(fault(&lock_path)(source)),
        }
        let path = directory.join(FILE);
        let file = append_to(&path).map_err(fault(&path))?;
        let mut text = Vec::new();
        let reading = File::open(&path).map_err(fault(&path))?;
        reading.take(UNKNOWN_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(fault(&path))?;
        if text.len() as u64 > UNKNOWN_FILE_BYTES_MAX {
            return Err(DataDirError::TooLong(path));
        }
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut entries = VecDeque::new();
        let (mut count, mut bad) = (0, 0_usize);
        for line in lines {
            count += 1;
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => entries.push_back(entry),
                Err(_) => bad += 1,
            }
            if entries.len() > UNKNOWN_OUTCOMES_MAX {
                entries.pop_front();
            }
        }
        if bad > 0 {
            tracing::warn!(file = %path.display(), lines = bad, "lines of the list of unknown outcomes cannot be read; they are left out");
        }
        let mut kept = Self { path, file, lines: count, _lock: lock };
        // If a crash cut the last line short, the next line must not be joined to it.
        let all: Vec<Entry> = entries.iter().cloned().collect();
        if bad > 0 {
            kept.write(&all).map_err(fault(&kept.path.clone()))?;
        }
        Ok((kept, entries))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file should be written anew, because too many of its lines are entries that are no longer on the list.
    pub(super) fn is_long(&self) -> bool {
        self.lines >= 2 * UNKNOWN_OUTCOMES_MAX
    }

    /// Adds entries.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.file.write_all(&lines(entries)?)?;
        self.file.sync_data()?;
        self.lines += entries.len();
        Ok(())
    }

    /// Writes the file anew. After a failure the old file is unchanged.
    pub(super) fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true), &fresh)?;
        file.write_all(&lines(entries)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        self.file = append_to(&self.path)?;
        self.lines = entries.len();
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let file = private(OpenOptions::new().append(true).create(true), path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a file")),
    }
}

/// Opens a file. If the file is new, only this user may read it.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for its other end.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is not a file"));
    }
    options.mode(0o600).open(path)
}

fn lines(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    Ok(text)
}
