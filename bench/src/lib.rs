//! `rcs-bench`: an OpenICF caller that measures connector servers and routers.
//!
//! `load` puts one target under load, in an open loop (a fixed rate; latency counts from the intended start, so that a stall of
//! the target is not hidden by a generator that waits for it) or in a closed one. `compare` measures two targets in turns
//! within one run: what a router costs.
//!
//! `drill` starts a router and members of its own and does damage to them under load, to see whether promises are kept.
//!
//! It talks the protocol through [`rcs_proto::driver::endpoint::Caller`] and knows nothing of routers.

mod arguments;
pub mod cli;
mod compare;
mod configuration;
mod drill;
mod load;
mod machine;
mod record;
mod report;
mod target;
mod workload;
