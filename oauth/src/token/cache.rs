//! The token in use, and when another one is asked for: a decision of the time and of what has happened, without any I/O.

use std::time::Duration;

use tokio::time::Instant;

use super::Token;
use super::answer::{Granted, Life};
use super::error::TokenError;
use crate::limits::{
    FAILED_REST, FAILED_REST_MAX, REFUSED_REST, REFUSED_REST_MAX, REFUSED_ROW, RENEWAL_JITTER_PERCENT,
    RENEWED_BEFORE_END, SHORT_LIFE_PERCENT,
};

/// What to do for somebody who wants a token.
#[derive(Debug)]
pub(super) enum Next {
    /// This token serves.
    Use(Token),
    /// Ask the endpoint.
    Ask,
    /// There is no token, and the endpoint is not asked yet again.
    Rest(TokenError),
}

#[derive(Debug)]
pub(super) struct Cache {
    held: Option<Held>,
    /// Tokens so far.
    count: u64,
    /// Requests that failed since one succeeded.
    failures: u32,
    /// The last failure, and the moment before which no request is made.
    rests: Option<(TokenError, Instant)>,
    /// Tokens in a row that were refused soon after they came.
    refusals: u32,
    dice: fastrand::Rng,
}

#[derive(Debug)]
struct Held {
    token: Token,
    since: Instant,
    renewal: Instant,
    is_refused: bool,
}

impl Held {
    fn is_over(&self, now: Instant) -> bool {
        self.token.ends.is_some_and(|ends| ends <= now)
    }
}

impl Cache {
    pub(super) fn new(dice: fastrand::Rng) -> Self {
        Self { held: None, count: 0, failures: 0, rests: None, refusals: 0, dice }
    }

    /// What somebody gets who wants a token now. A token that waits for its renewal still serves.
    pub(super) fn next(&self, now: Instant) -> Next {
        let held = self.held.as_ref().filter(|held| !held.is_over(now));
        let rest = self.rests.as_ref().filter(|(_, until)| *until > now);
        match (held, rest) {
            // A refused token is replaced at once, but not for ever: what the peer misses may not be a token.
            (Some(held), None) if held.is_refused && held.renewal <= now => Next::Ask,
            (Some(held), _) => Next::Use(held.token.clone()),
            (None, Some((error, _))) => Next::Rest(error.clone()),
            (None, None) => Next::Ask,
        }
    }

    /// When the endpoint is to be asked although nobody waits. `None` while nobody has wanted a token.
    pub(super) fn due(&self) -> Option<Instant> {
        let renewal = self.held.as_ref().map(|held| held.renewal);
        let rested = self.rests.as_ref().map(|(_, until)| *until);
        rested.max(renewal)
    }

    /// The last failure, while no request has succeeded since.
    pub(super) fn failure(&self) -> Option<&TokenError> {
        self.rests.as_ref().map(|(error, _)| error)
    }

    /// When the last token ends, or has ended; `None` if there was none, or its end is not known.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.held.as_ref()?.token.ends
    }

    /// How long the token in use is still valid; `None` if there is none, or its end is not known.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.ends()?.checked_duration_since(now)
    }

    /// A token came.
    pub(super) fn came(&mut self, Granted { token, life }: Granted, now: Instant) {
        let reckoned = life.reckoned();
        let early = reckoned.saturating_sub(RENEWED_BEFORE_END).max(reckoned * SHORT_LIFE_PERCENT / 100);
        let jitter = (reckoned - early) * RENEWAL_JITTER_PERCENT / 100;
        let renewal = now + early - jitter.mul_f64(self.dice.f64());
        let ends = match life {
            Life::Said(life) => now.checked_add(life),
            Life::Unknown => None,
        };
        self.count += 1;
        let token = Token { text: token, number: self.count, renewal, ends };
        self.held = Some(Held { token, since: now, renewal, is_refused: false });
        self.failures = 0;
        self.rests = None;
    }

    /// A request failed.
    pub(super) fn failed(&mut self, error: TokenError, now: Instant) {
        let pause = doubled(FAILED_REST, self.failures, FAILED_REST_MAX);
        self.failures = self.failures.saturating_add(1);
        self.rests = Some((error, now + self.jittered(pause)));
    }

    /// The reason of the last failure may be gone.
    pub(super) fn rest_no_more(&mut self, now: Instant) {
        if let Some((_, until)) = &mut self.rests {
            *until = now;
        }
    }

    /// A peer refused this token. Whether that is news.
    pub(super) fn refused(&mut self, token: &Token, now: Instant) -> bool {
        let Some(held) =
            self.held.as_ref().filter(|held| held.token.number == token.number && !held.is_refused)
        else {
            return false;
        };
        if now.saturating_duration_since(held.since) > REFUSED_ROW {
            self.refusals = 0;
        }
        let pause = match self.refusals {
            0 => Duration::ZERO,
            row => doubled(REFUSED_REST, row - 1, REFUSED_REST_MAX),
        };
        self.refusals = self.refusals.saturating_add(1);
        let renewal = now + self.jittered(pause);
        if let Some(held) = &mut self.held {
            held.is_refused = true;
            held.renewal = held.renewal.min(renewal);
        }
        true
    }

    fn jittered(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(0.5 + self.dice.f64() / 2.0)
    }
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use rcs_proto::icf::Secret;

    use super::*;
    use crate::limits::{ASSUMED_LIFE, LIFE_MAX};

    struct Run {
        cache: Cache,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            Self { cache: Cache::new(fastrand::Rng::with_seed(7)), now: Instant::now() }
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn come(&mut self, life: Life) -> Token {
            let token = Secret::new(format!("t{}", self.cache.count + 1));
            self.cache.came(Granted { token, life }, self.now);
            self.token()
        }

        fn token(&self) -> Token {
            match self.cache.next(self.now) {
                Next::Use(token) => token,
                other => panic!("no token: {other:?}"),
            }
        }

        fn asks(&self) -> bool {
            matches!(self.cache.next(self.now), Next::Ask)
        }

        /// Seconds until a renewal is due.
        fn due(&self) -> f64 {
            (self.cache.due().expect("one is due") - self.now).as_secs_f64()
        }
    }

    fn said(seconds: u64) -> Life {
        Life::Said(Duration::from_secs(seconds))
    }

    fn outage() -> TokenError {
        TokenError::Unavailable { status: 503 }
    }

    /// O03: five minutes before the end; 80 % of a short life.
    #[test]
    fn a_token_is_renewed_before_its_end() {
        for (life, from, to) in [
            (said(3600), 3600.0 - 360.0, 3600.0 - 300.0),
            (said(1500), 1200.0 - 60.0, 1200.0),
            (said(600), 480.0 - 24.0, 480.0),
            (said(1), 0.76, 0.8),
            (Life::Unknown, ASSUMED_LIFE.as_secs_f64() * 0.76, ASSUMED_LIFE.as_secs_f64() * 0.8),
            (Life::Said(Duration::MAX), LIFE_MAX.as_secs_f64() - 360.0, LIFE_MAX.as_secs_f64() - 300.0),
        ] {
            let mut run = Run::new();
            assert!(run.asks() && run.cache.due().is_none(), "nobody has wanted a token");
            run.come(life);
            let due = run.due();
            assert!(from <= due && due <= to, "{life:?}: {due}");
        }
    }

    #[test]
    fn an_outage_keeps_the_old_token_until_its_end() {
        let mut run = Run::new();
        run.come(said(600));
        run.pass(500);
        let mut pauses = Vec::new();
        while run.now < run.cache.held.as_ref().unwrap().token.ends.unwrap() {
            assert_eq!(run.token().text.expose(), "t1");
            run.cache.failed(outage(), run.now);
            pauses.push(run.due());
            run.now = run.cache.due().unwrap();
        }
        assert!(pauses[0] <= 1.0 && pauses.len() < 16, "{pauses:?}");
        run.cache.failed(outage(), run.now);
        assert!(matches!(run.cache.next(run.now), Next::Rest(TokenError::Unavailable { .. })));
        for _ in 0..40 {
            run.cache.failed(outage(), run.now);
            let pause = run.due();
            assert!((0.5..=60.0).contains(&pause), "{pause}");
        }
        run.now = run.cache.due().unwrap();
        assert!(run.asks());
        run.come(said(600));
        run.cache.failed(outage(), run.now);
        assert!(run.cache.rests.as_ref().unwrap().1 <= run.now + FAILED_REST, "failures are counted anew");
    }

    /// A token whose end is not known serves until it is refused.
    #[test]
    fn a_token_of_unknown_life_serves_on() {
        let mut run = Run::new();
        let token = run.come(Life::Unknown);
        run.pass(7 * 24 * 3600);
        assert_eq!(run.token().number, token.number);
        assert!(run.cache.refused(&token, run.now) && run.asks());
    }

    /// O04: a refused token is replaced at once, but not in a loop.
    #[test]
    fn refused_tokens_are_replaced_ever_more_slowly() {
        let mut run = Run::new();
        let first = run.come(said(3600));
        run.pass(5);
        assert!(run.cache.refused(&first, run.now) && run.asks(), "at once");
        assert!(!run.cache.refused(&first, run.now), "told before");
        let second = run.come(said(3600));
        assert!(!run.cache.refused(&first, run.now), "an old token says nothing of the new one");
        assert_eq!(run.token().number, second.number);

        // The peer refuses each token: it is asked for with growing pauses, and the last one serves meanwhile.
        let (mut asked, start) = (0, run.now);
        let mut token = second;
        while run.now < start + Duration::from_secs(3600) {
            assert!(run.cache.refused(&token, run.now));
            assert_eq!(run.token().number, token.number);
            run.now = run.cache.due().unwrap();
            assert!(run.asks());
            token = run.come(said(7200));
            asked += 1;
        }
        assert!((12..40).contains(&asked), "{asked} in an hour");

        // Once a token has served for long, a refusal is the first one.
        run.pass(REFUSED_ROW.as_secs() + 1);
        assert!(run.cache.refused(&token, run.now) && run.asks());
    }

    #[test]
    fn a_refused_token_serves_while_the_endpoint_is_down() {
        let mut run = Run::new();
        let token = run.come(said(3600));
        run.cache.refused(&token, run.now);
        run.cache.failed(outage(), run.now);
        assert_eq!(run.token().number, token.number);
        run.cache.rest_no_more(run.now);
        assert!(run.asks());
    }
}
