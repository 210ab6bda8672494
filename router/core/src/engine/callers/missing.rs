//! Calls that a caller waits for and that nobody here holds. The request was lost on its way, or its answer was: a Java caller waits for
//! such a call until its connection ends (WIRE 9). The caller names the call in each of its session checks.

use std::collections::{BTreeMap, VecDeque};

use rcs_proto::time::Moment;

use crate::limits::NOT_HELD_PER_CALLER_MAX;

/// The calls of one caller that nobody holds.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Each with the moment when it is answered for want of anything better.
    waiting: BTreeMap<i64, Moment>,
    /// The calls that were answered so, the latest last. A large request may come after this: it must not run then.
    told: VecDeque<i64>,
}

impl Missing {
    /// The caller named these calls, and no others that nobody holds. `room` is how many more calls may be noted. Calls that find no
    /// room are named again in the caller's next check.
    pub(super) fn listed(&mut self, ids: &[i64], room: usize, answer_at: Moment) {
        // In ascending order, as in the check.
        self.waiting.retain(|id, _| ids.binary_search(id).is_ok());
        let room = room.min(NOT_HELD_PER_CALLER_MAX.saturating_sub(self.waiting.len()));
        let new: Vec<i64> =
            ids.iter().copied().filter(|id| !self.waiting.contains_key(id)).take(room).collect();
        self.waiting.extend(new.into_iter().map(|id| (id, answer_at)));
    }

    /// The call came, or its answer does not matter any more.
    pub(super) fn is_held(&mut self, id: i64) {
        self.waiting.remove(&id);
    }

    /// When the next call is answered.
    pub(super) fn next(&self) -> Option<Moment> {
        self.waiting.values().min().copied()
    }

    /// Takes out the calls that are answered by now, in the order of their ids.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<i64> {
        let due: Vec<i64> = self.waiting.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        self.waiting.retain(|_, at| *at > now);
        self.told.extend(&due);
        let over = self.told.len().saturating_sub(NOT_HELD_PER_CALLER_MAX);
        self.told.drain(..over);
        due
    }

    /// Nothing is answered before this moment.
    pub(super) fn put_off(&mut self, until: Moment) {
        self.waiting.values_mut().for_each(|at| *at = until.max(*at));
    }

    /// Whether the caller was told that the outcome of this call is unknown.
    pub(super) fn was_told(&self, id: i64) -> bool {
        self.told.contains(&id)
    }

    /// How many calls wait to be answered.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::parts::at;

    #[test]
    fn a_call_is_answered_once_and_only_if_every_check_named_it() {
        let mut missing = Missing::default();
        missing.listed(&[3, 5, 9], usize::MAX, at(10));
        missing.listed(&[5, 9, 12], usize::MAX, at(15));
        assert_eq!((missing.len(), missing.next()), (3, Some(at(10))));
        missing.is_held(9);
        assert!(missing.take_due(at(9)).is_empty());
        assert_eq!(missing.take_due(at(10)), [5], "3 was answered meanwhile, 9 came");
        assert!(missing.take_due(at(14)).is_empty());
        missing.put_off(at(20));
        assert!(missing.take_due(at(19)).is_empty());
        assert_eq!((missing.take_due(at(20)), missing.next()), (vec![12], None));
        assert_eq!([3, 5, 9, 12].map(|id| missing.was_told(id)), [false, true, false, true]);
    }

    #[test]
    fn no_more_calls_are_noted_than_there_is_room_for() {
        let ids: Vec<i64> = (0..2 * NOT_HELD_PER_CALLER_MAX as i64).collect();
        let mut missing = Missing::default();
        missing.listed(&ids, 5, at(10));
        assert_eq!(missing.len(), 5);
        missing.listed(&ids, usize::MAX, at(10));
        assert_eq!(missing.len(), NOT_HELD_PER_CALLER_MAX);
        missing.listed(&[], usize::MAX, at(10));
        assert_eq!(missing.len(), 0);
    }
}
