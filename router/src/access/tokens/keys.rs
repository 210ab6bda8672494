//! The keys of an issuer that are fetched from its key set (JWKS).
//!
//! One request at a time is under way. An unknown key has the set fetched again, but not more often than every [`JWKS_AGAIN_AFTER`]:
//! anybody can name an unknown key. While the set cannot be fetched, the keys that were fetched last go on counting up to an age.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcs_proto::driver::shares::Network;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::algorithm::Algorithm;
use super::endpoint::Endpoint;
use super::fault::TokenFault;
use super::jwks::{Key, KeySet, NoKey};
use super::state::Health;
use crate::clock::wall;
use crate::limits::{
    JWKS_AGAIN_AFTER, JWKS_AGAIN_AFTER_FAILURE, JWKS_REFRESH_EVERY, JWKS_WAITING_MAX,
    JWKS_WAITING_OF_NETWORK_MAX,
};

/// The keys.
pub(super) struct FetchedKeys {
    /// The name of the issuer's entry.
    name: String,
    endpoint: Endpoint,
    pinned: Vec<Algorithm>,
    /// How old the keys may be.
    age: Duration,
    state: Mutex<State>,
    /// The number of the last round that is over.
    over: watch::Sender<u64>,
    /// Held by the round that is under way.
    turn: tokio::sync::Mutex<()>,
    /// Tokens that wait for a round, by network.
    waiting: Mutex<HashMap<Network, usize>>,
}

#[derive(Default)]
struct State {
    /// The keys, and when they were fetched.
    keys: Option<(Arc<KeySet>, Instant)>,
    /// How the rounds went.
    health: Health,
    /// Rounds that have begun.
    begun: u64,
    /// When the last one began.
    begun_at: Option<Instant>,
    /// Whether a round is to begin.
    is_planned: bool,
}

impl FetchedKeys {
    /// Keys that are fetched when they are needed first.
    pub(super) fn new(name: &str, endpoint: Endpoint, pinned: Vec<Algorithm>, age: Duration) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            endpoint,
            pinned,
            age,
            state: Mutex::default(),
            over: watch::Sender::new(0),
            turn: tokio::sync::Mutex::new(()),
            waiting: Mutex::default(),
        })
    }

    /// The keys that count now.
    pub(super) fn now(&self) -> Option<Arc<KeySet>> {
        let state = self.state();
        let (keys, at) = state.keys.as_ref()?;
        (at.elapsed() < self.age).then(|| Arc::clone(keys))
    }

    /// The keys that may have signed a token. If the key is unknown, the set is fetched once, in which case this waits.
    ///
    /// # Errors
    /// [`TokenFault`]
    pub(super) async fn fitting(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
        from: IpAddr,
    ) -> Result<Vec<Arc<Key>>, TokenFault> {
        if let Some(keys) = self.now() {
            match keys.fitting(kid, algorithm) {
                Err(NoKey::Unknown) => {}
                found => return found.map_err(fault),
            }
        }
        let has_failed = self.next_round(from).await?;
        match (self.now().map(|keys| keys.fitting(kid, algorithm)), has_failed) {
            (Some(Err(NoKey::Unknown)), true) => Err(TokenFault::PerhapsNewKey),
            (Some(found), _) => found.map_err(fault),
            (None, _) => Err(TokenFault::NoKeys),
        }
    }

    /// The keys of a fresher set that may have signed a token without a name of a key; `None` if there is no other set than `tried`.
    ///
    /// # Errors
    /// [`TokenFault`]
    pub(super) async fn fresher(
        self: &Arc<Self>,
        tried: &[Arc<Key>],
        algorithm: Algorithm,
        from: IpAddr,
    ) -> Result<Option<Vec<Arc<Key>>>, TokenFault> {
        self.next_round(from).await?;
        let keys = self.now().ok_or(TokenFault::NoKeys)?.fitting(None, algorithm).map_err(fault)?;
        let is_tried = |key: &Arc<Key>| tried.iter().any(|other| other.print() == key.print());
        Ok((!keys.iter().all(is_tried)).then_some(keys))
    }

    /// Waits until the set was fetched once more. Returns whether this failed.
    async fn next_round(self: &Arc<Self>, from: IpAddr) -> Result<bool, TokenFault> {
        let place = Waiting::take(self, from.into()).ok_or(TokenFault::TooMany)?;
        let round = self.plan();
        let mut over = self.over.subscribe();
        // The sender lives as long as this value.
        let _ = over.wait_for(|over| *over >= round).await;
        drop(place);
        Ok(!self.is_up())
    }

    /// How the requests for the set went.
    pub(super) fn health(&self) -> Health {
        self.state().health.clone()
    }

    /// Fetches the set once more, and returns the number of its keys.
    ///
    /// # Errors
    /// Why it cannot be fetched.
    pub(super) async fn examine(self: &Arc<Self>) -> Result<usize, String> {
        let round = self.plan();
        // The sender lives as long as this value.
        let _ = self.over.subscribe().wait_for(|over| *over >= round).await;
        let failure = self.state().health.failure.clone();
        match failure {
            Some(why) => Err(why),
            None => Ok(self.now().map_or(0, |keys| keys.len())),
        }
    }

    /// Whether the set could be fetched when it was fetched last.
    fn is_up(&self) -> bool {
        self.state().health.failure.is_none()
    }

    /// Fetches the set again if its time has come.
    pub(super) fn refresh(self: &Arc<Self>) {
        let is_due = {
            let state = self.state();
            let every = refresh_every(state.health.failure.is_some(), self.age);
            !state.is_planned && state.begun_at.is_none_or(|begun| begun.elapsed() >= every)
        };
        if is_due {
            self.plan();
        }
    }

    /// Has the set fetched, as soon as this is allowed. Returns the number of the round, which has not begun yet.
    fn plan(self: &Arc<Self>) -> u64 {
        let mut state = self.state();
        let round = state.begun + 1;
        if !std::mem::replace(&mut state.is_planned, true) {
            tokio::spawn(Arc::clone(self).round());
        }
        round
    }

    async fn round(self: Arc<Self>) {
        let _turn = self.turn.lock().await;
        let earliest = self.state().begun_at.map(|begun| begun + JWKS_AGAIN_AFTER);
        if let Some(earliest) = earliest {
            sleep_until(earliest).await;
        }
        let round = {
            let mut state = self.state();
            state.is_planned = false;
            state.begun += 1;
            state.begun_at = Some(Instant::now());
            state.begun
        };
        let fetched = match self.endpoint.keys().await {
            Ok(bytes) => KeySet::parse(&bytes, &self.pinned).map_err(|why| format!("what came {why}")),
            Err(error) => Err(error.to_string()),
        };
        self.take(fetched);
        self.over.send_replace(round);
    }

    fn take(&self, fetched: Result<KeySet, String>) {
        let (name, mut state) = (&self.name, self.state());
        match fetched {
            Ok(keys) => {
                let is_known = state.keys.as_ref().is_some_and(|(known, _)| known.is_like(&keys));
                if state.health.failure.is_some() || !is_known {
                    tracing::info!(issuer = %name, keys = keys.len(), "the keys of the issuer were fetched and are in force now");
                }
                state.health = Health { succeeded: Some(wall()), failure: None };
                state.keys = Some((Arc::new(keys), Instant::now()));
            }
            Err(why) => {
                if state.health.failure.as_ref() != Some(&why) {
                    let goes_on = match &state.keys {
                        Some((_, at)) if at.elapsed() < self.age => {
                            let left = (self.age - at.elapsed()).as_secs();
                            format!("the keys that were fetched before stay in force for {left} s")
                        }
                        _ => "tokens of the issuer are refused with 503".to_owned(),
                    };
                    tracing::error!(issuer = %name, "the keys of the issuer cannot be fetched: {why}\nuntil they can, {goes_on}");
                }
                state.health.failure = Some(why);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often keys are fetched that may reach this age. Keys of an issuer that is up must not grow too old.
fn refresh_every(has_failed: bool, age: Duration) -> Duration {
    let every = if has_failed { JWKS_AGAIN_AFTER_FAILURE } else { JWKS_REFRESH_EVERY };
    every.min(age / 2)
}

/// What an issuer without a key for a token means.
pub(super) fn fault(no_key: NoKey) -> TokenFault {
    match no_key {
        NoKey::Unknown => TokenFault::UnknownKey,
        NoKey::OtherAlgorithm => TokenFault::OtherAlgorithm,
        NoKey::Unnamed(keys) => TokenFault::UnnamedKey(keys),
    }
}

/// The place of one token among those that wait for a round.
struct Waiting<'a>(&'a FetchedKeys, Network);

impl<'a> Waiting<'a> {
    fn take(keys: &'a FetchedKeys, network: Network) -> Option<Self> {
        let mut waiting = keys.waiting();
        let all: usize = waiting.values().sum();
        let own = waiting.get(&network).copied().unwrap_or(0);
        if all >= JWKS_WAITING_MAX || own >= JWKS_WAITING_OF_NETWORK_MAX {
            return None;
        }
        waiting.insert(network, own + 1);
        Some(Self(keys, network))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        match waiting.get_mut(&self.1) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(waiting.remove(&self.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_again_before_they_are_too_old() {
        for (has_failed, age, every) in
            [(false, 60, 30), (false, 86_400, 300), (false, 600, 300), (true, 86_400, 10), (true, 8, 4)]
        {
            let found = refresh_every(has_failed, Duration::from_secs(age));
            assert_eq!(found.as_secs(), every, "{has_failed} {age}");
        }
    }
}
