//! Makes the store of a cluster of one router: from a backup, or from what one router has after the majority of its cluster was lost.
//! The router that starts with it can be joined by others. Nothing of the old cluster may run any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{
    CommittedLeaderId, LogId, Membership, RaftLogReader, SnapshotMeta, StorageError, StoredMembership,
    TokioRuntime, Vote,
};
use prost::Message;
use redb::Database;

use super::writer::{META, PURGED, SNAPSHOT, SNAPSHOT_META, VOTE};
use super::{DATABASE, Failed, MARKER, Owner, Pacing, Store, StoreError, make, mark};
use crate::machine::{Machine, Unreadable};
use crate::types::{Address, RouterId};
use crate::wire;

/// What the old store is called after a recovery.
const BEFORE: &str = "cluster.redb.before-recovery";
/// The new store until it is whole.
const NEW: &str = "cluster.redb.new";

/// A store that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The router whose store it is.
    pub id: RouterId,
    /// The entry of the old log that the state is of; 0 for a backup.
    pub index: u64,
    /// Entries of the old log of which the router did not know whether they were decided; they are in the state.
    pub undecided: u64,
}

/// Makes a store in an empty directory out of a backup: the machine's snapshot, as a router gave it.
///
/// # Errors
/// [`StoreError`]
pub fn restore<M: Machine>(
    directory: &Path,
    owner: &Owner,
    address: &str,
    mut machine: M,
    backup: &[u8],
) -> Result<Rebuilt, StoreError> {
    if directory.join(DATABASE).exists() || directory.join(MARKER).exists() {
        return Err(StoreError::NotEmpty(directory.to_owned()));
    }
    machine.restore(backup)?;
    let id = write(directory, owner, address, None, &Bytes::from(machine.snapshot()))?;
    Ok(Rebuilt { id, index: 0, undecided: 0 })
}

/// Makes a cluster of one out of a router's store. Everything in its log becomes decided. What only routers have that are lost is lost.
/// The old store stays in the directory under another name.
///
/// # Errors
/// [`StoreError`]; the old store is as it was.
pub async fn recover<M: Machine>(
    directory: &Path,
    owner: &Owner,
    address: &str,
    machine: M,
) -> Result<Rebuilt, StoreError> {
    if !directory.join(DATABASE).exists() {
        return Err(StoreError::Empty(directory.to_owned()));
    }
    let store = Store::<TokioRuntime>::open(directory, owner, Pacing::Thread)?;
    let owner = Owner { cluster: owner.cluster.clone().or(store.cluster.clone()), ..owner.clone() };
    let (mut log, mut machine) = store.split(machine)?;
    let unread = |error: StorageError<RouterId>| Unreadable(error.to_string());
    let (applied, _) = machine.applied_state().await.map_err(unread)?;
    let first = applied.map_or(0, |at| at.index.saturating_add(1));
    let entries = log.try_get_log_entries(first..).await.map_err(unread)?;
    let committed = openraft::storage::RaftLogStorage::read_committed(&mut log).await.map_err(unread)?;
    let decided = committed.max(applied).map_or(0, |at| at.index);
    let last = entries.last().map(|entry| entry.log_id).or(applied);
    machine.apply(entries).await.map_err(unread)?;
    let content = Bytes::from(machine.look(Machine::snapshot));
    log.close().await.map_err(StoreError::NotWritten)?;
    let id = write(directory, &owner, address, last, &content)?;
    let index = last.map_or(0, |at| at.index);
    Ok(Rebuilt { id, index, undecided: index.saturating_sub(decided) })
}

/// Writes the store beside the old one, then puts it in its place.
fn write(
    directory: &Path,
    owner: &Owner,
    address: &str,
    last: Option<LogId<RouterId>>,
    content: &Bytes,
) -> Result<RouterId, StoreError> {
    let (path, new) = (directory.join(DATABASE), directory.join(NEW));
    let file = |source| StoreError::File { path: path.clone(), source };
    let _ = std::fs::remove_file(&new);
    let failed = |error: redb::Error| StoreError::NotWritten(Failed(error.to_string().into()));
    let database = Database::create(&new).map_err(|error| failed(error.into()))?;
    let (id, _) = make(&database, owner).map_err(failed)?;
    fill(&database, id, address, last, content).map_err(failed)?;
    drop(database);
    #[cfg(unix)]
    std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(file)?;
    if path.exists() {
        std::fs::rename(&path, directory.join(BEFORE)).map_err(file)?;
    }
    std::fs::rename(&new, &path).map_err(file)?;
    let marker = directory.join(MARKER);
    let _ = std::fs::remove_file(&marker);
    mark(directory, &marker, id).map_err(file)?;
    Ok(id)
}

fn fill(
    database: &Database,
    id: RouterId,
    address: &str,
    last: Option<LogId<RouterId>>,
    content: &Bytes,
) -> Result<(), redb::Error> {
    // A backup has no log: its state stands for the first entry of a log that this router led.
    let last = last.unwrap_or_else(|| LogId::new(CommittedLeaderId::new(1, id), 1));
    let routers = BTreeMap::from([(id, Address { cluster: address.to_owned() })]);
    let membership = Membership::new(vec![BTreeSet::from([id])], routers);
    let meta = SnapshotMeta {
        last_log_id: Some(last),
        last_membership: StoredMembership::new(Some(last), membership),
        snapshot_id: "rebuilt".to_owned(),
    };
    // No leader of the old cluster can have a later term than the one that this router asks for next.
    let vote = Vote::new(last.leader_id.term.saturating_add(1_000), id);
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(META)?;
        table.insert(PURGED, wire::log_id(&last).encode_to_vec().as_slice())?;
        table.insert(VOTE, wire::vote(&vote).encode_to_vec().as_slice())?;
        table.insert(SNAPSHOT_META, wire::snapshot_meta(&meta).encode_to_vec().as_slice())?;
        table.insert(SNAPSHOT, content.as_ref())?;
    }
    transaction.commit()?;
    Ok(())
}
