//! The typed layer's interface: what stands at the top of a wire field (LEGACY section 7).

use bytes::Bytes;

use super::convert::Convert;
use super::error::LegacyError;
use super::{reader, writer};
use crate::icf;

/// A type of [`crate::icf`] that stands at the top of a wire field, as one complete blob.
pub trait Wire: Sized {
    /// The blob. Content keeps its order, so what Java wrote comes out as it went in.
    ///
    /// The model can hold what Java's reader refuses (a blank `Uid`, a class of no known name): it is written as it is.
    fn encode(&self) -> Bytes;

    /// Reads a blob, which must not be empty.
    ///
    /// # Errors
    /// If the blob breaks a rule of the format, or holds another type.
    fn decode(blob: &[u8]) -> Result<Self, LegacyError>;
}

/// Reads a wire field in which empty stands for null (LEGACY section 7).
///
/// # Errors
/// As [`Wire::decode`].
pub fn decode_optional<T: Wire>(field: &[u8]) -> Result<Option<T>, LegacyError> {
    if field.is_empty() { Ok(None) } else { T::decode(field).map(Some) }
}

/// The wire field for a value that may be null: empty if there is none.
pub fn encode_optional<T: Wire>(value: Option<&T>) -> Bytes {
    value.map(Wire::encode).unwrap_or_default()
}

macro_rules! wire {
    ($($type:ty),+ $(,)?) => {$(
        impl Wire for $type {
            fn encode(&self) -> Bytes {
                writer::write(&self.to_node())
            }

            fn decode(blob: &[u8]) -> Result<Self, LegacyError> {
                Convert::from_node(&reader::read(blob)?)
            }
        }
    )+};
}

wire!(
    icf::Value,
    Vec<icf::Attribute>,
    icf::OperationOptions,
    icf::Filter,
    icf::ConnectorObject,
    icf::Schema,
    Vec<icf::ConnectorInfo>,
    icf::ApiConfiguration,
    Vec<icf::ConfigurationProperty>,
);
