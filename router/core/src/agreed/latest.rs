//! The latest entries of something, in order: the oldest entry is forgotten when there are too many.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::command::{RequestId, UnknownOutcome};
use super::limits::{ACKNOWLEDGED_MAX, REQUESTS_REMEMBERED_MAX};
use super::outcome::Outcome;

/// At most `MAX` entries, each under a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Latest<K, V, const MAX: usize> {
    order: VecDeque<K>,
    entries: BTreeMap<K, V>,
}

impl<K, V, const MAX: usize> Default for Latest<K, V, MAX> {
    fn default() -> Self {
        Self { order: VecDeque::new(), entries: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V, const MAX: usize> Latest<K, V, MAX> {
    /// The entry of this key.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// The keys in this range.
    pub(super) fn range(&self, keys: RangeInclusive<K>) -> impl Iterator<Item = &K> {
        self.entries.range(keys).map(|(key, _)| key)
    }

    /// Adds an entry unless there is one of this key. Returns whether the entry was added.
    pub(super) fn add(&mut self, key: K, value: V) -> bool {
        if self.entries.contains_key(&key) {
            return false;
        }
        self.order.push_back(key.clone());
        self.entries.insert(key, value);
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        true
    }

    /// All entries, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.iter().filter_map(|key| self.entries.get_key_value(key))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    /// Entries in this order; none if there are too many, or two of one key.
    pub(super) fn from_entries(entries: impl IntoIterator<Item = (K, V)>) -> Option<Self> {
        let mut latest = Self::default();
        for (key, value) in entries {
            if latest.order.len() == MAX || !latest.add(key, value) {
                return None;
            }
        }
        Some(latest)
    }
}

/// Calls whose unknown outcome an operator has dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<UnknownOutcome>", into = "Vec<UnknownOutcome>")]
pub(super) struct Acknowledged(pub(super) Latest<UnknownOutcome, (), ACKNOWLEDGED_MAX>);

/// The outcomes of the latest requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Request>", into = "Vec<Request>")]
pub(super) struct Requests(pub(super) Latest<RequestId, Outcome, REQUESTS_REMEMBERED_MAX>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    id: RequestId,
    outcome: Outcome,
}

impl From<Acknowledged> for Vec<UnknownOutcome> {
    fn from(all: Acknowledged) -> Self {
        all.0.iter().map(|(call, ())| call.clone()).collect()
    }
}

impl TryFrom<Vec<UnknownOutcome>> for Acknowledged {
    type Error = &'static str;

    fn try_from(all: Vec<UnknownOutcome>) -> Result<Self, Self::Error> {
        let entries = all.into_iter().map(|call| (call, ()));
        Latest::from_entries(entries).map(Self).ok_or("too many calls, or one twice")
    }
}

impl From<Requests> for Vec<Request> {
    fn from(all: Requests) -> Self {
        all.0.iter().map(|(id, outcome)| Request { id: *id, outcome: outcome.clone() }).collect()
    }
}

impl TryFrom<Vec<Request>> for Requests {
    type Error = &'static str;

    fn try_from(all: Vec<Request>) -> Result<Self, Self::Error> {
        let entries = all.into_iter().map(|request| (request.id, request.outcome));
        Latest::from_entries(entries).map(Self).ok_or("too many requests, or one twice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_forgotten_first_and_a_second_one_of_a_key_is_not_added() {
        let mut latest = Latest::<u8, char, 2>::default();
        assert!(latest.add(1, 'a') && latest.add(2, 'b') && !latest.add(1, 'c'));
        assert_eq!(latest.get(&1), Some(&'a'));
        assert!(latest.add(3, 'd'));
        assert_eq!(latest.iter().collect::<Vec<_>>(), [(&2, &'b'), (&3, &'d')]);
        assert_eq!(Latest::from_entries([(2, 'b'), (3, 'd')]), Some(latest));
        assert_eq!(Latest::<u8, char, 2>::from_entries([(2, 'b'), (2, 'd')]), None);
        assert_eq!(Latest::<u8, char, 2>::from_entries([(1, 'a'), (2, 'b'), (3, 'd')]), None);
    }
}
