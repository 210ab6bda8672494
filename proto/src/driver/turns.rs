//! The turns of connections that may become sockets. Turns come in order and at a pace, and few connections at a time may have proved
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::limits;

/// How fast connections are taken, or get their turns: a number per second, and after a pause the number of
/// [`limits::ACCEPT_BURST`] at once.
#[derive(Debug)]
pub(super) struct Pace {
    /// The earliest moment for the next connection.
    next: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// When the next one may be taken.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// One was taken, at a pace of `per_second`. After a pause, those of the time `burst` may be taken at once.
    pub(super) fn took_one(&mut self, per_second: u32, burst: Duration, now: Instant) {
        let earliest = now.checked_sub(burst).unwrap_or(self.next);
        self.next = self.next.max(earliest) + Duration::from_secs(1) / per_second.max(1);
    }
}

/// The turns of all listeners that share an intake.
#[derive(Debug)]
pub(super) struct Turns {
    /// Held by the connection whose turn is next.
    pace: Mutex<Pace>,
    /// Places of connections that have proved nothing yet.
    places: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn new(places: usize) -> Self {
        Self { pace: Mutex::new(Pace::new()), places: Arc::new(Semaphore::new(places)) }
    }

    /// Waits for a turn, at `per_second` turns a second. A connection whose peer has given up meanwhile gets no turn, and does not delay
    /// the next one.
    pub(super) async fn next(
        &self,
        per_second: impl Fn() -> u32,
        is_given_up: impl Fn() -> bool,
    ) -> Option<OwnedSemaphorePermit> {
        let mut pace = self.pace.lock().await;
        if is_given_up() {
            return None;
        }
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        sleep_until(pace.next()).await;
        if is_given_up() {
            return None;
        }
        pace.took_one(per_second(), limits::ACCEPT_BURST, Instant::now());
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_taken_at_the_pace_and_few_at_once_after_a_pause() {
        let start = Instant::now();
        let mut pace = Pace { next: start };
        let mut now = start;
        let mut take = |now: &mut Instant| {
            *now = pace.next.max(*now);
            pace.took_one(1_000, limits::ACCEPT_BURST, *now);
        };
        (0..500).for_each(|_| take(&mut now));
        assert_eq!(now - start, Duration::from_millis(499), "the first one at once");
        let later = now + Duration::from_secs(60);
        now = later;
        let at_once = (0..500).take_while(|_| {
            take(&mut now);
            now == later
        });
        assert_eq!(at_once.count(), 6, "those of the burst, and the next, of a minute's worth");
    }
}
