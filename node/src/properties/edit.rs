//! Changing one value of a properties file and nothing else (P36).

use std::fmt::Write as _;

use super::{Document, SyntaxError, parse};

/// What [`set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The value on this line was replaced.
    Replaced {
        /// The line, from 1.
        line: usize,
    },
    /// The file had no such key; a line was added at its end.
    Added,
}

/// Gives `key` the value `value`: its last occurrence is rewritten, or a line is added. Every other byte stays.
///
/// # Errors
/// [`SyntaxError`] if `bytes` is no properties file.
pub fn set(bytes: &[u8], key: &str, value: &str) -> Result<(Vec<u8>, Change), SyntaxError> {
    let document = parse(bytes)?;
    let value_text = escape(value);
    if let Some(entry) = document.get(key) {
        let (before, _) = bytes.split_at(entry.span.bytes.start);
        let (_, after) = bytes.split_at(entry.span.bytes.end);
        let separator: &[u8] = if entry.span.separated { b"" } else { b"=" };
        let changed = [before, separator, value_text.as_bytes(), after].concat();
        return Ok((changed, Change::Replaced { line: entry.line }));
    }
    let end_of_line: &[u8] = if bytes.windows(2).any(|pair| pair == b"\r\n") { b"\r\n" } else { b"\n" };
    let entry_text = format!("{}={value_text}", escape(key).replace(' ', "\\ "));
    // A file may end within a line, or on a backslash that would swallow the new line: use as few line ends as do no harm.
    let mut changed = bytes.to_vec();
    loop {
        let candidate = [&changed, entry_text.as_bytes(), end_of_line].concat();
        if is_added(&document, &parse(&candidate)?) {
            return Ok((candidate, Change::Added));
        }
        changed.extend_from_slice(end_of_line);
    }
}

/// Whether `after` is `before` with one entry more.
fn is_added(before: &Document, after: &Document) -> bool {
    let old = before.entries();
    after.entries().len() == old.len() + 1
        && old.iter().zip(after.entries()).all(|(a, b)| a.key == b.key && a.value == b.value)
}

/// A value as `java.util.Properties` writes it: pure ASCII, separators and comment marks escaped.
fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (index, unit) in value.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(b'\t') => text.push_str("\\t"),
            Ok(b'\n') => text.push_str("\\n"),
            Ok(b'\r') => text.push_str("\\r"),
            Ok(b'\x0c') => text.push_str("\\f"),
            Ok(b' ') if index > 0 => text.push(' '),
            Ok(byte @ (b' ' | b'\\' | b'=' | b':' | b'#' | b'!')) => {
                text.push('\\');
                text.push(char::from(byte));
            }
            Ok(byte @ b'!'..=b'~') => text.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => write!(text, "\\u{unit:04X}").expect("a String takes any text"),
        }
    }
    text
}
