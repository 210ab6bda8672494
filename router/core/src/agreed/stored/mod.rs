//! How commands, outcomes and the cluster state are written for the log, for snapshots and for other routers.
//!
//! All three are JSON in an envelope with a format number: `{"format":1,"kind":"command","value":{...}}`. A reader refuses a format above
//! [`FORMAT`] ([`StoredError::TooNew`]), and a field that it does not know. So an older router never applies a command in another way
//! than the others do: it stops and asks for an upgrade.
//!
//! # This is a contract
//! Every field name, every word of an enum and every unit is a contract with routers of other releases, and with the snapshots on
//! operators' disks. The golden files in `router/core/tests/stored` hold format 1 byte for byte; never edit one. What a command does
//! to the state, and what is refused, is part of the same contract: two routers that differ there come apart. A change of either needs
//! a new format number, and a reader for the old one.
//!
//! - Durations are whole milliseconds, as integers, in fields whose names end in `_ms`. A finer duration cannot be written
//!   ([`StoredError::Unwritable`]). Moments (`at`) are milliseconds since 1970, UTC.
//! - Digests, ids, seeds and salts are lower-case hex digits.
//! - Members are written in the file `member.rs` beside this one, with their keys: a router dials with these keys. So the type of a
//!   member has no JSON form of its own, and never leaves by another door.

mod member;

use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::member::{one, several};

/// The format that this release writes, and the highest one that it reads.
pub const FORMAT: u64 = 1;

/// Why something cannot be written or read. No text holds anything of the content, as that may be a key (P9).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// A newer release wrote it.
    #[error(
        "the {what} has format {found}, but this router reads formats up to {FORMAT} only: upgrade this router to the release \
         of the router that wrote the {what}"
    )]
    TooNew {
        /// What was to be read: `command`, `outcome` or `snapshot`.
        what: &'static str,
        /// Its format.
        found: u64,
    },
    /// More bytes than are read or written.
    #[error(
        "the {what} has {bytes} bytes, but at most {max} are allowed: make it smaller, for example by several changes in place of one"
    )]
    TooLong {
        /// What was to be read or written.
        what: &'static str,
        /// Its bytes; of what is written, those until the bound was met.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The bytes are no JSON of this kind.
    #[error(
        "the {what} cannot be read (line {line}, column {column}): it is damaged, or a router of another release wrote it; \
         compare the versions of the routers, and let a router with a damaged disk join again"
    )]
    Unreadable {
        /// What was to be read.
        what: &'static str,
        /// The line of the fault, from 1.
        line: usize,
        /// The column of the fault, from 1.
        column: usize,
    },
    /// It can be read, and breaks a rule.
    #[error("the {what} breaks a rule, {rule}: it is damaged, or a router of another release wrote it")]
    Invalid {
        /// What was to be read or written.
        what: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// A value has no JSON form, such as a duration with a fraction of a millisecond.
    #[error("the {what} cannot be written: give durations in whole milliseconds")]
    Unwritable {
        /// What was to be written.
        what: &'static str,
    },
}

/// What is stored: its word in the envelope and in errors, and its bound in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) what: &'static str,
    pub(crate) bytes_max: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    format: u64,
    kind: String,
    value: T,
}

/// What every release writes, whatever the format: the rest of a newer format may look like anything.
#[derive(Deserialize)]
struct Head {
    format: u64,
    kind: String,
}

/// Writes a value in its envelope.
pub(crate) fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, StoredError> {
    let Kind { what, bytes_max } = kind;
    let mut written = Bounded { bytes: Vec::new(), max: bytes_max };
    let envelope = Envelope { format: FORMAT, kind: what.to_owned(), value };
    match serde_json::to_writer(&mut written, &envelope) {
        Ok(()) => Ok(written.bytes),
        Err(error) if error.is_io() => {
            Err(StoredError::TooLong { what, bytes: written.bytes.len(), max: bytes_max })
        }
        Err(_) => Err(StoredError::Unwritable { what }),
    }
}

/// Reads a value from its envelope.
pub(crate) fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, StoredError> {
    let Kind { what, bytes_max } = kind;
    if bytes.len() > bytes_max {
        return Err(StoredError::TooLong { what, bytes: bytes.len(), max: bytes_max });
    }
    // The text of such an error may quote the content.
    let unreadable = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        StoredError::Unreadable { what, line, column }
    };
    let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
    if head.kind != what {
        return Err(StoredError::Invalid { what, rule: "its envelope says what it is" });
    }
    match head.format {
        0 => Err(StoredError::Invalid { what, rule: "formats count from 1" }),
        1..=FORMAT => {
            serde_json::from_slice(bytes).map(|envelope: Envelope<T>| envelope.value).map_err(unreadable)
        }
        found => Err(StoredError::TooNew { what, found }),
    }
}

/// Bytes up to a bound.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + more.len() > self.max {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// --- forms of single fields, for `#[serde(with = "...")]` ---

/// A duration as whole milliseconds.
pub(crate) mod millis {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let millis = u64::try_from(time.as_millis()).map_err(S::Error::custom)?;
        // Rounded, the other routers would have another value than the router that proposed it.
        match Duration::from_millis(millis) == *time {
            true => to.serialize_u64(millis),
            false => Err(S::Error::custom("a fraction of a millisecond")),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// A duration as whole milliseconds, or null.
pub(crate) mod optional_millis {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Millis(#[serde(with = "millis")] Duration);

    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        time.map(Millis).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Option::<Millis>::deserialize(from).map(|time| time.map(|Millis(time)| time))
    }
}

/// A value as its text.
pub(crate) mod text {
    use super::*;

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A value as its text, or null.
pub(crate) mod optional_text {
    use super::*;

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(T::to_string).serialize(to)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// 128 bits as 32 lower-case hex digits: one value has one text.
pub(crate) mod hex128 {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bits: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{bits:032x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        read(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not 32 hex digits"))
    }

    /// The bits of such a text.
    pub(crate) fn read(text: &str) -> Option<u128> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_whole = text.len() == 32 && text.bytes().all(is_digit);
        is_whole.then(|| u128::from_str_radix(text, 16).ok()).flatten()
    }
}

#[cfg(test)]
mod tests;
