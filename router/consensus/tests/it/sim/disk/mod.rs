//! A disk in memory that does what disks do at the worst moment: loses and tears what was not synced, fails a sync, fills up, loses
//! its power in the middle of a transaction, gives back sectors that rotted.
//!
//! [`Disk`] is the device and survives; [`Handle`] is what one life of a process has open. A handle from before a crash is dead: its
//! operations fail, as the database writes when it is dropped.

use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::{BackendError, StorageBackend};

use self::platter::Platter;
pub(crate) use self::platter::{Damage, SECTOR, SyncFault};
use super::executor::{self, Group};

mod platter;

/// A device; a clone is the same device.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

/// A device as one life of a process has it open.
#[derive(Debug)]
pub(crate) struct Handle {
    disk: Disk,
    life: u64,
    number: u64,
}

impl Disk {
    /// An empty device. `seed` decides what crashes do to it.
    pub(crate) fn new(seed: u64) -> Disk {
        Disk(Arc::new(Mutex::new(Platter::new(seed))))
    }

    /// Opens the device.
    pub(crate) fn open(&self) -> Handle {
        let mut platter = self.lock();
        platter.handles += 1;
        Handle { disk: self.clone(), life: platter.life, number: platter.handles }
    }

    /// The machine loses its power: of what was not synced each write is lost, kept or torn at sectors. Handles are dead, faults of
    /// syncs and planned cuts are over, a full disk stays full.
    pub(crate) fn crash(&self) -> Damage {
        self.lock().crash()
    }

    /// The process dies, and the machine goes on: handles are dead, no cut is planned any more, what was written stays written. Not
    /// after a failed sync: the system then shows readers what it will never write, so the operator has to restart the machine.
    pub(crate) fn kill(&self) {
        let mut platter = self.lock();
        if platter.has_left() {
            platter.crash();
        }
        platter.life += 1;
        platter.locked_by = None;
        platter.cut_after = None;
    }

    /// Whether the disk fails or is full at the moment.
    pub(crate) fn is_failing(&self) -> bool {
        self.lock().is_failing()
    }

    /// No cut is planned any more, there is room, and syncs are fast.
    pub(crate) fn heal(&self) {
        let mut platter = self.lock();
        platter.cut_after = None;
        platter.capacity = u64::MAX;
        platter.sync_us = (200, 4_000);
    }

    /// Of syncs only one in `one_in` does something, and a crash loses all that was written since the last that did: what a process
    /// looks like that acknowledges before it syncs.
    pub(crate) fn skip_syncs(&self, one_in: u64) {
        self.lock().honest_one_in = one_in;
    }

    /// The power goes at the `operations`-th write, sync or change of length from now, and `owner` dies with it. Then call
    /// [`Disk::crash`], which decides what is left.
    pub(crate) fn cut_after(&self, operations: u64, owner: Option<Group>) {
        let mut platter = self.lock();
        platter.cut_after = Some(operations);
        platter.owner = owner;
    }

    /// Syncs fail from the next one on.
    pub(crate) fn fail_sync(&self, how: SyncFault) {
        self.lock().sync_fault = Some(how);
    }

    /// The device has `spare` bytes left to grow; `u64::MAX` is no bound.
    pub(crate) fn fill(&self, spare: u64) {
        let mut platter = self.lock();
        platter.capacity = (platter.bytes.len() as u64).saturating_add(spare);
    }

    /// A sector rots: all its bits turn. Returns whether the device is that long.
    pub(crate) fn rot(&self, offset: usize) -> bool {
        let mut platter = self.lock();
        let start = offset / SECTOR * SECTOR;
        let end = (start + SECTOR).min(platter.bytes.len());
        for byte in platter.bytes.get_mut(start..end).unwrap_or_default() {
            *byte = !*byte;
        }
        start < end
    }

    /// What is written, for a copy on another device.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Replaces everything by `image`, synced; empty is a wiped disk. Handles are dead.
    pub(crate) fn restore(&self, image: Vec<u8>) {
        let mut platter = self.lock();
        platter.crash();
        platter.synced_len = image.len();
        platter.bytes = image;
    }

    /// How long a sync takes from now on, in microseconds.
    pub(crate) fn set_sync_us(&self, least: u64, most: u64) {
        self.lock().sync_us = (least, most);
    }

    /// How long the next sync takes. The database's sync returns at once, because nothing that blocks can wait in simulated time:
    /// whoever commits sleeps for this before.
    pub(crate) fn sync_time(&self) -> Duration {
        let mut platter = self.lock();
        platter.paced += 1;
        let (least, most) = platter.sync_us;
        Duration::from_micros(platter.rng.u64(least..=most))
    }

    /// How often [`Disk::sync_time`] was asked.
    pub(crate) fn paced(&self) -> u64 {
        self.lock().paced
    }

    /// Syncs that succeeded.
    pub(crate) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }
}

impl Handle {
    /// One operation that changes the device. A cut takes effect before it.
    fn change<T>(&self, what: u64, f: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        executor::step(what);
        let mut platter = self.disk.lock();
        if self.life != platter.life {
            return Err(io::Error::other("this handle is from before the crash"));
        }
        match &mut platter.cut_after {
            Some(0) => platter.powered = false,
            Some(left) => *left -= 1,
            None => {}
        }
        if platter.powered {
            return f(&mut platter);
        }
        let owner = platter.owner.take();
        drop(platter);
        if let Some(owner) = owner {
            executor::kill(owner);
        }
        Err(io::Error::other("the power is off"))
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.disk.lock();
        if self.life != platter.life || !platter.powered {
            return Err(io::Error::other("the power is off"));
        }
        let start = offset as usize;
        let bytes = platter.bytes.get(start..start + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(len, |platter| {
            if len > platter.capacity && len > platter.bytes.len() as u64 {
                return Err(ErrorKind::StorageFull.into());
            }
            platter.set_len(len as usize);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(1, Platter::sync)
    }

    fn close(&self) -> io::Result<()> {
        self.unlock_range(Bound::Unbounded, Bound::Unbounded).map_err(io::Error::other)
    }

    /// The whole device or nothing: redb asks for no more from one process.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if !matches!((start, end), (Bound::Unbounded | Bound::Included(0), Bound::Unbounded)) {
            return Err(BackendError::Unsupported);
        }
        let mut platter = self.disk.lock();
        Ok(*platter.locked_by.get_or_insert(self.number) == self.number)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        let mut platter = self.disk.lock();
        if platter.locked_by == Some(self.number) {
            platter.locked_by = None;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(offset ^ data.len() as u64, |platter| platter.write(offset as usize, data))
    }
}
