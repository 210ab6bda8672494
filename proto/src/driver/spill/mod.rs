//! What waits for peers that do not read, counted for the whole process, and the files that take what memory must not keep
//! (P10, P13).
//!
//! A spill file has no name from the moment it exists, so nothing is left of it after any end of the process, and what is in
//! it is encrypted under a key that only this process has, in memory: rows hold people's attributes (P9). A file is cut into
//! segments; one that has been read to its end is closed, which gives its space back.

mod file;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::rand;
use tokio::sync::Semaphore;

pub(super) use file::{Chunk, Job, SpillFile, discard};

use super::limits;

/// What all sockets of an owner share: how much waits, where it may go.
#[derive(Debug)]
pub struct Spill {
    /// What waits in memory, bytes; late by [`limits::COUNT_STEP_BYTES`] a socket at most.
    memory: AtomicUsize,
    /// What the files take, bytes.
    disk: AtomicU64,
    disk_max: u64,
    store: Option<Store>,
    /// Whether the last attempt to write failed.
    failing: AtomicBool,
}

#[derive(Debug)]
struct Store {
    directory: PathBuf,
    key: LessSafeKey,
    /// The next nonce; a nonce is never used for two chunks.
    nonce: AtomicU64,
    /// Files that are read or written at a time.
    turns: Arc<Semaphore>,
}

/// What waits for all peers, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// In memory.
    pub memory: usize,
    /// In files.
    pub disk: u64,
}

/// Why there is no spill directory.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// No file could be made in it.
    #[error("no file can be written in {directory}: {source}")]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl Spill {
    /// Only counts: what waits stays in memory.
    pub fn nowhere() -> Arc<Self> {
        Arc::new(Self::new(None, 0))
    }

    /// Spills into files in a directory, `disk_max` bytes in all, after a first file has been made there.
    ///
    /// # Errors
    /// [`SpillError`]
    pub fn into(directory: &Path, disk_max: u64) -> Result<Arc<Self>, SpillError> {
        file::nameless_file(directory)
            .map_err(|source| SpillError::Unusable { directory: directory.to_owned(), source })?;
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| SpillError::NoRandomness)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the key is as long as AES-256 wants it");
        let store = Store {
            directory: directory.to_owned(),
            key: LessSafeKey::new(key),
            nonce: AtomicU64::new(0),
            turns: Arc::new(Semaphore::new(limits::SPILL_TURNS)),
        };
        Ok(Arc::new(Self::new(Some(store), disk_max)))
    }

    fn new(store: Option<Store>, disk_max: u64) -> Self {
        Self {
            memory: AtomicUsize::new(0),
            disk: AtomicU64::new(0),
            disk_max,
            store,
            failing: AtomicBool::new(false),
        }
    }

    /// What waits now.
    pub fn waiting(&self) -> Waiting {
        Waiting { memory: self.memory.load(Ordering::Relaxed), disk: self.disk.load(Ordering::Relaxed) }
    }

    pub(super) fn is_possible(&self) -> bool {
        self.store.is_some()
    }

    /// Whether so much waits in memory that sockets keep only the least.
    pub(super) fn is_tight(&self) -> bool {
        self.memory.load(Ordering::Relaxed) > limits::SPILL_TIGHT_BYTES
    }

    /// Says so in the log when writing begins to fail, and when it works again.
    fn note_outcome(&self, outcome: Result<(), &io::Error>) {
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => tracing::warn!(
                %error,
                "answers for slow callers cannot be written to the spill directory: they stay in memory, and calls of slow callers \
                 fail sooner; free space there, or choose another directory with --spill-dir"
            ),
            Ok(()) if was_failing => tracing::info!("the spill directory can be written again"),
            _ => {}
        }
    }
}

/// A socket's share in [`Waiting::memory`], brought up to date in steps, so that frames that do not wait cost nothing.
#[derive(Debug)]
pub(super) struct Share {
    spill: Arc<Spill>,
    reported: usize,
}

impl Share {
    pub(super) fn new(spill: Arc<Spill>) -> Self {
        Self { spill, reported: 0 }
    }

    pub(super) fn report(&mut self, bytes: usize) {
        // What is left in the end is told exactly.
        let is_step = bytes.abs_diff(self.reported) >= limits::COUNT_STEP_BYTES;
        if bytes == self.reported || !is_step && bytes > 0 {
            return;
        }
        match bytes.checked_sub(self.reported) {
            Some(more) => self.spill.memory.fetch_add(more, Ordering::Relaxed),
            None => self.spill.memory.fetch_sub(self.reported - bytes, Ordering::Relaxed),
        };
        self.reported = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.spill.memory.fetch_sub(self.reported, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
