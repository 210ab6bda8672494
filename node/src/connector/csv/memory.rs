//! The memory that all CSV files of this node may take together. A file's size on disk says little: a file of commas takes many times its
//! size once it is split into cells. So a reader takes its share before it takes the memory, and gives the share back with the memory.

use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::limits::{CSV_MEMORY_MAX, CSV_MEMORY_MIN, CSV_MEMORY_SHARE};

/// Bytes that an allocation takes beside its content, with the loss from growing.
const ALLOCATION_BYTES: u64 = 32;
/// Shares are taken in pieces of this many bytes.
const PIECE_BYTES: u64 = 64 << 10;

/// The memory for all CSV files; cheap to clone.
#[derive(Clone)]
pub(super) struct Memory(Arc<Account>);

struct Account {
    used: AtomicU64,
    bytes_max: u64,
    /// Caches whose content could be read again from disk.
    keepers: Mutex<Vec<Weak<dyn Keeper>>>,
}

/// A cache that can be emptied when its memory is needed.
pub(super) trait Keeper: Send + Sync {
    /// When the cache was last used; a greater number is later.
    fn last_used(&self) -> u64;
    /// Forgets the content of the cache.
    fn forget(&self);
}

/// Why there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoMemory {
    /// This file alone needs more than all of the memory.
    #[error(
        "it needs more than the {} MiB of memory that this server has for CSV files; split it, or give the server more memory", .0 >> 20
    )]
    TooLarge(u64),
    /// Other files take the memory at the moment.
    #[error(
        "other calls use the {} MiB of memory that this server has for CSV files; nothing was changed, try again later, and give the \
         server more memory or split large files if it happens often", .0 >> 20
    )]
    InUse(u64),
}

impl Default for Memory {
    /// A share of what this process may use.
    fn default() -> Self {
        let available = available_bytes().unwrap_or(CSV_MEMORY_MIN * CSV_MEMORY_SHARE);
        Self::of((available / CSV_MEMORY_SHARE).clamp(CSV_MEMORY_MIN, CSV_MEMORY_MAX))
    }
}

impl Memory {
    pub(super) fn of(bytes_max: u64) -> Self {
        Self(Arc::new(Account { used: AtomicU64::new(0), bytes_max, keepers: Mutex::default() }))
    }

    /// An empty share, which grows with [`Lease::add`].
    pub(super) fn lease(&self) -> Lease {
        Lease { memory: self.clone(), taken: 0, needed: 0 }
    }

    /// From now on the keeper is asked to forget its content when memory is needed.
    pub(super) fn register(&self, keeper: Weak<dyn Keeper>) {
        let mut keepers = self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        keepers.retain(|known| known.strong_count() > 0);
        keepers.push(keeper);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let account = &self.0;
        let taken = account.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= account.bytes_max)
        });
        taken.is_ok()
    }

    /// Takes memory from the caches, the least used cache first.
    fn take_from_keepers(&self, bytes: u64) -> bool {
        let mut keepers: Vec<Arc<dyn Keeper>> = {
            let keepers = self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner);
            keepers.iter().filter_map(Weak::upgrade).collect()
        };
        keepers.sort_by_key(|keeper| keeper.last_used());
        keepers.into_iter().any(|keeper| {
            keeper.forget();
            self.take(bytes)
        })
    }
}

/// Memory that is counted until this value is dropped.
pub(super) struct Lease {
    memory: Memory,
    taken: u64,
    needed: u64,
}

impl Lease {
    /// Takes this many bytes more.
    pub(super) fn add(&mut self, bytes: u64) -> Result<(), NoMemory> {
        self.needed = self.needed.saturating_add(bytes);
        let Some(missing) = self.needed.checked_sub(self.taken).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let bytes_max = self.memory.0.bytes_max;
        if self.needed > bytes_max {
            return Err(NoMemory::TooLarge(bytes_max));
        }
        // If a whole piece is not free, the missing bytes alone are enough.
        let piece = missing.max(PIECE_BYTES);
        let taken = [piece, missing]
            .into_iter()
            .find(|bytes| self.memory.take(*bytes))
            .or_else(|| self.memory.take_from_keepers(missing).then_some(missing))
            .ok_or(NoMemory::InUse(bytes_max))?;
        self.taken += taken;
        Ok(())
    }

    /// Gives back the bytes that were taken beyond the need, once the need is known.
    pub(super) fn settle(&mut self) {
        let spare = self.taken.saturating_sub(self.needed);
        self.memory.0.used.fetch_sub(spare, Ordering::Relaxed);
        self.taken -= spare;
    }

    /// Takes what a row of these cells needs as a part of a table: the row, which is an `R`, its cells, and its place in the index.
    pub(super) fn add_row<R>(&mut self, cells: &[Option<Box<str>>], uid: &str) -> Result<(), NoMemory> {
        let text = |text: &str| text.len() as u64 + ALLOCATION_BYTES;
        let cells_bytes = size_of_val(cells) as u64
            + ALLOCATION_BYTES
            + cells.iter().flatten().map(|cell| text(cell)).sum::<u64>();
        // A growing list or index holds up to twice as many places as entries.
        let places = 2 * (size_of::<R>() + size_of::<(Box<str>, usize)>() + 1) as u64;
        self.add(cells_bytes + places + text(uid))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// The memory that this process may use: the bound of its control group (a container's bound on memory), else the machine's memory.
fn available_bytes() -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total_bytes(&text));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    group_files(&groups).iter().filter_map(|file| read(file)?.trim().parse::<u64>().ok()).chain(machine).min()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The files that hold the bounds of this process's control group and of the groups above it, as `/proc/self/cgroup` names them.
fn group_files(groups: &str) -> Vec<PathBuf> {
    let all = Path::new("/sys/fs/cgroup");
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let mut files: Vec<PathBuf> = all
        .join(own)
        .ancestors()
        .take_while(|folder| folder.starts_with(all))
        .map(|folder| folder.join("memory.max"))
        .collect();
    // Control groups of version 1.
    files.push(all.join("memory/memory.limit_in_bytes"));
    files
}

fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept(Mutex<Option<Lease>>, u64);

    impl Keeper for Kept {
        fn last_used(&self) -> u64 {
            self.1
        }

        fn forget(&self) {
            *self.0.lock().unwrap() = None;
        }
    }

    fn leased(memory: &Memory, bytes: u64) -> Lease {
        let mut lease = memory.lease();
        lease.add(bytes).unwrap();
        lease
    }

    #[test]
    fn the_bound_holds_for_all_leases_together() {
        let memory = Memory::of(8 << 20);
        let one = leased(&memory, 5 << 20);
        let mut other = memory.lease();
        assert_eq!(other.add(4 << 20), Err(NoMemory::InUse(8 << 20)));
        assert_eq!(memory.lease().add(9 << 20), Err(NoMemory::TooLarge(8 << 20)));
        drop((one, other));
        assert_eq!(memory.used(), 0);
        drop(leased(&memory, 8 << 20));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_kept_without_need_makes_room_the_least_used_first() {
        let memory = Memory::of(8 << 20);
        let kept: Vec<Arc<Kept>> = [(3, 7), (3, 2)]
            .map(|(mib, used)| Arc::new(Kept(Mutex::new(Some(leased(&memory, mib << 20))), used)))
            .into();
        for keeper in &kept {
            let keeper: Arc<dyn Keeper> = keeper.clone();
            memory.register(Arc::downgrade(&keeper));
        }
        let _mine = leased(&memory, 5 << 20);
        let left: Vec<bool> = kept.iter().map(|kept| kept.0.lock().unwrap().is_some()).collect();
        assert_eq!(left, [true, false]);
    }

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(total_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
        let files = group_files("1:name=systemd:/x\n0::/system.slice/rcs-node.service\n");
        let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(
            files,
            [
                "/sys/fs/cgroup/system.slice/rcs-node.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
        let usual = Memory::default();
        assert!((CSV_MEMORY_MIN..=CSV_MEMORY_MAX).contains(&usual.0.bytes_max));
    }
}
