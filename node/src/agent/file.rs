//! One file: what its bytes are, and how to know that they are still those.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use rcs_cli::file::{self, FileError};
use rcs_proto::manifest::{Bundle, Digest, Hasher};

use super::jar;
use crate::limits::{AGENT_FILE_BYTES, AGENT_FRESH, AGENT_READ_ATTEMPTS};

/// Bytes read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What a file was when it was read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) sha256: Digest,
    pub(super) bytes: u64,
    pub(super) bundle: Option<Bundle>,
    identity: Identity,
    age: Age,
}

impl Reading {
    /// Whether the file system says that the file is as it was read.
    pub(super) fn still_holds(&self, metadata: &Metadata) -> bool {
        self.age == Age::Settled && self.identity == Identity::of(metadata)
    }
}

/// Whether a file had rested long enough when it was read that any later change shows in its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Settled,
}

/// What of a file changes when its bytes do. The time of the last change of its state cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn age(&self, now: SystemTime) -> Age {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let settled = since_epoch.saturating_sub(AGENT_FRESH).as_secs();
        let changed = self.changed.0.max(self.modified.0);
        if i64::try_from(settled).is_ok_and(|settled| changed < settled) { Age::Settled } else { Age::Fresh }
    }
}

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoReading {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not a file any more")]
    NoFile,
    #[error(
        "changes while it is read; move files that are written to all the time, such as logs, out of this folder"
    )]
    Restless,
    #[error("has {0} bytes, but a file may have at most {AGENT_FILE_BYTES}; move it out of this folder")]
    TooLarge(u64),
}

/// Reads a file, again if it changes meanwhile. Links are followed.
pub(super) fn read(path: &Path, buffer: &mut Vec<u8>) -> Result<Reading, NoReading> {
    for _ in 0..AGENT_READ_ATTEMPTS {
        if let Some(reading) = read_once(path, buffer)? {
            return Ok(reading);
        }
    }
    Err(NoReading::Restless)
}

/// `None` if it changed meanwhile.
fn read_once(path: &Path, buffer: &mut Vec<u8>) -> Result<Option<Reading>, NoReading> {
    let started = SystemTime::now();
    // If a pipe took the file's place, the agent must not wait for a writer.
    let (mut file, before) = file::open_regular(path).map_err(|error| match error {
        FileError::Io(error) => NoReading::Io(error),
        _ => NoReading::NoFile,
    })?;
    if before.len() > AGENT_FILE_BYTES {
        return Err(NoReading::TooLarge(before.len()));
    }
    let (sha256, bytes) = hash(&mut file, before.len(), buffer)?;
    let is_jar = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jar"));
    let bundle = if is_jar { jar::bundle(&file, bytes) } else { None };
    let identity = Identity::of(&before);
    let same_file = identity == Identity::of(&file.metadata()?);
    let same_place = identity == Identity::of(&path.metadata()?);
    let unchanged = same_file && same_place && bytes == before.len();
    Ok(unchanged.then(|| Reading { sha256, bytes, bundle, identity, age: identity.age(started) }))
}

/// Digest and number of the bytes; a file that grows past what it had is not followed.
fn hash(file: &mut File, expected: u64, buffer: &mut Vec<u8>) -> io::Result<(Digest, u64)> {
    buffer.resize(PIECE_BYTES, 0);
    let mut hasher = Hasher::new();
    let mut bytes = 0;
    while bytes <= expected {
        let count = match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..count).expect("no more is read than there is room for"));
        bytes += count as u64;
    }
    Ok((hasher.finish(), bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reading_holds_while_nothing_of_the_file_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.groovy");
        fs::write(&path, "one").unwrap();
        let mut reading = read(&path, &mut Vec::new()).unwrap();
        assert_eq!((reading.sha256, reading.bytes), (Digest::of(b"one"), 3));
        let metadata = fs::metadata(&path).unwrap();
        assert!(!reading.still_holds(&metadata), "it was written a moment ago");
        let later = SystemTime::now() + AGENT_FRESH + Duration::from_secs(1);
        reading.age = reading.identity.age(later);
        assert!(reading.still_holds(&metadata));
        // The same length, and the old time put back: the time of the change of state remains.
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
        assert!(!reading.still_holds(&fs::metadata(&path).unwrap()));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(read(&socket, &mut Vec::new()), Err(NoReading::NoFile)));
        assert!(matches!(read(folder.path(), &mut Vec::new()), Err(NoReading::NoFile)));
    }
}
