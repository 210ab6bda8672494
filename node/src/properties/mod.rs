//! Java-properties files (P37): reading with the lines of what is wrong, and changing one value without touching the rest.
//!
//! Our own reader, because `set-key` has to know the bytes of each value (P36), and because what Java's own reader takes in
//! silence (a mangled Windows path, a key given twice, UTF-8 read as ISO-8859-1) deserves a sentence. What a file *means* is
//! what Java reads: ISO-8859-1, unless the file begins with a UTF-8 byte order mark.

mod edit;
mod lines;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use rcs_proto::icf::Secret;

pub use edit::{Change, set};

use crate::limits::PROPERTIES_BYTES;
use lines::{Character, Encoding, LogicalLine};

/// Reads a properties file. Never panics; a fuzz target calls it with any bytes.
///
/// # Errors
/// The first [`SyntaxError`], with the line: a broken `\u` escape, bytes that are not text, too large a file.
pub fn parse(bytes: &[u8]) -> Result<Document, SyntaxError> {
    let (document, faults) = examine(bytes);
    faults.into_iter().next().map_or(Ok(document), Err)
}

/// Like [`parse`], with all errors. The document has the lines that are valid.
pub fn examine(bytes: &[u8]) -> (Document, Vec<SyntaxError>) {
    let mut faults = Vec::new();
    let document = read(bytes, &mut faults).unwrap_or_else(|error| {
        faults.push(error);
        Document::default()
    });
    (document, faults)
}

fn read(bytes: &[u8], faults: &mut Vec<SyntaxError>) -> Result<Document, SyntaxError> {
    if bytes.len() > PROPERTIES_BYTES {
        return Err(SyntaxError::TooLarge { bytes: bytes.len() });
    }
    let (encoding, start) = Encoding::of(bytes)?;
    let mut document = Document::default();
    if encoding == Encoding::Utf8 {
        document.notices.push(Notice { line: 1, kind: NoticeKind::ByteOrderMark });
    }
    let mut seen = HashMap::new();
    for line in lines::logical_lines(bytes, start) {
        let entry = match line.and_then(|line| document.entry(&line, encoding)) {
            Ok(entry) => entry,
            Err(error) => {
                faults.push(error);
                continue;
            }
        };
        if let Some(first) = seen.insert(entry.key.clone(), entry.line) {
            let kind = NoticeKind::Duplicate { key: entry.key.clone(), first };
            document.notices.push(Notice { line: entry.line, kind });
        }
        document.entries.push(entry);
    }
    Ok(document)
}

/// A properties file as it was read.
#[derive(Debug, Default)]
pub struct Document {
    entries: Vec<Entry>,
    notices: Vec<Notice>,
}

impl Document {
    /// All entries in the order of the file, overruled ones included.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry in force for a key: the last one, as in Java.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// What is legal and looks like a mistake.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    fn entry(&mut self, line: &LogicalLine, encoding: Encoding) -> Result<Entry, SyntaxError> {
        let parts = line.split();
        let key = self.text(parts.key, line.number, encoding, None)?;
        let value = self.text(parts.value, line.number, encoding, Some(&key))?;
        if !parts.separated {
            self.notices.push(Notice { line: line.number, kind: NoticeKind::NoSeparator });
        }
        if encoding == Encoding::Latin1 && looks_like_utf8(&line.characters) {
            self.notices.push(Notice { line: line.number, kind: NoticeKind::LooksLikeUtf8 });
        }
        let span = ValueSpan { bytes: parts.value_start..line.end, separated: parts.separated };
        Ok(Entry { key, value: Secret::new(value), line: line.number, span })
    }

    /// Decodes one key or value; `key` is given for values, whose odd escapes are worth a notice.
    fn text(
        &mut self,
        characters: &[Character],
        line: usize,
        encoding: Encoding,
        key: Option<&str>,
    ) -> Result<String, SyntaxError> {
        let decoded = lines::unescape(characters, line, encoding)?;
        if let Some(key) = key {
            let key = key.to_owned();
            let kind = match decoded.odd_escape {
                Some(letter @ ('t' | 'n' | 'r' | 'f')) => Some(NoticeKind::InvisibleEscape { key, letter }),
                Some(letter) => Some(NoticeKind::UnknownEscape { key, letter }),
                None => None,
            };
            self.notices.extend(kind.map(|kind| Notice { line, kind }));
        }
        Ok(decoded.text)
    }
}

/// One key with its value.
pub struct Entry {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped. Any value may be a password, so none is ever shown.
    pub value: Secret<String>,
    /// The line it begins on, from 1.
    pub line: usize,
    span: ValueSpan,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).field("line", &self.line).finish_non_exhaustive()
    }
}

/// Where a value stands in the file.
struct ValueSpan {
    /// From the value's first byte to the end of its (last) line, without the terminator.
    bytes: Range<usize>,
    /// Whether `=`, `:` or white space stands before it.
    separated: bool,
}

/// What is legal in a properties file and looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: NoticeKind,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// The kinds of [`Notice`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeKind {
    /// The file begins with a UTF-8 byte order mark.
    #[error(
        "the file begins with a byte order mark, so it is read as UTF-8; the Java server would misread it"
    )]
    ByteOrderMark,
    /// A key is given again.
    #[error("`{key}` was given on line {first} already; the last one counts")]
    Duplicate {
        /// The key.
        key: String,
        /// Line of the one before.
        first: usize,
    },
    /// A line has no `=`, `:` or white space. Its text is not shown: it may be half of a password.
    #[error("there is no `=` on this line, so all of it is a key with an empty value")]
    NoSeparator,
    /// A backslash before a letter that needs none.
    #[error("in the value of `{key}`, `\\{letter}` means `{letter}`; write `\\\\` for a backslash")]
    UnknownEscape {
        /// The key.
        key: String,
        /// The letter behind the backslash.
        letter: char,
    },
    /// `\t`, `\n`, `\r` or `\f`: more often half of a Windows path than meant.
    #[error(
        "in the value of `{key}`, `\\{letter}` stands for an invisible character; write `\\\\{letter}` for a \
         backslash and a letter"
    )]
    InvisibleEscape {
        /// The key.
        key: String,
        /// The letter behind the backslash.
        letter: char,
    },
    /// Bytes above ASCII that make sense as UTF-8.
    #[error(
        "these bytes look like UTF-8 and are read as ISO-8859-1, as the Java server does; write them as \\uXXXX"
    )]
    LooksLikeUtf8,
}

/// Why a file is no properties file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// `\u` without four hex digits behind it, or half of a surrogate pair.
    #[error(
        "line {line}: `\\u` needs four hex digits, and surrogates come in pairs; write `\\\\u` for a backslash and a u"
    )]
    UnicodeEscape {
        /// The line, from 1.
        line: usize,
    },
    /// A byte that no text file holds.
    #[error("line {line}: byte {byte:#04x} is not text; save the file as plain ISO-8859-1 or UTF-8 text")]
    NoText {
        /// The line, from 1.
        line: usize,
        /// The byte.
        byte: u8,
    },
    /// A byte order mark promised UTF-8, and it is not.
    #[error(
        "line {line}: the file begins with a UTF-8 byte order mark, but this line is not UTF-8; save the file as UTF-8"
    )]
    NoUtf8 {
        /// The line, from 1.
        line: usize,
    },
    /// More than [`PROPERTIES_BYTES`].
    #[error(
        "the file has {bytes} bytes, but a properties file may have at most {PROPERTIES_BYTES}; is this the right file?"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

fn looks_like_utf8(characters: &[Character]) -> bool {
    let bytes: Vec<u8> = characters.iter().map(|character| character.byte).collect();
    !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok()
}
