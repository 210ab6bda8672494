//! Routers over their real transport (gRPC over mutual TLS) on a network that others wrote: [turmoil](https://docs.rs/turmoil) cuts,
//! holds and delays the bytes of each connection, and takes hosts down and up. The simulation beside it (`crate::sim`) sees more seeds
//! and worse disks, but carries requests as values: no byte of the transport runs there.
//!
//! The disks, the list that is replicated and the invariants are those of `crate::sim`; Porcupine judges each history as well.
//!
//! `streams` joins the transport to turmoil's network, `runtime` gives openraft its random numbers, `host` is one router, `clients` are
//! who writes and reads, `faults` is what goes wrong, `run` is one run of all this, `explore` has the tests.
//!
//! turmoil never sends a lost segment again: a connection that lost one is dead, and must be noticed by its pings. It holds messages of
//! a link both ways only; one way it drops messages.

mod clients;
mod explore;
mod faults;
mod host;
mod run;
mod runtime;
mod streams;
