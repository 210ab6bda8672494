//! Names that peers chose, made fit for one line of a log or a terminal.

use std::fmt;

/// Characters of a name that are shown.
const SHOWN: usize = crate::limits::EXPLAINED_TEXT_CHARS;

/// Shows a name from outside: characters that steer a terminal or break a line are escaped, a long name is cut.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (at, c) in self.0.chars().enumerate() {
            if at == SHOWN {
                return f.write_str("...");
            }
            if c.is_control() || is_invisible(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// What changes the direction or the looks of the text around it without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_on_their_line() {
        for (name, shown) in [
            ("rig.RigConnector", "rig.RigConnector".to_owned()),
            ("a\nb\u{1b}[2J", "a\\u{a}b\\u{1b}[2J".to_owned()),
            ("a\u{202e}b", "a\\u{202e}b".to_owned()),
            (&"x".repeat(500), format!("{}...", "x".repeat(SHOWN))),
        ] {
            assert_eq!(Printable(name).to_string(), shown);
        }
    }
}
