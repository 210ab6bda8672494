//! The CSV file on disk: read when it changed, replaced in one step, guarded against a second writer.
//!
//! - **Reading** costs one `stat` while the file is as it was. What identifies its state is [`Stamp`]; a state seen within
//!   the clock's grain of its last change is not trusted, because a second change could carry the same stamp.
//! - **Writing** holds an advisory lock (`flock`) on the file itself, so that writers of this node, and of other nodes on
//!   the same host or file system, take turns. The new text goes to a temporary file in the same folder, is parsed again, flushed,
//!   and renamed over the old one: whoever reads sees the old text or the new one, and a crash leaves the old one.
//! - A program that ignores the lock is noticed: the file's state is compared once more just before the rename.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcs_cli::file::{self, FileError};

use super::Folders;
use super::config::Settings;
use super::memory::{Keeper, Lease, Memory, NoMemory};
use super::table::{Table, TableError};
use crate::error::{ErrorClass, IcfError};
use crate::limits::{CSV_ATTEMPTS, CSV_FILE_BYTES, CSV_LOCK_WAIT_SECONDS};

/// How long a writer waits for the lock before the caller is told to try again.
const LOCK_WAIT: Duration = Duration::from_secs(CSV_LOCK_WAIT_SECONDS);
/// Pause between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// A change this recent may be followed by another one with the same time stamp: file systems count in ticks.
const CLOCK_GRAIN: Duration = Duration::from_millis(40);
/// End of the names of our temporary files.
const TEMPORARY: &str = ".rcs-tmp";

/// A CSV file with its last known content. Blocking; any number of threads.
pub(super) struct Store {
    settings: Settings,
    memory: Memory,
    folders: Folders,
    cache: Arc<Cache>,
    /// One thread parses, the others wait for what it found.
    loading: Mutex<()>,
    /// One thread of this instance at a time competes for the file lock.
    writing: Mutex<()>,
    tidied: Once,
    /// How often the file was read, for tests of the cache.
    #[cfg(test)]
    pub(super) reads: std::sync::atomic::AtomicUsize,
}

/// What a lock is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The file itself stays as it is; being allowed to read it is enough.
    Keep,
    /// The file is to be replaced; somebody who may not write it may not replace it either.
    Replace,
}

/// The last known content, until its memory is needed.
struct Cache {
    content: RwLock<Option<Cached>>,
    /// When the content was last used, in seconds of the monotonic clock since the program's start.
    last_used: AtomicU64,
}

impl Cache {
    fn now_used(&self) {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.last_used.store(START.elapsed().as_secs(), Ordering::Relaxed);
    }
}

impl Keeper for Cache {
    fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    fn forget(&self) {
        let kept = self.content.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(kept);
    }
}

struct Cached {
    stamp: Stamp,
    trusted: bool,
    table: Arc<Table>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the last change is far enough away that a further one would show.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed =
            Duration::new(self.changed.0.unsigned_abs(), u32::try_from(self.changed.1).unwrap_or(0));
        now.abs_diff(changed) > CLOCK_GRAIN
    }

    /// When the content was last written, ms since 1970.
    fn modified_ms(&self) -> i64 {
        self.modified.0.saturating_mul(1000).saturating_add(self.modified.1 / 1_000_000)
    }
}

/// What an edit makes of a table.
pub(super) enum Edit<T> {
    /// Nothing to write.
    Keep(T),
    /// This text takes the file's place.
    Replace(Vec<u8>, T),
}

/// The file under the writer's lock.
pub(super) struct Locked<'a> {
    store: &'a Store,
    /// Holds the lock until it is dropped.
    file: File,
    /// The file itself, symbolic links followed.
    path: PathBuf,
    _turn: MutexGuard<'a, ()>,
}

impl Store {
    /// A store of the configured file. Touches nothing.
    pub(super) fn new(settings: Settings, memory: Memory, folders: Folders) -> Self {
        let cache = Arc::new(Cache { content: RwLock::new(None), last_used: AtomicU64::new(0) });
        let keeper: Arc<dyn Keeper> = cache.clone();
        memory.register(Arc::downgrade(&keeper));
        Self {
            settings,
            memory,
            folders,
            cache,
            loading: Mutex::new(()),
            writing: Mutex::new(()),
            tidied: Once::new(),
            #[cfg(test)]
            reads: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Checks that the file lies in a folder that the operator allows.
    ///
    /// # Errors
    /// `PermissionDeniedException`, the same whether the file exists or not: the error must not reveal which files exist elsewhere.
    pub(super) fn is_allowed(&self) -> Result<(), IcfError> {
        if self.folders.is_empty() {
            return Ok(());
        }
        // A file that does not exist yet is judged by its folder.
        let file = &self.settings.file;
        let real = fs::canonicalize(file).or_else(|_| fs::canonicalize(folder_of(file)));
        if real.is_ok_and(|real| self.folders.iter().any(|folder| real.starts_with(folder))) {
            return Ok(());
        }
        let what = "it is outside of the folders that this server allows; move it, or allow its folder with --csv-folder at the server";
        Err(IcfError::new(ErrorClass::PermissionDenied, self.sentence(what)))
    }

    /// Takes memory for an operation, beside what the file itself takes.
    ///
    /// # Errors
    /// Like [`Store::load`], if there is no memory.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Lease, IcfError> {
        let mut lease = self.memory.lease();
        lease.add(bytes).map_err(|error| self.no_memory(error))?;
        Ok(lease)
    }

    /// The configuration.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The file's content now.
    ///
    /// # Errors
    /// `ConnectorIOException` if it cannot be read or a row is broken, `ConfigurationException` if the header is.
    pub(super) fn load(&self) -> Result<Arc<Table>, IcfError> {
        Ok(self.load_stamped()?.1)
    }

    /// Applies an edit under the writer's lock. The edit may be asked again if a program that ignores the lock interferes.
    ///
    /// # Errors
    /// The edit's own; `RetryableException` if the lock cannot be had; `ConnectorIOException`,
    /// `PermissionDeniedException`. Whatever fails, the file is as it was, unless the sentence says otherwise.
    pub(super) fn change<T>(
        &self,
        mut edit: impl FnMut(&Table) -> Result<Edit<T>, IcfError>,
    ) -> Result<T, IcfError> {
        let locked = self.lock(Access::Replace)?;
        for _ in 0..CSV_ATTEMPTS {
            let (stamp, table) = self.load_stamped()?;
            match edit(&table)? {
                Edit::Keep(result) => return Ok(result),
                Edit::Replace(text, result) => {
                    if locked.replace(stamp, text)? {
                        return Ok(result);
                    }
                }
            }
        }
        Err(self.busy("another program keeps changing it"))
    }

    /// Takes the writer's lock.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub(super) fn lock(&self, access: Access) -> Result<Locked<'_>, IcfError> {
        self.is_allowed()?;
        let turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + LOCK_WAIT;
        loop {
            let path = fs::canonicalize(&self.settings.file).map_err(|error| self.unreadable(&error))?;
            let mut options = OpenOptions::new();
            options.read(true).write(access == Access::Replace);
            let (file, _) = file::open_regular_with(&mut options, &path).map_err(|error| match error {
                FileError::Io(error) => self.unwritable(&error),
                other => self.unopened(other),
            })?;
            match file.try_lock() {
                Ok(()) if same_file(&file, &path) => {
                    self.tidied.call_once(|| remove_leftovers(&path));
                    return Ok(Locked { store: self, file, path, _turn: turn });
                }
                Ok(()) => {} // The writer before us put another file in its place: lock that one.
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(
                        self.busy(&format!("another writer has held its lock for {CSV_LOCK_WAIT_SECONDS} s"))
                    );
                }
                Err(TryLockError::Error(error)) => return Err(self.unwritable(&error)),
            }
        }
    }

    fn load_stamped(&self) -> Result<(Stamp, Arc<Table>), IcfError> {
        self.is_allowed()?;
        if let Some(found) = self.cached()? {
            return Ok(found);
        }
        let _turn = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.cached()? {
            return Ok(found);
        }
        let (stamp, bytes, lease) = self.read()?;
        let trusted = stamp.is_settled();
        let table = match self.remembered(&bytes) {
            Some(table) => table,
            None => Arc::new(self.parse(bytes, lease)?),
        };
        self.remember(Cached { stamp, trusted, table: table.clone() });
        Ok((stamp, table))
    }

    fn cached(&self) -> Result<Option<(Stamp, Arc<Table>)>, IcfError> {
        let metadata = fs::metadata(&self.settings.file).map_err(|error| self.unreadable(&error))?;
        let stamp = Stamp::of(&metadata);
        self.cache.now_used();
        let cache = self.cache.content.read().unwrap_or_else(PoisonError::into_inner);
        let usable = cache.as_ref().filter(|cached| cached.trusted && cached.stamp == stamp);
        Ok(usable.map(|cached| (stamp, cached.table.clone())))
    }

    /// The table of exactly these bytes, if it is the one at hand: comparing is far cheaper than parsing.
    fn remembered(&self, bytes: &[u8]) -> Option<Arc<Table>> {
        let cache = self.cache.content.read().unwrap_or_else(PoisonError::into_inner);
        let same = cache.as_ref().filter(|cached| cached.table.bytes() == bytes);
        same.map(|cached| cached.table.clone())
    }

    fn remember(&self, cached: Cached) {
        let mut content = self.cache.content.write().unwrap_or_else(PoisonError::into_inner);
        let before = content.replace(cached);
        drop(content);
        drop(before);
    }

    /// Reads the file in one piece that nobody changed meanwhile.
    fn read(&self) -> Result<(Stamp, Vec<u8>, Lease), IcfError> {
        #[cfg(test)]
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..CSV_ATTEMPTS {
            let opened = file::open_regular(&self.settings.file);
            let (mut file, metadata) = opened.map_err(|error| self.unopened(error))?;
            let stamp = Stamp::of(&metadata);
            if stamp.size > CSV_FILE_BYTES {
                return Err(self.io(&format!("it is larger than {} MiB; split it", CSV_FILE_BYTES >> 20)));
            }
            let lease = self.reserve(stamp.size)?;
            // If one byte more than the size can be read, the file has grown meanwhile.
            let mut bytes = Vec::with_capacity(usize::try_from(stamp.size + 1).unwrap_or(0));
            let read = (&mut file).take(stamp.size + 1).read_to_end(&mut bytes);
            read.map_err(|error| self.unreadable(&error))?;
            let after = file.metadata().map_err(|error| self.unreadable(&error))?;
            if Stamp::of(&after) == stamp && bytes.len() as u64 == stamp.size {
                return Ok((stamp, bytes, lease));
            }
        }
        Err(self.busy("another program keeps changing it"))
    }

    /// Parses bytes in the format of this file. The lease already has room for the bytes.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub(super) fn parse(&self, bytes: Vec<u8>, lease: Lease) -> Result<Table, IcfError> {
        Table::parse(bytes, &self.settings.format, &self.settings.headers, lease).map_err(|error| {
            if let TableError::NoMemory(error) = error {
                return self.no_memory(error);
            }
            let class =
                if error.is_about_the_header() { ErrorClass::Configuration } else { ErrorClass::ConnectorIo };
            IcfError::new(class, self.sentence(&error.to_string()))
        })
    }

    fn no_memory(&self, error: NoMemory) -> IcfError {
        let class = match error {
            NoMemory::TooLarge(_) => ErrorClass::ConnectorIo,
            NoMemory::InUse(_) => ErrorClass::Retryable,
        };
        IcfError::new(class, self.sentence(&error.to_string()))
    }

    fn unopened(&self, error: FileError) -> IcfError {
        match error {
            FileError::Io(error) => self.unreadable(&error),
            FileError::NotRegular(kind) => self.io(&format!("it is {kind}; csvFile must name a file")),
            other => self.io(&other.to_string()),
        }
    }

    fn sentence(&self, what: &str) -> String {
        format!("the CSV file {} cannot be used: {what}", self.settings.file.display())
    }

    /// A `ConnectorIOException` about the file.
    pub(super) fn io(&self, what: &str) -> IcfError {
        IcfError::new(ErrorClass::ConnectorIo, self.sentence(what))
    }

    fn busy(&self, what: &str) -> IcfError {
        IcfError::new(
            ErrorClass::Retryable,
            self.sentence(&format!("{what}; nothing was changed, try again")),
        )
    }

    fn unreadable(&self, error: &io::Error) -> IcfError {
        match error.kind() {
            io::ErrorKind::NotFound => self.io("it does not exist; create it with a header line"),
            io::ErrorKind::PermissionDenied => IcfError::new(
                ErrorClass::PermissionDenied,
                self.sentence("this process may not read it; grant it the right"),
            ),
            _ => self.io(&error.to_string()),
        }
    }

    fn unwritable(&self, error: &io::Error) -> IcfError {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => IcfError::new(
                ErrorClass::PermissionDenied,
                self.sentence("this process may not write it, or not into its folder; grant it the right"),
            ),
            io::ErrorKind::IsADirectory => self.io("it is a directory; csvFile must name a file"),
            _ => self.io(&error.to_string()),
        }
    }
}

impl Locked<'_> {
    /// The file, symbolic links followed.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The content now, and when it was last written, ms since 1970.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub(super) fn load(&self) -> Result<(i64, Arc<Table>), IcfError> {
        let (stamp, table) = self.store.load_stamped()?;
        Ok((stamp.modified_ms(), table))
    }

    /// Puts a file beside the CSV file, whole or not at all, with the CSV file's mode and owner.
    ///
    /// # Errors
    /// `ConnectorIOException`, `PermissionDeniedException`.
    pub(super) fn put_beside(&self, target: &Path, bytes: &[u8]) -> Result<(), IcfError> {
        let write = || -> io::Result<()> {
            self.temporary(bytes)?.persist(target)?;
            flush_folder(&self.path)
        };
        write().map_err(|error| self.store.unwritable(&error))
    }

    /// Puts `text` in the file's place, unless the file is no longer as `seen`: then nothing happens and the answer is false.
    fn replace(&self, seen: Stamp, text: Vec<u8>) -> Result<bool, IcfError> {
        let lease = self.store.reserve(text.len() as u64)?;
        let table = self.store.parse(text, lease).map_err(|error| {
            if error.class == ErrorClass::Retryable {
                return error;
            }
            self.store
                .io(&format!("the change was not made because it would not be readable: {}", error.message))
        })?;
        let failed = |error: io::Error| self.store.unwritable(&error);
        let temporary = self.temporary(table.bytes()).map_err(failed)?;
        let now = fs::metadata(&self.path).map_err(failed)?;
        if Stamp::of(&now) != seen {
            return Ok(false);
        }
        let file = temporary.persist(&self.path).map_err(|error| failed(error.error))?;
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        self.store.remember(Cached { stamp, trusted: false, table: Arc::new(table) });
        flush_folder(&self.path).map_err(|error| {
            self.store
                .io(&format!("the change was made, but its folder could not be flushed to disk: {error}"))
        })?;
        Ok(true)
    }

    fn temporary(&self, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        let folder = folder_of(&self.path);
        let mut temporary = tempfile::Builder::new()
            .prefix(&temporary_prefix(&self.path))
            .suffix(TEMPORARY)
            .tempfile_in(folder)?;
        temporary.write_all(bytes)?;
        let like = self.file.metadata()?;
        let file = temporary.as_file();
        // Only root may give a file away; anybody else already owns what it creates.
        let _ = std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid()));
        file.set_permissions(like.permissions())?;
        file.sync_all()?;
        Ok(temporary)
    }
}

/// Whether the open file is still the one at that path.
fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => open.dev() == there.dev() && open.ino() == there.ino(),
        _ => false,
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn temporary_prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what a writer left that died between writing and renaming. Under the lock nobody else has such a file.
fn remove_leftovers(path: &Path) {
    let prefix = temporary_prefix(path);
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(TEMPORARY) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
