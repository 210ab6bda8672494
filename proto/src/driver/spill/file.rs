//! One socket's spill file: chunks of frames are appended, and read once, in any order.

use std::fs::{File, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use bytes::{Buf, Bytes};
use tokio::task::{JoinError, spawn_blocking};

use super::{Spill, Store};
use crate::driver::limits;

/// Work that a thread for blocking work does meanwhile. Dropped, it is done all the same, and its outcome thrown away.
pub(in crate::driver) type Job<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// A socket's spill file; there is none until the first chunk.
#[derive(Debug)]
pub(in crate::driver) struct SpillFile {
    spill: Arc<Spill>,
    /// The segment that is written to.
    current: Option<Arc<Segment>>,
}

/// Frames on disk.
#[derive(Debug)]
pub(in crate::driver) struct Chunk {
    segment: Arc<Segment>,
    at: u64,
    /// On disk, the tag included.
    bytes: usize,
    nonce: u64,
}

/// A part of a spill file, itself a file without a name. Gone, with its space, once all its chunks are.
#[derive(Debug)]
struct Segment {
    file: File,
    /// Bytes that were given to chunks.
    taken: AtomicU64,
    spill: Arc<Spill>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.spill.disk.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl SpillFile {
    pub(in crate::driver) fn new(spill: Arc<Spill>) -> Self {
        Self { spill, current: None }
    }

    /// Writes frames as one chunk; the outcome is to be told to [`SpillFile::stored`].
    pub(in crate::driver) fn store(&self, frames: Vec<Bytes>) -> Job<Chunk> {
        let spill = Arc::clone(&self.spill);
        let current = self.current.clone();
        in_turn(Arc::clone(&self.spill), move || {
            let outcome = match &spill.store {
                Some(store) => write(&spill, store, current, &frames),
                None => Err(io::ErrorKind::Unsupported.into()),
            };
            spill.note_outcome(outcome.as_ref().map(|_| ()));
            outcome
        })
    }

    /// The next chunk goes behind this one, unless its segment is full.
    pub(in crate::driver) fn stored(&mut self, chunk: &Chunk) {
        let has_room = chunk.segment.taken.load(Ordering::Relaxed) < limits::SPILL_SEGMENT_BYTES;
        self.current = has_room.then(|| Arc::clone(&chunk.segment));
    }

    /// The file holds nothing that is needed: its space goes back.
    pub(in crate::driver) fn let_go(&mut self) {
        if let Some(current) = self.current.take() {
            spawn_blocking(move || drop(current));
        }
    }
}

impl Chunk {
    /// Reads the frames back; the chunk is gone then.
    pub(in crate::driver) fn load(self) -> Job<Vec<Bytes>> {
        in_turn(Arc::clone(&self.segment.spill), move || {
            let store = self.segment.spill.store.as_ref().expect("a chunk was written to a store");
            let mut bytes = vec![0; self.bytes];
            self.segment.file.read_exact_at(&mut bytes, self.at)?;
            let plain = store.key.open_in_place(nonce(self.nonce), Aad::empty(), &mut bytes);
            let length = plain.map_err(|_| io::ErrorKind::InvalidData)?.len();
            bytes.truncate(length);
            unpack(bytes.into())
        })
    }
}

#[cfg(test)]
impl Chunk {
    /// What is on disk.
    pub(in crate::driver) fn raw(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes];
        self.segment.file.read_exact_at(&mut bytes, self.at).unwrap();
        bytes
    }

    /// Changes one byte on disk.
    pub(in crate::driver) fn spoil(&self) {
        let first = self.raw()[0];
        self.segment.file.write_all_at(&[!first], self.at).unwrap();
    }
}

/// Throws chunks away where it may take a while.
pub(in crate::driver) fn discard(chunks: Vec<Chunk>) {
    if !chunks.is_empty() {
        spawn_blocking(move || drop(chunks));
    }
}

fn in_turn<T: Send + 'static>(
    spill: Arc<Spill>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Job<T> {
    Box::pin(async move {
        let turns = spill.store.as_ref().map(|store| Arc::clone(&store.turns));
        // Nobody closes the semaphore; without a store the work fails at once.
        let turn = match turns {
            Some(turns) => turns.acquire_owned().await.ok(),
            None => None,
        };
        let done = spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        });
        done.await.unwrap_or_else(|error: JoinError| Err(io::Error::other(error)))
    })
}

/// A file without a name that only this process's user may open, also by way of `/proc`. The permissions are set right after the file was
/// opened, when the file is still empty.
pub(super) fn nameless_file(directory: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(directory)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn write(
    spill: &Arc<Spill>,
    store: &Store,
    current: Option<Arc<Segment>>,
    frames: &[Bytes],
) -> io::Result<Chunk> {
    let mut bytes = pack(frames);
    // A count has no double in the life of a process: no nonce is used twice under its key.
    let number = store.nonce.fetch_add(1, Ordering::Relaxed);
    store
        .key
        .seal_in_place_append_tag(nonce(number), Aad::empty(), &mut bytes)
        .map_err(|_| io::Error::other("a chunk is too long to encrypt"))?;
    let segment = match current {
        Some(segment) => segment,
        None => Arc::new(Segment {
            file: nameless_file(&store.directory)?,
            taken: AtomicU64::new(0),
            spill: Arc::clone(spill),
        }),
    };
    let length = bytes.len() as u64;
    if spill.disk.fetch_add(length, Ordering::Relaxed) + length > spill.disk_max {
        spill.disk.fetch_sub(length, Ordering::Relaxed);
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the bound of all spill files is reached"));
    }
    // Counted before it is written: what a failed write left behind takes space as well.
    let at = segment.taken.fetch_add(length, Ordering::Relaxed);
    segment.file.write_all_at(&bytes, at)?;
    Ok(Chunk { segment, at, bytes: bytes.len(), nonce: number })
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Each frame behind its length.
fn pack(frames: &[Bytes]) -> Vec<u8> {
    let length: usize = frames.iter().map(|frame| frame.len() + 4).sum();
    let mut bytes = Vec::with_capacity(length + aws_lc_rs::aead::MAX_TAG_LEN);
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("a message is far below 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(frame);
    }
    bytes
}

fn unpack(mut bytes: Bytes) -> io::Result<Vec<Bytes>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.try_get_u32().map_err(|_| io::ErrorKind::InvalidData)? as usize;
        if length > bytes.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        frames.push(bytes.split_to(length));
    }
    Ok(frames)
}
