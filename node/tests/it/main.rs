//! The `rcs-node` program from outside.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what helpers of tests print is for whoever reads a test's output"
)]

mod agent;
mod agent_router;
mod audit;
mod caller;
mod check;
mod csv_calls;
mod dial;
mod dial_tls;
mod dial_token;
mod doctor;
mod log;
mod serve;
mod serving;
mod set_key;
mod support;
mod tls;
mod tls_store;
