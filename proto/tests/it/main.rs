//! Tests of this crate against golden vectors and generated values. One binary, so that it links once.

// The lint's own exception for tests covers test functions, not the helpers between them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod declared;
mod frames;
mod legacy_describe;
mod legacy_hostile;
mod legacy_properties;
mod legacy_reader;
mod legacy_typed;
mod legacy_vectors;
mod vectors;
