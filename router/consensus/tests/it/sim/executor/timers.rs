//! Timers: due when they have fired, one at a time.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::{Life, Timer, WORLDS, with};

/// The firing of one timer, shared by the timer and whoever sleeps.
#[derive(Default)]
pub(crate) struct Firing {
    fired: bool,
    waker: Option<Waker>,
    /// Where the timer is.
    pub(super) key: (u64, u64),
}

/// Fires the next timer of a group that runs. Returns whether there is one.
pub(super) fn fire_next_timer() -> bool {
    let fired = with(|w| {
        w.polls = 0;
        loop {
            let ((due, number), timer) = w.timers.pop_first()?;
            let state = &mut w.groups[timer.group.0];
            if state.life == Life::Paused {
                state.held_timers.push((number, timer));
                continue;
            }
            w.now = w.now.max(due);
            w.trace.mix(w.now ^ number.rotate_left(32));
            return Some(timer.firing);
        }
    });
    let Some(firing) = fired else { return false };
    let waker = {
        let mut firing = firing.lock().unwrap();
        firing.fired = true;
        firing.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
    true
}

/// The number of a new timer. Taken when the timer is made: the first poll would be too late, as `select!` polls in any order.
pub(crate) fn timer_number() -> u64 {
    with(|w| {
        w.last_timer += 1;
        w.last_timer
    })
}

/// Starts a timer that fires at `deadline` by the clock of the group that runs.
pub(crate) fn start_timer(number: u64, deadline: u64, waker: Waker) -> Arc<Mutex<Firing>> {
    with(|w| {
        let key = (deadline.saturating_sub(w.groups[w.current.0].ahead).max(w.now), number);
        let firing = Arc::new(Mutex::new(Firing { fired: false, waker: Some(waker), key }));
        w.timers.insert(key, Timer { group: w.current, firing: Arc::clone(&firing) });
        firing
    })
}

/// Whether the timer has fired; if not, `waker` is called when it does.
pub(crate) fn poll_firing(firing: &Mutex<Firing>, waker: &Waker) -> Poll<()> {
    let mut firing = firing.lock().unwrap();
    if firing.fired {
        return Poll::Ready(());
    }
    match &mut firing.waker {
        Some(old) => old.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
    Poll::Pending
}

/// A sleeper is gone: its timer goes as well. A timer that a paused group holds fires for nobody.
pub(crate) fn forget(firing: &Mutex<Firing>) {
    let mut firing = firing.lock().unwrap();
    firing.waker = None;
    let key = firing.key;
    drop(firing);
    // The last sleepers of a simulation are dropped after their world.
    WORLDS.with_borrow_mut(|world| world.as_mut().and_then(|w| w.timers.remove(&key)));
}
