//! The router: what [`rcs_core`] decides, done with real sockets, files and clocks.
//!
//! Way of a call: `downstream` (an IDM's upgrade is judged) ▸ `owner` (the one task that holds the engine) ▸ `world` (the
//! engine's effects) ▸ `upstream` (members are dialled) and back. [`app`] puts the parts together. Beside the way: `follow`
//! follows the provider file (`document`) and the configuration file (`config`), `admin` answers probes and scrapes from a runtime of its own, `metrics` counts, [`cli`] is the
//! command line, `demo` (only with the feature of that name) shows the whole with processes of its own.
//!
//! This crate must NOT know: how a call is balanced or what happens after a failure (`rcs_core`), or how bytes are laid out
//! (`rcs_proto`).

mod access;
mod admin;
pub mod app;
pub mod cli;
mod clock;
mod config;
mod control;
#[cfg(feature = "demo")]
mod demo;
mod document;
mod downstream;
mod file;
mod follow;
mod limits;
mod logging;
mod metrics;
mod owner;
mod shutdown;
mod token;
mod trust;
mod upstream;
mod world;
