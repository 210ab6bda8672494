//! The state of the files that the router follows: since when a file's content is in force, and why the file on disk is not in force;
//! and the certificates of the trust stores among them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use rcs_proto::driver::tls::Certificate;
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

/// The certificates of all trust stores that are in force, and the router's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    /// Those of `--trust-store`.
    pub(crate) of_all: Vec<Certificate>,
    /// The certificate that the router shows itself.
    pub(crate) own: Option<Certificate>,
    /// Those of the trust stores of single members, by member.
    pub(crate) of_one: BTreeMap<String, Vec<Certificate>>,
}

/// The state of all files, for readers. Each clone sees changes.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    states: watch::Receiver<Arc<Vec<FileState>>>,
    certificates: watch::Receiver<Arc<Certificates>>,
}

impl Files {
    /// Every followed file.
    pub(crate) fn all(&self) -> Arc<Vec<FileState>> {
        Arc::clone(&self.states.borrow())
    }

    /// Names of the files on disk that are not in force.
    pub(crate) fn rejected(&self) -> Vec<&'static str> {
        self.states.borrow().iter().filter(|state| state.rejected.is_some()).map(|state| state.file).collect()
    }

    /// The certificates that are trusted now.
    pub(crate) fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.certificates.borrow())
    }
}

/// Where the follower notes the state of the files.
#[derive(Debug, Default)]
pub(crate) struct Board {
    states: watch::Sender<Arc<Vec<FileState>>>,
    certificates: watch::Sender<Arc<Certificates>>,
}

impl Board {
    /// For readers.
    pub(crate) fn files(&self) -> Files {
        Files { states: self.states.subscribe(), certificates: self.certificates.subscribe() }
    }

    /// From now on the content on disk of this file is in force.
    pub(crate) fn in_force(&self, file: &'static str) {
        self.states.send_modify(|states| {
            let states = Arc::make_mut(states);
            states.retain(|state| state.file != file);
            states.push(FileState { file, in_force_since: rfc3339(wall()), rejected: None });
            states.sort_by_key(|state| state.file);
        });
    }

    /// Like [`Board::in_force`], unless the file is known already.
    pub(crate) fn in_force_unless_known(&self, file: &'static str) {
        if !self.states.borrow().iter().any(|state| state.file == file) {
            self.in_force(file);
        }
    }

    /// From now on these certificates are those of `--trust-store`.
    pub(crate) fn trusts(&self, certificates: Vec<Certificate>) {
        self.certificates.send_modify(|trusted| Arc::make_mut(trusted).of_all = certificates);
    }

    /// From now on the router shows this certificate.
    pub(crate) fn shows(&self, certificate: Certificate) {
        self.certificates.send_modify(|known| Arc::make_mut(known).own = Some(certificate));
    }

    /// From now on these certificates are those of the trust stores of single members.
    pub(crate) fn trusts_of_one(&self, certificates: BTreeMap<String, Vec<Certificate>>) {
        self.certificates.send_if_modified(|trusted| {
            let is_new = trusted.of_one != certificates;
            if is_new {
                Arc::make_mut(trusted).of_one = certificates;
            }
            is_new
        });
    }

    /// The content on disk of this file is not in force.
    pub(crate) fn rejected(&self, file: &'static str, why: &dyn Display) {
        let rejected = Rejected { since: rfc3339(wall()), why: why.to_string() };
        self.states.send_modify(|states| {
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
