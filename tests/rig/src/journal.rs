//! The rig connector's journal: what really happened at the resource, one line a write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A journal file, read anew by each question.
pub struct Journal(PathBuf);

impl Journal {
    /// A journal called `name` in `folder`; it need not exist yet.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self(folder.join(name))
    }

    /// Writes accounts u1..=uN, each with an attribute `pad` of `bytes` bytes.
    pub fn seed(&self, accounts: usize, bytes: usize) {
        let pad = "x".repeat(bytes);
        let mut text = String::with_capacity(accounts * (bytes + 40));
        for n in 1..=accounts {
            writeln!(text, "{n}\tCREATE\tu{n}\tpad={pad}\tby=seed").expect("a String takes any text");
        }
        fs::write(&self.0, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", self.0.display()));
    }

    /// The file, for the connector's `storeFile`.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The `use` command of an IDM that works on this journal.
    pub fn use_command(&self) -> String {
        format!("use Rig storeFile={} secret=s tags=a,b", self.0.display())
    }

    /// How often each uid was written with `op` (CREATE, UPDATE, DELETE).
    pub fn writes(&self, op: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(&self.0).unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            if let [_, o, uid, ..] = fields[..]
                && o == op
            {
                *counts.entry(uid.to_owned()).or_insert(0) += 1;
            }
        }
        counts
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        fs::read_to_string(&self.0).unwrap_or_default().lines().count()
    }

    /// True if nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
