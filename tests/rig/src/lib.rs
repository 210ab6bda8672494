//! The rig: real processes (Java peers on the published OpenICF framework, our own binaries) and scripted peers, which a
//! test or a drill starts, drives and stops.
//!
//! Its users are the suites over the whole system, the suites of the router and the node, and the drills of rcs-bench.
//!
//! # Flow
//! A test starts peers ([`rcs`], [`router`], [`node`], [`agent`]), drives a real IDM ([`idm`]) or a
//! scripted one ([`scripted`]), and judges what came out: answer lines, the connector's journal ([`journal`]), the
//! router's metrics ([`metrics`]). Everything that a test starts dies with the value that holds it.
//!
//! # Code map
//! - [`process`](mod@process): child processes; they are stopped, frozen and killed by pid. [`ports`]: free ports.
//!   [`wait`]: the one place where a test waits: for a state, with a bound and a reason. [`workspace`]: where things are.
//!   [`streams`]: outputs that cannot be written.
//! - [`java`]: the Java module of `tests/java/` (its README lists the peers' commands), built once per state of its
//!   sources. A test that needs Java and finds none says so and returns; with `RCS_REQUIRE_ALL=1` it fails instead.
//! - [`porcupine`]: judges histories of clients by a checker for linearizability that others wrote (`tests/porcupine/`,
//!   in Go), or says that Go is missing.
//! - [`proxy`]: tinyproxy and squid, where the machine has them.
//! - [`provider`], [`hr`], [`bundles`]: the files that peers read: provider documents, an `hr.csv`, and bundle folders
//!   that a test changes. [`configured`]: a connector configured as an IDM configures it.
//! - [`scripted`]: a connector server and an IDM whose frames the test writes by hand, so that a test can send what no
//!   decent library would.
//! - [`stores`]: key stores that keytool does not make.
//! - [`signed`]: signed access tokens, good and forged.
//! - [`authorization`]: a scripted OAuth2 authorization server, which can fail in each way in which real ones do.
//! - [`keycloak`]: a real authorization server, fetched once where somebody wants it.
//! - [`transcript`]: what a real IDM's commands answer without a router. The same lines must come out through one.
//! - [`canary`]: words that stand where secrets are, and are looked for wherever none may be.
//!
//! The suites over the whole system are one binary, `tests/it/main.rs`, one module a subject: `replays` is a table of the
//! known bugs of other proxies, and which test replays each; `cancel` gives a thousand searches up; `bundles` and
//! `bundle_files` are servers with other bundles, a rolling upgrade, and files that only agents see; `canary` looks for
//! secrets wherever none may be (beside the engine's own `router/core/src/engine/tests/secrets.rs`); `idle` measures what
//! health checks cost; `tidy` checks what no compiler sees: documents, citations, file sizes.
//!
//! # This crate must not know
//! How the router or the node work inside. It sees binaries, sockets and files only, so a test here stays true whatever
//! is rebuilt behind them.
#![allow(clippy::panic, reason = "a rig that cannot do its work fails the test on the spot, with the reason")]

pub mod agent;
pub mod authorization;
pub mod bundles;
pub mod canary;
pub mod configured;
pub mod hr;
pub mod idm;
pub mod java;
pub mod journal;
pub mod keycloak;
pub mod metrics;
pub mod node;
pub mod porcupine;
pub mod ports;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod rcs;
pub mod router;
pub mod scripted;
pub mod signed;
pub mod stores;
pub mod streams;
pub mod transcript;
pub mod wait;
pub mod workspace;
