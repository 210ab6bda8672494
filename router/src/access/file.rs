//! Follows the file of credentials. The whole file comes into force at once, or nothing of it.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_cli::file::{FileError, SecretFile, read_secret};
use tokio::sync::watch;

use super::Mode;
use super::table::Table;
use crate::limits::CREDENTIALS_BYTES_MAX;
use crate::secrets::{Seen, is_unchanged};

/// A file of credentials that is followed.
pub(crate) struct CredentialsFile {
    path: PathBuf,
    mode: Mode,
    publish: watch::Sender<Arc<Table>>,
    seen: Seen,
}

impl fmt::Debug for CredentialsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl CredentialsFile {
    /// Reads a file. With it comes the table in force, which follows the file.
    ///
    /// # Errors
    /// A sentence that goes on after the path of the file.
    pub(super) fn open(path: &Path, mode: Mode) -> Result<(watch::Receiver<Arc<Table>>, Self), String> {
        let file = read_secret(path, CREDENTIALS_BYTES_MAX).map_err(|error| unreadable(&error))?;
        let table = judge(&file, mode, &Table::default())?;
        let (publish, tables) = watch::channel(Arc::new(table));
        Ok((tables, Self { path: path.to_owned(), mode, publish, seen: Ok(file) }))
    }

    /// Looks at the file. `None` if the file did not change. A bad file leaves the credentials as they are. The result is the numbers of
    /// callers and of members.
    ///
    /// # Errors
    /// A sentence that goes on after the path of the file.
    pub(crate) fn look(&mut self) -> Option<Result<(usize, usize), String>> {
        let found = read_secret(&self.path, CREDENTIALS_BYTES_MAX);
        if is_unchanged(&found, &self.seen) {
            return None;
        }
        let before = Arc::clone(&self.publish.borrow());
        let judged = match &found {
            Ok(file) => judge(file, self.mode, &before),
            Err(error) => Err(unreadable(error)),
        };
        self.seen = found.map_err(|error| error.to_string());
        Some(judged.map(|table| {
            let counts = table.counts();
            self.publish.send_replace(Arc::new(table));
            counts
        }))
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> impl Display + '_ {
        self.path.display()
    }

    /// A sentence if every user of the machine can read the file.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.seen.as_ref().ok()?.warning.as_deref()
    }
}

fn unreadable(error: &FileError) -> String {
    format!("cannot be read: {error}")
}

fn judge(file: &SecretFile, mode: Mode, before: &Table) -> Result<Table, String> {
    let bytes = file.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&file.bytes);
    let judged = Table::parse(bytes, before).and_then(|table| {
        if mode == Mode::Production {
            table.refuse_known_keys(before)?;
        }
        Ok(table)
    });
    judged.map_err(|why| format!("cannot be used: {why}"))
}
