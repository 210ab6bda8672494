//! A whole end of the protocol for programs that are not a proxy: the node executes calls with it, the bench sends them.
//!
//! One task, the hub, owns all sockets and sessions of an endpoint: it selects the next input and applies it, without locks
//! and without ever waiting for a peer. Executors get each call with a [`Responder`]; callers use a [`Caller`].
//!
//! The hub is made of tables that keep their fields to themselves, each below those that use it:
//!
//! ```text
//! handle, caller ─▸ to_hub ─▸ hub ─┬▸ incoming   calls of peers, and their answers
//!                                  ├▸ outgoing   our calls at peers
//!                                  ├▸ wanted     who waits for a peer, or for its connectors
//!                                  └▸ shutdown   from the wish to end to the last closed socket
//!                                       └▸ net   sockets and sessions: which socket a frame goes out on
//! ```

mod answer;
mod call;
mod caller;
mod config;
mod handle;
mod hub;
mod incoming;
mod lost;
mod net;
mod outgoing;
#[cfg(test)]
mod retire_tests;
#[cfg(test)]
mod rig;
mod shutdown;
#[cfg(test)]
mod tests;
mod to_hub;
mod wanted;

pub use answer::RemoteError;
pub use call::{Executor, Gone, IncomingCall, Responder, Watch};
pub use caller::{CallStream, Caller, ConnectError, NoConnectors};
pub use config::{Counts, EndpointConfig};
pub use handle::{Adopted, Endpoint};
