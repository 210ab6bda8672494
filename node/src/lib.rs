//! A remote connector server (RCS) of our own: it reads the vendor's properties file, listens or dials, and runs connectors for
//! whoever calls.
//!
//! # The way of a call
//! 1. [`server`] accepts callers that show the shared key ([`key`]), with TLS if the file asks for it ([`tls`]). In client mode
//!    [`client`] dials the callers instead. From here on both are the same.
//! 2. The endpoint of `rcs_proto::driver` (a whole end of the protocol) hands the operation to [`executor`], on a thread
//!    of [`pool`] that may block.
//! 3. [`executor`] finds or opens the facade (one configured connector) and runs the operation on it.
//! 4. The answer goes back as frames, no faster than the caller takes them.
//!
//! # Code map
//! - [`connector`]: the trait that a connector implements, and the registry. A new connector is one module and one line
//!   there. [`connector::filter`], [`connector::sort`] and [`connector::paging`] are what every connector needs of the
//!   framework. [`connector::csv`] is the one there is (`node/CSV.md`).
//! - [`executor`]: operations on facades; its callers' frames go out through a sink, so it knows no socket.
//! - [`error`](mod@error): what a failure is called: the Java class names by which an IDM decides.
//! - [`config`]: what a properties file says, typed. [`properties`]: the syntax of such files.
//! - [`pool`]: threads that may block, with bounds for what runs and what waits.
//! - [`agent`]: apart from all that, the process beside any RCS (this one or the Java one) that reports to routers which
//!   files its connectors are made of. Inside: one look at all files, one file and how to know that it did not change
//!   meanwhile, what a jar calls itself, when to look again, and one reporter for each router.
//! - [`cli`]: `serve`, `set-key`, `hash-key`, `check`, `doctor`, `agent`. [`limits`]: every bound of the node.
//!
//! # This crate must not know
//! Groups, balancing. Of routers the agent alone knows something: an address and three answers. Connectors know no byte
//! format and no tokio.

pub mod agent;
pub mod cli;
pub mod client;
pub mod config;
pub mod connector;
pub mod error;
pub mod executor;
pub mod key;
pub mod limits;
pub mod pool;
pub mod properties;
pub mod server;
mod service;
pub mod tls;

#[cfg(test)]
mod testing;
