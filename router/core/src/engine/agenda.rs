//! What is due at which moment, one moment for each key. A tick looks only at what is due, so idle callers, members and groups do
//! not add to the cost of a tick.

use std::collections::BTreeSet;

use rcs_proto::time::Moment;

/// Keys in the order of their moments. The owner of the entries keeps each key's moment beside the entry.
#[derive(Debug)]
pub(super) struct Agenda<K>(BTreeSet<(Moment, K)>);

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Copy + Ord> Agenda<K> {
    /// Moves a key from the moment that `planned` holds to the moment `at`, and writes `at` into `planned`. None: the key is in no
    /// agenda before, or after.
    pub(super) fn plan(&mut self, key: K, planned: &mut Option<Moment>, at: Option<Moment>) {
        if *planned == at {
            return;
        }
        if let Some(before) = planned.take() {
            let was_there = self.0.remove(&(before, key));
            assert!(was_there, "a planned key is in the agenda");
        }
        if let Some(at) = at {
            self.0.insert((at, key));
            *planned = Some(at);
        }
    }

    /// The keys that are due by now, the earliest first. A key stays in the agenda until it is planned anew.
    pub(super) fn due(&self, now: Moment) -> Vec<K> {
        self.0.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_key_is_due_once_its_moment_has_come_and_is_there_once() {
        let (mut agenda, mut one, mut two) = (Agenda::default(), None, None);
        agenda.plan(1, &mut one, Some(at(5)));
        agenda.plan(2, &mut two, Some(at(3)));
        assert_eq!((agenda.due(at(2)), agenda.due(at(4)), agenda.due(at(5))), (vec![], vec![2], vec![2, 1]));
        agenda.plan(1, &mut one, Some(at(1)));
        agenda.plan(2, &mut two, None);
        assert_eq!((agenda.due(at(9)), agenda.len(), one, two), (vec![1], 1, Some(at(1)), None));
    }
}
