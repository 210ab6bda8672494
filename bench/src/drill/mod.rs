//! Drills: things go wrong on purpose, with real processes, while callers that know the right answers go on calling.
//!
//! A drill stands on a [`site`]: [`members`] behind a fault-injecting [`proxy`] each, a [`router`] in front. A [`load`] of
//! [`calls`] runs; one of the [`scenes`] does the damage; what callers were told is then held against what the members wrote
//! down ([`tally`]), and the [`report`] says whether all promises were kept.
//!
//! It must not know how the router works inside: it sees its sockets, its admin address, its log lines and its errors.

mod calls;
mod cli;
mod cluster;
mod connector;
mod far;
mod hostile;
mod idm;
mod load;
mod members;
mod node;
mod promise;
mod proxy;
mod report;
mod router;
mod scenes;
mod site;
mod sums;
mod tally;
mod times;

pub(crate) use cli::{DrillArgs, run};
pub(crate) use node::{NodeArgs, run as run_node};

/// The group of all drills.
const GROUP: &str = "g";
