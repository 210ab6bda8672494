//! Wakes the agent when files change: inotify. What exactly happened is not asked: the next scan sees it.
//!
//! By hand, on what rustix has of it: the scan knows every folder anyway, so a library that finds folders itself would do it twice.
//! File systems that tell nothing (NFS, changes below an overlay) are covered by the periodic scan.

use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::scan::Watched;

/// Bytes of events taken from the kernel at a time.
const EVENT_BYTES: usize = 4096;

/// Watches folders.
pub(super) struct Watcher {
    kernel: AsyncFd<OwnedFd>,
    watches: HashSet<i32>,
}

/// Whether the last [`Watcher::set`] began to watch something: it may have changed between the scan and that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Something,
    Nothing,
}

impl Watcher {
    /// Watches nothing yet. Needs a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "sound for an OwnedFd, and what replaces it is an unsafe function")]
        let kernel = AsyncFd::new(kernel)?;
        Ok(Self { kernel, watches: HashSet::new() })
    }

    /// Watches these and nothing else from now on. What cannot be watched is left out; the first reason comes back.
    pub(super) fn set(&mut self, all: &[Watched]) -> (Added, Option<io::Error>) {
        let mut now = HashSet::new();
        let mut fault = None;
        for watched in all {
            let (path, flags) = wanted(watched);
            match inotify::add_watch(self.kernel.get_ref(), path, flags | WatchFlags::MASK_ADD) {
                Ok(watch) => drop(now.insert(watch)),
                // It went away meanwhile: the watch of the folder above tells.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => fault = fault.or(Some(error.into())),
            }
        }
        for gone in self.watches.difference(&now) {
            // The kernel drops the watch of a folder that is removed by itself.
            let _ = inotify::remove_watch(self.kernel.get_ref(), *gone);
        }
        let added = if now.is_subset(&self.watches) { Added::Nothing } else { Added::Something };
        self.watches = now;
        (added, fault)
    }

    /// Waits for the next change, and takes all that are known.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.kernel.readable().await?;
            let taken = ready.try_io(|kernel| take_all(kernel.get_ref()));
            match taken {
                Ok(Ok(Change::OfFiles)) => return Ok(()),
                Ok(Ok(Change::OfWatches)) | Err(_) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

/// What events told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    OfFiles,
    /// That a watch is gone, which our own `set` does all the time.
    OfWatches,
}

fn take_all(kernel: &OwnedFd) -> io::Result<Change> {
    let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
    let mut reader = Reader::new(kernel, &mut buffer);
    let mut change = None;
    loop {
        match reader.next() {
            Ok(event) if event.events() == ReadFlags::IGNORED => change = change.or(Some(Change::OfWatches)),
            // Lost events (an overflow of the kernel's queue) are a change as well.
            Ok(_) => change = Some(Change::OfFiles),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return change.ok_or(io::ErrorKind::WouldBlock.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What is asked of the kernel. A file that is only read or looked at is no change.
fn wanted(watched: &Watched) -> (&Path, WatchFlags) {
    let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
    let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    let content = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
    match watched {
        Watched::Above(path) => (path, names | WatchFlags::ONLYDIR),
        Watched::Folder(path) => (path, names | itself | content | WatchFlags::ONLYDIR),
        // The number of its names is an attribute: it changes when another file is renamed into its place.
        Watched::Target(path) => (path, itself | content | WatchFlags::ATTRIB),
    }
}
