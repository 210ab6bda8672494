//! Bundle sets: what a member offers, whether that is what its group accepted, and who may serve (P5, G11-G13).
//!
//! [`wire`] reads a [`wire::WireManifest`] from a member's list of connectors; [`diff`] compares two manifests; [`range`] reads
//! version ranges; [`infos`] is the list that callers are shown. Pure like all of this crate: the engine passes in what it saw and
//! when, and gets back which members may serve and what to log.

pub mod diff;
pub mod digest;
pub mod group;
pub mod in_use;
pub mod infos;
pub mod policy;
pub mod range;
pub mod set;
pub mod wire;

mod canonical;
pub(crate) mod printable;

#[cfg(test)]
mod samples;
