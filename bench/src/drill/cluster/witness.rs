//! Asks all routers who leads, all the time: no term may have two leaders, and a leader that was replaced may think so for a moment only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::LOOK_EVERY;
use super::servers::Servers;
use crate::drill::report::Findings;
use crate::drill::router::http;

/// A leader without a majority says after 2 s that it leads no more (router/consensus/src/limits.rs: `LEADER_LEFT`); the rest is for a machine
/// that is busy.
const TWO_LEADERS_MAX: Duration = Duration::from_secs(4);

/// A router that gives no answer for so long does not say that it leads: it may stand still.
const ANSWER_BOUND: Duration = Duration::from_millis(500);

/// Who said that they lead.
#[derive(Debug, Default)]
struct Claims {
    /// The routers that led in each term, by place.
    of_term: BTreeMap<u64, BTreeSet<usize>>,
    /// The routers that say so now.
    now: BTreeSet<usize>,
    /// Since when two of them do.
    two_since: Option<Instant>,
    /// The longest time for which two did.
    two_for: Duration,
}

impl Claims {
    /// The router at this place says that it leads in this term, or says no such thing.
    fn add(&mut self, place: usize, term: Option<u64>, at: Instant) {
        match term {
            Some(term) => {
                self.of_term.entry(term).or_default().insert(place);
                self.now.insert(place);
            }
            None => drop(self.now.remove(&place)),
        }
        match (self.now.len(), self.two_since) {
            (0..2, _) => self.two_since = None,
            (_, None) => self.two_since = Some(at),
            (_, Some(since)) => self.two_for = self.two_for.max(at - since),
        }
    }

    /// Terms with more than one leader.
    fn split_terms(&self) -> Vec<u64> {
        self.of_term.iter().filter(|(_, places)| places.len() > 1).map(|(term, _)| *term).collect()
    }
}

/// Looks on. It ends with this value.
pub(crate) struct Witness {
    claims: Arc<Mutex<Claims>>,
    _looking: JoinSet<()>,
}

impl Witness {
    /// Begins with so many places.
    pub(crate) fn start(servers: &Servers, places: usize) -> Self {
        let claims: Arc<Mutex<Claims>> = Arc::default();
        let mut looking = JoinSet::new();
        for place in 0..places {
            looking.spawn(look(servers.clone(), place, claims.clone()));
        }
        Self { claims, _looking: looking }
    }

    /// Ends, and judges what was seen.
    pub(crate) fn finish(self, findings: &mut Findings) {
        let claims = lock(&self.claims);
        findings.figure("terms_with_a_leader", claims.of_term.len());
        findings.figure("two_leaders_at_most_ms", claims.two_for.as_millis() as u64);
        let split = claims.split_terms();
        findings.require(split.is_empty(), format!("two routers led in the terms {split:?}"));
        findings.require(!claims.of_term.is_empty(), "no leader was ever seen");
        findings.require(
            claims.two_for <= TWO_LEADERS_MAX,
            format!("a router that was replaced as leader said for {:?} that it leads", claims.two_for),
        );
    }
}

async fn look(servers: Servers, place: usize, claims: Arc<Mutex<Claims>>) {
    loop {
        let term = match servers.get(place) {
            Some(server) => {
                let answer = timeout(ANSWER_BOUND, http(server, "GET", "/v1/cluster")).await.ok().flatten();
                answer.and_then(|(_, text)| leads(&text))
            }
            None => None,
        };
        lock(&claims).add(place, term, Instant::now());
        sleep(LOOK_EVERY).await;
    }
}

/// The term in which a router says that it leads.
fn leads(text: &str) -> Option<u64> {
    let status: Value = serde_json::from_str(text).ok()?;
    (status["role"] == "leader").then(|| status["term"].as_u64())?
}

fn lock(claims: &Mutex<Claims>) -> MutexGuard<'_, Claims> {
    claims.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leaders_are_seen_in_one_term_and_at_one_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut claims = Claims::default();
        claims.add(0, Some(3), at(0));
        claims.add(1, None, at(10));
        claims.add(1, Some(4), at(20));
        claims.add(0, Some(3), at(520));
        claims.add(0, None, at(530));
        assert_eq!((claims.split_terms(), claims.two_for), (vec![], Duration::from_millis(500)));
        claims.add(0, Some(4), at(540));
        assert_eq!(claims.split_terms(), [4]);
    }
}
