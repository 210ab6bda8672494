//! Follows the file of credentials. The whole file comes into force at once, or nothing of it.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_cli::file::{FileError, SecretFile, read_secret};
use tokio::sync::watch;

use super::Mode;
use super::beside::Beside;
use super::table::Table;
use crate::limits::CREDENTIALS_BYTES_MAX;
use crate::secrets::{Seen, is_unchanged};

/// A file of credentials that is followed.
pub(crate) struct CredentialsFile {
    path: PathBuf,
    mode: Mode,
    publish: watch::Sender<Arc<Table>>,
    seen: Seen,
    /// The files that the file names.
    beside: Beside,
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
        let (table, beside) = judge(&file, mode, &Table::default());
        let (publish, tables) = watch::channel(Arc::new(table?));
        Ok((tables, Self { path: path.to_owned(), mode, publish, seen: Ok(file), beside }))
    }

    /// Looks at the file, and at the files that it names. `None` if no file changed. A bad file leaves the credentials as they are. The result is the numbers of
    /// callers and of members.
    ///
    /// # Errors
    /// A sentence that goes on after the path of the file.
    pub(crate) fn look(&mut self) -> Option<Result<(usize, usize), String>> {
        let found = read_secret(&self.path, CREDENTIALS_BYTES_MAX);
        // Without the file itself, nothing of the files beside it can come into force.
        if is_unchanged(&found, &self.seen) && (found.is_err() || self.beside.is_unchanged()) {
            return None;
        }
        let before = Arc::clone(&self.publish.borrow());
        let judged = match &found {
            Ok(file) => {
                let (judged, beside) = judge(file, self.mode, &before);
                self.beside = beside;
                judged
            }
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

    /// A sentence for each file that every user of the machine can read: the file itself, and the files with secrets that it names.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        let own = self.seen.as_ref().ok().and_then(|file| file.warning.as_deref());
        own.into_iter().chain(self.beside.warnings())
    }
}

fn unreadable(error: &FileError) -> String {
    format!("cannot be read: {error}")
}

/// What a file says, and the files that it names.
fn judge(file: &SecretFile, mode: Mode, before: &Table) -> (Result<Table, String>, Beside) {
    let bytes = file.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&file.bytes);
    let mut beside = Beside::default();
    let judged = Table::parse(bytes, before, mode, &mut beside).and_then(|table| {
        if mode == Mode::Production {
            table.refuse_known_keys(before)?;
        }
        Ok(table)
    });
    (judged.map_err(|why| format!("cannot be used: {why}")), beside)
}
