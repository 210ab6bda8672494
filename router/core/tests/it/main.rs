//! The crate seen from outside.

mod documents;
