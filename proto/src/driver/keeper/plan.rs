//! When to dial a URL, and when to close a socket of it: a decision of the time and of what is open, without any I/O.

use std::time::Duration;

use tokio::time::Instant;

use crate::driver::limits::{REDIAL, SHORT_LIFE};
use crate::session::SocketId;

/// How the sockets of one URL are kept (P08, P12, P13, `webSocketConnections`, `maxWebSocketConnections`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Sockets that are open, from 1; 0 once the URL is no longer wanted.
    pub sockets: usize,
    /// Most sockets that are open at a time, while one replaces another; at least [`Rhythm::sockets`].
    pub max_sockets: usize,
    /// Longest pause between two attempts to dial.
    pub housekeeping_interval: Duration,
    /// Age at which a socket is replaced; `None` keeps sockets for ever.
    pub connection_ttl: Option<Duration>,
    /// Shortest time between the openings of two sockets.
    pub new_connections_interval: Duration,
}

impl Rhythm {
    /// When a socket that was opened at this moment is to be replaced. A little earlier than it must, at random: servers that were started
    /// together must not dial together for ever.
    fn expiry(&self, opened: Instant, dice: &mut fastrand::Rng) -> Option<Instant> {
        self.connection_ttl.map(|ttl| opened + ttl.mul_f64(1.0 - dice.f64() / 10.0))
    }
}

/// After this number of failures the pause between two attempts does not double any more. It is as long as the longest housekeeping interval by
/// then.
const DOUBLINGS_MAX: u32 = 20;

/// Who can mend a failed dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MendedBy {
    /// Time, perhaps: a peer that restarts, a network that comes back.
    Time,
    /// A person: a wrong key, a wrong path, a certificate.
    People,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Dial; [`Sockets::opened`] or [`Sockets::failed`] tells how that ended.
    Dial,
    /// Close this socket once no answer needs it.
    Retire(SocketId),
    /// Nothing before this moment, or before something happens.
    Wait(Option<Instant>),
}

/// The sockets of one URL.
#[derive(Debug)]
pub(super) struct Sockets {
    rhythm: Rhythm,
    open: Vec<Open>,
    is_dialling: bool,
    opened_last: Option<Instant>,
    /// Attempts that failed and sockets that ended at once, since a socket lived for [`SHORT_LIFE`].
    failures: u32,
    /// No attempt before this.
    rests_until: Option<Instant>,
    dice: fastrand::Rng,
}

#[derive(Debug)]
struct Open {
    id: SocketId,
    since: Instant,
    /// When it is to be replaced.
    expires: Option<Instant>,
    is_retiring: bool,
}

impl Sockets {
    pub(super) fn new(rhythm: Rhythm, dice: fastrand::Rng) -> Self {
        Self {
            rhythm,
            open: Vec::new(),
            is_dialling: false,
            opened_last: None,
            failures: 0,
            rests_until: None,
            dice,
        }
    }

    /// From now on the sockets are kept like this. What stood in the way before may be gone, so a dial need not wait for its turn.
    pub(super) fn follow(&mut self, rhythm: Rhythm) {
        self.rhythm = rhythm;
        self.failures = 0;
        self.rests_until = None;
        let Self { open, dice, .. } = self;
        open.iter_mut().for_each(|socket| socket.expires = rhythm.expiry(socket.since, dice));
    }

    /// No socket is wanted from now on: those that are open retire.
    pub(super) fn leave(&mut self) {
        self.rhythm.sockets = 0;
    }

    /// Whether no socket is open, and none is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && !self.is_dialling
    }

    /// Sockets that take calls.
    pub(super) fn serving(&self) -> usize {
        self.open.iter().filter(|socket| !socket.is_retiring).count()
    }

    /// Decides what comes next. A [`Step::Dial`] and a [`Step::Retire`] are taken as done.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        let serving = self.serving();
        if serving > self.rhythm.sockets {
            return self.retire_oldest();
        }
        let is_overdue = |socket: &Open| !socket.is_retiring && socket.expires.is_some_and(|end| end <= now);
        let overdue = self.open.iter().any(is_overdue);
        let next_expiry = self
            .open
            .iter()
            .filter(|s| !s.is_retiring)
            .filter_map(|s| s.expires)
            .filter(|end| *end > now)
            .min();
        if self.is_dialling {
            return Step::Wait(None);
        }
        if serving == self.rhythm.sockets && !overdue {
            return Step::Wait(next_expiry);
        }
        if self.open.len() >= self.rhythm.max_sockets {
            // Without room for a further socket the old one goes first, once no other one is on its way out.
            return match self.open.len() == serving {
                true => self.retire_oldest(),
                false => Step::Wait(None),
            };
        }
        let gap =
            self.opened_last.filter(|_| serving > 0).map(|at| at + self.rhythm.new_connections_interval);
        match gap.max(self.rests_until).filter(|due| *due > now) {
            Some(due) => Step::Wait(Some(next_expiry.map_or(due, |expiry| due.min(expiry)))),
            None => {
                self.is_dialling = true;
                Step::Dial
            }
        }
    }

    /// A dial has ended in a socket whose peer is known.
    pub(super) fn opened(&mut self, id: SocketId, now: Instant) {
        self.is_dialling = false;
        self.opened_last = Some(now);
        self.rests_until = None;
        let expires = self.rhythm.expiry(now, &mut self.dice);
        self.open.push(Open { id, since: now, expires, is_retiring: false });
    }

    /// A dial has ended without a socket. What only a person can mend is tried again at the slowest pace from the start.
    pub(super) fn failed(&mut self, mended_by: MendedBy, now: Instant) {
        self.is_dialling = false;
        if mended_by == MendedBy::People {
            self.failures = self.failures.max(DOUBLINGS_MAX);
        }
        self.rest(now);
    }

    /// A socket has ended.
    pub(super) fn ended(&mut self, id: SocketId, now: Instant) {
        let Some(at) = self.open.iter().position(|socket| socket.id == id) else { return };
        let socket = self.open.remove(at);
        if now.saturating_duration_since(socket.since) >= SHORT_LIFE {
            self.failures = 0;
        } else if !socket.is_retiring {
            self.rest(now);
        }
    }

    /// The next attempt waits, longer with each failure, and never longer than the housekeeping interval.
    fn rest(&mut self, now: Instant) {
        let longest = self.rhythm.housekeeping_interval;
        let pause = REDIAL.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.rests_until = Some(now + pause.mul_f64(0.5 + self.dice.f64() / 2.0));
    }

    fn retire_oldest(&mut self) -> Step {
        let oldest =
            self.open.iter_mut().filter(|socket| !socket.is_retiring).min_by_key(|socket| socket.since);
        match oldest {
            Some(socket) => {
                socket.is_retiring = true;
                Step::Retire(socket.id)
            }
            None => Step::Wait(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        sockets: 2,
        max_sockets: 3,
        housekeeping_interval: Duration::from_secs(20),
        connection_ttl: Some(Duration::from_secs(100)),
        new_connections_interval: Duration::from_secs(10),
    };

    struct Run {
        sockets: Sockets,
        now: Instant,
        last: u64,
    }

    impl Run {
        fn new(rhythm: Rhythm) -> Self {
            Self { sockets: Sockets::new(rhythm, fastrand::Rng::with_seed(7)), now: Instant::now(), last: 0 }
        }

        fn step(&mut self) -> Step {
            self.sockets.step(self.now)
        }

        /// Opens a socket, which must be due.
        fn open(&mut self) -> SocketId {
            assert_eq!(self.step(), Step::Dial);
            assert_eq!(self.step(), Step::Wait(None), "one dial at a time");
            self.last += 1;
            self.sockets.opened(SocketId(self.last), self.now);
            SocketId(self.last)
        }

        /// Lets time pass until the next moment that the plan names; gives how long that was.
        fn wait(&mut self) -> Duration {
            let Step::Wait(Some(until)) = self.step() else { panic!("a moment to wait for") };
            let waited = until - self.now;
            self.now = until;
            waited
        }
    }

    /// `webSocketConnections` and P13: the first socket at once, the others one by one.
    #[test]
    fn sockets_are_opened_one_by_one() {
        let mut run = Run::new(RHYTHM);
        run.open();
        assert_eq!(run.wait(), Duration::from_secs(10));
        run.open();
        assert!(run.wait() > Duration::from_secs(70), "until the first one is to be replaced");
    }

    /// P12: the new socket is there before the old one goes, and never more than the maximum.
    #[test]
    fn a_socket_is_replaced_before_it_goes() {
        let mut run = Run::new(RHYTHM);
        let first = run.open();
        run.wait();
        run.open();
        run.wait();
        run.open();
        assert_eq!(run.step(), Step::Retire(first));
        assert_eq!((run.sockets.serving(), run.sockets.open.len()), (2, 3));
        run.wait();
        assert_eq!(run.step(), Step::Wait(None), "the next one waits until the first has gone");
        run.sockets.ended(first, run.now);
        run.open();
        assert_eq!(run.step(), Step::Retire(SocketId(2)));

        let mut tight = Run::new(Rhythm { sockets: 1, max_sockets: 1, ..RHYTHM });
        let only = tight.open();
        tight.wait();
        assert_eq!(tight.step(), Step::Retire(only), "without room the old one goes first");
        assert_eq!(tight.step(), Step::Wait(None));
        tight.sockets.ended(only, tight.now);
        tight.open();
    }

    /// P08: at once, then with pauses that grow to the housekeeping interval and have jitter; it never gives up.
    #[test]
    fn a_lost_socket_is_dialled_again_at_once_and_then_ever_more_rarely() {
        let mut run = Run::new(RHYTHM);
        let first = run.open();
        run.now += SHORT_LIFE;
        run.sockets.ended(first, run.now);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            assert_eq!(run.step(), Step::Dial);
            run.sockets.failed(MendedBy::Time, run.now);
            pauses.push(run.wait());
        }
        assert!(pauses[0] <= REDIAL && pauses[0] >= REDIAL / 2, "{pauses:?}");
        let longest = RHYTHM.housekeeping_interval;
        assert!(pauses[20..].iter().all(|pause| *pause <= longest && *pause >= longest / 2), "{pauses:?}");
        assert!(pauses[20] != pauses[21], "jitter: {pauses:?}");
    }

    /// A wrong key is not sent ten times a second. Once something was changed, the next attempt follows at once.
    #[test]
    fn what_a_person_must_mend_is_tried_rarely_until_something_changes() {
        let mut run = Run::new(RHYTHM);
        assert_eq!(run.step(), Step::Dial);
        run.sockets.failed(MendedBy::People, run.now);
        assert!(run.wait() >= RHYTHM.housekeeping_interval / 2);
        assert_eq!(run.step(), Step::Dial);
        run.sockets.failed(MendedBy::People, run.now);
        run.sockets.follow(Rhythm { sockets: 1, ..RHYTHM });
        run.open();
    }

    /// A URL that is no longer wanted loses all its sockets, the one on its way included.
    #[test]
    fn a_url_that_is_left_keeps_no_socket() {
        let mut run = Run::new(Rhythm { new_connections_interval: Duration::ZERO, ..RHYTHM });
        let first = run.open();
        assert_eq!(run.step(), Step::Dial);
        run.sockets.leave();
        assert_eq!(run.step(), Step::Retire(first));
        assert_eq!(run.step(), Step::Wait(None));
        run.sockets.opened(SocketId(9), run.now);
        assert_eq!(run.step(), Step::Retire(SocketId(9)));
        for socket in [first, SocketId(9)] {
            assert!(!run.sockets.is_empty());
            run.sockets.ended(socket, run.now);
        }
        assert!(run.sockets.is_empty());
        assert_eq!(run.step(), Step::Wait(None), "nothing is dialled any more");
    }

    /// A peer that lets everybody in and hangs up must not be dialled without a pause.
    #[test]
    fn a_socket_that_ends_at_once_counts_as_a_failure() {
        let mut run = Run::new(Rhythm { new_connections_interval: Duration::ZERO, ..RHYTHM });
        let mut waited = Duration::ZERO;
        for _ in 0..12 {
            let id = run.open();
            run.sockets.ended(id, run.now);
            waited += run.wait();
        }
        assert!(waited > Duration::from_secs(30), "{waited:?}");
        let id = run.open();
        run.now += SHORT_LIFE;
        run.sockets.ended(id, run.now);
        assert_eq!(run.step(), Step::Dial, "a socket that lived has forgotten the failures");
    }
}
