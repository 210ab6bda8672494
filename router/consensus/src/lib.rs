//! Routers of a cluster agree on one log of commands, and each applies the log to its own copy of one machine (Raft, by openraft).
//!
//! This crate knows nothing of groups, members or calls: commands are bytes, and what they mean is a [`Machine`]. openraft's types stop
//! at this crate's border, so that another version of openraft is a change of this crate alone.
//!
//! Routers reach each other by [`transport`] and know each other by [`pki`]; in simulations a network of the test takes their place ([`rpc`]).

mod consensus;
mod form;
mod leader;
pub mod limits;
mod machine;
mod network;
pub mod pki;
mod proposer;
mod receive;
pub mod rpc;
mod running;
mod status;
pub mod store;
pub mod transport;
mod types;
mod wire;

pub use self::consensus::{Consensus, Open, StartError};
pub use self::form::{Formed, NotFormed};
pub use self::leader::RoutersChange;
pub use self::machine::{Machine, Unreadable};
pub use self::proposer::{Applied, NotApplied};
pub use self::running::{NotRunning, Timing};
pub use self::status::{Role, Status};
pub use self::types::RouterId;
pub use openraft::TokioRuntime;

/// The generated messages of `proto/cluster/raft.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod messages {
    tonic::include_proto!("rcs.cluster.v1");
}
