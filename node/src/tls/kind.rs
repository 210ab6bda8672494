//! The kind of a file that was given as a PKCS12 store and is none.

use std::path::Path;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// The first characters of a PEM block, and how many bytes of the file are searched for them: text may stand before the block.
const PEM_START: &[u8] = b"-----BEGIN ";
const PEM_SEARCHED_BYTES: usize = 64 << 10;

/// The kind of a file that is no PKCS12 store, recognized by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// The file is empty.
    Empty,
    /// Java's own kind of key store (JKS).
    Jks,
    /// Java's second kind of key store (JCEKS).
    Jceks,
    /// Text with `-----BEGIN`.
    Pem,
    /// A certificate in DER.
    Certificate,
}

impl OtherKind {
    /// `None` for a file that may be a PKCS12 store.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..PEM_SEARCHED_BYTES).unwrap_or(bytes);
        match bytes {
            [] => Some(Self::Empty),
            [0xFE, 0xED, 0xFE, 0xED, ..] => Some(Self::Jks),
            [0xCE, 0xCE, 0xCE, 0xCE, ..] => Some(Self::Jceks),
            _ if head.windows(PEM_START.len()).any(|window| window == PEM_START) => Some(Self::Pem),
            _ => X509Certificate::from_der(bytes).is_ok().then_some(Self::Certificate),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "an empty file",
            Self::Jks => "a JKS store",
            Self::Jceks => "a JCEKS store",
            Self::Pem => "a PEM file",
            Self::Certificate => "a certificate in DER form, without a key",
        }
    }

    /// The command that makes a PKCS12 store from the file.
    pub(super) fn way_out(self, path: &Path) -> String {
        let old = path.display();
        match self {
            Self::Jks => format!(
                "convert it with `keytool -importkeystore -srckeystore {old} -destkeystore {old}.p12 -deststoretype PKCS12`, and name {old}.p12"
            ),
            Self::Jceks => format!(
                "convert it with `keytool -importkeystore -srckeystore {old} -srcstoretype JCEKS -destkeystore {old}.p12 -deststoretype \
                 PKCS12`, and name {old}.p12"
            ),
            Self::Pem => format!(
                "put key and certificate into one with `openssl pkcs12 -export -inkey KEY.pem -in CERT.pem -name rcs -out {old}.p12`, and name \
                 {old}.p12"
            ),
            Self::Empty | Self::Certificate => {
                "name the store with the server's key, as `keytool -genkeypair -storetype PKCS12` makes it"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_known_by_their_first_bytes() {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let mark = format!("\u{feff}subject: a\n{pem}");
        for (bytes, kind) in [
            (&b""[..], Some(OtherKind::Empty)),
            (b"\xfe\xed\xfe\xed\0\0\0\x02", Some(OtherKind::Jks)),
            (b"\xce\xce\xce\xce", Some(OtherKind::Jceks)),
            (pem.as_bytes(), Some(OtherKind::Pem)),
            (mark.as_bytes(), Some(OtherKind::Pem)),
            (certificate.cert.der(), Some(OtherKind::Certificate)),
            (b"\x30\x82\x01\x01\x02\x01\x03", None),
            (b"nonsense", None),
        ] {
            assert_eq!(OtherKind::of(bytes), kind);
        }
    }
}
