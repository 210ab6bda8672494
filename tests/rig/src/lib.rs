//! The rig: real processes (Java peers on the published OpenICF framework, the project's own binaries) and scripted peers,
//! which a test or a drill starts, drives and stops.
//!
//! Users: the suites of rcs-tests, the suites of the router and of the node, and the drills of rcs-bench. The suites are no part
//! of this crate, so rcs-bench is built without them.
//!
//! Flow: a test starts peers ([`rcs`], [`router`], [`node`]), drives a real IDM ([`idm`]) or a scripted one ([`scripted`]), and
//! judges what came out: answer lines, the connector's journal ([`journal`]), the router's metrics ([`metrics`]). Everything
//! that a test starts dies with the value that holds the peer.
//!
//! What this crate must not know: how the router or the node work inside. The rig sees binaries, sockets and files only, so a
//! test stays true whatever is rebuilt behind these.
#![allow(clippy::panic, reason = "a rig that cannot do its work fails the test on the spot, with the reason")]

pub mod agent;
pub mod bundles;
pub mod canary;
pub mod configured;
pub mod hr;
pub mod idm;
pub mod java;
pub mod journal;
pub mod metrics;
pub mod node;
pub mod ports;
pub mod process;
pub mod provider;
pub mod rcs;
pub mod router;
pub mod scripted;
pub mod transcript;
pub mod wait;
pub mod workspace;
