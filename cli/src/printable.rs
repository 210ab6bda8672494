//! Text for terminals, logs and answers. A peer chose parts of it: no peer may move a cursor, forge a line or turn the direction of a text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character could be taken for something else than text: control characters (C0, DEL, C1), Unicode's line ends, and the marks
/// that turn the direction of a text.
pub fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The text on one line: each odd character as `\u001b`. Within a string of JSON, this is the same character.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_, _| false)
}

/// The text with its lines and columns: line ends and tabs stay, each other odd character becomes `\u001b`.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character, next| match character {
        '\n' | '\t' => true,
        '\r' => next == Some('\n'),
        _ => false,
    })
}

fn escaped(text: &str, stays: impl Fn(char, Option<char>) -> bool) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    for (at, character) in text.char_indices() {
        let next = || text.get(at + character.len_utf8()..).and_then(|rest| rest.chars().next());
        if !is_odd(character) || stays(character, next()) {
            if let Some(out) = &mut out {
                out.push(character);
            }
            continue;
        }
        let out = out.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_owned());
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{:04x}", u32::from(character));
    }
    out.map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_wrote_steers_no_terminal() {
        for (text, on_one_line, on_lines) in [
            ("plain ä §\tx\n", "plain ä §\\u0009x\\u000a", "plain ä §\tx\n"),
            ("a\r\nb\rc", "a\\u000d\\u000ab\\u000dc", "a\r\nb\\u000dc"),
            ("\x1b[2J\x07\x7f", "\\u001b[2J\\u0007\\u007f", "\\u001b[2J\\u0007\\u007f"),
            ("\u{9b}31m \u{85}", "\\u009b31m \\u0085", "\\u009b31m \\u0085"),
            ("\u{202e}…", "\\u202e…", "\\u202e…"),
        ] {
            assert_eq!((&*line(text), &*lines(text)), (on_one_line, on_lines));
        }
        assert!(matches!(line("as it is"), Cow::Borrowed(_)));
    }
}
