//! The log as openraft wants it: a copy in memory that is read, and the writer behind it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, AsyncRuntime, Entry, ErrorSubject, ErrorVerb, LogId, LogState, OptionalSend, RaftLogReader,
    StorageError, StorageIOError, Vote,
};
use prost::Message;

use super::cover::Cover;
use super::writer::{COMMITTED, Failed, Queue, VOTE, Write};
use crate::limits::APPEND_BYTES_MAX;
use crate::types::{RouterId, Types};
use crate::wire;

/// What the store holds, in memory.
pub(super) struct Kept<R: AsyncRuntime> {
    /// Entries by index, each with its bytes on the disk.
    pub(super) entries: BTreeMap<u64, (Entry<Types<R>>, usize)>,
    /// Bytes of all entries.
    pub(super) bytes: usize,
    pub(super) purged: Option<LogId<RouterId>>,
    pub(super) vote: Option<Vote<RouterId>>,
    pub(super) committed: Option<LogId<RouterId>>,
}

impl<R: AsyncRuntime> Kept<R> {
    pub(super) fn insert(&mut self, entry: Entry<Types<R>>, bytes: usize) {
        self.bytes += bytes;
        if let Some((_, before)) = self.entries.insert(entry.log_id.index, (entry, bytes)) {
            self.bytes -= before;
        }
    }

    /// Drops entries below the index, or from the index on.
    fn cut(&mut self, index: u64, keeps: Keeps) {
        let above = self.entries.split_off(&index);
        let gone = match keeps {
            Keeps::Below => above,
            Keeps::Above => std::mem::replace(&mut self.entries, above),
        };
        self.bytes -= gone.values().map(|(_, bytes)| bytes).sum::<usize>();
    }
}

enum Keeps {
    Below,
    Above,
}

/// The log of one router; clones are the same log.
pub(crate) struct LogStore<R: AsyncRuntime> {
    pub(super) kept: Arc<Mutex<Kept<R>>>,
    pub(super) queue: Queue<R>,
    pub(super) cover: Cover,
}

impl<R: AsyncRuntime> Clone for LogStore<R> {
    fn clone(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), queue: self.queue.clone(), cover: self.cover.clone() }
    }
}

impl<R: AsyncRuntime> LogStore<R> {
    fn kept(&self) -> MutexGuard<'_, Kept<R>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> usize {
        self.kept().bytes
    }

    /// Why the store writes no more, if a commit failed.
    pub(crate) fn write_failure(&self) -> Option<Failed> {
        self.queue.failure()
    }

    fn entries<B: RangeBounds<u64>>(&self, range: &B, bytes_max: usize) -> Vec<Entry<Types<R>>> {
        let (start, end) = (range.start_bound().cloned(), range.end_bound().cloned());
        // `BTreeMap::range` panics on a range that ends before it starts.
        let first = match start {
            Bound::Included(at) => at,
            Bound::Excluded(at) => at.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let is_empty = match end {
            Bound::Included(at) => at < first,
            Bound::Excluded(at) => at <= first,
            Bound::Unbounded => false,
        };
        if is_empty {
            return Vec::new();
        }
        let mut taken = 0_usize;
        let mut found = Vec::new();
        for (entry, bytes) in self.kept().entries.range((Bound::Included(first), end)).map(|(_, kept)| kept) {
            taken = taken.saturating_add(*bytes);
            if taken > bytes_max && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        found
    }
}

pub(super) fn failed(
    subject: ErrorSubject<RouterId>,
    verb: ErrorVerb,
    error: &(impl std::error::Error + 'static),
) -> StorageError<RouterId> {
    StorageIOError::new(subject, verb, AnyError::new(error)).into()
}

fn not_written(error: &Failed) -> StorageError<RouterId> {
    failed(ErrorSubject::Logs, ErrorVerb::Write, error)
}

impl<R: AsyncRuntime> RaftLogReader<Types<R>> for LogStore<R> {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> Result<Vec<Entry<Types<R>>>, StorageError<RouterId>> {
        Ok(self.entries(&range, usize::MAX))
    }

    /// As many entries as one request to a follower may hold.
    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<Types<R>>>, StorageError<RouterId>> {
        Ok(self.entries(&(start..end), APPEND_BYTES_MAX))
    }
}

impl<R: AsyncRuntime> RaftLogStorage<Types<R>> for LogStore<R> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types<R>>, StorageError<RouterId>> {
        let kept = self.kept();
        let last = kept.entries.last_key_value().map(|(_, (entry, _))| entry.log_id);
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id: last.or(kept.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<RouterId>) -> Result<(), StorageError<RouterId>> {
        let bytes = Bytes::from(wire::vote(vote).encode_to_vec());
        let put = self.queue.put(vec![(VOTE, bytes)]).await;
        put.map_err(|error| failed(ErrorSubject::Vote, ErrorVerb::Write, &error))?;
        self.kept().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<RouterId>>, StorageError<RouterId>> {
        Ok(self.kept().vote)
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId<RouterId>>,
    ) -> Result<(), StorageError<RouterId>> {
        self.kept().committed = committed;
        let Some(committed) = committed else { return Ok(()) };
        let bytes = wire::log_id(&committed).encode_to_vec();
        self.queue.send(Write::Note(COMMITTED, bytes)).await.map_err(|error| not_written(&error))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<RouterId>>, StorageError<RouterId>> {
        Ok(self.kept().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types<R>>,
    ) -> Result<(), StorageError<RouterId>>
    where
        I: IntoIterator<Item = Entry<Types<R>>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut written = Vec::new();
        {
            let mut kept = self.kept();
            for entry in entries {
                let bytes = wire::entry(&entry).encode_to_vec();
                let length = bytes.len();
                written.push((entry.log_id.index, bytes));
                kept.insert(entry, length);
            }
        }
        self.queue.send(Write::Append(written, callback)).await.map_err(|error| not_written(&error))
    }

    async fn truncate(&mut self, from: LogId<RouterId>) -> Result<(), StorageError<RouterId>> {
        self.kept().cut(from.index, Keeps::Below);
        self.queue.send(Write::Truncate(from.index)).await.map_err(|error| not_written(&error))
    }

    async fn purge(&mut self, upto: LogId<RouterId>) -> Result<(), StorageError<RouterId>> {
        if !self.cover.may_cut(upto.index).await {
            return Err(not_written(&Failed::ended()));
        }
        {
            let mut kept = self.kept();
            kept.cut(upto.index.saturating_add(1), Keeps::Above);
            kept.purged = Some(upto);
        }
        let last = wire::log_id(&upto).encode_to_vec();
        self.queue.send(Write::Purge(upto.index, last)).await.map_err(|error| not_written(&error))
    }
}
