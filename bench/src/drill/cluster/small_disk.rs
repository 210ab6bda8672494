//! A small file system for the data of one router, which can be filled up: a tmpfs. To mount one takes the rights of root.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rcs_cli::{Exit, Failure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Room for what a router stores in a drill, several times over.
const SIZE: &core::ffi::CStr = c"size=64m,mode=0700";
/// Bytes of one write of what fills the disk.
const FILL_BYTES: usize = 64 << 10;

/// The file system, mounted on a folder. It is gone with this value.
pub(crate) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one here; none if this process may not.
    pub(crate) fn mount(at: &Path) -> Result<Option<Self>, Failure> {
        fs::create_dir_all(at).map_err(|error| failed("make a folder for", &error))?;
        match mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(SIZE)) {
            Ok(()) => Ok(Some(Self { at: at.to_owned() })),
            Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Ok(None),
            Err(error) => Err(failed("mount", &error.into())),
        }
    }

    /// Writes a file until there is no room left.
    pub(crate) fn fill(&self) -> Result<(), Failure> {
        let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        let filled = File::create(self.filler()).and_then(|mut filler| {
            // The last pages go one by one.
            for bytes in [FILL_BYTES, 1] {
                let part = vec![0; bytes];
                while match filler.write_all(&part) {
                    Ok(()) => true,
                    Err(error) if full(&error) => false,
                    Err(error) => return Err(error),
                } {}
            }
            Ok(())
        });
        filled.map_err(|error| failed("fill", &error))
    }

    /// Takes that file away.
    pub(crate) fn make_room(&self) -> Result<(), Failure> {
        fs::remove_file(self.filler()).map_err(|error| failed("make room on", &error))
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open keeps it to its end.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Exit::Internal.with(format!("the drill cannot {what} a small disk: {error}"))
}
