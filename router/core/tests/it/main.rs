//! The crate seen from outside.

mod documents;
mod stored;
mod written;
