//! A deterministic simulation: clusters of routers on an executor with a clock of its own, disks that lose and tear, a network that
//! delays, drops and cuts. One seed is one run, whatever the machine; several threads may run one seed each.
//!
//! The ground: `executor` runs the tasks and the clock, `runtime` is openraft's view of it, `trace` is the fingerprint of a run, `disk`
//! and `network` are what a router stands on. The cluster: `cluster` has the routers and their lives, `ledger` is what they replicate,
//! `clients`, `admin` and `faults` are what happens to them, `invariants` what must hold, `scenario` one run of all this, `mistakes`
//! the proof that the invariants see something. `seeds` runs many, `explore` has the tests. `load` measures many writes on
//! slow disks, `half_changes` loses leaders in the middle of a change, `slow_network` has a large command take its time,
//! `two_candidates` has two routers stand for election in one term.

mod admin;
mod clients;
mod cluster;
pub(crate) mod disk;
mod disk_tests;
mod executor;
mod executor_tests;
pub(crate) mod explore;
mod faults;
mod half_changes;
pub(crate) mod invariants;
pub(crate) mod ledger;
mod load;
mod lost_disk;
pub(crate) mod mistakes;
mod network;
mod network_tests;
mod runtime;
mod scenario;
pub(crate) mod seeds;
mod slow_network;
mod trace;
mod two_candidates;
