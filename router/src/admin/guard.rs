//! Judges requests to the operators' paths. Changes need a token that allows them. Wrong tokens are logged and slowed down. Requests that a
//! stranger's web page makes a browser send are refused.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rcs_proto::driver::places::Place;
use rcs_proto::driver::shares::{Network, Shown};
use rcs_proto::driver::tally::{TALLY_EVERY, Tally};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::gate::{Denied, Gate, Needs};
use super::hosts::{Hosts, is_cross_site};
use super::problem::{Problem, as_idm};
use super::refusal;
use super::requester::Requester;
use super::told::Refused;
use crate::limits::{ADMIN_GUESS_DELAY, ADMIN_GUESS_WAIT, ADMIN_GUESSES_MAX, ADMIN_GUESSES_WAITING_MAX};
use crate::metrics::AdminRefusals;

/// Judges every request to the operators' paths.
#[derive(Debug)]
pub(super) struct Guard {
    gate: Gate,
    hosts: Hosts,
    refusals: AdminRefusals,
    /// The tokens that are being judged, by network.
    guessing: Mutex<HashMap<Network, Arc<Guesses>>>,
    /// Tokens that were refused, by address, for the log.
    told: Mutex<Tally<(IpAddr, Refused), ()>>,
}

/// The wrong tokens of one network.
#[derive(Debug)]
struct Guesses {
    /// Places for tokens that are judged, and for those that were found wrong within [`ADMIN_GUESS_DELAY`].
    places: Arc<Semaphore>,
    /// Requests that wait for a place.
    waiting: AtomicUsize,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(
        "too many wrong tokens come from your address: check the token, wait a second and repeat the request, or send the request from another address, such as the loopback \
         of the router's machine"
    )]
    Guesses,
    #[error(
        "a web page of another origin asked the browser for this change: use rcs-router, curl or another program instead of a browser"
    )]
    CrossSite,
    #[error(
        "this router is not known as {0:?}: use its address, or start it with --admin-host NAME for each name that clients use"
    )]
    ForeignHost(String),
}

impl Stopped {
    fn status(&self) -> StatusCode {
        match self {
            Self::Denied(denied) => denied.status(),
            Self::Guesses => StatusCode::TOO_MANY_REQUESTS,
            Self::CrossSite | Self::ForeignHost(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The word for the reason in the metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::Denied(Denied::NoToken | Denied::NoViewer | Denied::NoLooking(_)) => "no_token",
            Self::Denied(Denied::WrongToken) => "wrong_token",
            Self::Denied(Denied::ReadOnly { .. }) => "read_only_token",
            Self::Denied(Denied::NotAdmin { .. }) => "not_admin_token",
            Self::Denied(Denied::NoChanges) => "no_changes",
            Self::Guesses => "too_many_wrong_tokens",
            Self::CrossSite => "cross_site",
            Self::ForeignHost(_) => "foreign_host",
        }
    }

    fn response(&self, path: &str) -> Response {
        match self {
            _ if path.starts_with("/openidm/") => as_idm(self.status(), &self.to_string()),
            Self::Denied(Denied::ReadOnly { .. }) => Problem::read_only(self.to_string()).into_response(),
            Self::Denied(Denied::NotAdmin { .. }) => Problem::not_admin(self.to_string()).into_response(),
            _ => refusal(self.status(), self),
        }
    }
}

/// Every reason for which a request is refused, in the words of the metrics.
const REASONS: [&str; 8] = [
    "no_token",
    "wrong_token",
    "read_only_token",
    "not_admin_token",
    "no_changes",
    "too_many_wrong_tokens",
    "cross_site",
    "foreign_host",
];

/// Lets a request pass, or answers with the reason for the refusal. Probes do not come here, because nothing may delay them.
pub(super) async fn stand(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let place = request.extensions().get::<Arc<Place>>().cloned();
    let note = |shown| place.iter().for_each(|place| place.note(shown));
    if Gate::has_token(request.headers()) {
        // While a guess waits for its refusal, its connection may be closed to make room for others.
        note(Shown::Something);
    }
    let judged = guard.judge(peer.ip(), request.method(), request.uri(), request.headers()).await;
    note(Shown::Enough);
    match judged {
        Ok(requester) => {
            requester.map(|requester| request.extensions_mut().insert(requester));
            next.run(request).await
        }
        Err(stopped) => {
            guard.refusals.count(stopped.label());
            stopped.response(request.uri().path())
        }
    }
}

impl Guard {
    pub(super) fn new(gate: Gate, hosts: Hosts, refusals: AdminRefusals) -> Self {
        refusals.begin(&REASONS);
        Self { gate, hosts, refusals, guessing: Mutex::default(), told: Mutex::default() }
    }

    /// Logs the refused tokens of each second; never returns.
    pub(super) async fn tell(&self) {
        loop {
            sleep(TALLY_EVERY).await;
            for again in lock(&self.told).due(Instant::now()) {
                let (peer, refused) = again.kind;
                refused.tell_more(again.count, peer);
            }
        }
    }

    /// Who sent the request, if it needs somebody who is known.
    async fn judge(
        &self,
        peer: IpAddr,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Requester>, Stopped> {
        let requester = match self.gate.needs(method, uri.path()) {
            Needs::Nothing => None,
            needs => Some(self.judge_token(peer, headers, needs).await?),
        };
        if requester.as_ref().is_some_and(|requester| *requester != Requester::Nobody) {
            // A web page does not know the token, so a request with the right token is not from a page.
            return Ok(requester);
        }
        if !method.is_safe() && is_cross_site(headers) {
            return Err(Stopped::CrossSite);
        }
        match self.hosts.foreign(uri, headers) {
            Some(host) => Err(Stopped::ForeignHost(host.chars().take(255).collect())),
            None => Ok(requester),
        }
    }

    /// A wrong token keeps its place for [`ADMIN_GUESS_DELAY`], and a right one gives its place back at once. So only a few guesses a
    /// second are possible, and operators in other networks notice nothing.
    async fn judge_token(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        needs: Needs,
    ) -> Result<Requester, Stopped> {
        if !Gate::has_token(headers) {
            return Ok(self.gate.judge(headers, needs)?);
        }
        let network = Network::from(peer);
        let guesses = self.guesses_of(network);
        let outcome = self.judge_shown(peer, guesses, headers, needs).await;
        lock(&self.guessing).retain(|_, guesses| Arc::strong_count(guesses) > 1);
        outcome
    }

    async fn judge_shown(
        &self,
        peer: IpAddr,
        guesses: Arc<Guesses>,
        headers: &HeaderMap,
        needs: Needs,
    ) -> Result<Requester, Stopped> {
        let place = match Arc::clone(&guesses.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let _waits = Waits::of(&guesses)?;
                let place = timeout(ADMIN_GUESS_WAIT, Arc::clone(&guesses.places).acquire_owned()).await;
                place.map_err(|_| Stopped::Guesses)?.map_err(|_| Stopped::Guesses)?
            }
        };
        let outcome = self.gate.judge(headers, needs);
        if let Some(refused) = outcome.as_ref().err().and_then(Refused::of)
            && lock(&self.told).note((peer, refused.clone()), (), Instant::now())
        {
            refused.tell_first(peer);
        }
        if outcome == Err(Denied::WrongToken) {
            // If a guesser closes its connection meanwhile, the place is not given back sooner.
            tokio::spawn(async move {
                sleep(ADMIN_GUESS_DELAY).await;
                drop((place, guesses));
            });
            sleep(ADMIN_GUESS_DELAY).await;
        }
        Ok(outcome?)
    }

    fn guesses_of(&self, network: Network) -> Arc<Guesses> {
        let new = || {
            let places = Arc::new(Semaphore::new(ADMIN_GUESSES_MAX));
            Arc::new(Guesses { places, waiting: AtomicUsize::new(0) })
        };
        Arc::clone(lock(&self.guessing).entry(network).or_insert_with(new))
    }
}

/// One request that waits for a place.
struct Waits<'a>(&'a Guesses);

impl<'a> Waits<'a> {
    fn of(guesses: &'a Guesses) -> Result<Self, Stopped> {
        if guesses.waiting.fetch_add(1, Ordering::Relaxed) >= ADMIN_GUESSES_WAITING_MAX {
            guesses.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Stopped::Guesses);
        }
        Ok(Self(guesses))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Mode;
    use crate::token::Token;

    fn guard(token: Option<&str>, mode: Mode) -> Guard {
        let gate = Gate::new(token.map(Token::of), mode, "127.0.0.1:1".parse().unwrap());
        Guard::new(gate, Hosts::default(), AdminRefusals::default())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_page_changes_and_reads_nothing_and_programs_do() {
        let uri = Uri::from_static("/v1/members");
        let evil = [("host", "evil.example:8760")];
        let form = [("host", "127.0.0.1:8760"), ("origin", "http://evil.example")];
        let plain = [("host", "127.0.0.1:8760")];
        let (right, wrong) = (("authorization", "Bearer t"), ("authorization", "Bearer x"));
        let by_name = [("host", "router.example.com"), right];
        for (token, mode, method, sent, label) in [
            (None, Mode::Development, Method::POST, &plain[..], None),
            (None, Mode::Development, Method::POST, &form, Some("cross_site")),
            (None, Mode::Development, Method::POST, &evil, Some("foreign_host")),
            (None, Mode::Development, Method::GET, &evil, Some("foreign_host")),
            (None, Mode::Development, Method::GET, &form, None),
            (None, Mode::Production, Method::POST, &plain, Some("no_changes")),
            (Some("t"), Mode::Production, Method::POST, &plain, Some("no_token")),
            (Some("t"), Mode::Production, Method::POST, &by_name, None),
            (Some("t"), Mode::Production, Method::POST, &[plain[0], wrong], Some("wrong_token")),
            (Some("t"), Mode::Production, Method::GET, &by_name, Some("foreign_host")),
        ] {
            let outcome = guard(token, mode).judge(LOCAL, &method, &uri, &headers(sent)).await;
            let found = outcome.err().map(|stopped| stopped.label());
            assert_eq!(found, label, "{token:?} {mode:?} {method} {sent:?}");
            assert!(
                label.is_none_or(|label| REASONS.contains(&label)),
                "{label:?} is counted from the start"
            );
        }
    }

    #[tokio::test]
    async fn idms_interface_needs_the_token_for_reading_too() {
        let config = Uri::from_static("/openidm/config/provisioner.openicf.connectorinfoprovider");
        for (sent, label) in [
            (&[("host", "10.0.0.1")][..], Some("no_token")),
            (&[("host", "10.0.0.1"), ("x-openidm-password", "x")], Some("wrong_token")),
            (&[("host", "10.0.0.1"), ("x-openidm-password", "t")], None),
            (&[("host", "10.0.0.1"), ("authorization", "Bearer t")], None),
        ] {
            let guard = guard(Some("t"), Mode::Production);
            let outcome = guard.judge(LOCAL, &Method::GET, &config, &headers(sent)).await;
            assert_eq!(outcome.err().map(|stopped| stopped.label()), label, "{sent:?}");
        }
    }

    /// A hundred guessers at once learn about no more than a few tokens a second. An operator in another network is let in at once.
    #[tokio::test]
    async fn guesses_are_slow_and_operators_elsewhere_are_not() {
        let guard = Arc::new(guard(Some("t"), Mode::Production));
        let uri = Uri::from_static("/v1/groups/g/bundles/commit");
        let post = |peer: &str, token: &str| {
            let (guard, uri, peer) = (Arc::clone(&guard), uri.clone(), peer.parse().unwrap());
            let headers = headers(&[("host", "10.0.0.1"), ("authorization", &format!("Bearer {token}"))]);
            async move { guard.judge(peer, &Method::POST, &uri, &headers).await }
        };
        let judged = Arc::new(AtomicUsize::new(0));
        let mut guessers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (guess, judged) = (post("10.0.0.9", "x"), Arc::clone(&judged));
            guessers.spawn(async move {
                if guess.await == Err(Stopped::Denied(Denied::WrongToken)) {
                    judged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while lock(&guard.guessing).values().all(|guesses| guesses.waiting.load(Ordering::Relaxed) == 0) {
            tokio::task::yield_now().await;
        }
        assert_eq!(post("10.0.0.8", "t").await, Ok(Some(Requester::Own)));
        assert_eq!(judged.load(Ordering::Relaxed), 0, "an operator elsewhere waits for no guess");
        assert_eq!(
            post("10.0.0.9", "t").await,
            Err(Stopped::Guesses),
            "not judged: the answer tells nothing"
        );
        while guessers.join_next().await.is_some() {}
        let most = ADMIN_GUESSES_MAX + ADMIN_GUESSES_WAITING_MAX;
        assert!(judged.load(Ordering::Relaxed) <= most, "{judged:?}");
        assert_eq!(
            post("10.0.0.9", "t").await,
            Ok(Some(Requester::Own)),
            "and nobody is locked out for longer"
        );
        assert!(lock(&guard.guessing).len() <= 1, "networks that guess no more are forgotten");
    }
}
