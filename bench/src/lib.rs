//! `rcs-bench`: an OpenICF caller that measures connector servers and routers, and damages them on purpose.
//!
//! # Flow
//! - [`load`] puts one target under load: in an open loop (a fixed rate; latency counts from the intended start, so a
//!   generator that waits cannot hide a stall of the target) or in a closed one.
//! - [`compare`] measures two targets in turns within one run: what a router costs.
//! - [`drill`] starts a router and members of its own and damages them under load, to see whether promises are kept.
//!
//! All of them speak the protocol through [`rcs_proto::driver::endpoint::Caller`].
//!
//! # Code map
//! Measuring:
//! - [`target`]: where to connect, and with which key. [`configuration`]: the connector configuration that every call
//!   carries. [`workload`]: the calls that are measured, and what their answers are worth.
//! - [`record`]: what a measurement collects. [`report`]: the table and the JSON; both name the parameters and the
//!   [`machine`]. [`units`]: figures as a person reads them. [`progress`]: how far a measurement is, on a terminal.
//!   [`cleanup`]: deletes the objects that creates made.
//!
//! Drills:
//! - `drill::scenes`: one file a drill, which reads like a scenario.
//! - `drill::site`: what a drill stands on: `drill::members` behind one `drill::proxy` each, a
//!   `drill::router`, and files. The proxy injects faults; its traps wait for a point in the life of a call and do
//!   the damage there.
//! - `drill::cluster`: several routers that agree, writers that change marks over the admin API, and the judge of what they were
//!   told: `cluster::history`.
//! - `drill::load`: callers that know the right answer of each call (`drill::calls`). `drill::idm`: a real Java
//!   IDM as a further caller (`drill::sums`: what such an IDM counted). `drill::far`: a runtime for whatever stands for
//!   other machines, which leaves the processors to the callers that are timed.
//! - `drill::connector`: the connector of the drills' nodes; it writes each change down in a journal.
//! - `drill::tally`: compares what callers were told with the journals. `drill::report`: whether the drill passed, with
//!   the reasons: one line of JSON, a row of the table.
//!
//! # This crate must not know
//! How router and node work inside: it is a caller, and in drills whatever does the damage.
//!
//! The modules named here are private: `cargo doc --document-private-items` shows them.
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the code map names private modules, so that the compiler checks that they exist"
)]

mod arguments;
mod cleanup;
pub mod cli;
mod compare;
mod configuration;
mod drill;
mod load;
mod machine;
mod progress;
mod record;
mod report;
mod target;
mod units;
mod workload;
