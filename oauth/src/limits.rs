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
