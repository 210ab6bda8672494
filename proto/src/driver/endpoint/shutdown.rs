//! The end of an endpoint: first the calls end, then the sockets.
//!
//! A request that is on its way when its socket closes is lost without a word, so the sockets stay until no call has come for a
//! while: by then the peers know from the refusals.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::config::Counts;
use crate::driver::limits::{CLOSE_DEADLINE, SHUTTING_DOWN_QUIET};

/// Whether the endpoint is to end, and how far that is.
#[derive(Default)]
pub(super) struct Shutdown(Option<Closing>);

struct Closing {
    /// Of the calls, and then of the sockets.
    deadline: Instant,
    /// When it began, or a call was refused for it last.
    asked_at: Instant,
    /// What was there when the calls had ended or run out of time; the sockets are closing.
    left: Option<Counts>,
    reply: Option<oneshot::Sender<Counts>>,
}

/// What a look at the shutdown asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    GoOn,
    /// The calls have ended, or their time is over: every socket is to be closed.
    CloseSockets,
    /// The sockets have closed, or their time is over; the owner has been told.
    Over,
}

impl Shutdown {
    /// Begins, with so much time for the running calls.
    pub(super) fn begin(&mut self, limit: Duration, reply: oneshot::Sender<Counts>, now: Instant) {
        self.0 = Some(Closing { deadline: now + limit, asked_at: now, left: None, reply: Some(reply) });
    }

    /// Whether new sockets and calls are refused.
    pub(super) fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    /// A call came and was refused: its peer did not know yet.
    pub(super) fn call_refused(&mut self, now: Instant) {
        if let Some(closing) = &mut self.0 {
            closing.asked_at = now;
        }
    }

    /// Goes on as far as what is left allows.
    pub(super) fn step(&mut self, counts: Counts, now: Instant) -> Step {
        let Some(closing) = &mut self.0 else { return Step::GoOn };
        let is_late = now >= closing.deadline;
        let is_quiet = now.saturating_duration_since(closing.asked_at) >= SHUTTING_DOWN_QUIET;
        match closing.left {
            None if counts.executing == 0 && is_quiet || is_late => {
                closing.left = Some(counts);
                closing.deadline = now + 2 * CLOSE_DEADLINE;
                Step::CloseSockets
            }
            Some(left) if counts.sockets == 0 || is_late => {
                // The owner may have lost interest.
                closing.reply.take().map(|reply| reply.send(left));
                Step::Over
            }
            _ => Step::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const BUSY: Counts = Counts { executing: 1, sessions: 1, sockets: 1 };
    const IDLE: Counts = Counts { executing: 0, ..BUSY };
    const GONE: Counts = Counts { sockets: 0, ..IDLE };

    fn begun() -> (Shutdown, oneshot::Receiver<Counts>, Instant) {
        let (mut shutdown, start) = (Shutdown::default(), Instant::now());
        assert!(!shutdown.has_begun());
        assert_eq!(shutdown.step(GONE, start), Step::GoOn, "nobody asked for an end");
        let (reply, told) = oneshot::channel();
        shutdown.begin(LIMIT, reply, start);
        assert!(shutdown.has_begun());
        (shutdown, told, start)
    }

    #[test]
    fn sockets_stay_until_the_calls_have_ended_and_no_call_has_come_for_a_while() {
        let (mut shutdown, mut told, start) = begun();
        let quiet = start + SHUTTING_DOWN_QUIET;
        assert_eq!(shutdown.step(BUSY, quiet), Step::GoOn);
        shutdown.call_refused(quiet);
        assert_eq!(shutdown.step(IDLE, quiet), Step::GoOn, "a call has just come");
        let quiet = quiet + SHUTTING_DOWN_QUIET;
        assert_eq!(shutdown.step(IDLE, quiet), Step::CloseSockets);
        assert_eq!(shutdown.step(IDLE, quiet), Step::GoOn, "told once; the sockets are still there");
        assert!(told.try_recv().is_err());
        assert_eq!(shutdown.step(GONE, quiet), Step::Over);
        assert_eq!(told.try_recv(), Ok(IDLE));
    }

    #[test]
    fn calls_and_sockets_that_do_not_end_are_left_when_their_time_is_over() {
        let (mut shutdown, mut told, start) = begun();
        assert_eq!(shutdown.step(BUSY, start + LIMIT), Step::CloseSockets);
        let late = start + LIMIT + 2 * CLOSE_DEADLINE;
        assert_eq!(shutdown.step(BUSY, late - Duration::from_millis(1)), Step::GoOn);
        assert_eq!(shutdown.step(BUSY, late), Step::Over);
        assert_eq!(told.try_recv(), Ok(BUSY));
    }
}
