//! Canaries: words that stand where secrets and payloads are, and are looked for where none may be, in every form that a
//! program might write them.

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};

/// What all canaries begin with. No escape of JSON, URLs or `Debug` changes it.
const MARK: &str = "c4n4ry-";
/// Text shown around a find.
const AROUND: usize = 120;

/// The canary of this kind.
pub fn canary(kind: &str) -> String {
    format!("{MARK}{kind}-q7x")
}

/// Where canaries of any kind are in `text`, with their forms and surroundings.
pub fn finds(text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for (form, bytes) in forms() {
        for at in (0..text.len()).filter(|at| text[*at..].starts_with(&bytes)) {
            let excerpt = &text[at.saturating_sub(AROUND)..text.len().min(at + bytes.len() + AROUND)];
            found.push(format!("{form}: {}", String::from_utf8_lossy(excerpt)));
        }
    }
    found
}

/// What a canary's beginning looks like, by form.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let mark = MARK.as_bytes();
    let hex = |upper: bool| -> Vec<u8> {
        let digits = mark.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") });
        digits.collect::<String>().into_bytes()
    };
    let decimal = mark.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let utf16 = |to: fn(u16) -> [u8; 2]| MARK.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let mut forms = vec![
        ("plain", mark.to_vec()),
        ("hex", hex(false)),
        ("upper-case hex", hex(true)),
        ("list of bytes", decimal.into_bytes()),
        ("UTF-16LE", utf16(u16::to_le_bytes)),
        ("UTF-16BE", utf16(u16::to_be_bytes)),
    ];
    // In base64 a text looks in three ways, by where in it the text begins; its neighbours show in the first and last digit.
    for before in 0..3 {
        let digits = BASE64_STANDARD_NO_PAD.encode([&vec![0; before][..], mark].concat()).into_bytes();
        let own = (before * 8).div_ceil(6)..(before + mark.len()) * 8 / 6;
        forms.push(("base64", digits[own].to_vec()));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_in_every_form() {
        let word = canary("key");
        let base64 = |before: &str| BASE64_STANDARD_NO_PAD.encode(format!("{before}{word}:tail"));
        let utf16: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let hex: String = word.bytes().map(|b| format!("{b:02x}")).collect();
        let texts = [
            base64(""),
            base64("a"),
            base64("ab"),
            base64("anonymous:"),
            hex,
            format!("{:?}", word.as_bytes()),
        ];
        for text in texts.iter().map(String::as_bytes).chain([word.as_bytes(), &utf16]) {
            assert_eq!(finds(text).len(), 1, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(finds(b"anonymous:changeit, c4n4 ry-"), Vec::<String>::new());
    }
}
