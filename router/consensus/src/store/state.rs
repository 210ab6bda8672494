//! The machine as openraft wants it: entries are applied to it, and snapshots of it are stored.

// openraft's errors are large, and its traits want them as they are.
#![allow(clippy::result_large_err)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::entry::EntryPayload;
use openraft::storage::RaftStateMachine;
use openraft::{
    AsyncRuntime, Entry, ErrorSubject, ErrorVerb, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot,
    SnapshotMeta, StorageError, StoredMembership,
};
use prost::Message;

use super::cover::Cover;
use super::log::failed;
use super::writer::{Queue, SNAPSHOT, SNAPSHOT_META};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::machine::{Machine, Unreadable};
use crate::types::{Address, Commands, Outcomes, RouterId, Types};
use crate::wire;

/// The snapshot that is stored.
pub(super) type Stored = (SnapshotMeta<RouterId, Address>, Bytes);

struct Inner<M> {
    machine: M,
    applied: Option<LogId<RouterId>>,
    membership: StoredMembership<RouterId, Address>,
    snapshot: Option<Stored>,
}

/// The machine of one router; clones are the same machine.
pub(crate) struct StateMachine<R: AsyncRuntime, M> {
    inner: Arc<Mutex<Inner<M>>>,
    queue: Queue<R>,
    cover: Cover,
    /// Held while a snapshot is stored, so that an older snapshot never replaces a newer one.
    storing: Arc<tokio::sync::Mutex<()>>,
}

impl<R: AsyncRuntime, M> Clone for StateMachine<R, M> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            queue: self.queue.clone(),
            cover: self.cover.clone(),
            storing: Arc::clone(&self.storing),
        }
    }
}

impl<R: AsyncRuntime, M: Machine> StateMachine<R, M> {
    /// A machine in the state of the stored snapshot.
    pub(super) fn new(
        mut machine: M,
        snapshot: Option<Stored>,
        queue: Queue<R>,
        cover: Cover,
    ) -> Result<Self, Unreadable> {
        let (mut applied, mut membership) = (None, StoredMembership::default());
        if let Some((meta, content)) = &snapshot {
            machine.restore(content)?;
            applied = meta.last_log_id;
            membership = meta.last_membership.clone();
            cover.stored(meta.last_log_id.map_or(0, |at| at.index));
        }
        let inner = Inner { machine, applied, membership, snapshot };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), queue, cover, storing: Arc::default() })
    }

    /// A panic while the machine was changed leaves a machine that must not go on.
    fn inner(&self) -> Result<MutexGuard<'_, Inner<M>>, StorageError<RouterId>> {
        let broken = Unreadable("the replicated state is broken by a fault of this program".to_owned());
        self.inner.lock().map_err(|_| failed(ErrorSubject::StateMachine, ErrorVerb::Write, &broken))
    }

    /// Whether the machine panicked. openraft does not see that: the machine has a task of its own, and its end goes unnoticed.
    pub(crate) fn is_broken(&self) -> bool {
        self.inner.is_poisoned()
    }

    /// Looks at the machine.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&M) -> T) -> T {
        at(&self.inner.lock().unwrap_or_else(PoisonError::into_inner).machine)
    }
}

impl<R: AsyncRuntime, M: Machine> RaftSnapshotBuilder<Types<R>> for StateMachine<R, M> {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types<R>>, StorageError<RouterId>> {
        let (meta, content) = {
            let inner = self.inner()?;
            let at = inner.applied.map_or_else(|| "empty".to_owned(), |at| at.to_string());
            let meta = SnapshotMeta {
                last_log_id: inner.applied,
                last_membership: inner.membership.clone(),
                snapshot_id: at,
            };
            (meta, Bytes::from(inner.machine.snapshot()))
        };
        self.store(&meta, &content).await?;
        Ok(Snapshot { meta, snapshot: Box::new(content) })
    }
}

impl<R: AsyncRuntime, M: Machine> StateMachine<R, M> {
    async fn store(
        &self,
        meta: &SnapshotMeta<RouterId, Address>,
        content: &Bytes,
    ) -> Result<(), StorageError<RouterId>> {
        let _alone = self.storing.lock().await;
        let is_older =
            self.inner()?.snapshot.as_ref().is_some_and(|(kept, _)| kept.last_log_id > meta.last_log_id);
        if is_older {
            return Ok(());
        }
        let head = Bytes::from(wire::snapshot_meta(meta).encode_to_vec());
        let put = self.queue.put(vec![(SNAPSHOT_META, head), (SNAPSHOT, content.clone())]).await;
        put.map_err(|error| {
            failed(ErrorSubject::Snapshot(Some(meta.signature())), ErrorVerb::Write, &error)
        })?;
        self.inner()?.snapshot = Some((meta.clone(), content.clone()));
        self.cover.stored(meta.last_log_id.map_or(0, |at| at.index));
        Ok(())
    }
}

impl<R: AsyncRuntime, M: Machine> RaftStateMachine<Types<R>> for StateMachine<R, M> {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<RouterId>>, StoredMembership<RouterId, Address>), StorageError<RouterId>> {
        let inner = self.inner()?;
        Ok((inner.applied, inner.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcomes>, StorageError<RouterId>>
    where
        I: IntoIterator<Item = Entry<Types<R>>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut inner = self.inner()?;
        let mut all = Vec::new();
        for entry in entries {
            let mut outcomes = Vec::new();
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(Commands(commands)) => {
                    for command in commands {
                        let outcome = inner.machine.apply(entry.log_id.index, &command);
                        outcomes.push(outcome.map_err(|error| {
                            failed(ErrorSubject::Apply(entry.log_id), ErrorVerb::Read, &error)
                        })?);
                    }
                }
                EntryPayload::Membership(membership) => {
                    inner.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            inner.applied = Some(entry.log_id);
            all.push(Outcomes(outcomes));
        }
        Ok(all)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Bytes>, StorageError<RouterId>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<RouterId, Address>,
        content: Box<Bytes>,
    ) -> Result<(), StorageError<RouterId>> {
        // Also if the machine panics.
        let failure = self.cover.fails_when_dropped();
        let subject = || ErrorSubject::Snapshot(Some(meta.signature()));
        if content.len() > SNAPSHOT_BYTES_MAX {
            let error =
                Unreadable(format!("a snapshot of {} bytes: at most {SNAPSHOT_BYTES_MAX}", content.len()));
            return Err(failed(subject(), ErrorVerb::Write, &error));
        }
        {
            let mut inner = self.inner()?;
            let restored = inner.machine.restore(&content);
            restored.map_err(|error| failed(subject(), ErrorVerb::Read, &error))?;
            inner.applied = meta.last_log_id;
            inner.membership = meta.last_membership.clone();
        }
        self.store(meta, &content).await?;
        failure.did_not_happen();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types<R>>>, StorageError<RouterId>> {
        let inner = self.inner()?;
        Ok(inner.snapshot.clone().map(|(meta, content)| Snapshot { meta, snapshot: Box::new(content) }))
    }
}
