//! Trust stores: the certificates that members may show, and the authorities that may have signed them. Nothing else is trusted.
//!
//! A store is read in every form that the vendor's pages make: PEM (`keytool -exportcert -rfc`, `openssl x509`), DER (`keytool
//! -exportcert`) or PKCS12 (`keytool -importcert -storetype PKCS12`). The first bytes decide the form, and the name of the file does not
//! matter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use p12_keystore::error::Error as StoreError;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rcs_cli::file::FileError;
use rcs_proto::driver::tls::{self, Certificate, Pins};
use rustls::ClientConfig;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::limits::TRUST_STORE_BYTES_MAX;

/// The variable with the password of a PKCS12 trust store.
const PASSWORD_VARIABLE: &str = "RCS_ROUTER_TRUST_STORE_PASSWORD";
/// The usual passwords of stores: Java's own, and none.
const USUAL_PASSWORDS: [&str; 2] = ["changeit", ""];

/// Why a trust store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("the trust store {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// The file has no certificates, or bad ones.
    #[error("the trust store {path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

/// A trust store, ready to dial with.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    /// The TLS configuration that trusts the store.
    pub(crate) config: Arc<ClientConfig>,
    /// The certificates of the store, in its order.
    pub(crate) certificates: Vec<Certificate>,
    /// What an operator should know about the store: certificates that have ended or end soon, private keys that do not belong in it.
    pub(crate) warnings: Vec<String>,
}

impl Trusted {
    /// Logs what an operator should know about the store.
    pub(crate) fn log_warnings(&self, path: &Path) {
        for warning in &self.warnings {
            tracing::warn!("the trust store {}: {warning}", path.display());
        }
    }
}

/// Reads a trust store.
///
/// # Errors
/// [`TrustError`]
pub(crate) fn load(path: &Path, pins: Pins) -> Result<Trusted, TrustError> {
    let bytes = rcs_cli::file::read_bounded(path, TRUST_STORE_BYTES_MAX)
        .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    parse(&bytes, pins).map_err(|reason| TrustError::Unusable { path: path.to_owned(), reason })
}

/// Reads the bytes of a trust store.
pub(crate) fn parse(bytes: &[u8], pins: Pins) -> Result<Trusted, String> {
    let (found, mut warnings) = certificates(bytes)?;
    let config = tls::client_config(&found, pins)?;
    let certificates = tls::certificates(&found);
    // The dates of a certificate that is trusted for one member alone do not matter.
    if pins == Pins::ForNamesItHas {
        warnings.extend(date_warnings(&certificates));
    }
    Ok(Trusted { config, certificates, warnings })
}

/// A sentence for each certificate that has ended, ends soon, or is not valid yet.
pub(crate) fn date_warnings(certificates: &[Certificate]) -> Vec<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = UnixTime::since_unix_epoch(now);
    certificates.iter().filter_map(|certificate| certificate.warning(now)).collect()
}

pub(crate) type Certificates = (Vec<CertificateDer<'static>>, Vec<String>);

/// The certificates of a trust store in any form, and what an operator should know of the store.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub(crate) fn certificates(bytes: &[u8]) -> Result<Certificates, String> {
    match bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes) {
        [0xFE, 0xED, 0xFE, 0xED, ..] | [0xCE, 0xCE, 0xCE, 0xCE, ..] => Err(format!(
            "it is a key store of Java's old form (JKS), which only Java reads. Write a store of the standard form with: keytool \
             -importkeystore -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12{PASSWORD_HINT}"
        )),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            Err("it is text in UTF-16. Save it as plain ASCII or UTF-8 text".to_owned())
        }
        der @ [0x30, ..] if is_pkcs12(der) => pkcs12(der),
        der @ [0x30, ..] => match first_element(der) {
            Some(one) if one.len() == der.len() => Ok((vec![CertificateDer::from(der.to_vec())], Vec::new())),
            _ => Err("it begins like a certificate in DER form, but has another length: copy the file again"
                .to_owned()),
        },
        text => pem(text),
    }
}

const PASSWORD_HINT: &str =
    ". If its password is another one than changeit, put the password into RCS_ROUTER_TRUST_STORE_PASSWORD";

/// The content of a DER element after its head, and the length of the whole element. `None` if bytes are missing.
fn element(der: &[u8]) -> Option<(&[u8], usize)> {
    let length = usize::from(*der.get(1)?);
    let (head, length) = match length {
        0..=0x7F => (2, length),
        0x81..=0x84 => {
            let bytes = der.get(2..2 + (length - 0x80))?;
            (2 + bytes.len(), bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
        }
        _ => return None,
    };
    let end = head.checked_add(length)?;
    Some((der.get(head..end)?, end))
}

fn first_element(der: &[u8]) -> Option<&[u8]> {
    let (_, end) = element(der)?;
    der.get(..end)
}

/// A PKCS12 store begins with its version, a certificate with a further sequence. Stores of indefinite length are recognized too.
fn is_pkcs12(der: &[u8]) -> bool {
    match der.get(1) {
        Some(0x80) => der.get(2) == Some(&2),
        _ => element(der).is_some_and(|(content, _)| content.first() == Some(&2)),
    }
}

fn pkcs12(bytes: &[u8]) -> Result<Certificates, String> {
    let own = std::env::var(PASSWORD_VARIABLE).ok();
    let passwords = own.as_deref().into_iter().chain(USUAL_PASSWORDS);
    let mut last = String::new();
    for password in passwords {
        match KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed) {
            Ok(store) => return Ok(of_store(&store)),
            Err(StoreError::MacError(_) | StoreError::UnpadError) => {
                last = format!(
                    "it is a PKCS12 store, and the password in {PASSWORD_VARIABLE} (changeit if the variable is not set) does not open it. Set \
                     {PASSWORD_VARIABLE} to the password of the store"
                );
            }
            Err(error) => {
                last = format!(
                    "it is a PKCS12 store that cannot be read ({error}). Write its certificates as PEM with: keytool -exportcert -rfc \
                     -keystore STORE -alias ALIAS"
                );
            }
        }
    }
    Err(last)
}

fn of_store(store: &KeyStore) -> Certificates {
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    let der = |certificate: &p12_keystore::Certificate| CertificateDer::from(certificate.as_der().to_vec());
    for (alias, entry) in store.entries() {
        match entry {
            KeyStoreEntry::Certificate(certificate) => found.push(der(certificate)),
            KeyStoreEntry::PrivateKeyChain(chain) => {
                found.extend(chain.certs().iter().map(der));
                warnings.push(format!("the entry {alias:?} has a private key. {KEY_IN_STORE}"));
            }
            _ => {}
        }
    }
    (found, warnings)
}

const KEY_IN_STORE: &str = "A trust store needs certificates only: give the router a store without the key";

/// Every certificate of a PEM text. Text between the blocks is ignored.
fn pem(text: &[u8]) -> Result<Certificates, String> {
    // OpenSSL has two more labels for certificates. Under the first of them, additions of OpenSSL follow the certificate.
    let mut plain = String::from_utf8_lossy(text).into_owned();
    for label in ["TRUSTED CERTIFICATE", "X509 CERTIFICATE"] {
        for edge in ["BEGIN", "END"] {
            plain =
                plain.replace(&format!("-----{edge} {label}-----"), &format!("-----{edge} CERTIFICATE-----"));
        }
    }
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    let mut keys = 0;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(plain.as_bytes()) {
        match section {
            Ok((SectionKind::Certificate, der)) => {
                let number = found.len() + 1;
                let one = first_element(&der).ok_or_else(|| {
                    format!("certificate {number} of the file is cut or damaged: copy it again")
                })?;
                found.push(CertificateDer::from(one.to_vec()));
            }
            Ok((SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _)) => {
                keys += 1
            }
            Ok(_) => {}
            Err(_) => {
                return Err(format!(
                    "the PEM block behind certificate {} is cut or damaged: copy it again, from its BEGIN line to its END line",
                    found.len()
                ));
            }
        }
    }
    if keys > 0 || plain.contains("PRIVATE KEY-----") {
        warnings.push(format!("it has a private key. {KEY_IN_STORE}"));
    }
    match found.is_empty() {
        false => Ok((found, warnings)),
        true => Err(no_certificate(&plain)),
    }
}

fn no_certificate(text: &str) -> String {
    let has = match text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")) {
        Some((label, _)) if label.len() < 40 && !label.contains(char::is_control) => {
            format!(" (it has a block {label:?})")
        }
        _ if text.trim().is_empty() => " (it is empty)".to_owned(),
        _ => String::new(),
    };
    let pkcs7 = match has.contains("PKCS7") {
        true => ". Write its certificates as PEM with: openssl pkcs7 -print_certs -in STORE",
        false => {
            ". Write the certificate of each member, or of the authority that signed it, into it: keytool -exportcert -rfc -keystore \
             STORE -alias ALIAS"
        }
    };
    format!("it holds no certificate{has}{pkcs7}")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn certificate() -> Vec<u8> {
        rcgen::generate_simple_self_signed(["rcs1".to_owned()]).unwrap().cert.der().to_vec()
    }

    fn block(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    }

    fn read(bytes: &[u8]) -> Result<(usize, Vec<String>), String> {
        certificates(bytes).map(|(found, warnings)| (found.len(), warnings))
    }

    #[test]
    fn a_store_is_read_in_every_form_that_the_vendors_tools_write() {
        let (one, two) = (certificate(), certificate());
        let text = block("CERTIFICATE", &one);
        assert_eq!(read(text.as_bytes()), Ok((1, vec![])), "PEM");
        assert_eq!(read(&one), Ok((1, vec![])), "DER");
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(read(windows.as_bytes()), Ok((1, vec![])), "a byte order mark, and lines of Windows");
        let both = format!("Owner: CN=rcs1\n{text}\nmore text\n{}", block("X509 CERTIFICATE", &two));
        assert_eq!(read(both.as_bytes()), Ok((2, vec![])), "text of keytool -printcert between the blocks");
        // `openssl x509 -trustout` adds, after the certificate, for which uses it is trusted.
        let trusted = block("TRUSTED CERTIFICATE", &[&one[..], &[0x30, 0x03, 0x02, 0x01, 0x00]].concat());
        assert_eq!(certificates(trusted.as_bytes()).unwrap().0[0].as_ref(), one);
        let with_key = format!("{}{text}", block("PRIVATE KEY", b"no key"));
        let (found, warnings) = read(with_key.as_bytes()).unwrap();
        assert!(found == 1 && warnings[0].contains("private key"), "{warnings:?}");
    }

    #[test]
    fn a_pkcs12_store_is_read_with_javas_usual_password() {
        let mut store = KeyStore::new();
        let der = certificate();
        let entry = p12_keystore::Certificate::from_der(&der).unwrap();
        store.add_entry("rcs1", KeyStoreEntry::Certificate(entry));
        let bytes = store.writer("changeit").write().unwrap();
        assert_eq!(certificates(&bytes).unwrap().0[0].as_ref(), der);
        let other = store.writer("another").write().unwrap();
        let text = read(&other).unwrap_err();
        assert!(text.contains("password") && text.contains(PASSWORD_VARIABLE), "{text}");
    }

    #[test]
    fn what_is_no_store_is_named_with_what_to_do() {
        let der = certificate();
        let cut = &der[..der.len() - 1];
        let broken = block("CERTIFICATE", &der).replace("-----END CERTIFICATE-----", "");
        for (bytes, part) in [
            (&b""[..], "it is empty"),
            (b"hello", "holds no certificate. Write"),
            (b"\xFE\xED\xFE\xED\0\0\0\x02", "keytool -importkeystore"),
            (b"\xCE\xCE\xCE\xCE\0\0\0\x02", "keytool -importkeystore"),
            (b"\xFF\xFE-\0", "UTF-16"),
            (cut, "another length"),
            (block("CERTIFICATE", cut).as_bytes(), "certificate 1"),
            (broken.as_bytes(), "cut or damaged"),
            (block("PKCS7", &der).as_bytes(), "openssl pkcs7"),
            (b"\x30", "another length"),
            (b"\x30\x84\xff\xff\xff\xff", "another length"),
            (b"\x30\x80\x02\x01\x03", "PKCS12"),
        ] {
            let text = read(bytes).unwrap_err();
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        let path = Path::new("/nowhere/ca.pem");
        let error = load(path, Pins::ForNamesItHas).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
        let error = load(Path::new("/dev/zero"), Pins::ForNamesItHas).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
