//! The `rcs-node` program from outside.

mod agent;
mod agent_router;
mod caller;
mod check;
mod csv_calls;
mod log;
mod serve;
mod serving;
mod set_key;
mod support;
mod tls;
mod tls_store;
