//! A router process takes over from an earlier one, so that no caller sees a socket close (P14, decision 047).
//!
//! The earlier process hands over the addresses and the sockets of plain callers, and nothing else. Calls that it has begun stay with it: it
//! keeps its members until each of these calls has its answer, and answers through the later process, which has the callers' sockets.
//! So no half-done call, no member's socket and no spill file ever changes hands.
//!
//! ```text
//! later                                   earlier
//!   hello ─────────────────────────────────▶
//!   ◀──────────────── welcome: seed, marks, listening sockets
//!   dials members, judges them
//!   ask ───────────────────────────────────▶ freezes callers' sockets
//!   ◀──────────────── state: callers, connections, a way back for each
//!   built ─────────────────────────────────▶
//!   ◀──────────────────────────────── commit
//!   running ───────────────────────────────▶ leads its ends through the later process
//!   ◀──────── open: the calls it still has, again and again; at the end: done
//! ```
//!
//! Until `commit` the earlier process goes on if anything fails. A later process that has sent `built` and finds the earlier one dead goes
//! on as well: nobody else has the sockets then.
//!
//! - [`channel`]: messages and descriptors on the Unix socket.
//! - [`earlier`]: the side of the process that is replaced.
//! - [`later`]: the side of the process that takes over.
//! - [`moved`]: callers as messages.
//! - [`stock`]: what else goes over: listening sockets, and the use of what is stored.
//! - [`start`]: starts a later process as the running one was started, for `rcs-router upgrade`.

mod channel;
mod earlier;
mod later;
mod moved;
mod start;
mod stock;

pub use self::channel::HandoverError;
pub(crate) use self::earlier::{Parting, listen};
pub(crate) use self::later::{Arrived, ArrivedSocket, Heard, meet};
pub(crate) use self::start::{Upgraded, upgrade};
pub(crate) use self::stock::{OF_ADMIN, OF_CALLERS, OF_ROUTERS, Stock, listening_sockets};

/// Something that a router needs from its start on. A process that has the callers of an earlier one goes on without it: at its end they
/// would all be cut off.
///
/// # Errors
/// What is missing, in a process that has no callers.
pub(crate) fn needed<T, E: std::fmt::Display>(made: Result<T, E>, has_callers: bool) -> Result<Option<T>, E> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error) if has_callers => {
            tracing::error!("{error}. This process has the callers already, and goes on without it");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
