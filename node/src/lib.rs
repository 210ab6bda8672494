//! An RCS of our own: reads the vendor's properties file, listens, and runs connectors for whoever calls.
//!
//! Way of a call: `rcs_proto::driver` hands an operation to `executor`, which finds or opens the configured connector, runs
//! it on a blocking thread and sends its answer as frames. This crate must not know groups, routers or balancing.

pub mod config;
pub mod connector;
pub mod error;
pub mod key;
pub mod limits;
pub mod properties;
