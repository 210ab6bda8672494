//! What a router keeps of the cluster on its disk: the log, its votes, snapshots, and whose store this is. One redb database in the
//! data directory.

mod cover;
mod disk;
mod log;
mod rebuild;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use openraft::AsyncRuntime;
use prost::Message;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, StorageBackend};

use self::cover::{Coming, Cover};
pub use self::disk::Disk;
use self::disk::Watched;
use self::log::Kept;
pub(crate) use self::log::LogStore;
pub use self::rebuild::{Rebuilt, recover, restore};
pub(crate) use self::state::StateMachine;
use self::state::Stored;
use self::writer::{CLEAN, COMMITTED, IDENTITY, LOG, META, PURGED, Queue, SNAPSHOT, SNAPSHOT_META, VOTE};
pub use self::writer::{Failed, Pacing};
use crate::limits::STORE_CACHE_BYTES;
use crate::machine::{Machine, Unreadable};
use crate::messages as pb;
use crate::types::RouterId;
use crate::wire::{self, Missing};

/// The format of stores that this program writes. It reads this one alone so far.
const FORMAT: u32 = 1;
/// The database, in the data directory.
const DATABASE: &str = "cluster.redb";
/// Says whose database belongs into the directory, so that a lost database is not taken for one that never was.
const MARKER: &str = "cluster.id";

/// Whose store is opened.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The router's number.
    pub number: u32,
    /// The incarnation that a new store gets; drawn at random.
    pub incarnation: u32,
    /// The cluster, if the router's certificate names one.
    pub cluster: Option<String>,
}

/// A store that was opened.
pub struct Store<R: AsyncRuntime> {
    id: RouterId,
    cluster: Option<String>,
    log: LogStore<R>,
    disk: Arc<Disk>,
    snapshot: Option<Stored>,
    ended_in_order: bool,
    is_new: bool,
}

/// Why a store is not opened. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("{path} cannot be opened: {source}. Check the rights and the disk of --data-dir")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{0} is used by another process: each router needs a --data-dir of its own")]
    InUse(String),
    /// The content is not what a router wrote.
    #[error(
        "the cluster's log in {place} is damaged: {what}. Nothing of it is used. Move the file away, start the router with an empty \
         --data-dir, and add it again with `rcs-router cluster replace`: the other routers have all that was acknowledged"
    )]
    Damaged {
        /// The file or disk.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The database is gone, and the marker is still there.
    #[error(
        "{directory} was the data directory of router {was}, and the cluster's log in it is gone. A router that lost its log must not \
         vote. Empty the directory, and add the router again with `rcs-router cluster replace`"
    )]
    Wiped {
        /// The directory.
        directory: PathBuf,
        /// The router that it belonged to.
        was: String,
    },
    /// Another router's store.
    #[error(
        "the cluster's log in {place} belongs to router {theirs}, not to router {own}: give each router a --data-dir of its own"
    )]
    OtherRouter {
        /// The file or disk.
        place: String,
        /// The router's number.
        own: u32,
        /// Whose it is.
        theirs: RouterId,
    },
    /// Another cluster's store.
    #[error(
        "the cluster's log in {place} belongs to cluster {theirs}, not to {own}: two clusters are never merged. Give the router the \
         certificates of its cluster, or an empty --data-dir"
    )]
    OtherCluster {
        /// The file or disk.
        place: String,
        /// The cluster of the router's certificate.
        own: String,
        /// Whose it is.
        theirs: String,
    },
    /// A newer program wrote it.
    #[error(
        "the cluster's log in {place} has format {found}, and this program knows format {FORMAT}: upgrade this router"
    )]
    Newer {
        /// The file or disk.
        place: String,
        /// Its format.
        found: u32,
    },
    /// The snapshot's content is of a newer program.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A store stands where one is to be made.
    #[error("{0} holds a cluster's log already: give an empty --data-dir")]
    NotEmpty(PathBuf),
    /// There is no store.
    #[error("{0} holds no cluster's log: give the --data-dir of a router of the cluster")]
    Empty(PathBuf),
    /// The new store cannot be written.
    #[error("the cluster's log cannot be written: {0}")]
    NotWritten(Failed),
}

impl<R: AsyncRuntime> Store<R> {
    /// Opens the store in a directory, or makes one there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open(directory: &Path, owner: &Owner, pacing: Pacing) -> Result<Self, StoreError> {
        let (path, marker) = (directory.join(DATABASE), directory.join(MARKER));
        let file = |source| StoreError::File { path: path.clone(), source };
        let is_there = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
        if !is_there && let Ok(was) = std::fs::read_to_string(&marker) {
            return Err(StoreError::Wiped { directory: directory.to_owned(), was: was.trim().to_owned() });
        }
        let opened = private().read(true).write(true).create(true).truncate(false).open(&path);
        let backend = FileBackend::new(opened.map_err(file)?).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
            error => StoreError::File { path: path.clone(), source: io::Error::other(error) },
        })?;
        let store = Self::on(backend, &path.display().to_string(), owner, pacing)?;
        mark(directory, &marker, store.id).map_err(file)?;
        Ok(store)
    }

    /// Opens the store on a disk, or makes one there if the disk is empty. `place` is what errors call the disk.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn on(
        backend: impl StorageBackend,
        place: &str,
        owner: &Owner,
        pacing: Pacing,
    ) -> Result<Self, StoreError> {
        let disk = Arc::new(Disk::default());
        let watched = Watched::<R, _> { inner: backend, disk: Arc::clone(&disk), clock: PhantomData };
        let damaged = |what: String| StoreError::Damaged { place: place.to_owned(), what };
        let open = || {
            Database::builder()
                .set_cache_size(STORE_CACHE_BYTES)
                .set_check_integrity_on_open(true)
                .create_with_backend(watched)
        };
        // A file that was changed behind redb's back can make it panic.
        let opened = catch_unwind(AssertUnwindSafe(open))
            .map_err(|_| damaged("the file makes no sense".to_owned()))?;
        let database = opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(place.to_owned()),
            error => damaged(error.to_string()),
        })?;
        let database = Arc::new(database);
        let read = |name| writer::read(&database, name).map_err(|error| damaged(error.to_string()));
        let (identity, is_new) = match read(IDENTITY)? {
            Some(bytes) => (identity(&bytes, place, owner)?, false),
            None if holds_something(&database).map_err(|error| damaged(error.to_string()))? => {
                return Err(damaged("it does not say whose it is".to_owned()));
            }
            None => {
                let made = make(&database, owner).map_err(|error| damaged(error.to_string()))?;
                (made, true)
            }
        };
        let broken = |missing: Missing| damaged(missing.to_string());
        let decode_log_id = |bytes: Option<Vec<u8>>| {
            let decoded = bytes.map(|bytes| pb::LogId::decode(bytes.as_slice())).transpose();
            let decoded = decoded.map_err(|error| damaged(error.to_string()))?;
            wire::read_log_id_if_any(decoded.as_ref()).map_err(broken)
        };
        let vote = match read(VOTE)? {
            None => None,
            Some(bytes) => {
                let vote = pb::Vote::decode(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
                Some(wire::read_vote(Some(&vote)).map_err(broken)?)
            }
        };
        let mut kept = Kept {
            entries: BTreeMap::new(),
            bytes: 0,
            purged: decode_log_id(read(PURGED)?)?,
            vote,
            committed: decode_log_id(read(COMMITTED)?)?,
        };
        fill(&database, &mut kept, &damaged)?;
        let snapshot = match (read(SNAPSHOT_META)?, read(SNAPSHOT)?) {
            (Some(meta), Some(content)) => {
                let meta =
                    pb::SnapshotMeta::decode(meta.as_slice()).map_err(|error| damaged(error.to_string()))?;
                Some((wire::read_snapshot_meta(Some(&meta)).map_err(broken)?, content.into()))
            }
            _ => None,
        };
        let ended_in_order = is_new || read(CLEAN)?.is_some();
        begun(&database, &identity).map_err(|error| damaged(error.to_string()))?;
        let queue = Queue::start(database, pacing)
            .map_err(|source| StoreError::File { path: place.into(), source })?;
        Ok(Self {
            id: identity.0,
            cluster: identity.1,
            log: LogStore { kept: Arc::new(Mutex::new(kept)), queue, cover: Cover::default() },
            disk,
            snapshot,
            ended_in_order,
            is_new,
        })
    }

    /// The router whose store this is.
    pub fn id(&self) -> RouterId {
        self.id
    }

    /// The cluster whose log this is; none while the router belongs to no cluster.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Whether the store was made just now.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the router that wrote the store last ended in order. After a crash nothing is lost either.
    pub fn ended_in_order(&self) -> bool {
        self.ended_in_order
    }

    /// What is known of the disk.
    pub fn disk(&self) -> Arc<Disk> {
        Arc::clone(&self.disk)
    }

    /// The log, and the machine in the state of the stored snapshot.
    pub(crate) fn split<M: Machine>(
        self,
        machine: M,
    ) -> Result<(LogStore<R>, StateMachine<R, M>), Unreadable> {
        let machine =
            StateMachine::new(machine, self.snapshot, self.log.queue.clone(), self.log.cover.clone())?;
        Ok((self.log, machine))
    }
}

impl<R: AsyncRuntime> LogStore<R> {
    /// Writes the notes that wait.
    pub(crate) async fn flush(&self) -> Result<(), Failed> {
        self.queue.put(Vec::new()).await
    }

    /// A snapshot of another router up to this index is about to be given to openraft.
    pub(crate) fn coming(&self, upto: u64) -> Coming {
        self.cover.coming(upto)
    }

    /// Writes what waits, and marks the store as closed in order.
    pub(crate) async fn close(&self) -> Result<(), Failed> {
        self.queue.close().await
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    // The document's keys are in the log.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Leaves the marker in the directory, on the disk.
fn mark(directory: &Path, marker: &Path, id: RouterId) -> io::Result<()> {
    if marker.try_exists()? {
        return Ok(());
    }
    let mut file = private().write(true).create_new(true).open(marker)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

/// Whose store this is, if it is the owner's.
fn identity(bytes: &[u8], place: &str, owner: &Owner) -> Result<(RouterId, Option<String>), StoreError> {
    let place = place.to_owned();
    let damaged = |what: String| StoreError::Damaged { place: place.clone(), what };
    let read = pb::StoreIdentity::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    if read.format > FORMAT {
        return Err(StoreError::Newer { place, found: read.format });
    }
    let id: RouterId = read.router.ok_or_else(|| damaged("it does not say whose it is".to_owned()))?.into();
    if id.number != owner.number {
        return Err(StoreError::OtherRouter { place, own: owner.number, theirs: id });
    }
    let cluster = Some(read.cluster).filter(|cluster| !cluster.is_empty());
    match (&owner.cluster, cluster) {
        (Some(own), Some(theirs)) if *own != theirs => {
            Err(StoreError::OtherCluster { place, own: own.clone(), theirs })
        }
        // A router that stood alone gets a cluster with its first certificate.
        (own, cluster) => Ok((id, cluster.or_else(|| own.clone()))),
    }
}

fn written(id: RouterId, cluster: Option<&str>) -> Vec<u8> {
    let cluster = cluster.unwrap_or_default().to_owned();
    pb::StoreIdentity { format: FORMAT, router: Some(id.into()), cluster }.encode_to_vec()
}

fn make(database: &Database, owner: &Owner) -> Result<(RouterId, Option<String>), redb::Error> {
    let id = RouterId { number: owner.number, incarnation: owner.incarnation };
    let cluster = owner.cluster.clone().filter(|cluster| !cluster.is_empty());
    let transaction = database.begin_write()?;
    {
        transaction.open_table(LOG)?;
        transaction.open_table(META)?.insert(IDENTITY, written(id, cluster.as_deref()).as_slice())?;
    }
    transaction.commit()?;
    Ok((id, cluster))
}

/// From here on until its end, the router has not ended in order.
fn begun(database: &Database, (id, cluster): &(RouterId, Option<String>)) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.remove(CLEAN)?;
        meta.insert(IDENTITY, written(*id, cluster.as_deref()).as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

fn holds_something(database: &Database) -> Result<bool, redb::Error> {
    Ok(database.begin_read()?.list_tables()?.next().is_some())
}

/// Reads the log. A hole in it cannot come from a crash.
fn fill<R: AsyncRuntime>(
    database: &Database,
    kept: &mut Kept<R>,
    damaged: &impl Fn(String) -> StoreError,
) -> Result<(), StoreError> {
    let unread = |error: redb::Error| damaged(error.to_string());
    let transaction = database.begin_read().map_err(|error| unread(error.into()))?;
    let log = transaction.open_table(LOG).map_err(|error| unread(error.into()))?;
    let mut expected = kept.purged.map(|last| last.index.saturating_add(1));
    for row in redb::ReadableTable::iter(&log).map_err(|error| unread(error.into()))? {
        let (index, value) = row.map_err(|error| unread(error.into()))?;
        let (index, bytes) = (index.value(), value.value());
        if expected.is_some_and(|expected| expected != index) {
            return Err(damaged(format!("entry {} is missing", expected.unwrap_or_default())));
        }
        expected = Some(index.saturating_add(1));
        let message = pb::Entry::decode(bytes).map_err(|error| damaged(format!("entry {index}: {error}")))?;
        let entry = wire::read_entry(message).map_err(|error| damaged(format!("entry {index}: {error}")))?;
        if entry.log_id.index != index {
            return Err(damaged(format!("entry {index} says that it is entry {}", entry.log_id.index)));
        }
        kept.insert(entry, bytes.len());
    }
    Ok(())
}
