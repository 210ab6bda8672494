//! Slips of the pen in names: what a person who wrote an unknown name probably meant.

/// The known name that was meant by an unknown one: the same name in another case, or with one slip.
pub fn meant<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known.into_iter().find(|known| is_slip(found, known))
}

/// Whether a name is a known one in another case or with one slip: a letter too many, too few, wrong, or two swapped. A hyphen in the place of
/// an underscore is none.
pub fn is_slip(found: &str, known: &str) -> bool {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let (found, known) = (plain(found), plain(known));
    // With one slip, a short word may be another word.
    found == known || known.len() >= SLIP_LENGTH_MIN && strsim::osa_distance(&found, &known) == 1
}

/// The length from which on one slip in a name is recognized.
const SLIP_LENGTH_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_case_or_one_slip_is_recognized() {
        let known = ["useSSL", "port", "socket_ttl", "key"];
        for (found, expected) in [
            ("usessl", Some("useSSL")),
            ("UseSSl", Some("useSSL")),
            ("prot", Some("port")),
            ("prt", Some("port")),
            ("ports", Some("port")),
            ("post", Some("port")),
            ("Socket-TTL", Some("socket_ttl")),
            ("soket_ttl", Some("socket_ttl")),
            ("KEY", Some("key")),
            ("keys", None),
            ("", None),
            ("soket_tll", None),
        ] {
            assert_eq!(meant(found, known), expected, "{found}");
        }
    }
}
