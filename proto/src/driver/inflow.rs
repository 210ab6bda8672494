//! Room for messages on their way in: one budget for all sockets of a kind. Small messages always pass. A large message takes room while
//! it is unfinished, and while it waits for the owner. A length that a peer only announces takes no room (P10).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::caller::CallerShare;
use super::limits;

/// The room that the sockets of an owner share.
#[derive(Debug)]
pub struct Inflow {
    /// Bytes.
    max: usize,
    /// Bytes of one caller's messages, unless there is one message alone.
    caller_max: usize,
    taken: AtomicUsize,
    /// Notified whenever room is given back.
    freed: Notify,
    /// Turns of messages that are read on a thread apart.
    turns: Semaphore,
    /// How long a message waits for room.
    pub(super) patience: Duration,
    /// For how long a message may be slower than [`limits::MESSAGE_BYTES_PER_SECOND`].
    pub(super) grace: Duration,
    since: Instant,
    /// When a dropped message was last written to the log: milliseconds after `since`, plus one. 0 stands for never.
    logged_at: AtomicU64,
}

impl Inflow {
    /// Room for this many bytes, for sockets that each count alone.
    pub fn of(max: usize) -> Arc<Self> {
        Self::with(max, usize::MAX, limits::INFLOW_PATIENCE, limits::MESSAGE_GRACE)
    }

    /// Room for this many bytes, of which one caller's messages take one part of [`limits::INFLOW_CALLER_SHARE`] at most.
    pub fn of_callers(max: usize) -> Arc<Self> {
        let caller_max = max / limits::INFLOW_CALLER_SHARE;
        Self::with(max, caller_max, limits::INFLOW_PATIENCE, limits::MESSAGE_GRACE)
    }

    /// Room with other times, for tests.
    #[cfg(test)]
    pub(super) fn timed(max: usize, patience: Duration, grace: Duration) -> Arc<Self> {
        Self::with(max, usize::MAX, patience, grace)
    }

    pub(super) fn with(max: usize, caller_max: usize, patience: Duration, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            max,
            caller_max,
            patience,
            grace,
            turns: Semaphore::new(limits::READ_APART_TURNS),
            taken: AtomicUsize::new(0),
            freed: Notify::new(),
            since: Instant::now(),
            logged_at: AtomicU64::new(0),
        })
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Waits for the turn of a message that is read on a thread apart. The turn lasts until the value is dropped.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
    }

    /// Resolves when room is given back next.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Whether a dropped message may be written to the log: one a second, from whichever socket.
    pub(super) fn may_log(&self, now: Instant) -> bool {
        let now = 1 + u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX - 1);
        let before = self.logged_at.load(Ordering::Relaxed);
        let is_due =
            before == 0 || now.saturating_sub(before) >= limits::DROPPED_LOG_EVERY.as_millis() as u64;
        is_due && self.logged_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The room that one message has. The room is given back when this value is dropped.
#[derive(Debug)]
pub(super) struct Grant {
    inflow: Arc<Inflow>,
    caller: Arc<CallerShare>,
    bytes: usize,
}

impl Grant {
    /// No room yet.
    pub(super) fn none(inflow: &Arc<Inflow>, caller: &Arc<CallerShare>) -> Self {
        Self { inflow: Arc::clone(inflow), caller: Arc::clone(caller), bytes: 0 }
    }

    /// Whether the message has no room.
    pub(super) fn is_none(&self) -> bool {
        self.bytes == 0
    }

    /// Takes room until the message has this much. Returns false, and takes nothing, if that much is not free.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        if !self.caller.grow(self.bytes, more, self.inflow.caller_max) {
            return false;
        }
        let max = self.inflow.max;
        let fits = |taken: usize| taken.checked_add(more).filter(|after| *after <= max);
        if self.inflow.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            self.caller.shrink(more);
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Gives all of the room back.
    pub(super) fn clear(&mut self) {
        if self.bytes > 0 {
            let bytes = std::mem::take(&mut self.bytes);
            self.inflow.taken.fetch_sub(bytes, Ordering::Relaxed);
            self.caller.shrink(bytes);
            self.inflow.freed.notify_waiters();
        }
    }

    /// Hands the room over to a message that is complete.
    pub(super) fn take(&mut self) -> Option<Self> {
        if self.is_none() {
            return None;
        }
        Some(std::mem::replace(self, Self::none(&self.inflow, &self.caller)))
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_once_and_given_back_with_its_grant() {
        let inflow = Inflow::of(100);
        let alone = Arc::default();
        let mut first = Grant::none(&inflow, &alone);
        let mut second = Grant::none(&inflow, &alone);
        assert!(first.take().is_none());
        assert!(first.grow(60) && first.grow(50) && !second.grow(41) && second.grow(40));
        assert_eq!(inflow.taken(), 100);
        assert!(!first.grow(61), "what it has stays");
        let complete = first.take().expect("it had room");
        assert!(first.is_none());
        assert_eq!(inflow.taken(), 100, "a message that waits for the owner keeps its room");
        drop(complete);
        assert!(first.grow(60));
        drop((first, second));
        assert_eq!(inflow.taken(), 0);
    }

    #[test]
    fn one_caller_leaves_room_to_others() {
        let inflow = Inflow::with(100, 25, Duration::ZERO, Duration::ZERO);
        let (greedy, other): (Arc<CallerShare>, Arc<CallerShare>) = Default::default();
        let mut messages: Vec<Grant> = (0..10).map(|_| Grant::none(&inflow, &greedy)).collect();
        let taken = messages.iter_mut().filter_map(|message| message.grow(5).then_some(())).count();
        assert_eq!((taken, inflow.taken()), (5, 25));
        let mut message = Grant::none(&inflow, &other);
        assert!(message.grow(60), "one message alone may be larger");
        drop(messages);
        assert!(Grant::none(&inflow, &greedy).grow(5));
        drop(message);
        assert_eq!(inflow.taken(), 0);
    }

    #[test]
    fn dropped_messages_make_one_line_a_second() {
        let inflow = Inflow::of(1);
        let lines = |ms: u64| {
            let now = inflow.since + Duration::from_millis(ms);
            (0..100).filter(|_| inflow.may_log(now)).count()
        };
        assert_eq!([0, 999, 1000, 1001, 2000].map(lines), [1, 0, 1, 0, 1]);
    }
}
