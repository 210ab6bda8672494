//! What a line of the log may hold. There are no control characters in it, so no peer can forge a line or move a terminal's cursor.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::json;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::Format;
use crate::limits::LOG_LINE_BYTES_MAX;
use crate::printable::is_odd;

/// The level of a warning, as a line shows it.
pub(super) const WARN: &str = "WARN";
/// The level of an error.
pub(super) const ERROR: &str = "ERROR";

/// One formatted event as one line with its line end. Control characters are escaped, and a line that is too long is cut.
pub(super) fn escaped(format: Format, event: &[u8]) -> Cow<'_, [u8]> {
    let text = event.strip_suffix(b"\n").unwrap_or(event);
    if text.len() < event.len()
        && text.len() <= LOG_LINE_BYTES_MAX
        && !text.iter().any(|byte| may_be_odd(*byte))
    {
        return Cow::Borrowed(event);
    }
    let text = String::from_utf8_lossy(text);
    let mut line = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        // A line of JSON must stay whole to be valid, so only the queue bounds its length.
        if line.len() > LOG_LINE_BYTES_MAX && format == Format::Text {
            line.push_str(" ... (cut)");
            break;
        }
        match (is_odd(character), format) {
            (false, _) => line.push(character),
            (true, Format::Text) => line.extend(character.escape_default()),
            // In JSON such a character can only be part of a string.
            (true, Format::Json) => {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
        }
    }
    line.push('\n');
    Cow::Owned(line.into_bytes())
}

/// A line about the log or the process itself. No filter hides such a line.
pub(super) fn of_our_own(format: Format, level: &str, message: &str) -> Vec<u8> {
    let mut time = String::new();
    // If the clock cannot be shown, the line has no time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let line = match format {
        Format::Text => format!("{time} {level:>5} {message}"),
        Format::Json => {
            json!({"timestamp": time, "level": level, "fields": {"message": message}}).to_string()
        }
    };
    escaped(format, line.as_bytes()).into_owned()
}

/// Whether this byte may begin such a character. Some other characters begin with the same bytes.
fn may_be_odd(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, 0x7f | 0xc2 | 0xe2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, event: &str) -> String {
        String::from_utf8(escaped(format, event.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn no_peer_begins_a_line_of_its_own() {
        for (event, expected) in [
            ("plain ä §\n", "plain ä §\n"),
            ("no end", "no end\n"),
            ("a\r\n2026 INFO forged\n", "a\\r\\n2026 INFO forged\n"),
            ("\x1b[2J\x07\x00\t\x7f\n", "\\u{1b}[2J\\u{7}\\u{0}\\t\\u{7f}\n"),
            ("c1 \u{9b}31m \u{85}\n", "c1 \\u{9b}31m \\u{85}\n"),
            ("\u{2028}\u{202e}\u{2066}…\n", "\\u{2028}\\u{202e}\\u{2066}…\n"),
            ("two ends\n\n", "two ends\\n\n"),
        ] {
            assert_eq!(line(Format::Text, event), expected);
        }
    }

    #[test]
    fn a_json_line_stays_json() {
        let event = json!({"message": "a\n\u{1b}[2J \u{9b}31m \u{7f} \u{202e}"});
        let line = line(Format::Json, &format!("{event}\n"));
        assert!(!line.trim_end().chars().any(is_odd), "{line:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), event);
    }

    #[test]
    fn a_line_has_a_bound() {
        let line = line(Format::Text, &format!("{}\n", "\n".repeat(10 * LOG_LINE_BYTES_MAX)));
        assert!(line.len() < LOG_LINE_BYTES_MAX + 20 && line.ends_with(" ... (cut)\n"), "{}", line.len());
    }

    #[test]
    fn our_own_lines_look_like_the_others() {
        let text = String::from_utf8(of_our_own(Format::Text, WARN, "so\nit is")).unwrap();
        assert!(text.ends_with("Z  WARN so\\nit is\n"), "{text}");
        let json: serde_json::Value =
            serde_json::from_slice(&of_our_own(Format::Json, ERROR, "so\nit is")).unwrap();
        assert_eq!((&json["level"], &json["fields"]["message"]), (&json!("ERROR"), &json!("so\nit is")));
        assert!(json["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{json}");
    }
}
