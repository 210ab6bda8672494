//! Why a legacy blob was refused. No variant carries a value or a name out of the blob (promise P9).

use thiserror::Error;

/// A legacy blob that cannot be read. Offsets count bytes from the start of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LegacyError {
    /// The blob is longer than the reader was told to take.
    #[error("{bytes} bytes are more than the {limit} allowed")]
    TooLarge {
        /// Length of the blob.
        bytes: usize,
        /// The bound it broke.
        limit: usize,
    },
    /// The first four bytes are not the format's magic number.
    #[error("no legacy blob: wrong magic number")]
    Magic,
    /// A version other than 2.
    #[error("version {0} of the format is unknown")]
    Version(u32),
    /// The blob or an object's body ends too early.
    #[error("byte {0}: the input ends in the middle of something")]
    Truncated(usize),
    /// A length or count reaches past what encloses it; negative numbers of Java's do too.
    #[error("byte {offset}: {length} claimed, {left} left")]
    Length {
        /// Where the length stands.
        offset: usize,
        /// What it says.
        length: u32,
        /// Bytes left of the enclosing body.
        left: usize,
    },
    /// Bytes behind the end of what a body or the blob holds.
    #[error("byte {0}: bytes left over")]
    Trailing(usize),
    /// A mark that the grammar lacks at this place.
    #[error("byte {offset}: unexpected mark {mark:#04x}")]
    Mark {
        /// Where it stands.
        offset: usize,
        /// The byte.
        mark: u8,
    },
    /// A bound of [`crate::limits`].
    #[error("byte {offset}: over the limit of {limit}")]
    Limit {
        /// Where it was broken.
        offset: usize,
        /// What is bounded.
        limit: &'static str,
    },
    /// A code or a name listed twice in the pool.
    #[error("byte {0}: the pool lists a code or a name twice")]
    PoolTwice(usize),
    /// A code that the pool does not list.
    #[error("byte {0}: a code that the pool lacks")]
    UnknownCode(usize),
    /// A type name that is not in the table, or that has no objects.
    #[error("byte {0}: an object of no known type")]
    UnknownType(usize),
    /// A class value that names no known class.
    #[error("byte {0}: no known class")]
    UnknownClass(usize),
    /// A null object with fields, or an array of null.
    #[error("byte {0}: null where there is content")]
    Null(usize),
    /// A field given twice in one object.
    #[error("byte {0}: a field is given twice")]
    FieldTwice(usize),
    /// More or fewer anonymous fields than the type has.
    #[error("byte {offset}: wrong number of members for {type_name}")]
    Members {
        /// Where the object starts.
        offset: usize,
        /// Its type.
        type_name: &'static str,
    },
    /// Text that is not UTF-8, or not the one character that it should be.
    #[error("byte {0}: malformed text")]
    Text(usize),
    /// A scalar's body of the wrong length or content.
    #[error("byte {offset}: malformed {type_name}")]
    Scalar {
        /// Where the body starts.
        offset: usize,
        /// The scalar's type.
        type_name: &'static str,
    },
    /// A guarded value that does not decrypt.
    #[error("a guarded value does not decrypt")]
    Guarded,
    /// A field that must be there is missing, null or blank.
    #[error("{type_name} without {field}")]
    Missing {
        /// The type.
        type_name: &'static str,
        /// Its field.
        field: &'static str,
    },
    /// A value of a type that may not stand where it stands.
    #[error("{found} where {expected} is expected")]
    Type {
        /// What was expected.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// A rule of Java's types beyond the tables is broken (LEGACY section 5).
    #[error("{type_name}: {rule}")]
    Rule {
        /// The type.
        type_name: &'static str,
        /// The rule, as a sentence without its subject.
        rule: &'static str,
    },
    /// A facade key that is not strict base64.
    #[error("the facade key is not base64")]
    Base64,
}
