//! What a Java IDM counted while it called beside the callers of a drill, held against the journals.

use std::collections::{BTreeMap, HashMap};

use rcs_rig::idm::Load;
use serde::Serialize;

use super::promise::Promise;

/// What the router says of a call that it takes for poison (router/core/src/verdict/error.rs).
pub(super) const SUSPECTED: &str = "were lost while they ran this";
/// How the router's errors begin that say that nobody knows what happened (router/core/src/verdict/error.rs).
const UNKNOWN: &str = "Outcome unknown";
/// How errors from the far side begin; others are the IDM's own, which lost its connection.
const REMOTE: &str = "RemoteWrappedException";
/// What the IDM creates is called this, the load's number, the stretch's number, and its own number behind a dash.
pub(super) const PREFIX: &str = "idm";

/// What an IDM counted, and what the journal says of it.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Sums {
    /// Gets that were answered well.
    pub(crate) gets: u64,
    /// Creates that were answered well.
    pub(crate) creates: u64,
    /// Gets that failed.
    pub(crate) reads_failed: u64,
    /// Gets that were at two members when these were lost.
    pub(crate) suspected: u64,
    /// Creates whose outcome nobody knows.
    pub(crate) unknown: u64,
    /// Calls that ended with the loss of the IDM's own connection.
    pub(crate) disconnected: u64,
    /// Creates that failed with another error.
    pub(crate) changes_failed: u64,
    pub(crate) hung: u64,
    /// Longest call, ms.
    pub(crate) worst_ms: f64,
    /// Creates that ran more than once.
    pub(crate) doubled: u64,
    /// Creates that were answered well and did not run.
    pub(crate) lost: u64,
    /// Creates that ran though their caller was told that they did not.
    pub(crate) denied: u64,
    /// Creates in the journal.
    pub(crate) executed: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    #[serde(skip)]
    stretches: Vec<Stretch>,
    /// IDMs whose end came before that of their load.
    pub(crate) broken: u64,
}

/// The creates of one `load` command.
#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    prefix: String,
    ok: u64,
    /// Those that may have run.
    open: u64,
}

impl Sums {
    /// Of an IDM that is gone.
    pub(crate) fn broken() -> Self {
        Self { broken: 1, ..Self::default() }
    }

    pub(super) fn add(&mut self, prefix: String, load: &Load) {
        let done = |operation: &str| load.done.get(operation).copied().unwrap_or(0);
        self.gets += done("get");
        self.creates += done("create");
        self.hung += load.hung_threads;
        self.worst_ms = self.worst_ms.max(load.worst_ms);
        let mut open = load.hung_threads;
        for (error, count) in &load.errors {
            // Without the number of the call, which tells each error from all others.
            let kind = error.split(" (call ").next().unwrap_or(error);
            *self.errors.entry(kind.to_owned()).or_default() += count;
            let (operation, text) = error.split_once(' ').unwrap_or(("", error));
            let sort = match (operation, text) {
                ("create", text) if text.contains(UNKNOWN) => &mut self.unknown,
                (_, text) if !text.starts_with(REMOTE) => &mut self.disconnected,
                ("create", _) => &mut self.changes_failed,
                (_, text) if text.contains(SUSPECTED) => &mut self.suspected,
                _ => &mut self.reads_failed,
            };
            *sort += count;
            if operation == "create" && (text.contains(UNKNOWN) || !text.starts_with(REMOTE)) {
                open += count;
            }
        }
        self.stretches.push(Stretch { prefix, ok: done("create"), open });
    }

    /// Adds those of another load, before either is compared with the journal.
    pub(crate) fn merge(&mut self, other: Self) {
        self.gets += other.gets;
        self.creates += other.creates;
        self.reads_failed += other.reads_failed;
        self.suspected += other.suspected;
        self.unknown += other.unknown;
        self.disconnected += other.disconnected;
        self.changes_failed += other.changes_failed;
        self.hung += other.hung;
        self.worst_ms = self.worst_ms.max(other.worst_ms);
        self.broken += other.broken;
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.stretches.extend(other.stretches);
    }

    /// Takes calls without an end out of the verdict, as many as `at_most`; returns their number.
    pub(super) fn take_hung(&mut self, at_most: u64) -> u64 {
        let taken = self.hung.min(at_most);
        self.hung -= taken;
        taken
    }

    /// Holds the counts against how often each name is in the journals.
    pub(crate) fn compare(&mut self, ran: &HashMap<String, u64>) {
        let mut by_prefix: HashMap<&str, u64> = HashMap::new();
        for (token, times) in ran.iter().filter(|(token, _)| token.starts_with(PREFIX)) {
            let Some((prefix, _)) = token.rsplit_once('-') else { continue };
            *by_prefix.entry(prefix).or_default() += 1;
            self.doubled += times.saturating_sub(1);
        }
        for stretch in &self.stretches {
            let happened = by_prefix.get(stretch.prefix.as_str()).copied().unwrap_or(0);
            self.executed += happened;
            self.lost += stretch.ok.saturating_sub(happened);
            self.denied += happened.saturating_sub(stretch.ok + stretch.open);
        }
    }

    /// What is not as a drill promises it.
    pub(crate) fn complaints(&self, promise: Promise) -> Vec<String> {
        let served = promise != Promise::ClearErrors;
        let all = promise == Promise::EveryCallServed;
        let counts = [
            (true, self.broken, "ended before its time"),
            (true, self.hung, "had calls without an end"),
            (true, self.doubled, "had creates that ran twice"),
            (true, self.lost, "had creates that were reported as done but did not run"),
            (true, self.denied, "had creates that ran although it got an error that says otherwise"),
            (served, self.disconnected, "had calls that lost their connection to the router"),
            (served, self.reads_failed, "had reads that failed"),
            (served, self.suspected, "had reads that were treated as poison"),
            (all, self.changes_failed, "had creates that were refused"),
            (served, u64::from(self.gets == 0 || self.creates == 0), "had no successful call"),
        ];
        let broken = counts.into_iter().filter(|(promised, count, _)| *promised && *count > 0);
        broken.map(|(_, count, what)| format!("the Java IDM {what}: {count}; {:?}", self.errors)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(errors: &[(&str, u64)]) -> Load {
        let done = [("get", 5), ("create", 3)].map(|(name, count)| (name.to_owned(), count)).into();
        let errors = errors.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect();
        Load { ok: 8, err: 0, hung_threads: 0, worst_ms: 1.0, done, served: BTreeMap::new(), errors }
    }

    #[test]
    fn only_so_many_calls_without_an_end_are_excused() {
        for (hung_threads, taken, complaints) in [(0, 0, 0), (1, 1, 0), (3, 2, 1)] {
            let mut sums = Sums::default();
            sums.add("idm1.0".to_owned(), &Load { hung_threads, ..load(&[]) });
            assert_eq!(sums.take_hung(2), taken);
            assert_eq!(sums.complaints(Promise::ClearErrors).len(), complaints, "{hung_threads} threads");
        }
    }

    #[test]
    fn an_idms_creates_are_held_against_the_journal() {
        let ran =
            |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect::<HashMap<_, _>>();
        for (errors, journal, complaints) in [
            (&[][..], &["idm1.0-1", "idm1.0-2", "idm1.0-3", "1.0.0.9"][..], 0),
            (&[], &["idm1.0-1", "idm1.0-2"], 1),
            (&[], &["idm1.0-1", "idm1.0-2", "idm1.0-3", "idm1.0-4"], 1),
            (
                &[("create RemoteWrappedException(X): Outcome unknown: n1 was lost", 1)],
                &["idm1.0-1", "idm1.0-2", "idm1.0-3", "idm1.0-4"],
                0,
            ),
            (&[("get RemoteWrappedException(X): no", 1)], &["idm1.0-1", "idm1.0-2", "idm1.0-3"], 1),
            (&[("create RemoteWrappedException(X): no", 1)], &["idm1.0-1", "idm1.0-2", "idm1.0-3"], 1),
            (&[("get ConnectorIOException: gone", 1)], &["idm1.0-1", "idm1.0-2", "idm1.0-3"], 1),
        ] {
            let mut sums = Sums::default();
            sums.add("idm1.0".to_owned(), &load(errors));
            sums.compare(&ran(journal));
            let found = sums.complaints(Promise::EveryCallServed);
            assert_eq!(found.len(), complaints, "{errors:?} {journal:?}: {found:?}");
        }
    }

    #[test]
    fn of_calls_without_an_end_only_so_many_are_excused() {
        for (hung, taken, left) in [(0, 0, 0), (1, 1, 0), (3, 2, 1)] {
            let mut sums = Sums { hung, ..Sums::default() };
            assert_eq!((sums.take_hung(2), sums.hung), (taken, left));
        }
    }
}
