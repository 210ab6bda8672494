//! A walker over the fields of one protobuf message: it borrows, never allocates, and checks each length before it moves.

use std::ops::Range;

/// Why bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A varint runs past the end or over ten bytes.
    #[error("a varint is cut short or too long")]
    Varint,
    /// A field's length is more than what is left.
    #[error("a field is longer than its message")]
    Length,
    /// A field number of 0, a group, or a reserved wire type.
    #[error("a field has a wire type that proto3 does not have")]
    Tag,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2: where its bytes stand in the walked slice.
    Bytes(Range<usize>),
    /// Wire types 1 and 5.
    Fixed,
}

/// One field as it stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Field number.
    pub number: u32,
    /// Its content.
    pub value: FieldValue,
    /// Where the whole field, tag included, stands in the walked slice.
    pub span: Range<usize>,
}

/// The fields of `bytes[range]`, with positions relative to `bytes`.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// Walks a whole slice.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: bytes.len() }
    }

    /// Walks a part of a slice; positions stay relative to the whole.
    pub fn within(bytes: &'a [u8], range: &Range<usize>) -> Self {
        Self { bytes, at: range.start.min(bytes.len()), end: range.end.min(bytes.len()) }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let (value, rest) = varint(&self.bytes[self.at..self.end])?;
        self.at = self.end - rest.len();
        Ok(value)
    }

    fn skip(&mut self, length: u64) -> Result<Range<usize>, WireError> {
        let left = self.end - self.at;
        let length = usize::try_from(length).ok().filter(|&l| l <= left).ok_or(WireError::Length)?;
        let range = self.at..self.at + length;
        self.at = range.end;
        Ok(range)
    }

    fn field(&mut self) -> Result<Field, WireError> {
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Tag)?;
        if number == 0 {
            return Err(WireError::Tag);
        }
        let value = match tag & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => self.skip(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let length = self.varint()?;
                FieldValue::Bytes(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| FieldValue::Fixed)?,
            _ => return Err(WireError::Tag),
        };
        Ok(Field { number, value, span: start..self.at })
    }
}

/// The varint at the beginning of a slice, and the bytes after the varint.
pub(crate) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), WireError> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(WireError::Varint)
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.end;
        }
        Some(field)
    }
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut impl bytes::BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Bytes that [`put_varint`] appends.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_they_announce() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), i64::MAX as u64, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(Fields::new(&out).varint(), Ok(value));
        }
    }

    #[test]
    fn bad_fields_are_errors_and_end_the_walk() {
        for (bytes, error) in [
            (&[0x0a, 0x05, 1][..], WireError::Length),
            (&[0x08][..], WireError::Varint),
            (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1][..], WireError::Varint),
            (&[0x0b][..], WireError::Tag),
            (&[0x00][..], WireError::Tag),
            (&[0x09, 1, 2][..], WireError::Length),
        ] {
            let walked: Vec<_> = Fields::new(bytes).collect();
            assert_eq!(walked, [Err(error)], "{bytes:02x?}");
        }
    }
}
