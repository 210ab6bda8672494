//! Cancels that overtook their calls: frames of one socket may be handed over in any order, and two sockets in either
//! (WIRE 7.3). Java 1.8.0 loses such a cancel, and the call runs for nobody.

use std::collections::VecDeque;

use crate::limits;
use crate::time::Moment;

/// Ids of cancels whose calls have not come, bounded by count and age.
#[derive(Debug, Default)]
pub(super) struct EarlyCancels {
    parked: VecDeque<(i64, Moment)>,
    /// Calls that ended last: a cancel of one of them comes too late, not too early.
    ended: VecDeque<i64>,
}

impl EarlyCancels {
    pub(super) fn ended(&mut self, id: i64) {
        if self.ended.len() >= limits::EARLY_CANCELS_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }

    pub(super) fn park(&mut self, id: i64, now: Moment) {
        if self.ended.contains(&id) {
            return;
        }
        self.forget_old(now);
        if self.parked.len() >= limits::EARLY_CANCELS_MAX {
            self.parked.pop_front();
        }
        self.parked.push_back((id, now));
    }

    /// Whether the call that arrives now was cancelled before.
    pub(super) fn take(&mut self, id: i64, now: Moment) -> bool {
        self.forget_old(now);
        let at = self.parked.iter().position(|(parked, _)| *parked == id);
        at.is_some_and(|at| self.parked.remove(at).is_some())
    }

    fn forget_old(&mut self, now: Moment) {
        while self.parked.front().is_some_and(|(_, at)| now.since(*at) > limits::EARLY_CANCEL_KEPT) {
            self.parked.pop_front();
        }
    }
}
