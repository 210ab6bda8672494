//! Routers of a cluster agree on one log of commands, and each applies the log to its own copy of one machine (Raft, by openraft).
//!
//! This crate knows nothing of groups, members or calls: commands are bytes, and what they mean is a [`Machine`]. openraft's types stop
//! at this crate's border, so that another version of openraft is a change of this crate alone.

pub mod machine;
pub mod rpc;
mod types;

pub use self::machine::Machine;
pub use self::types::{RouterId, Types};

/// The generated messages of `proto/cluster/raft.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod messages {
    tonic::include_proto!("rcs.cluster.v1");
}
