//! What is on a disk: what a process reads, what is synced, and what becomes of the difference at a crash.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use super::Group;

/// What a disk writes whole or not at all, in bytes.
pub(crate) const SECTOR: usize = 512;

/// What became of the writes that were not synced when the power went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Damage {
    pub(crate) kept: u64,
    pub(crate) torn: u64,
    pub(crate) lost: u64,
}

/// How syncs fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SyncFault {
    /// The next sync fails; later ones succeed without writing what the failed one left: what Linux does.
    Once,
    /// All fail until the next crash.
    ForGood,
}

#[derive(Debug)]
pub(super) struct Platter {
    pub(super) rng: fastrand::Rng,
    /// What a process reads.
    pub(super) bytes: Vec<u8>,
    /// The length and the sectors as they were at the last sync, where they differ from `bytes`.
    pub(super) synced_len: usize,
    synced: BTreeMap<usize, [u8; SECTOR]>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    /// What a failed sync has left: may be there after a crash, and no later sync writes it.
    left: Vec<Change>,
    pub(super) life: u64,
    pub(super) powered: bool,
    pub(super) owner: Option<Group>,
    pub(super) cut_after: Option<u64>,
    pub(super) sync_fault: Option<SyncFault>,
    pub(super) capacity: u64,
    /// Handles so far, and the one that has locked the device.
    pub(super) handles: u64,
    pub(super) locked_by: Option<u64>,
    pub(super) honest_one_in: u64,
    pub(super) sync_us: (u64, u64),
    pub(super) paced: u64,
    pub(super) syncs: u64,
}

#[derive(Debug)]
enum Change {
    Len(usize),
    Write(usize, Vec<u8>),
}

#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    Torn,
}

impl Platter {
    pub(super) fn new(seed: u64) -> Platter {
        Platter {
            rng: fastrand::Rng::with_seed(seed),
            bytes: Vec::new(),
            synced_len: 0,
            synced: BTreeMap::new(),
            pending: Vec::new(),
            left: Vec::new(),
            life: 0,
            powered: true,
            owner: None,
            cut_after: None,
            sync_fault: None,
            capacity: u64::MAX,
            handles: 0,
            locked_by: None,
            honest_one_in: 1,
            sync_us: (200, 4_000),
            paced: 0,
            syncs: 0,
        }
    }

    /// Whether a failed sync has left something unwritten.
    pub(super) fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    pub(super) fn is_failing(&self) -> bool {
        self.sync_fault.is_some() || self.has_left() || self.capacity != u64::MAX
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) -> io::Result<()> {
        if offset + data.len() > self.bytes.len() {
            self.set_len_checked(offset + data.len())?;
        }
        for sector in sectors(offset, data.len()) {
            self.keep(sector);
        }
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
        self.pending.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }

    fn set_len_checked(&mut self, len: usize) -> io::Result<()> {
        if len as u64 > self.capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        self.set_len(len);
        Ok(())
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.bytes.len();
        if len < old {
            for sector in sectors(len, old - len) {
                self.keep(sector);
            }
        }
        self.bytes.resize(len, 0);
        self.pending.push(Change::Len(len));
    }

    /// Remembers a sector as it is synced, before it changes for the first time.
    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR;
        if start < self.synced_len && !self.synced.contains_key(&sector) {
            let mut old = [0; SECTOR];
            let bytes = &self.bytes[start..(start + SECTOR).min(self.bytes.len())];
            old[..bytes.len()].copy_from_slice(bytes);
            self.synced.insert(sector, old);
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(fault) = self.sync_fault {
            if fault == SyncFault::Once {
                self.sync_fault = None;
            }
            let pending = std::mem::take(&mut self.pending);
            self.left.extend(pending);
            return Err(io::Error::other("the sync failed"));
        }
        self.syncs += 1;
        if self.rng.u64(..self.honest_one_in) != 0 {
            return Ok(());
        }
        if self.left.is_empty() {
            self.synced.clear();
        } else {
            // The cache writes whole sectors: what a failed sync left goes along where something new was written.
            for change in &self.pending {
                if let Change::Write(offset, data) = change {
                    for sector in sectors(*offset, data.len()) {
                        self.synced.remove(&sector);
                    }
                }
            }
        }
        self.synced_len = self.bytes.len();
        self.pending.clear();
        Ok(())
    }

    pub(super) fn crash(&mut self) -> Damage {
        let draw = self.rng.u64(..);
        self.life += 1;
        self.powered = true;
        self.cut_after = None;
        self.owner = None;
        self.locked_by = None;
        self.sync_fault = None;
        let changes: Vec<Change> = self.left.drain(..).chain(self.pending.drain(..)).collect();
        let synced = std::mem::take(&mut self.synced);
        self.bytes.resize(self.synced_len, 0);
        for (sector, old) in &synced {
            put(&mut self.bytes, sector * SECTOR, old);
        }
        let mut damage = Damage::default();
        let mut times: BTreeMap<usize, u64> = BTreeMap::new();
        for change in &changes {
            // By place and not by turn: the database may write its pages in any order.
            let place = match change {
                Change::Len(len) => *len ^ usize::MAX,
                Change::Write(offset, _) => *offset,
            };
            let time = times.entry(place).or_default();
            *time += 1;
            let mut rng =
                fastrand::Rng::with_seed(draw ^ (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ *time);
            // What honest syncs would have ordered is not torn: all of it is lost.
            let all_lost = self.honest_one_in > 1;
            let fate =
                if all_lost { Fate::Lost } else { [Fate::Lost, Fate::Kept, Fate::Torn][rng.usize(..3)] };
            match fate {
                Fate::Lost => damage.lost += 1,
                Fate::Kept => damage.kept += 1,
                Fate::Torn => damage.torn += 1,
            }
            self.survive(change, fate, &synced, &mut rng);
        }
        self.synced_len = self.bytes.len();
        damage
    }

    /// Does to the synced bytes what is left of one change.
    fn survive(
        &mut self,
        change: &Change,
        fate: Fate,
        synced: &BTreeMap<usize, [u8; SECTOR]>,
        rng: &mut fastrand::Rng,
    ) {
        match (change, fate) {
            (_, Fate::Lost) => {}
            (Change::Len(len), _) => self.bytes.resize(*len, 0),
            (Change::Write(offset, data), fate) => {
                for sector in sectors(*offset, data.len()) {
                    // A sector that was there and is not in `synced` was written by a later sync.
                    let open = synced.contains_key(&sector) || sector * SECTOR >= self.synced_len;
                    if open && (matches!(fate, Fate::Kept) || rng.bool()) {
                        let from = (sector * SECTOR).max(*offset);
                        let to = ((sector + 1) * SECTOR).min(offset + data.len());
                        put(&mut self.bytes, from, &data[from - offset..to - offset]);
                    }
                }
            }
        }
    }
}

/// The sectors that `len` bytes at `offset` touch.
fn sectors(offset: usize, len: usize) -> std::ops::Range<usize> {
    offset / SECTOR..(offset + len).div_ceil(SECTOR)
}

/// Writes what of `data` lies within the length of `bytes`.
fn put(bytes: &mut [u8], offset: usize, data: &[u8]) {
    if offset < bytes.len() {
        let end = (offset + data.len()).min(bytes.len());
        bytes[offset..end].copy_from_slice(&data[..end - offset]);
    }
}
