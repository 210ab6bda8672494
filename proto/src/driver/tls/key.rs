//! The key of a certificate in words.

use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey;

/// Kind and size of the key, such as "an EC key of 384 bits".
pub(super) fn describe(certificate: &X509Certificate<'_>) -> String {
    let kind = match certificate.public_key().algorithm.algorithm.to_string().as_str() {
        "1.2.840.113549.1.1.1" => "an RSA key",
        "1.2.840.113549.1.1.10" => "an RSASSA-PSS key",
        "1.2.840.10040.4.1" => "a DSA key",
        "1.2.840.10045.2.1" => "an EC key",
        "1.3.101.112" => return "an Ed25519 key".to_owned(),
        "1.3.101.113" => return "an Ed448 key".to_owned(),
        other => return format!("a key of another kind ({other})"),
    };
    bits(certificate).map_or_else(|| kind.to_owned(), |bits| format!("{kind} of {bits} bits"))
}

fn bits(certificate: &X509Certificate<'_>) -> Option<usize> {
    let parsed = certificate.public_key().parsed().ok()?;
    let bits = match &parsed {
        // The size of a DSA key is that of its modulus, which the parser does not give. The public value is a random number below the
        // modulus: a byte shorter now and then, or with a zero in front.
        PublicKey::DSA(value) => (value.len() * 8 + 128) / 256 * 256,
        // The 521 bits of a point on P-521 fill 66 bytes.
        PublicKey::EC(point) if point.key_size() == 528 => 521,
        other => other.key_size(),
    };
    Some(bits).filter(|bits| *bits > 0)
}
