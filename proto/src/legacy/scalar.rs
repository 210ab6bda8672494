//! The bodies of scalars (LEGACY section 4).

use std::borrow::Cow;

use super::error::LegacyError;
use super::guarded;
use super::scan::Cursor;
use super::schema::Scalar;
use super::tree::Node;
use crate::icf::Secret;
use crate::limits::LEGACY_DIGITS_MAX;

/// Java's one not-a-number.
const NAN_BITS: u64 = 0x7FF8_0000_0000_0000;

/// Reads the body of any scalar but a class, which needs the pool.
pub(crate) fn read<'a>(scalar: Scalar, mut cursor: Cursor<'a>) -> Result<Node<'a>, LegacyError> {
    let start = cursor.pos();
    let node = match scalar {
        Scalar::Boolean => Node::Boolean(cursor.u8()? != 0),
        Scalar::Byte => Node::Byte(cursor.array().map(i8::from_be_bytes)?),
        Scalar::Integer => Node::Integer(cursor.array().map(i32::from_be_bytes)?),
        Scalar::Long => Node::Long(cursor.array().map(i64::from_be_bytes)?),
        Scalar::Float => float(f64::from_bits(cursor.array().map(u64::from_be_bytes)?) as f32),
        Scalar::Double => double(f64::from_bits(cursor.array().map(u64::from_be_bytes)?)),
        Scalar::Character => Node::Character(one_unit(cursor.string()?).ok_or(LegacyError::Text(start))?),
        Scalar::String => Node::String(Cow::Borrowed(cursor.string()?)),
        Scalar::Name => Node::Name(Cow::Borrowed(cursor.string()?)),
        Scalar::File => Node::File(Cow::Borrowed(cursor.string()?)),
        Scalar::Uri => {
            let text = cursor.string()?;
            if !is_uri(text) {
                return Err(LegacyError::Scalar { offset: start, type_name: "URI" });
            }
            Node::Uri(Cow::Borrowed(text))
        }
        Scalar::BigInteger => {
            let malformed = LegacyError::Scalar { offset: start, type_name: "BigInteger" };
            Node::BigInteger(digits(cursor.string()?).ok_or(malformed)?)
        }
        Scalar::Bytes => Node::Bytes(Cow::Borrowed(cursor.bytes()?)),
        Scalar::GuardedString => Node::GuardedString(Secret::new(guarded::open_text(cursor.bytes()?)?)),
        Scalar::GuardedBytes => Node::GuardedBytes(Secret::new(guarded::open(cursor.bytes()?)?)),
        Scalar::Class => unreachable!("a class value is read with the pool at hand"),
    };
    cursor.finish()?;
    Ok(node)
}

/// A `Float`, every not-a-number made the same.
pub(crate) fn float<'a>(number: f32) -> Node<'a> {
    Node::Float(if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() })
}

/// A `Double`, every not-a-number made the same.
pub(crate) fn double<'a>(number: f64) -> Node<'a> {
    Node::Double(wide_bits(number))
}

/// The bits on the wire.
pub(crate) fn wide_bits(number: f64) -> u64 {
    if number.is_nan() { NAN_BITS } else { number.to_bits() }
}

/// Decimal digits as Java prints them: no plus sign, no zeros in front. `None` if it is no number or too long.
pub(crate) fn digits(text: &str) -> Option<Cow<'_, str>> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if !number || unsigned.len() > LEGACY_DIGITS_MAX {
        return None;
    }
    let shortest = unsigned.trim_start_matches('0');
    Some(match (shortest, negative) {
        ("", _) => Cow::Borrowed("0"),
        (_, true) if shortest.len() + 1 == text.len() => Cow::Borrowed(text),
        (_, true) => Cow::Owned(format!("-{shortest}")),
        (_, false) => Cow::Borrowed(shortest),
    })
}

/// The one UTF-16 unit that a `Character` is.
fn one_unit(text: &str) -> Option<char> {
    let mut characters = text.chars();
    let first = characters.next().filter(|first| first.len_utf16() == 1)?;
    characters.next().is_none().then_some(first)
}

/// Whether the text has none of what no URI may hold (RFC 2396, and other characters as Java allows them): blanks, control
/// characters, the excluded marks, a `%` without two digits, nothing behind a scheme, a second `#`.
fn is_uri(text: &str) -> bool {
    let bytes = text.as_bytes();
    let escaped =
        |at: usize| bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| escaped(at));
    let excluded = |c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c);
    let one_fragment = bytes.iter().filter(|byte| **byte == b'#').count() <= 1;
    let (before_fragment, _) = text.split_once('#').unwrap_or((text, ""));
    let scheme_alone = before_fragment.ends_with(':')
        && before_fragment.matches(':').count() == 1
        && !before_fragment.contains('/');
    escapes && one_fragment && !text.contains(excluded) && !scheme_alone && !text.starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_made_as_java_prints_them() {
        let cases = [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("000", Some("0")),
            ("+12", Some("12")),
            ("-007", Some("-7")),
            ("-7", Some("-7")),
            ("", None),
            ("-", None),
            ("+-1", None),
            ("1.5", None),
            ("1e5", None),
            ("٣", None),
        ];
        for (text, expected) in cases {
            assert_eq!(digits(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn uris_hold_nothing_that_no_uri_may() {
        for text in
            ["ldap://dir.example", "https://rcs.example:8759/openicf?x=1#y", "a/b", "", "x:%20", "urn:é"]
        {
            assert!(is_uri(text), "{text:?}");
        }
        for text in ["a b", "http://a/<b>", "%2", "%zz", "a#b#c", "http:", ":a", "a\nb", "a|b", "{a}"] {
            assert!(!is_uri(text), "{text:?}");
        }
    }

    #[test]
    fn a_character_is_one_unit() {
        assert_eq!(one_unit("x"), Some('x'));
        assert_eq!(one_unit("\u{FFFF}"), Some('\u{FFFF}'));
        for text in ["", "xy", "🚀"] {
            assert_eq!(one_unit(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_not_a_number_is_the_same() {
        assert_eq!(double(f64::from_bits(0xFFF8_0000_0000_0001)), double(f64::NAN));
        assert_eq!(float(f32::from_bits(0xFFC0_0001)), float(f32::NAN));
        assert_ne!(double(0.0), double(-0.0), "minus zero is kept");
    }
}
