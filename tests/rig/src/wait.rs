//! The one place where a test waits: always for a state, with a bound and a reason.

use std::time::{Duration, Instant};

/// Gap between two looks at the awaited state.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Bound of a wait for a state that must come, where its time is not what the test is about. It is minutes, because the machine
/// may have many times the work that it has processors for: a Java peer alone needs seconds of processor time to start.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Bound of a wait for what follows at once: a few milliseconds of processor time lie between cause and effect, and no timer.
/// A busy machine may take a hundred times as long. What comes by a timer comes later than this: the first one finds a frozen
/// member, after about 8 s. How fast it really is, the drills measure on a quiet machine.
pub const AT_ONCE: Duration = Duration::from_secs(5);

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
