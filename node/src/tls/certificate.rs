//! What an operator wants to know about a key and its certificate, in words.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use p12_keystore::PrivateKeyChain;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

/// The log warns from this many days before a certificate's end on.
const ENDS_SOON_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Kind and size of a key.
pub(super) fn describe_key(chain: &PrivateKeyChain) -> String {
    let kind = match chain.key().oid().to_string().as_str() {
        "1.2.840.113549.1.1.1" => "an RSA key",
        "1.2.840.113549.1.1.10" => "an RSASSA-PSS key",
        "1.2.840.10040.4.1" => "a DSA key",
        "1.2.840.10045.2.1" => "an EC key",
        "1.3.101.112" => return "an Ed25519 key".to_owned(),
        "1.3.101.113" => return "an Ed448 key".to_owned(),
        other => return format!("a key of another kind ({other})"),
    };
    let bits = own(chain).and_then(|certificate| bits(&certificate));
    bits.map_or_else(|| kind.to_owned(), |bits| format!("{kind} of {bits} bits"))
}

/// The dates between which the certificate is valid; `None` if the certificate cannot be read.
pub(super) fn validity(chain: &PrivateKeyChain) -> Option<Validity> {
    let validity = own(chain)?.validity().clone();
    Some(Validity { first: validity.not_before, last: validity.not_after })
}

/// The days of a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    first: ASN1Time,
    last: ASN1Time,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} (UTC)", day(self.first), day(self.last))
    }
}

impl Validity {
    /// A sentence if callers refuse the certificate because of its dates, or soon will.
    pub(super) fn warning(self, now: SystemTime) -> Option<String> {
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let (first, last) = (day(self.first), day(self.last));
        let left = self.last.timestamp().saturating_sub(now);
        if now < self.first.timestamp() {
            Some(format!(
                "the certificate is not valid before {first}: callers that check dates refuse it until then"
            ))
        } else if left < 0 {
            Some(format!(
                "the certificate expired on {last}: callers that check dates refuse it. Make a new one"
            ))
        } else if left < ENDS_SOON_DAYS * DAY_SECONDS {
            Some(format!("the certificate expires on {last}, in {} days: make a new one", left / DAY_SECONDS))
        } else {
            None
        }
    }
}

fn own(chain: &PrivateKeyChain) -> Option<X509Certificate<'_>> {
    let der = chain.certs().first()?.as_der();
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
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

fn day(time: ASN1Time) -> String {
    let date = time.to_datetime().date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_told_in_words() {
        const FIRST: u64 = 1_767_225_600;
        let time = |seconds| ASN1Time::from_timestamp(seconds).unwrap();
        let validity = Validity { first: time(1_767_225_600), last: time(1_798_761_600) };
        assert_eq!(validity.to_string(), "2026-01-01 to 2027-01-01 (UTC)");
        for (days, says) in [
            (0, None),
            (10, None),
            (350, Some("expires on 2027-01-01, in 15 days")),
            (400, Some("expired on 2027-01-01")),
        ] {
            let warning = validity.warning(UNIX_EPOCH + Duration::from_secs(FIRST + days * 24 * 60 * 60));
            assert_eq!(warning.is_some(), says.is_some(), "{warning:?}");
            assert!(warning.unwrap_or_default().contains(says.unwrap_or_default()));
        }
        let before = validity.warning(UNIX_EPOCH + Duration::from_secs(FIRST - 1)).unwrap();
        assert!(before.contains("is not valid before 2026-01-01"), "{before}");
    }
}
