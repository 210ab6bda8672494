//! The grammar of LEGACY section 1: a cursor over a blob, and objects as spans of it that nobody has understood yet.

use super::error::LegacyError;
use super::pool::Pool;
use crate::limits::{LEGACY_ARRAY_MARKS_MAX, LEGACY_OBJECTS_MAX};

const MAGIC: u32 = 0x0000_FAFB;
const VERSION: u32 = 2;

pub(crate) const HEADER: [u8; 8] = [0, 0, 0xFA, 0xFB, 0, 0, 0, 2];
pub(crate) const NULL_CLASS: u8 = 0x3C;
pub(crate) const NAMED_CLASS: u8 = 0x3D;
pub(crate) const ARRAY_CLASS: u8 = 0x3E;
pub(crate) const ANONYMOUS_FIELD: u8 = 0x46;
pub(crate) const NAMED_FIELD: u8 = 0x47;
pub(crate) const END: u8 = 0x48;

/// A part of the blob, as offsets from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Reads forward through a span; every offset it reports counts from the start of the blob.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    input: &'a [u8],
    pos: usize,
    end: usize,
}

/// A class of the grammar: array marks in front of a name, or in front of null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawClass {
    pub(crate) marks: u8,
    /// Index into the pool; none for the null class.
    pub(crate) name: Option<u16>,
}

/// An object whose fields are known by their spans only.
#[derive(Debug)]
pub(crate) struct RawObject {
    pub(crate) at: usize,
    pub(crate) class: RawClass,
    pub(crate) fields: Vec<RawField>,
}

/// A field: the index of its name in the pool, or none if it is anonymous, and its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawField {
    pub(crate) name: Option<u16>,
    pub(crate) body: Span,
}

/// One blob, its header and pool read.
#[derive(Debug)]
pub(crate) struct Blob<'a> {
    input: &'a [u8],
    pub(crate) pool: Pool<'a>,
    /// For each name of the pool the number of the object that had a field of that name last. An object's fields are
    /// scanned before its bodies are, so that a number seen again is a field given twice.
    last_seen: Vec<u32>,
    objects: u32,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(input: &'a [u8], span: Span) -> Self {
        Self { input, pos: span.start as usize, end: span.end as usize }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) fn left(&self) -> usize {
        self.end - self.pos
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], LegacyError> {
        let taken = self.pos.checked_add(bytes).filter(|end| *end <= self.end);
        let end = taken.ok_or(LegacyError::Truncated(self.pos))?;
        let slice = self.input.get(self.pos..end).ok_or(LegacyError::Truncated(self.pos))?;
        self.pos = end;
        Ok(slice)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LegacyError> {
        let at = self.pos;
        self.take(N)?.try_into().map_err(|_| LegacyError::Truncated(at))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LegacyError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LegacyError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length and as many bytes as it says.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], LegacyError> {
        let offset = self.pos;
        let length = self.u32()?;
        let left = self.left();
        let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= left);
        self.take(bytes.ok_or(LegacyError::Length { offset, length, left })?)
    }

    /// A `string` of the grammar.
    pub(crate) fn string(&mut self) -> Result<&'a str, LegacyError> {
        let at = self.pos;
        std::str::from_utf8(self.bytes()?).map_err(|_| LegacyError::Text(at))
    }

    /// Fails unless everything was read.
    pub(crate) fn finish(&self) -> Result<(), LegacyError> {
        if self.left() == 0 { Ok(()) } else { Err(LegacyError::Trailing(self.pos)) }
    }
}

impl<'a> Blob<'a> {
    /// Reads header and pool, and says where the object stands. The caller has bounded the input to less than 4 GiB.
    pub(crate) fn open(input: &'a [u8]) -> Result<(Self, Span), LegacyError> {
        let whole = Span { start: 0, end: input.len() as u32 };
        let mut cursor = Cursor::new(input, whole);
        if cursor.u32()? != MAGIC {
            return Err(LegacyError::Magic);
        }
        let version = cursor.u32()?;
        if version != VERSION {
            return Err(LegacyError::Version(version));
        }
        let pool = Pool::read(&mut cursor)?;
        let object = Span { start: cursor.pos() as u32, ..whole };
        let last_seen = vec![0; pool.len()];
        Ok((Self { input, pool, last_seen, objects: 0 }, object))
    }

    pub(crate) fn cursor(&self, span: Span) -> Cursor<'a> {
        Cursor::new(self.input, span)
    }

    /// The `string` that fills the span.
    pub(crate) fn string(&self, span: Span) -> Result<&'a str, LegacyError> {
        let mut cursor = self.cursor(span);
        let text = cursor.string()?;
        cursor.finish()?;
        Ok(text)
    }

    /// The class that fills the span.
    pub(crate) fn class(&self, span: Span) -> Result<RawClass, LegacyError> {
        let mut cursor = self.cursor(span);
        let class = self.read_class(&mut cursor)?;
        cursor.finish()?;
        Ok(class)
    }

    /// The object that fills the span: its class and the spans of its fields.
    pub(crate) fn object(&mut self, span: Span) -> Result<RawObject, LegacyError> {
        let mut cursor = self.cursor(span);
        let at = cursor.pos();
        self.objects += 1;
        if self.objects > LEGACY_OBJECTS_MAX {
            return Err(LegacyError::Limit { offset: at, limit: "objects" });
        }
        let class = self.read_class(&mut cursor)?;
        let mut fields = Vec::new();
        loop {
            let offset = cursor.pos();
            let name = match cursor.u8()? {
                END => break,
                ANONYMOUS_FIELD => None,
                NAMED_FIELD => Some(self.name_once(&mut cursor)?),
                mark => return Err(LegacyError::Mark { offset, mark }),
            };
            let body = cursor.bytes()?;
            let end = cursor.pos();
            fields.push(RawField { name, body: Span { start: (end - body.len()) as u32, end: end as u32 } });
        }
        cursor.finish()?;
        Ok(RawObject { at, class, fields })
    }

    fn name_once(&mut self, cursor: &mut Cursor<'a>) -> Result<u16, LegacyError> {
        let at = cursor.pos();
        let name = self.pool.index(cursor.u32()?).ok_or(LegacyError::UnknownCode(at))?;
        let last = &mut self.last_seen[usize::from(name)];
        if *last == self.objects {
            return Err(LegacyError::FieldTwice(at));
        }
        *last = self.objects;
        Ok(name)
    }

    fn read_class(&self, cursor: &mut Cursor<'a>) -> Result<RawClass, LegacyError> {
        let mut marks = 0;
        loop {
            let offset = cursor.pos();
            match cursor.u8()? {
                NULL_CLASS => return Ok(RawClass { marks, name: None }),
                NAMED_CLASS => {
                    let at = cursor.pos();
                    let name = self.pool.index(cursor.u32()?).ok_or(LegacyError::UnknownCode(at))?;
                    return Ok(RawClass { marks, name: Some(name) });
                }
                ARRAY_CLASS if marks == LEGACY_ARRAY_MARKS_MAX => {
                    return Err(LegacyError::Limit { offset, limit: "array marks" });
                }
                ARRAY_CLASS => marks += 1,
                mark => return Err(LegacyError::Mark { offset, mark }),
            }
        }
    }
}
