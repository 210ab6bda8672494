//! When calls are looked at because their time may be over. Calls of one tick are kept together, so that planning and forgetting a
//! call costs the same however many other calls are open. In a sorted set the cost would grow with the number of calls.

use std::collections::BTreeMap;

use rcs_proto::time::Moment;

use crate::engine::keys::CallKey;
use crate::limits::TICK;

/// Calls by the tick in which they may be due.
#[derive(Debug, Default)]
pub(super) struct DueCalls {
    /// At most as many entries as there are ticks up to the longest deadline. A tick that lost its calls stays until its time.
    ticks: BTreeMap<u64, Vec<CallKey>>,
}

/// Where a call stands in [`DueCalls`]; kept by the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    tick: u64,
    index: usize,
}

impl DueCalls {
    /// Notes a call to be looked at from this moment on.
    pub(super) fn insert(&mut self, key: CallKey, at: Moment) -> Planned {
        let tick = tick_of(at);
        let calls = self.ticks.entry(tick).or_default();
        calls.push(key);
        Planned { tick, index: calls.len() - 1 }
    }

    /// Forgets a call; returns the call that stands in its place from now on, if one does.
    pub(super) fn remove(&mut self, planned: Planned) -> Option<CallKey> {
        let calls = self.ticks.get_mut(&planned.tick).expect("a planned call is in its tick");
        calls.swap_remove(planned.index);
        calls.get(planned.index).copied()
    }

    /// Takes out the calls that may be due by now.
    pub(super) fn take(&mut self, now: Moment) -> Vec<CallKey> {
        let mut due = Vec::new();
        while let Some(first) = self.ticks.first_entry().filter(|first| *first.key() <= tick_of(now)) {
            due.extend(first.remove());
        }
        due
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ticks.values().map(Vec::len).sum()
    }

    /// Whether a call stands where `planned` says.
    #[cfg(test)]
    pub(super) fn holds(&self, key: CallKey, planned: Planned) -> bool {
        self.ticks.get(&planned.tick).and_then(|calls| calls.get(planned.index)) == Some(&key)
    }
}

/// The last tick that is not after this moment, counted from the start.
fn tick_of(at: Moment) -> u64 {
    u64::try_from(at.since_start().as_millis() / TICK.as_millis()).unwrap_or(u64::MAX)
}
