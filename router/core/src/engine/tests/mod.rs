//! The engine between scripted peers, without sockets and without time passing by itself.

mod admission;
mod answers;
mod bundles;
mod callers;
mod chaos;
mod connectors;
mod drain;
mod drift;
mod explain;
mod failures;
mod in_use;
mod joins;
pub(crate) mod parts;
mod probes;
mod random;
mod rotation;
mod routing;
mod secrets;
mod sessions;
mod settings;
mod settled;
mod states;
mod stream_ends;
mod streams;
mod suspects;
mod versions;
pub(in crate::engine) mod world;
