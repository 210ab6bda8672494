//! Whole-system and interop tests. With Java: the published framework on both ends. Without: scripted peers only, and a line
//! for each test that was skipped.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what helpers of tests print is for whoever reads a test's output"
)]

mod affinity;
mod answers;
mod balance;
mod bounds;
mod bundle_files;
mod bundles;
mod canary;
mod cancel;
mod client_mode;
mod combinations;
mod crates;
mod defects;
mod demo;
mod dialled_idms;
mod direct;
mod docs;
mod drain;
mod events;
mod examples;
mod fleet;
mod forgotten;
mod hedge;
mod hostile;
mod idle;
mod keycloak;
mod kill;
mod loss;
mod node_dials;
mod node_direct;
mod overload;
mod passthrough;
mod pressure;
mod proxies;
mod refusals;
mod replays;
mod rig;
mod router_dials;
mod site;
mod stream;
mod stream_end;
mod takeover;
mod through;
mod tidy;
mod tls;
mod token_outage;
