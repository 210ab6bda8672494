//! The one writer of a store. Votes, entries, truncations, purges and snapshots wait in one queue, because their order matters; all
//! that waits becomes one transaction, with one sync of the disk. What is acknowledged is on the disk.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use openraft::storage::LogFlushed;
use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::types::Types;

/// Entries by their index, as messages of `proto/cluster/raft.proto`.
pub(super) const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
/// Everything else, by these names.
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const IDENTITY: &str = "identity";
pub(super) const VOTE: &str = "vote";
pub(super) const COMMITTED: &str = "committed";
pub(super) const PURGED: &str = "purged";
pub(super) const SNAPSHOT_META: &str = "snapshot meta";
pub(super) const SNAPSHOT: &str = "snapshot";
/// Present if the router ended in order.
pub(super) const CLEAN: &str = "clean";

/// What is written.
pub(super) enum Write<R: AsyncRuntime> {
    /// Entries, and who waits for them.
    Append(Vec<(u64, Vec<u8>)>, LogFlushed<Types<R>>),
    /// Deletes all entries from this index on.
    Truncate(u64),
    /// Deletes all entries up to this index; the message says which entry was the last.
    Purge(u64, Vec<u8>),
    /// Puts values in place. Nobody may rely on them before they are on the disk.
    Put(Vec<(&'static str, Bytes)>, Done),
    /// A value that is worth no sync of its own: written with what comes next.
    Note(&'static str, Vec<u8>),
    /// The last write of a router that ends in order.
    Close(Done),
}

/// Why a store writes no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub(super) Arc<str>);

impl Failed {
    pub(super) fn ended() -> Self {
        Self("the store of the cluster's log is closed".into())
    }
}

/// Where and when the writer runs.
#[derive(Clone)]
pub enum Pacing {
    /// On a thread of its own, as commits wait for the disk.
    Thread,
    /// In a task of the runtime, for simulations: commits take virtual time, which the function draws: time before the commit,
    /// and time between the commit and its acknowledgement.
    Task(Arc<dyn Fn() -> (Duration, Duration) + Send + Sync>),
}

/// The queue to a store's writer.
pub(super) struct Queue<R: AsyncRuntime> {
    writes: mpsc::Sender<Write<R>>,
    failed: Arc<OnceLock<Failed>>,
}

impl<R: AsyncRuntime> Clone for Queue<R> {
    fn clone(&self) -> Self {
        Self { writes: self.writes.clone(), failed: Arc::clone(&self.failed) }
    }
}

impl<R: AsyncRuntime> Queue<R> {
    /// Starts the writer of a database.
    pub(super) fn start(database: Arc<Database>, pacing: Pacing) -> std::io::Result<Self> {
        let (writes, waiting) = mpsc::channel(crate::limits::WRITES_WAITING_MAX);
        let failed = Arc::new(OnceLock::new());
        let writer = Writer { database, waiting, failed: Arc::clone(&failed), notes: Vec::new() };
        match pacing {
            Pacing::Thread => {
                std::thread::Builder::new().name("log writer".to_owned()).spawn(move || writer.run())?;
            }
            Pacing::Task(draw) => drop(R::spawn(writer.run_in_task(draw))),
        }
        Ok(Self { writes, failed })
    }

    /// Hands over a write.
    pub(super) async fn send(&self, write: Write<R>) -> Result<(), Failed> {
        if let Some(failed) = self.failed.get() {
            return Err(failed.clone());
        }
        self.writes.send(write).await.map_err(|_| self.why())
    }

    /// Puts values in place; returns when they are on the disk.
    pub(super) async fn put(&self, values: Vec<(&'static str, Bytes)>) -> Result<(), Failed> {
        let (done, is_done) = oneshot::channel();
        self.send(Write::Put(values, done)).await?;
        is_done.await.unwrap_or_else(|_| Err(self.why()))
    }

    /// Writes what waits, and marks the store as closed in order.
    pub(super) async fn close(&self) -> Result<(), Failed> {
        let (done, is_done) = oneshot::channel();
        self.send(Write::Close(done)).await?;
        is_done.await.unwrap_or_else(|_| Err(self.why()))
    }

    /// Why the writer has ended, if a commit failed.
    pub(super) fn failure(&self) -> Option<Failed> {
        self.failed.get().cloned()
    }

    fn why(&self) -> Failed {
        self.failed.get().cloned().unwrap_or_else(Failed::ended)
    }
}

struct Writer<R: AsyncRuntime> {
    database: Arc<Database>,
    waiting: mpsc::Receiver<Write<R>>,
    failed: Arc<OnceLock<Failed>>,
    /// Values that wait for a transaction.
    notes: Vec<(&'static str, Vec<u8>)>,
}

/// What the writer does after a batch.
enum Next {
    GoOn,
    /// The writer ends: first the database is closed, so that it can be opened again, then these are told.
    End(Vec<Done>, Result<(), Failed>),
}

type Done = oneshot::Sender<Result<(), Failed>>;

impl<R: AsyncRuntime> Writer<R> {
    fn run(mut self) {
        while let Some(first) = self.waiting.blocking_recv() {
            let batch = self.batch(first);
            let outcome = self.commit(&batch);
            if let Next::End(waiting, outcome) = self.acknowledge(batch, outcome) {
                return self.end(waiting, &outcome);
            }
        }
    }

    async fn run_in_task(mut self, draw: Arc<dyn Fn() -> (Duration, Duration) + Send + Sync>) {
        while let Some(first) = self.waiting.recv().await {
            // What comes while the disk syncs waits for the next transaction, as on a thread.
            let batch = self.batch(first);
            let (before, after) = if is_notes(&batch) { Default::default() } else { draw() };
            R::sleep(before).await;
            let outcome = self.commit(&batch);
            R::sleep(after).await;
            if let Next::End(waiting, outcome) = self.acknowledge(batch, outcome) {
                return self.end(waiting, &outcome);
            }
        }
    }

    /// This write, and all that wait behind it.
    fn batch(&mut self, first: Write<R>) -> Vec<Write<R>> {
        let mut batch = vec![first];
        while let Ok(next) = self.waiting.try_recv() {
            batch.push(next);
        }
        batch
    }

    fn commit(&mut self, batch: &[Write<R>]) -> Result<(), Failed> {
        for write in batch {
            if let Write::Note(name, value) = write {
                self.notes.retain(|(noted, _)| noted != name);
                self.notes.push((name, value.clone()));
            }
        }
        if is_notes(batch) {
            return Ok(());
        }
        let failed =
            |error: redb::Error| Failed(format!("the cluster's log cannot be written: {error}").into());
        self.write(batch).map_err(failed)?;
        self.notes.clear();
        Ok(())
    }

    fn write(&self, batch: &[Write<R>]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        self.fill(&transaction, batch)?;
        transaction.commit()?;
        Ok(())
    }

    fn fill(&self, transaction: &WriteTransaction, batch: &[Write<R>]) -> Result<(), redb::Error> {
        let mut log = transaction.open_table(LOG)?;
        let mut meta = transaction.open_table(META)?;
        for (name, value) in &self.notes {
            meta.insert(*name, value.as_slice())?;
        }
        for write in batch {
            match write {
                Write::Append(entries, _) => {
                    for (index, entry) in entries {
                        log.insert(*index, entry.as_slice())?;
                    }
                }
                Write::Truncate(from) => log.retain_in(*from.., |_, _| false)?,
                Write::Purge(upto, last) => {
                    // With the deletion in one transaction: a store without its beginning must say where the beginning is.
                    log.retain_in(..=*upto, |_, _| false)?;
                    meta.insert(PURGED, last.as_slice())?;
                }
                Write::Put(values, _) => {
                    for (name, value) in values {
                        meta.insert(*name, value.as_ref())?;
                    }
                }
                Write::Note(..) => {}
                Write::Close(_) => {
                    meta.insert(CLEAN, [].as_slice())?;
                }
            }
        }
        Ok(())
    }

    /// Tells each who waits. After a failure the writer ends for good: nobody knows what is on the disk then.
    fn acknowledge(&self, batch: Vec<Write<R>>, outcome: Result<(), Failed>) -> Next {
        if let Err(failed) = &outcome {
            let _ = self.failed.set(failed.clone());
        }
        let (mut closing, mut ends) = (Vec::new(), outcome.is_err());
        for write in batch {
            match write {
                Write::Append(_, flushed) => {
                    flushed.log_io_completed(outcome.clone().map_err(std::io::Error::other));
                }
                Write::Put(_, done) => drop(done.send(outcome.clone())),
                Write::Close(done) => {
                    ends = true;
                    closing.push(done);
                }
                Write::Truncate(_) | Write::Purge(..) | Write::Note(..) => {}
            }
        }
        if ends { Next::End(closing, outcome) } else { Next::GoOn }
    }

    fn end(self, waiting: Vec<Done>, outcome: &Result<(), Failed>) {
        drop(self);
        for done in waiting {
            drop(done.send(outcome.clone()));
        }
    }
}

/// Whether the batch is worth no transaction of its own.
fn is_notes<R: AsyncRuntime>(batch: &[Write<R>]) -> bool {
    batch.iter().all(|write| matches!(write, Write::Note(..)))
}

/// Reads one value.
pub(super) fn read(database: &Database, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(meta.get(name)?.map(|value| value.value().to_vec()))
}
