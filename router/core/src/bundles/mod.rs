//! Bundle sets: what a member offers, whether that is what its group accepted, and who may serve (P5, G11-G13).
//!
//! [`wire`] reads a [`wire::WireManifest`] from what a member told of its connectors;
//! [`diff`] says what two manifests do not have in common; [`range`] reads version ranges; [`infos`] is what callers are shown. Pure like all of this crate: the
//! engine tells what it saw and when, and is told who may serve and what is worth a line in the log.

pub mod diff;
pub mod digest;
pub mod group;
pub mod infos;
pub mod range;
pub mod wire;

mod canonical;
mod printable;

#[cfg(test)]
mod samples;
