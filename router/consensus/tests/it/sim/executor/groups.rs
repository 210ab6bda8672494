//! Groups of tasks: lives of processes that begin, stand still, leap in time and end.

use std::time::Duration;

use super::{Group, Life, State, Task, WORLD, nanos, with};

/// Begins the life of a process. `name` stands in the trace.
pub(crate) fn new_group(name: &str) -> Group {
    with(|w| {
        w.groups.push(State::new(name));
        Group(w.groups.len() - 1)
    })
}

/// The group of the task that runs.
pub(crate) fn current() -> Group {
    with(|w| w.current)
}

/// SIGKILL: drops the group's tasks where they stand. Within one of these tasks, it happens when the task's poll returns, so that
/// nothing is dropped under the locks that the task holds.
pub(crate) fn kill(group: Group) {
    let now = with(|w| {
        let state = &mut w.groups[group.0];
        if state.life == Life::Dead {
            return false;
        }
        if w.current == group && group != WORLD {
            if state.life != Life::Doomed {
                state.life = Life::Doomed;
                w.doomed.push(group);
            }
            return false;
        }
        true
    });
    if now {
        kill_now(group);
    }
}

pub(super) fn kill_now(group: Group) {
    let (mut tasks, timers, before) = with(|w| {
        w.groups[group.0].life = Life::Dead;
        w.groups[group.0].held_tasks.clear();
        let ids: Vec<u64> = w.tasks.iter().filter(|(_, t)| t.group == group).map(|(id, _)| *id).collect();
        let tasks: Vec<Task> = ids.iter().filter_map(|id| w.tasks.remove(id)).collect();
        let mut timers = std::mem::take(&mut w.groups[group.0].held_timers);
        let keys: Vec<(u64, u64)> =
            w.timers.iter().filter(|(_, t)| t.group == group).map(|(key, _)| *key).collect();
        timers.extend(keys.iter().filter_map(|key| Some((key.1, w.timers.remove(key)?))));
        (tasks, timers, std::mem::replace(&mut w.current, group))
    });
    // One by one and outside of the borrow: a future's parts may wake, spawn and sleep when they are dropped.
    for task in &mut tasks {
        drop(task.future.take());
    }
    drop(timers);
    with(|w| w.current = before);
}

/// Whether the group was killed, or will be before anything else runs.
pub(crate) fn is_dead(group: Group) -> bool {
    with(|w| matches!(w.groups[group.0].life, Life::Dead | Life::Doomed))
}

/// SIGSTOP: nothing of the group runs, its clock goes on. No effect on a dead or paused group.
pub(crate) fn pause(group: Group) {
    with(|w| {
        if w.groups[group.0].life == Life::Running {
            w.groups[group.0].life = Life::Paused;
        }
    });
}

/// SIGCONT: what became ready meanwhile runs, then timers that came due fire one by one.
pub(crate) fn resume(group: Group) {
    with(|w| {
        w.queue_woken();
        let now = w.now;
        let state = &mut w.groups[group.0];
        if state.life != Life::Paused {
            return;
        }
        state.life = Life::Running;
        w.ready.extend(state.held_tasks.drain(..));
        for (number, timer) in state.held_timers.drain(..) {
            timer.firing.lock().unwrap().key = (now, number);
            w.timers.insert((now, number), timer);
        }
    });
}

/// The group's clock leaps ahead: what it sleeps for comes due so much sooner. A monotonic clock never goes back.
pub(crate) fn jump_clock(group: Group, by: Duration) {
    with(|w| {
        let (by, now) = (nanos(by), w.now);
        w.groups[group.0].ahead += by;
        let moved: Vec<(u64, u64)> =
            w.timers.iter().filter(|(_, t)| t.group == group).map(|(key, _)| *key).collect();
        for key in moved {
            if let Some(timer) = w.timers.remove(&key) {
                let key = (key.0.saturating_sub(by).max(now), key.1);
                timer.firing.lock().unwrap().key = key;
                w.timers.insert(key, timer);
            }
        }
    });
}
