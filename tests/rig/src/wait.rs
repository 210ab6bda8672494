//! The one place where a test waits: always for a state, with a bound and a reason.

use std::time::{Duration, Instant};

/// Gap between two looks at the awaited state.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Looks until `look` finds something; fails the test with `reason` after `bound`.
#[track_caller]
pub fn wait_for<T>(reason: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < bound, "waited {bound:?} in vain: {reason}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// [`wait_for`] on a plain condition; answers how long it took.
#[track_caller]
pub fn wait_until(reason: &str, bound: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    wait_for(reason, bound, || condition().then_some(()));
    start.elapsed()
}

/// Keeps the present state up for `time` because its length is what the test is about (a stall, a freeze), and checks all the
/// while that `invariant` holds. This is a stimulus, not a wait.
#[track_caller]
pub fn hold(reason: &str, time: Duration, mut invariant: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(invariant(), "broken after {:?}: {reason}", start.elapsed());
        std::thread::sleep(LOOK_INTERVAL);
    }
}
