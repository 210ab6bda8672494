//! A wall clock of one router's own, which can be set while the router runs: libfaketime, preloaded (Debian's package `faketime`). The
//! monotonic clock stays true, as on a machine whose wall clock is set.

use std::fs;
use std::path::{Path, PathBuf};

use rcs_cli::{Exit, Failure};

/// Where the library is: below one of these, perhaps in a folder for the machine's kind.
const LIBRARIES: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock.
pub(crate) struct FalseClock {
    library: PathBuf,
    /// Says by how much the clock is wrong.
    file: PathBuf,
}

impl FalseClock {
    /// A clock that is right at first and is set by this file; none if the library is not installed.
    pub(crate) fn find(file: &Path) -> Result<Option<Self>, Failure> {
        let folders = LIBRARIES.iter().flat_map(|root| {
            let kinds = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
            std::iter::once(PathBuf::from(root)).chain(kinds)
        });
        let Some(library) = folders.map(|folder| folder.join(LIBRARY)).find(|library| library.is_file())
        else {
            return Ok(None);
        };
        let clock = Self { library, file: file.to_owned() };
        clock.set(0)?;
        Ok(Some(clock))
    }

    /// The clock is wrong by so many seconds, within a second from now on.
    pub(crate) fn set(&self, seconds: i64) -> Result<(), Failure> {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n"))
            .and_then(|()| fs::rename(&new, &self.file))
            .map_err(|error| Exit::Internal.with(format!("a router's clock cannot be set: {error}")))
    }

    /// What the router's process needs in its environment.
    pub(crate) fn variables(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}
