//! One report a second about each kind of thing that strangers can repeat at will. The first of a kind is reported at once, further ones
//! as a count.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::TALLY_KINDS;

/// The time in which one kind is reported once.
pub const TALLY_EVERY: Duration = Duration::from_secs(1);

/// Counts what happened, by kind, with a detail of the latest time.
#[derive(Debug)]
pub struct Tally<K, D> {
    open: HashMap<K, Count<D>>,
}

#[derive(Debug)]
struct Count<D> {
    since: Instant,
    more: usize,
    last: Option<D>,
}

/// What happened again within a second of the first time.
#[derive(Debug, PartialEq, Eq)]
pub struct Again<K, D> {
    /// The kind.
    pub kind: K,
    /// How often it happened, beyond what was reported at once.
    pub count: usize,
    /// A detail of the latest time.
    pub last: D,
}

impl<K, D> Default for Tally<K, D> {
    fn default() -> Self {
        Self { open: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, D> Tally<K, D> {
    /// Counts one, and returns whether to report it now: it is the first of its kind for a second. Beyond [`TALLY_KINDS`] kinds a second,
    /// further kinds are not reported.
    pub fn note(&mut self, kind: K, detail: D, now: Instant) -> bool {
        if let Some(count) = self.open.get_mut(&kind) {
            count.more += 1;
            count.last = Some(detail);
            return false;
        }
        if self.open.len() == TALLY_KINDS {
            return false;
        }
        self.open.insert(kind, Count { since: now, more: 0, last: None });
        true
    }

    /// The counts that are a second old, to be reported now.
    pub fn due(&mut self, now: Instant) -> Vec<Again<K, D>> {
        let mut due = Vec::new();
        self.open.retain(|kind, count| {
            if now < count.since + TALLY_EVERY {
                return true;
            }
            count.since = now;
            let Some(last) = count.last.take() else { return false };
            due.push(Again { kind: kind.clone(), count: std::mem::take(&mut count.more), last });
            true
        });
        due
    }

    /// The moment at which to ask for counts that are due; `None` if there are no counts.
    pub fn next(&self) -> Option<Instant> {
        self.open.values().map(|count| count.since + TALLY_EVERY).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_a_second_with_a_count() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tally = Tally::default();
        assert_eq!(tally.next(), None);
        assert!(tally.note("wrong key", 1, at(0)));
        assert!(!tally.note("wrong key", 2, at(10)));
        assert!(!tally.note("wrong key", 3, at(20)));
        assert!(tally.note("no path", 4, at(500)), "another kind");
        assert_eq!(tally.due(at(999)), []);
        assert_eq!(tally.due(at(1_000)), [Again { kind: "wrong key", count: 2, last: 3 }]);
        assert!(!tally.note("wrong key", 5, at(1_100)), "a second has not passed since that line");
        assert_eq!(tally.due(at(1_999)), [], "what came once needs no second line");
        assert_eq!(tally.due(at(2_000)), [Again { kind: "wrong key", count: 1, last: 5 }]);
        assert_eq!(tally.due(at(3_000)), []);
        assert!(tally.next().is_none() && tally.open.is_empty());
        assert!(tally.note("wrong key", 6, at(3_001)));
    }

    #[test]
    fn kinds_are_bounded() {
        let mut tally = Tally::default();
        let now = Instant::now();
        let told = (0..2 * TALLY_KINDS).filter(|kind| tally.note(*kind, (), now)).count();
        assert_eq!(told, TALLY_KINDS);
    }
}
