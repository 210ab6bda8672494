//! Decides which call runs next. Places for calls are shared between the configurations (one configuration is one resource).
//!
//! - A configuration has a share of the places, so a resource that answers slowly leaves room for others.
//! - A configuration that runs nothing may have a place beyond the bound: slow resources cannot use up this reserve.
//! - Configurations that wait take turns.
//! - A call that is over its time **hangs**: its thread cannot be stopped. Its place is given to other calls (up to a bound), and still
//!   counts in its own configuration's share until the thread comes back. A configuration whose whole share hangs gets no further places.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rcs_proto::operation::Operation;
use tokio::sync::oneshot;

use crate::error::ErrorClass;
use crate::executor::Failure;

/// The configuration that a call belongs to.
#[derive(Clone, Debug)]
pub(super) struct Who {
    /// The configuration, by a number that is never used again.
    pub(super) configuration: u64,
    /// Name of its connector, for the log.
    pub(super) connector: Arc<str>,
}

/// How many of something (places, waiting calls) configurations share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// For all configurations.
    pub(super) all: usize,
    /// For one configuration.
    pub(super) each: usize,
    /// Beyond `all`, for configurations that have none yet.
    pub(super) reserve: usize,
}

impl Share {
    fn admits(self, all: usize, own: usize) -> bool {
        own < self.each && (all < self.all || own == 0 && all < self.all + self.reserve)
    }
}

/// The bounds of one lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Places.
    pub(super) running: Share,
    /// Calls that wait for a place.
    pub(super) waiting: Share,
    /// Hanging calls whose places are given to others.
    pub(super) replaced: usize,
}

/// Places for one family of operations.
pub(super) struct Lane {
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Places that are taken; those of replaced calls are not counted.
    running: usize,
    waiting: usize,
    hanging: usize,
    replaced: usize,
    of: HashMap<u64, Configuration>,
    /// The configurations with waiting calls, each once. The first one has the next turn.
    turns: VecDeque<u64>,
    last_waiter: u64,
}

#[derive(Default)]
struct Configuration {
    running: usize,
    hanging: usize,
    hanging_since: Option<Instant>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    who: Who,
    granted: oneshot::Sender<Place>,
}

impl Configuration {
    fn own(&self) -> usize {
        self.running + self.hanging
    }

    fn is_idle(&self) -> bool {
        self.own() == 0 && self.queue.is_empty()
    }
}

/// How much hangs at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hanging {
    /// Calls that hang.
    pub calls: usize,
    /// Configurations with calls that hang.
    pub configurations: usize,
}

impl Lane {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, state: Mutex::default() })
    }

    /// Waits for a place. A call that is refused here was not run.
    pub(super) async fn enter(self: &Arc<Self>, who: &Who) -> Result<Place, Failure> {
        let (number, place) = match self.start_or_wait(who)? {
            Entry::Started(place) => return Ok(place),
            Entry::Waits(number, place) => (number, place),
        };
        let _waiting = Waiting { lane: self, configuration: who.configuration, number };
        place.await.map_err(|_| self.all_hang(who))
    }

    pub(super) fn hanging(&self) -> Hanging {
        let state = self.state();
        let configurations = state.of.values().filter(|one| one.hanging > 0).count();
        Hanging { calls: state.hanging, configurations }
    }

    fn start_or_wait(self: &Arc<Self>, who: &Who) -> Result<Entry, Failure> {
        let state = &mut *self.state();
        let entry = self.entry(state, who);
        if entry.is_err() {
            state.forget_if_idle(who.configuration);
        }
        entry
    }

    fn entry(self: &Arc<Self>, state: &mut State, who: &Who) -> Result<Entry, Failure> {
        let configuration = state.of.entry(who.configuration).or_default();
        if configuration.hanging >= self.bounds.running.each {
            return Err(self.all_hang(who));
        }
        if configuration.queue.is_empty() && self.bounds.running.admits(state.running, configuration.own()) {
            configuration.running += 1;
            state.running += 1;
            return Ok(Entry::Started(self.place(who.clone())));
        }
        if !self.bounds.waiting.admits(state.waiting, configuration.queue.len()) {
            let message =
                "overload: too many calls are waiting at this server; the call was not run, repeat it later";
            return Err(Failure::new(ErrorClass::Retryable, message));
        }
        if configuration.queue.is_empty() {
            state.turns.push_back(who.configuration);
        }
        let (granted, place) = oneshot::channel();
        state.last_waiter += 1;
        state.waiting += 1;
        let number = state.last_waiter;
        configuration.queue.push_back(Waiter { number, who: who.clone(), granted });
        Ok(Entry::Waits(number, place))
    }

    fn place(self: &Arc<Self>, who: Who) -> Place {
        let shared = Arc::new(Shared { lane: self.clone(), who, standing: Mutex::new(Standing::Running) });
        Place(shared)
    }

    fn all_hang(&self, who: &Who) -> Failure {
        let each = self.bounds.running.each;
        let message = format!(
            "{each} calls of this configuration of {} hang: its resource does not answer. The call was not run; look at the resource, \
             and repeat the call when the resource answers again",
            who.connector
        );
        Failure::new(ErrorClass::Retryable, message)
    }

    /// Gives free places to calls that wait.
    fn grant(self: &Arc<Self>) {
        loop {
            let Some(Waiter { who, granted, .. }) = self.state().next(self.bounds.running) else { return };
            if let Err(place) = granted.send(self.place(who)) {
                // The call was given up. Another call gets the place in the next round. Dropping the place here would call this function
                // again.
                place.0.leave();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Entry {
    Started(Place),
    Waits(u64, oneshot::Receiver<Place>),
}

impl State {
    /// The next call that may start now; its place is taken.
    fn next(&mut self, share: Share) -> Option<Waiter> {
        for _ in 0..self.turns.len() {
            let id = self.turns.pop_front()?;
            let Some(configuration) = self.of.get_mut(&id) else { continue };
            if !share.admits(self.running, configuration.own()) {
                self.turns.push_back(id);
                continue;
            }
            let Some(waiter) = configuration.queue.pop_front() else { continue };
            configuration.running += 1;
            self.running += 1;
            if !configuration.queue.is_empty() {
                self.turns.push_back(id);
            }
            return Some(waiter);
        }
        None
    }

    fn forget_if_idle(&mut self, id: u64) {
        if self.of.get(&id).is_some_and(Configuration::is_idle) {
            self.of.remove(&id);
        }
    }
}

/// A waiting call. When dropped, the call leaves the queue.
struct Waiting<'a> {
    lane: &'a Lane,
    configuration: u64,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let state = &mut *self.lane.state();
        state.waiting -= 1;
        let Some(configuration) = state.of.get_mut(&self.configuration) else { return };
        let before = configuration.queue.len();
        configuration.queue.retain(|waiter| waiter.number != self.number);
        if configuration.queue.is_empty() && before > 0 {
            state.turns.retain(|id| *id != self.configuration);
        }
        state.forget_if_idle(self.configuration);
    }
}

/// The right of one call to run. The place goes with the call's thread, and ends with the thread.
pub(super) struct Place(Arc<Shared>);

/// What the task that waits for the call knows of the call's place.
#[derive(Clone)]
pub(super) struct Watch(Arc<Shared>);

struct Shared {
    lane: Arc<Lane>,
    who: Who,
    standing: Mutex<Standing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Running,
    /// The call is over its time.
    Hanging {
        since: Instant,
        /// Its place was given to others.
        replaced: bool,
    },
    Left,
}

impl Place {
    pub(super) fn watch(&self) -> Watch {
        Watch(self.0.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.leave() {
            self.0.lane.grant();
        }
    }
}

impl Watch {
    /// The call is over its time. From now on the call hangs, until its thread comes back.
    pub(super) fn hangs(&self, operation: Operation, limit: Duration) {
        let Shared { lane, who, standing } = &*self.0;
        let mut standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        if *standing != Standing::Running {
            return;
        }
        let since = Instant::now();
        let (first, given_up) = {
            let state = &mut *lane.state();
            let replaced = state.replaced < lane.bounds.replaced;
            if replaced {
                state.replaced += 1;
                state.running -= 1;
            }
            state.hanging += 1;
            *standing = Standing::Hanging { since, replaced };
            let configuration = state.of.entry(who.configuration).or_default();
            configuration.running -= 1;
            configuration.hanging += 1;
            let first = configuration.hanging == 1;
            if first {
                configuration.hanging_since = Some(since);
            }
            let mut given_up = VecDeque::new();
            if configuration.hanging >= lane.bounds.running.each {
                given_up = std::mem::take(&mut configuration.queue);
                state.turns.retain(|id| *id != who.configuration);
            }
            (first, given_up)
        };
        drop(standing);
        if first {
            tracing::warn!(
                connector = &*who.connector,
                %operation,
                "a call hangs: the connector has not come back for {} s. Its caller got an error, its thread cannot be stopped. Look at the \
                 resource of this connector; further hanging calls of this configuration are counted only",
                limit.as_secs_f32()
            );
        }
        // Each call whose sender is dropped here gets the error that its whole configuration hangs.
        drop(given_up);
        lane.grant();
    }
}

impl Shared {
    /// Gives the place back. Returns false if the place was given back already.
    fn leave(&self) -> bool {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *standing, Standing::Left);
        drop(standing);
        let mut state = self.lane.state();
        let state = &mut *state;
        let Some(configuration) = state.of.get_mut(&self.who.configuration) else { return false };
        match before {
            Standing::Left => return false,
            Standing::Running => {
                configuration.running -= 1;
                state.running -= 1;
            }
            Standing::Hanging { since, replaced } => {
                configuration.hanging -= 1;
                state.hanging -= 1;
                if replaced {
                    state.replaced -= 1;
                } else {
                    state.running -= 1;
                }
                if configuration.hanging == 0 {
                    let since = configuration.hanging_since.take().unwrap_or(since);
                    tracing::info!(
                        connector = &*self.who.connector,
                        "the calls of a configuration that hung have come back, the last one {} s after the first was given up",
                        since.elapsed().as_secs_f32()
                    );
                }
            }
        }
        state.forget_if_idle(self.who.configuration);
        true
    }
}
