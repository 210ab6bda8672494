//! Every bound of the HTTPS client and of the OAuth2 client (promise P10).

use std::time::Duration;

/// Longest exchange over HTTP, unless configured: name resolution, connection, TLS, request and the whole answer.
pub const EXCHANGE_DEADLINE: Duration = Duration::from_secs(15);
/// Largest body of an answer, unless configured, bytes. A token answer has a few KiB, a set of keys some tens.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Largest head of an answer, bytes. Authorization servers set cookies, so heads are larger than those of WebSocket upgrades.
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// Most header lines of an answer.
pub const HEADERS_MAX: usize = 128;
/// Characters of a peer's text (the target of a redirect, an error code) that a message shows.
pub const SHOWN_CHARACTERS_MAX: usize = 120;

const _: () = assert!(HEAD_BYTES_MAX >= 8192, "hyper's least buffer");

/// Longest access token, bytes. It has to fit into the head of a WebSocket upgrade (8 KiB at most acceptors), beside the other headers.
pub const TOKEN_BYTES_MAX: usize = 7 << 10;
/// Time before its end at which a token is renewed (O03).
pub const RENEWED_BEFORE_END: Duration = Duration::from_secs(5 * 60);
/// The part of a short life, in percent, after which a token is renewed: [`RENEWED_BEFORE_END`] would be most of the life.
pub const SHORT_LIFE_PERCENT: u32 = 80;
/// Tokens of servers that were started together are renewed at different moments: earlier by a random part of the time
/// between renewal and end, at most this percentage.
pub const RENEWAL_JITTER_PERCENT: u32 = 20;
/// The life of a token whose answer has no plausible life. Such a token is used beyond this time, until a peer refuses it.
pub const ASSUMED_LIFE: Duration = Duration::from_secs(5 * 60);
/// A longer life counts as this time: a token is requested at least once in this time, so that a changed secret is noticed.
pub const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// First pause after a token request that failed; it doubles up to [`FAILED_REST_MAX`], with jitter.
pub const FAILED_REST: Duration = Duration::from_secs(1);
/// See [`FAILED_REST`].
pub const FAILED_REST_MAX: Duration = Duration::from_secs(60);
/// First pause before a refused token is replaced, if the token before was refused as well. It doubles up to
/// [`REFUSED_REST_MAX`], with jitter: a peer that refuses every token must not cause a request for each dial.
pub const REFUSED_REST: Duration = Duration::from_secs(2);
/// See [`REFUSED_REST`].
pub const REFUSED_REST_MAX: Duration = Duration::from_secs(5 * 60);
/// A token that is refused after it was in use for this time begins a new row of refusals. Longer than the longest rest: otherwise a peer
/// that refuses every token would never make a row.
pub const REFUSED_ROW: Duration = Duration::from_secs(10 * 60);
/// While there is no token because of the secret: time between two looks at whether the secret has changed.
pub const SECRET_LOOK_EVERY: Duration = Duration::from_secs(2);
/// Time in which the client's secret must be read: the secret's file may be on a disk or a network that hangs.
pub const SECRET_READ_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two looks at whether a renewal is due, while the moment of the next renewal is unknown.
pub const IDLE_LOOK_EVERY: Duration = Duration::from_secs(60);

const _: () = assert!(SHORT_LIFE_PERCENT < 100 && RENEWAL_JITTER_PERCENT < 100);
const _: () = assert!(FAILED_REST.as_millis() < FAILED_REST_MAX.as_millis());
const _: () = assert!(REFUSED_REST_MAX.as_millis() < REFUSED_ROW.as_millis());
const _: () = assert!(
    RENEWED_BEFORE_END.as_millis() <= ASSUMED_LIFE.as_millis()
        && ASSUMED_LIFE.as_millis() < LIFE_MAX.as_millis()
);
