//! A deterministic simulation: an executor with a clock of its own, a disk that loses and tears, a network that delays, drops and
//! cuts. One seed is one run, whatever the machine; several threads may run one seed each.
//!
//! `executor` runs the tasks and the clock, `runtime` is openraft's view of it, `trace` is the fingerprint of a run, `disk` and
//! `network` are what a node stands on, `explore` runs many seeds.

mod disk;
mod disk_tests;
mod executor;
mod executor_tests;
mod explore;
mod network;
mod network_tests;
mod runtime;
mod trace;
