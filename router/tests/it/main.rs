//! The router's shell from outside: command line, admin address, provider file, shutdown, demo. What happens to calls is
//! tested in `rcs-tests`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail the test on the spot")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what helpers of tests print is for whoever reads a test's output"
)]

mod admin;
mod admin_tls;
mod agents;
mod bearer;
mod bundles;
mod caller_certificates;
mod callers;
mod callers_tls;
mod certificates;
mod changes;
mod client_mode;
mod cluster;
mod config;
mod crowd;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod doctor_outside;
mod ending;
mod events;
mod floods;
mod follow;
mod formats;
mod identities;
mod idle_tls;
mod idm;
mod idm_tokens;
mod idms;
mod in_clear;
mod keytool;
mod listeners;
mod log;
mod members;
mod metrics;
mod naming;
mod printing;
mod restart;
mod service;
mod status;
mod storm;
mod strangers;
mod support;
mod terminals;
mod tls;
mod tokens;
mod unknown;
mod usage;
mod vias;
