//! Requests between routers over the network: gRPC (HTTP/2) over TLS 1.3, in which both ends show the certificate of a router of the
//! cluster ([`crate::pki`]).
//!
//! A connection may also ask for HTTP/1.1 in its TLS handshake (ALPN): it is to become a WebSocket, and is handed over ([`Arriving`]).
//!
//! [`TonicTransport`] asks, [`serve()`] answers. A request says who sends it, and the sender's certificate must say the same: a router can
//! speak for itself alone. TLS keeps what was recorded from being sent again, as each connection has keys of its own, its records are
//! numbered, and neither resumption nor early data is offered.
//!
//! Below TLS is TCP. Tests give another network instead ([`Dial`], [`Listen`]).

mod arriving;
mod client;
mod credentials;
mod dial;
mod link;
mod refusals;
mod seats;
mod serve;
mod service;
mod session;
mod shared;
mod snapshot;
mod stream;
mod words;

pub use self::arriving::{Arriving, Upgrading};
pub use self::client::TonicTransport;
pub use self::credentials::{Credentials, Reloaded};
pub use self::refusals::{Reason, Refused};
pub use self::serve::{Serving, serve, serve_on};
pub use self::stream::{Dial, Listen, Stream, Tcp};
