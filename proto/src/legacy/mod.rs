//! The legacy object serialisation, in which most payloads of the protocol are wrapped (docs/protocol/legacy.md).
//!
//! Two layers. The generic one reads a blob into a [`Node`], a tree that knows every type of the format by its table, and
//! writes it back: bytes written by Java come out as they went in. The typed one, [`Wire`], turns the model of [`crate::icf`]
//! into blobs and back. The reader is strict (LEGACY section 12): what Java's would resolve in a way that a second reader might
//! not is refused, so that two processes never see two different requests in the same bytes.

mod convert;
mod cookie;
mod error;
pub mod facade_key;
mod guarded;
mod pool;
mod reader;
mod rules;
mod scalar;
mod scan;
mod schema;
mod tree;
mod wire;
mod writer;

pub use cookie::{PageOptions, options_cookie, options_page};
pub use error::LegacyError;
pub use reader::{read, read_within};
pub use schema::OPERATIONS;
pub use tree::{Class, Field, Node, Object};
pub use wire::{Wire, decode_optional, encode_optional};
pub use writer::write;
