//! Watches the disk under the database: how long a sync takes, and whether one failed.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::{AsyncRuntime, Instant as _};
use redb::{BackendError, StorageBackend};

/// The latest syncs that count for [`Disk::sync_time`].
const SYNCS_KEPT: usize = 256;

/// What is known of the disk.
#[derive(Debug, Default)]
pub struct Disk {
    failed: AtomicBool,
    syncs: Mutex<VecDeque<Duration>>,
}

impl Disk {
    /// Whether a sync has ever failed. After that nobody knows what is on the disk: the system may have dropped what it could not write,
    /// and still show it to readers. So nothing that was read afterwards counts as stored.
    pub fn sync_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// How long a sync takes at the 99th percentile of the latest ones; none before the first.
    pub fn sync_time(&self) -> Option<Duration> {
        let mut times: Vec<Duration> = self.lock().iter().copied().collect();
        times.sort_unstable();
        times.get((times.len() * 99 / 100).min(times.len().saturating_sub(1))).copied()
    }

    fn synced(&self, took: Duration, worked: bool) {
        if !worked {
            self.failed.store(true, Ordering::Release);
        }
        let mut syncs = self.lock();
        if syncs.len() == SYNCS_KEPT {
            syncs.pop_front();
        }
        syncs.push_back(took);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Duration>> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A database's file, watched by the clock of the runtime: in a simulation nothing may depend on real time.
pub(super) struct Watched<R, B> {
    pub(super) inner: B,
    pub(super) disk: Arc<Disk>,
    pub(super) clock: PhantomData<fn() -> R>,
}

impl<R, B: StorageBackend> std::fmt::Debug for Watched<R, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watched").field(&self.inner).finish()
    }
}

impl<R: AsyncRuntime, B: StorageBackend> StorageBackend for Watched<R, B> {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        let began = R::Instant::now();
        let outcome = self.inner.sync_data();
        self.disk.synced(began.elapsed(), outcome.is_ok());
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
