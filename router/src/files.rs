//! The state of the files that the router follows: since when a file's content is in force, and why the file on disk is not in force.

use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use crate::clock::{rfc3339, wall};

/// One followed file, as `GET /v1/files` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileState {
    /// Which file, such as `provider` or `trust store`.
    pub(crate) file: &'static str,
    /// Since when the content in force is (RFC 3339).
    pub(crate) in_force_since: String,
    /// Why the file on disk is not in force; `None` if it is in force.
    pub(crate) rejected: Option<Rejected>,
}

/// A file on disk that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rejected {
    /// When the router saw the file first (RFC 3339).
    pub(crate) since: String,
    /// What is wrong and what to do; never a secret.
    pub(crate) why: String,
}

/// The state of all files, for readers. Each clone sees changes.
#[derive(Clone, Debug)]
pub(crate) struct Files(watch::Receiver<Arc<Vec<FileState>>>);

impl Files {
    /// Every followed file.
    pub(crate) fn all(&self) -> Arc<Vec<FileState>> {
        Arc::clone(&self.0.borrow())
    }

    /// Names of the files on disk that are not in force.
    pub(crate) fn rejected(&self) -> Vec<&'static str> {
        self.0.borrow().iter().filter(|state| state.rejected.is_some()).map(|state| state.file).collect()
    }
}

/// Where the follower notes the state of the files.
#[derive(Debug, Default)]
pub(crate) struct Board(watch::Sender<Arc<Vec<FileState>>>);

impl Board {
    /// For readers.
    pub(crate) fn files(&self) -> Files {
        Files(self.0.subscribe())
    }

    /// From now on the content on disk of this file is in force.
    pub(crate) fn in_force(&self, file: &'static str) {
        self.0.send_modify(|states| {
            let states = Arc::make_mut(states);
            states.retain(|state| state.file != file);
            states.push(FileState { file, in_force_since: rfc3339(wall()), rejected: None });
            states.sort_by_key(|state| state.file);
        });
    }

    /// Like [`Board::in_force`], unless the file is known already.
    pub(crate) fn in_force_unless_known(&self, file: &'static str) {
        if !self.0.borrow().iter().any(|state| state.file == file) {
            self.in_force(file);
        }
    }

    /// The content on disk of this file is not in force.
    pub(crate) fn rejected(&self, file: &'static str, why: &dyn Display) {
        let rejected = Rejected { since: rfc3339(wall()), why: why.to_string() };
        self.0.send_modify(|states| {
            let states = Arc::make_mut(states);
            if let Some(state) = states.iter_mut().find(|state| state.file == file) {
                state.rejected = Some(rejected);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_file_is_shown_until_a_good_one_is_in_force() {
        let board = Board::default();
        let files = board.files();
        board.in_force("provider");
        board.in_force("configuration");
        assert!(files.rejected().is_empty());
        board.rejected("provider", &"line 3 is wrong");
        assert_eq!(files.rejected(), ["provider"]);
        let all = files.all();
        assert_eq!(all.iter().map(|state| state.file).collect::<Vec<_>>(), ["configuration", "provider"]);
        assert_eq!(all[1].rejected.as_ref().unwrap().why, "line 3 is wrong");
        board.in_force("provider");
        assert!(files.rejected().is_empty());
    }
}
