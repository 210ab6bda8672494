//! The router: what [`rcs_core`] decides, done with real sockets, files and clocks.
//!
//! # The way of a call
//! 1. [`downstream`] judges a caller's HTTP upgrade: credentials ([`access`]), then the group. [`listeners`] has the addresses,
//!    and which of them belong to a group.
//! 2. The socket's reading task ([`rcs_proto::driver`]) turns bytes into envelopes and queues them for the owner.
//! 3. [`owner`] is the one task that holds the engine ([`rcs_core::engine`]). It selects what happened next and
//!    applies it. Nothing is awaited while the state changes.
//! 4. [`effects`] carries the engine's effects out: frames into socket queues, dials, closes, notes for the log and the
//!    counters. [`upstream`] dials members. [`idms`] has IDMs dialled that cannot dial the router.
//! 5. The member's answer takes the same way back.
//!
//! # Code map
//! From outside:
//! - [`app`]: puts the parts together. It checks everything before it binds anything, and takes the parts down in order
//!   ([`shutdown`]: the signals that end the process).
//! - [`checkup`]: looks at the files as `serve` would, for `rcs-router check`.
//! - [`cli`]: the command line: `serve`, `check`, and the operators' commands, which talk to the admin address of a
//!   running router.
//!
//! What operators say:
//! - [`follow`]: follows the provider file ([`document`]) and the configuration file ([`config`]), as one change.
//! - [`config`]: the configuration file. `config::keys` lists every key once: reading, `check`, the example file and
//!   the manual's tables go by that list.
//! - [`trust`]: the certificates that members may show, and the authorities that may have signed them. [`secrets`]: files with keys and
//!   tokens. The router follows these files as well.
//!
//! What is asked while the router runs:
//! - [`control`]: what the rest of the process may ask of the owner.
//! - [`admin`]: the admin address: probes, metrics, state, changes. It runs on a thread and runtime of its own, so that
//!   calls and scrapes cannot starve each other. `admin::gate` decides who may change something ([`token`]: the
//!   operators' token); `admin::agents` accepts the reports of agents: cheap questions first, bodies within a bound,
//!   challenges that cost no memory until they are used, and nothing kept before the proof is right.
//! - [`metrics`]: what is counted. Gauges are read from the engine's report at each scrape, so they cannot drift from
//!   the state. `metrics::names` has every metric's name.
//! - [`unknown`]: the work list of calls of which nobody can say whether they ran, on disk until an operator acknowledges them.
//! - [`sightings`]: what this router saw happen to members and groups, for the event stream (`admin::events`).
//! - [`logging`]: the log on standard error, each change of state once.
//!
//! What is asked before the router runs:
//! - [`doctor`]: whether each thing that a router needs works from this machine, up to the connectors of each server.
//!
//! Together with others:
//! - [`cluster`]: this router's part in its cluster: what the routers agree on (rcs-consensus), followed by the engine, on a
//!   runtime of its own. Calls never wait for it.
//!
//! One process after another:
//! - [`handover`]: a later process takes over callers and addresses from an earlier one, which answers the calls it has begun.
//!
//! Small parts: [`names`] (names for the engine's numbers), [`clock`] (the engine's time), [`file`](mod@file) (files that are looked at again and again), [`files`] (what became of them), [`limits`] (bounds
//! of this shell).
//!
//! # Features
//! `demo` (on by default): `rcs-router demo` starts this program again as a router, and three nodes. It is the only
//! part that knows rcs-node; a build without the feature does not contain the node.
//!
//! # This crate must not know
//! How a call is balanced or what happens after a failure ([`rcs_core`]), or how bytes are laid out ([`rcs_proto`]).
//!
//! The tests in `router/tests/it/` look at this crate from outside. Most of the modules named here are private:
//! `cargo doc --document-private-items` shows them.
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the code map names private modules, so that the compiler checks that they exist"
)]

mod access;
mod admin;
pub mod app;
mod checkup;
pub mod cli;
mod clock;
mod cluster;
mod config;
mod control;
#[cfg(feature = "demo")]
mod demo;
pub mod doctor;
mod document;
mod downstream;
mod effects;
mod file;
mod files;
mod follow;
mod handover;
mod identity;
mod idms;
mod limits;
mod listeners;
mod logging;
mod metrics;
mod names;
mod owner;
mod secrets;
mod shutdown;
mod sightings;
mod strangers;
mod token;
mod trust;
mod unknown;
mod upstream;
mod vias;
