//! Every byte format of the OpenICF remote protocol, and the session protocol as a state machine without I/O.
//!
//! The router, the node and the load tool share this crate, so the bytes of the protocol are laid out in one place.
//!
//! # Flow
//! A frame arrives as bytes. [`envelope`] reads from it what routing needs and leaves the rest as it came.
//! [`session`] says what the frame means: an answer to a call of ours, a new call of the peer, a session check.
//! [`frames`] builds what is sent. The feature `driver` moves the bytes: see [`driver`].
//!
//! # Code map
//! Bytes of the protocol:
//! - [`messages`]: the types generated from our own `.proto` files (`proto/openicf/`). They stop here and at the
//!   sockets: nothing behind [`envelope`] needs them to route a call.
//! - [`wire`]: walks over protobuf fields without copying them.
//! - [`envelope`]: reads what routing needs (ids, kind, connector key, operation, facade key, sequence) and rewrites
//!   ids and connector keys in place.
//! - [`operation`]: the operations of the protocol, by the field that carries each.
//! - [`frames`]: builds whole frames, the writing half of [`envelope`].
//!
//! What payloads mean, for those who have to read one:
//! - [`icf`]: the object model of connectors (attributes, filters, schema), free of bytes.
//! - [`legacy`]: the serialisation inside payloads. A generic tree gives Java's bytes back exactly as they came; a
//!   typed layer lies on top. The reader is strict: input that two readers could understand differently is refused.
//!
//! The session protocol:
//! - [`session`]: handshake, the sockets of one sessionId, message ids, session checks, the order of streams, cancels
//!   that overtake their call. Its owner keeps what a call *is*; the session gives back the owner's key.
//! - [`time`]: [`time::Moment`], the only time that sessions and the router's core know. The caller passes it in.
//! - [`limits`]: every bound of the session protocol, with its unit and reason.
//!
//! For everybody:
//! - [`withheld`]: how payloads look in `Debug` output: a size, never their content.
//!
//! # Features
//! - `driver`: [`driver`] moves frames over tokio and decides nothing. [`driver::listen`] and [`driver::dial`] open
//!   connections, [`driver::keeper`] keeps those to dialled URLs open, [`driver::accept`] judges an upgrade, [`driver::framing`] is the WebSocket framing, and
//!   [`driver::socket`] serves one socket with two tasks, one for each direction. What a slow peer has not read waits in
//!   the socket's backlog, and rows beyond a few MiB in files of [`driver::spill`]. [`driver::endpoint`] is one whole
//!   end of the protocol, for the node and the load tool.
//! - `manifest`: [`manifest`] is how the files of a connector server are reported to routers: the list, its one
//!   digest, the report as JSON (read as a stranger's), and the proof of its sender.
//!
//! # This crate must not know
//! Groups, balancing, policy. Without the feature `driver`: tokio, sockets, any I/O.
//!
//! The vectors in `proto/tests/vectors/` are golden bytes, written by the published Java framework.
//!
#![cfg_attr(
    not(feature = "driver"),
    doc = "[`driver`]: #features
[`driver::accept`]: #features
[`driver::dial`]: #features
[`driver::endpoint`]: #features
[`driver::framing`]: #features
[`driver::keeper`]: #features
[`driver::listen`]: #features
[`driver::socket`]: #features
[`driver::spill`]: #features"
)]
#![cfg_attr(not(feature = "manifest"), doc = "[`manifest`]: #features")]

#[cfg(feature = "driver")]
pub mod driver;
pub mod envelope;
pub mod frames;
pub mod icf;
pub mod legacy;
pub mod limits;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod messages;
pub mod operation;
pub mod session;
pub mod time;
pub mod wire;
pub mod withheld;
