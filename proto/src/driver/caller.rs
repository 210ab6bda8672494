//! What all sockets of one caller take together: of the owner's queue, and of the room for large messages. A caller that opens more sockets
//! gets no more of either, so others keep their part (P10).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::limits;

/// The callers whose sockets are open.
#[derive(Debug, Default)]
pub struct Callers {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    shares: HashMap<(Arc<str>, String), Weak<CallerShare>>,
    /// How many entries there may be before those of callers that left are dropped.
    swept_at: usize,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("shares", &self.shares.len()).finish_non_exhaustive()
    }
}

impl Callers {
    /// What the caller with this session id takes, among the callers on this way in. Session ids are chosen by callers, so a caller of
    /// another way in with the same id is another caller.
    pub(super) fn share(&self, way_in: &Arc<str>, session_id: &str) -> Arc<CallerShare> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (Arc::clone(way_in), session_id.to_owned());
        if let Some(share) = known.shares.get(&name).and_then(Weak::upgrade) {
            return share;
        }
        if known.shares.len() >= known.swept_at {
            known.shares.retain(|_, share| share.strong_count() > 0);
            known.swept_at = limits::CALLERS_SWEPT_MIN.max(2 * known.shares.len());
        }
        let share = Arc::new(CallerShare::default());
        known.shares.insert(name, Arc::downgrade(&share));
        share
    }
}

/// Which callers a socket's caller is one of.
#[derive(Clone, Debug)]
pub struct Among {
    /// All callers.
    pub callers: Arc<Callers>,
    /// The name of the caller's way in, principal included.
    pub way_in: Arc<str>,
}

/// What the sockets of one caller take together.
#[derive(Debug, Default)]
pub(super) struct CallerShare {
    /// Units of reports that wait for the owner ([`limits::SHARE_UNITS`]).
    units: AtomicUsize,
    /// Notified when half of the share is free again.
    heard: Notify,
    /// Bytes of large messages that are unfinished or wait for the owner.
    large: AtomicUsize,
}

impl CallerShare {
    /// A report goes to the owner: its units count from now on.
    pub(super) fn report(&self, units: usize) {
        self.units.fetch_add(units, Ordering::Relaxed);
    }

    /// The owner has taken a report. Readers are woken once half of the share is free, and not for each report.
    pub(super) fn heard(&self, units: usize) {
        const HALF: usize = limits::SHARE_UNITS / 2;
        let before = self.units.fetch_sub(units, Ordering::Relaxed);
        if before >= HALF && before - units < HALF {
            self.heard.notify_waiters();
        }
    }

    /// Whether the share of the queue is used up.
    pub(super) fn is_used(&self) -> bool {
        self.units.load(Ordering::Relaxed) >= limits::SHARE_UNITS
    }

    /// Resolves when half of the share is free again.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.heard.notified()
    }

    /// Takes room for `more` bytes of a large message that has `own` bytes already. Returns false, and takes nothing, if the caller's large
    /// messages would have more than `max` bytes together. One message alone may have more.
    pub(super) fn grow(&self, own: usize, more: usize, max: usize) -> bool {
        // In one step: bytes that are added and taken away again would make a message wait that fits.
        let fits = |before: usize| {
            let after = before.saturating_add(more);
            (before <= own || after <= max).then_some(after)
        };
        self.large.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Gives room of large messages back.
    pub(super) fn shrink(&self, bytes: usize) {
        self.large.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::limits::SHARE_UNITS;

    #[tokio::test]
    async fn readers_are_woken_once_half_of_their_share_is_free() {
        let share = CallerShare::default();
        share.report(SHARE_UNITS);
        assert!(share.is_used());
        let mut freed = Box::pin(share.freed());
        let mut is_woken = async || {
            tokio::select! { biased; () = &mut freed => true, () = std::future::ready(()) => false }
        };
        for _ in 0..SHARE_UNITS / 2 {
            share.heard(1);
            assert!(!is_woken().await);
        }
        share.heard(1);
        assert!(is_woken().await);
    }

    #[test]
    fn one_large_message_always_fits_and_several_have_a_bound_together() {
        let share = CallerShare::default();
        assert!(share.grow(0, 90, 100) && share.grow(90, 60, 100), "alone");
        assert!(!share.grow(0, 10, 100), "beside another one");
        share.shrink(100);
        assert!(share.grow(0, 50, 100) && !share.grow(50, 1, 100));
        share.shrink(100);
        assert_eq!(share.large.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_caller_is_known_by_its_way_in_and_session_and_forgotten_with_its_last_socket() {
        let callers = Callers::default();
        let [one, other]: [Arc<str>; 2] = ["one".into(), "other".into()];
        let first = callers.share(&one, "idm");
        assert!(Arc::ptr_eq(&first, &callers.share(&one, "idm")));
        assert!(!Arc::ptr_eq(&first, &callers.share(&other, "idm")));
        assert!(!Arc::ptr_eq(&first, &callers.share(&one, "idm 2")));
        for number in 0..10 * limits::CALLERS_SWEPT_MIN {
            callers.share(&one, &number.to_string());
        }
        let known = callers.known.lock().unwrap();
        assert!(known.shares.len() <= limits::CALLERS_SWEPT_MIN && known.shares.len() > 1);
        assert!(known.shares.contains_key(&(one, "idm".to_owned())), "its socket is open");
    }
}
