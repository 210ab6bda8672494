//! Wakes the agent when files change: inotify. What exactly happened is not asked: the next scan sees it.
//!
//! By hand, on what rustix has of it: the scan knows every folder anyway, so a library that finds folders itself would do it twice.
//! Some file systems report no changes (NFS, changes below an overlay). The periodic scan covers them. The scan also covers a kernel that
//! gives this user no watcher: after each scan, the agent tries again to get one.

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
#[derive(Default)]
pub(super) struct Watcher {
    /// Absent until the kernel provides a watcher.
    kernel: Option<AsyncFd<OwnedFd>>,
    watches: HashSet<i32>,
}

/// Why changes are not seen at once.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwatched {
    /// The kernel has no watcher for this process.
    #[error(
        "files cannot be watched ({0}); changes are found by the periodic scans only. If the limit of the user is used up, raise the \
         sysctl fs.inotify.max_user_instances; the agent tries again after each scan"
    )]
    Everything(io::Error),
    /// Some folders cannot be watched.
    #[error(
        "not all folders can be watched ({0}); changes in the others are found by the periodic scans only. If the limit of the user is \
         used up, raise the sysctl fs.inotify.max_user_watches"
    )]
    Some(io::Error),
}

impl Unwatched {
    /// Distinguishes one reason from another, so that each reason is logged once.
    pub(super) fn kind(&self) -> (bool, Option<i32>) {
        match self {
            Self::Everything(error) => (true, error.raw_os_error()),
            Self::Some(error) => (false, error.raw_os_error()),
        }
    }
}

/// Whether the last [`Watcher::set`] began to watch something: it may have changed between the scan and that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Something,
    Nothing,
}

impl Watcher {
    /// Watches these paths and nothing else from now on. Paths that cannot be watched are left out, and the first reason is returned.
    /// Needs a tokio runtime.
    pub(super) fn set(&mut self, all: &[Watched]) -> (Added, Option<Unwatched>) {
        if self.kernel.is_none() {
            match open() {
                Ok(kernel) => self.kernel = Some(kernel),
                Err(error) => return (Added::Nothing, Some(Unwatched::Everything(error))),
            }
        }
        let Some(kernel) = &self.kernel else { return (Added::Nothing, None) };
        let mut now = HashSet::new();
        let mut fault = None;
        for watched in all {
            let (path, flags) = wanted(watched);
            match inotify::add_watch(kernel.get_ref(), path, flags | WatchFlags::MASK_ADD) {
                Ok(watch) => drop(now.insert(watch)),
                // It went away meanwhile: the watch of the folder above tells.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => fault = fault.or(Some(error.into())),
            }
        }
        for gone in self.watches.difference(&now) {
            // The kernel drops the watch of a folder that is removed by itself.
            let _ = inotify::remove_watch(kernel.get_ref(), *gone);
        }
        let added = if now.is_subset(&self.watches) { Added::Nothing } else { Added::Something };
        self.watches = now;
        (added, fault.map(Unwatched::Some))
    }

    /// Waits for the next change, and takes all changes that are known. Waits for ever if nothing is watched.
    pub(super) async fn changed(&mut self) {
        while let Some(kernel) = &self.kernel {
            match next(kernel).await {
                Ok(Change::OfFiles) => return,
                Ok(Change::OfWatches) => {}
                Err(error) => {
                    tracing::warn!("files are not watched until the next scan: {error}");
                    self.kernel = None;
                    self.watches.clear();
                }
            }
        }
        std::future::pending().await
    }
}

fn open() -> io::Result<AsyncFd<OwnedFd>> {
    let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    #[expect(deprecated, reason = "sound for an OwnedFd, and what replaces it is an unsafe function")]
    AsyncFd::new(kernel)
}

async fn next(kernel: &AsyncFd<OwnedFd>) -> io::Result<Change> {
    loop {
        let mut ready = kernel.readable().await?;
        if let Ok(taken) = ready.try_io(|kernel| take_all(kernel.get_ref())) {
            return taken;
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
