//! From bytes to logical lines, keys and values, as `java.util.Properties` cuts them.

use super::SyntaxError;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How bytes above ASCII are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Latin1,
    Utf8,
}

impl Encoding {
    /// The encoding of a file, and where its text begins.
    pub(super) fn of(bytes: &[u8]) -> Result<(Encoding, usize), SyntaxError> {
        let Some(text) = bytes.strip_prefix(BYTE_ORDER_MARK) else {
            return Ok((Encoding::Latin1, 0));
        };
        match std::str::from_utf8(text) {
            Ok(_) => Ok((Encoding::Utf8, BYTE_ORDER_MARK.len())),
            Err(error) => {
                let good = text.get(..error.valid_up_to()).unwrap_or_default();
                Err(SyntaxError::NoUtf8 { line: 1 + good.iter().filter(|byte| **byte == b'\n').count() })
            }
        }
    }
}

/// One byte of a logical line, and where it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Character {
    pub(super) byte: u8,
    position: usize,
}

impl Character {
    fn is_blank(self) -> bool {
        is_blank(self.byte)
    }
}

/// A line with its continuation lines joined; never a comment, never empty.
#[derive(Debug)]
pub(super) struct LogicalLine {
    /// The line it begins on, from 1.
    pub(super) number: usize,
    /// What is left without line ends, the backslashes before them, and indentation.
    pub(super) characters: Vec<Character>,
    /// Position behind its last byte, the terminator excluded.
    pub(super) end: usize,
}

/// A logical line, cut.
pub(super) struct Parts<'a> {
    pub(super) key: &'a [Character],
    pub(super) value: &'a [Character],
    /// Where the value begins, or would begin.
    pub(super) value_start: usize,
    pub(super) separated: bool,
}

impl LogicalLine {
    /// Cuts at the first unescaped `=`, `:` or blank; blanks around the separator belong to neither side.
    pub(super) fn split(&self) -> Parts<'_> {
        let all = self.characters.as_slice();
        let mut escaped = false;
        let is_separator = |character: &Character| {
            let here = !escaped && (character.is_blank() || matches!(character.byte, b'=' | b':'));
            escaped = !escaped && character.byte == b'\\';
            here
        };
        let key_length = all.iter().position(is_separator).unwrap_or(all.len());
        let (key, rest) = all.split_at(key_length);
        let mut value = rest.trim_start();
        if let [Character { byte: b'=' | b':', .. }, behind @ ..] = value {
            value = behind.trim_start();
        }
        let value_start = match (value.first(), all.last()) {
            (Some(first), _) => first.position,
            (None, Some(last)) => last.position + 1,
            (None, None) => self.end,
        };
        Parts { key, value, value_start, separated: !rest.is_empty() }
    }
}

trait TrimStart {
    fn trim_start(&self) -> &Self;
}

impl TrimStart for [Character] {
    fn trim_start(&self) -> &Self {
        let blanks = self.iter().take_while(|character| character.is_blank()).count();
        self.get(blanks..).unwrap_or_default()
    }
}

/// The logical lines of a file, from position `start`.
pub(super) fn logical_lines(
    bytes: &[u8],
    start: usize,
) -> impl Iterator<Item = Result<LogicalLine, SyntaxError>> + '_ {
    let mut cursor = Cursor { bytes, position: start, number: 1 };
    std::iter::from_fn(move || cursor.next_logical())
}

struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    number: usize,
}

impl Cursor<'_> {
    fn next_logical(&mut self) -> Option<Result<LogicalLine, SyntaxError>> {
        while self.position < self.bytes.len() {
            let number = self.number;
            let mut line = LogicalLine { number, characters: Vec::new(), end: self.position };
            let mut goes_on = self.natural_line(&mut line);
            // A backslash with nothing before it joins nothing: what follows may well be a comment.
            if matches!(line.characters.first(), None | Some(Character { byte: b'#' | b'!', .. })) {
                continue;
            }
            while goes_on && self.position < self.bytes.len() {
                goes_on = self.natural_line(&mut line);
            }
            if let Some(bad) = line.characters.iter().find(|character| is_no_text(character.byte)) {
                return Some(Err(SyntaxError::NoText { line: number, byte: bad.byte }));
            }
            return Some(Ok(line));
        }
        None
    }

    /// Adds the next natural line; whether it ends in a backslash, so that the one behind it belongs to it too.
    fn natural_line(&mut self, line: &mut LogicalLine) -> bool {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let (text, terminator) = rest.split_at(length);
        let indent = text.iter().take_while(|byte| is_blank(**byte)).count();
        let backslashes = text.iter().skip(indent).rev().take_while(|byte| **byte == b'\\').count();
        let comment = line.characters.is_empty() && matches!(text.get(indent), Some(b'#' | b'!'));
        let goes_on = backslashes % 2 == 1 && !comment;
        let kept = if goes_on { length - 1 } else { length };
        let first = self.position;
        line.characters.extend(
            text.iter()
                .enumerate()
                .take(kept)
                .skip(indent)
                .map(|(offset, byte)| Character { byte: *byte, position: first + offset }),
        );
        line.end = first + length;
        let terminator_length = match terminator {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        self.position = first + length + terminator_length;
        self.number += 1;
        goes_on
    }
}

/// A key or value in clear.
pub(super) struct Unescaped {
    pub(super) text: String,
    /// The first letter behind a backslash that may not mean what was wanted.
    pub(super) odd_escape: Option<char>,
}

/// Resolves escapes and the encoding.
pub(super) fn unescape(
    characters: &[Character],
    line: usize,
    encoding: Encoding,
) -> Result<Unescaped, SyntaxError> {
    let mut text = Text { utf8: Vec::with_capacity(characters.len()), encoding, high: None, line };
    let mut odd_escape = None;
    let mut rest = characters.iter().map(|character| character.byte);
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            text.literal(byte)?;
            continue;
        }
        // A lone backslash at the very end of the file escapes nothing; Java drops it.
        let Some(letter) = rest.next() else { break };
        match letter {
            b'u' => text.unit(hex4(&mut rest).ok_or(SyntaxError::UnicodeEscape { line })?)?,
            b't' => text.literal(b'\t')?,
            b'n' => text.literal(b'\n')?,
            b'r' => text.literal(b'\r')?,
            b'f' => text.literal(b'\x0c')?,
            other => text.literal(other)?,
        }
        if letter.is_ascii_alphanumeric() && letter != b'u' {
            odd_escape = odd_escape.or(Some(char::from(letter)));
        }
    }
    Ok(Unescaped { text: text.finish()?, odd_escape })
}

/// Text under construction, as UTF-8.
struct Text {
    utf8: Vec<u8>,
    encoding: Encoding,
    /// The first half of a surrogate pair, waiting for the second.
    high: Option<u16>,
    line: usize,
}

impl Text {
    fn literal(&mut self, byte: u8) -> Result<(), SyntaxError> {
        self.no_half_pair()?;
        match self.encoding {
            Encoding::Utf8 => self.utf8.push(byte),
            Encoding::Latin1 => self.push(char::from(byte)),
        }
        Ok(())
    }

    /// One UTF-16 unit out of a `\uXXXX`.
    fn unit(&mut self, unit: u16) -> Result<(), SyntaxError> {
        let units = match self.high.take() {
            Some(high) => vec![high, unit],
            None if (0xd800..0xdc00).contains(&unit) => {
                self.high = Some(unit);
                return Ok(());
            }
            None => vec![unit],
        };
        for decoded in char::decode_utf16(units) {
            let character = decoded.map_err(|_| SyntaxError::UnicodeEscape { line: self.line })?;
            self.push(character);
        }
        Ok(())
    }

    fn push(&mut self, character: char) {
        self.utf8.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn no_half_pair(&self) -> Result<(), SyntaxError> {
        if self.high.is_some() { Err(SyntaxError::UnicodeEscape { line: self.line }) } else { Ok(()) }
    }

    fn finish(self) -> Result<String, SyntaxError> {
        self.no_half_pair()?;
        String::from_utf8(self.utf8).map_err(|_| SyntaxError::NoUtf8 { line: self.line })
    }
}

fn hex4(bytes: &mut impl Iterator<Item = u8>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = char::from(bytes.next()?).to_digit(16)?;
        unit = unit * 16 + u16::try_from(digit).ok()?;
    }
    Some(unit)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

fn is_no_text(byte: u8) -> bool {
    byte < 0x20 && !is_blank(byte) || byte == 0x7f
}
