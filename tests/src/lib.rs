//! The rig of the whole-system and interop tests: real processes (Java peers on the published OpenICF framework, our own
//! binaries) and scripted peers, driven from a test body.
//!
//! Flow: a test in `it/` starts peers ([`rcs`], [`router`], [`node`]), drives a real IDM ([`idm`]) or a scripted one ([`scripted`]), and judges what came out: answer lines, the connector's journal ([`journal`]), the router's metrics
//! ([`metrics`]). Everything a test starts dies with the value that holds it.
//!
//! What this crate must not know: how the router or the node work inside. It sees binaries, sockets and files only, so a test
//! here stays true whatever is rebuilt behind them.
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
