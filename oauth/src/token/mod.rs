//! Access tokens by client credentials (RFC 6749, section 4.4): asked for once, shared by all who dial, and renewed before their end.
//!
//! - One request serves all who wait. Further fields of an answer are ignored.
//! - A token is renewed 5 minutes before its end, or at 80 % of a short life (O03). While the endpoint is out of order, the token in use
//!   serves until its end.
//! - A token that a peer refuses is replaced at once (O04). If the next one is refused too, the pauses grow.
//! - The secret is read for each request, so that a changed secret file is used at once (A03).
//!
//! ```no_run
//! # async fn example(tls: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) -> Result<(), Box<dyn std::error::Error>> {
//! use rcs_oauth::https::{Https, Plain, Url};
//! use rcs_oauth::token::{ClientSecret, TokenOptions, Tokens};
//! use rcs_proto::icf::Secret;
//!
//! let tokens = Tokens::start(Https::new(tls), TokenOptions {
//!     endpoint: Url::parse("https://am.example.com/am/oauth2/access_token", Plain::Loopback)?,
//!     client_id: "RCSClient".to_owned(),
//!     secret: ClientSecret::fixed(Secret::new("…".to_owned())),
//!     scope: Some("fr:idm:*".to_owned()),
//! });
//! let token = tokens.token().await?;
//! // Dial with DialAuthorization::Bearer. After a 401:
//! tokens.refused(&token);
//! # Ok(())
//! # }
//! ```

mod answer;
mod cache;
mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rcs_proto::icf::Secret;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

pub use error::TokenError;

use self::answer::Granted;
use self::cache::{Cache, Next};
use crate::https::{Https, Url, basic};
use crate::limits::{IDLE_LOOK_EVERY, SECRET_LOOK_EVERY, SECRET_READ_DEADLINE};

/// Where tokens come from, and who asks for them.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// The token endpoint (`tokenEndpoint`).
    pub endpoint: Url,
    /// The client's id (`clientId`).
    pub client_id: String,
    /// The client's secret (P17).
    pub secret: ClientSecret,
    /// The scope to request (`scope`): names with blanks between them. `None` leaves the choice to the server.
    pub scope: Option<String>,
}

/// Reads the client's secret. An error is a sentence without a full stop.
type ReadsSecret = dyn Fn() -> Result<Secret<String>, String> + Send + Sync;

/// The client's secret, read anew for each request.
#[derive(Clone)]
pub struct ClientSecret {
    read: Arc<ReadsSecret>,
    /// One reading at a time: a file that hangs must not cost a thread for each try.
    turn: Arc<Semaphore>,
}

impl ClientSecret {
    /// A secret that never changes.
    pub fn fixed(secret: Secret<String>) -> Self {
        Self::read_by(move || Ok(secret.clone()))
    }

    /// A secret that is read when a token is asked for, on a thread that may block. An error is a sentence without a full stop.
    pub fn read_by(read: impl Fn() -> Result<Secret<String>, String> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), turn: Arc::new(Semaphore::new(1)) }
    }

    async fn read(&self) -> Result<Secret<String>, TokenError> {
        let (read, turn) = (Arc::clone(&self.read), Arc::clone(&self.turn));
        let reading = async {
            let turn = turn.acquire_owned().await;
            let reading = tokio::task::spawn_blocking(move || {
                let secret = read();
                drop(turn);
                secret
            });
            reading.await.unwrap_or_else(|_| Err("the reader ended early".to_owned()))
        };
        let late = || {
            Err(format!(
                "it was not read within {SECRET_READ_DEADLINE:?}; is its disk or network out of order?"
            ))
        };
        timeout(SECRET_READ_DEADLINE, reading).await.unwrap_or_else(|_| late()).map_err(TokenError::Secret)
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(***)")
    }
}

/// An access token.
#[derive(Clone, Debug)]
pub struct Token {
    text: Secret<String>,
    /// Tokens of one source are numbered.
    number: u64,
    renewal: Instant,
    ends: Option<Instant>,
}

impl Token {
    /// The token itself, for a header.
    pub fn secret(&self) -> &Secret<String> {
        &self.text
    }

    /// The moment at which another token is requested, unless this token is refused before.
    pub fn renewal(&self) -> Instant {
        self.renewal
    }

    /// When the token ends; `None` if the server did not say so.
    pub fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Whether both values are the same token.
    pub fn is(&self, other: &Token) -> bool {
        self.number == other.number
    }
}

/// The tokens of one client. Copies share them. A task renews the token until the last copy is dropped.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    https: Https,
    options: TokenOptions,
    cache: Mutex<Cache>,
    /// Held by whoever asks the endpoint.
    asking: tokio::sync::Mutex<()>,
    /// The secret of the last request that failed.
    failed_with: Mutex<Option<Secret<String>>>,
    /// Something has happened that the renewing task has to look at.
    news: Arc<Notify>,
}

impl Tokens {
    /// Starts the task that renews. The endpoint is asked when the first token is wanted. Must be called within a tokio runtime.
    pub fn start(https: Https, options: TokenOptions) -> Self {
        let inner = Arc::new(Inner {
            https,
            options,
            cache: Mutex::new(Cache::new(fastrand::Rng::new())),
            asking: tokio::sync::Mutex::new(()),
            failed_with: Mutex::new(None),
            news: Arc::new(Notify::new()),
        });
        tokio::spawn(renew(Arc::downgrade(&inner), Arc::clone(&inner.news)));
        Self(inner)
    }

    /// Returns a token that is valid now. Waits for the endpoint only if there is no such token.
    ///
    /// # Errors
    /// [`TokenError`]: the last failure, while the endpoint is not asked again.
    pub async fn token(&self) -> Result<Token, TokenError> {
        match self.next().await {
            Next::Use(token) => return Ok(token),
            Next::Rest(error) => return Err(error),
            Next::Ask => {}
        }
        let _turn = self.0.asking.lock().await;
        // Whoever had the turn before has asked for all who waited.
        match self.next().await {
            Next::Use(token) => Ok(token),
            Next::Rest(error) => Err(error),
            Next::Ask => self.0.ask().await,
        }
    }

    /// Reports that a peer refused this token. The next call of [`Tokens::token`] requests another token. After several refusals in a row
    /// the requests have growing pauses, and the refused token stays in use meanwhile (O04).
    pub fn refused(&self, token: &Token) {
        if lock(&self.0.cache).refused(token, Instant::now()) {
            self.0.news.notify_one();
        }
    }

    /// Why the last request for a token failed; `None` after one that succeeded. The token before may still be in use.
    pub fn failure(&self) -> Option<TokenError> {
        lock(&self.0.cache).failure().cloned()
    }

    /// When the last token that came ends, or has ended; `None` before the first one, and if its answer did not say.
    pub fn ends(&self) -> Option<Instant> {
        lock(&self.0.cache).ends()
    }

    async fn next(&self) -> Next {
        let next = lock(&self.0.cache).next(Instant::now());
        match next {
            Next::Rest(error) if error.is_about_the_secret() && self.0.has_another_secret().await => {
                Next::Ask
            }
            next => next,
        }
    }
}

impl Inner {
    /// Asks the endpoint. The caller has the turn.
    async fn ask(&self) -> Result<Token, TokenError> {
        let secret = self.options.secret.read().await;
        let outcome = match &secret {
            Ok(secret) => self.exchange(secret).await,
            Err(error) => Err(error.clone()),
        };
        let now = Instant::now();
        let mut cache = lock(&self.cache);
        let told = cache.failure().map(ToString::to_string);
        let outcome = match outcome {
            Ok(granted) => {
                cache.came(granted, now);
                if told.is_some() {
                    tracing::info!(endpoint = %self.options.endpoint, "a token came: the token endpoint works again");
                }
                match cache.next(now) {
                    Next::Use(token) => Ok(token),
                    Next::Ask => Err(TokenError::Unusable("it ends at once")),
                    Next::Rest(error) => Err(error),
                }
            }
            Err(error) => {
                *lock(&self.failed_with) = secret.ok();
                self.tell(&error, told.as_deref(), cache.left(now));
                cache.failed(error.clone(), now);
                // While the token in use is valid, a failure hurts nobody.
                match cache.next(now) {
                    Next::Use(token) => Ok(token),
                    _ => Err(error),
                }
            }
        };
        self.news.notify_one();
        outcome
    }

    async fn exchange(&self, secret: &Secret<String>) -> Result<Granted, TokenError> {
        let TokenOptions { endpoint, client_id, scope, .. } = &self.options;
        let authorization = basic(client_id, secret);
        let headers = [("Authorization", authorization.expose().as_str()), ("Accept", "application/json")];
        let scope = scope.as_deref();
        let fields: Vec<_> = [("grant_type", "client_credentials")]
            .into_iter()
            .chain(scope.map(|scope| ("scope", scope)))
            .collect();
        let answer = self.https.post_form(endpoint, &headers, &fields).await;
        answer::read(&answer.map_err(|error| TokenError::Exchange(Arc::new(error)))?, client_id, scope)
    }

    /// One line for each reason; repetitions are no news.
    fn tell(&self, error: &TokenError, told: Option<&str>, left: Option<std::time::Duration>) {
        let endpoint = &self.options.endpoint;
        let words = error.to_string();
        if told == Some(words.as_str()) {
            tracing::debug!(%endpoint, "still no new token: {words}");
            return;
        }
        match left {
            Some(left) => tracing::warn!(
                %endpoint,
                "no new token: {words}; the token in use is valid for another {} s; retrying",
                left.as_secs()
            ),
            None => tracing::warn!(%endpoint, "no token: {words}; retrying"),
        }
    }

    /// Whether the secret has changed since a request failed with it.
    async fn has_another_secret(&self) -> bool {
        let Ok(secret) = self.options.secret.read().await else { return false };
        lock(&self.failed_with).as_ref() != Some(&secret)
    }
}

/// Renews the token when that is due, until nobody holds the source any more.
async fn renew(inner: Weak<Inner>, news: Arc<Notify>) {
    loop {
        let Some(source) = inner.upgrade() else { return };
        let now = Instant::now();
        let (due, waits_for_secret) = {
            let cache = lock(&source.cache);
            (cache.due(), cache.failure().is_some_and(TokenError::is_about_the_secret))
        };
        if due.is_some_and(|due| due <= now) {
            let _turn = source.asking.lock().await;
            // Somebody else may have asked meanwhile.
            let is_due = lock(&source.cache).due().is_some_and(|due| due <= Instant::now());
            if is_due {
                // It was told in the log.
                let _ = source.ask().await;
            }
            continue;
        }
        let mut until = due.unwrap_or(now + IDLE_LOOK_EVERY).min(now + IDLE_LOOK_EVERY);
        if waits_for_secret {
            if source.has_another_secret().await {
                lock(&source.cache).rest_no_more(Instant::now());
                continue;
            }
            until = until.min(now + SECRET_LOOK_EVERY);
        }
        drop(source);
        let _ = timeout_at(until, news.notified()).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
