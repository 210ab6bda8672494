//! An RCS of our own: reads the vendor's properties file, listens, and runs connectors for whoever calls.
//!
//! Way of a call: the endpoint of `rcs_proto::driver` hands an operation to [`executor`], which finds or opens the configured connector, runs
//! it on a blocking thread and sends its answer as frames. This crate must not know groups, routers or balancing.
//!
//! Apart from all that, [`agent`] tells routers what files an RCS has, this one or Java's: of them it knows an address and three answers.

pub mod agent;
pub mod cli;
pub mod config;
pub mod connector;
pub mod error;
pub mod executor;
pub mod key;
pub mod limits;
pub mod pool;
pub mod properties;
pub mod server;
pub mod tls;

#[cfg(test)]
mod testing;
