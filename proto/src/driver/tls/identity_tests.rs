//! Files with a certificate and its key, as operators have them. Stores of the real keytool are read in the router's tests.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use p12_keystore::{Certificate as Entry, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::pki_types::UnixTime;

use super::Identity;

struct Made {
    pem: String,
    der: Vec<u8>,
    params: CertificateParams,
    key: KeyPair,
}

impl Made {
    fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key.serialize_der())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn params(common: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn made(common: &str, issuer: Option<&Made>) -> Made {
    let (mut params, key) = (params(common), KeyPair::generate().unwrap());
    if common.ends_with("CA") {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let made = match issuer {
        None => params.self_signed(&key).unwrap(),
        Some(of) => params.signed_by(&key, &Issuer::from_params(&of.params, &of.key)).unwrap(),
    };
    Made { pem: pem("CERTIFICATE", made.der()), der: made.der().to_vec(), params, key }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[test]
fn a_pair_of_pem_files_is_read_whatever_the_order_of_its_certificates() {
    let root = made("Root CA", None);
    let between = made("Between CA", Some(&root));
    let leaf = made("router", Some(&between));
    let key = leaf.key_pem();
    for (text, trust) in [
        (
            format!("{}{}{}", leaf.pem, between.pem, root.pem),
            "last certificate of its chain (self-signed, \"CN=Root CA\")",
        ),
        (
            format!("{}{}{}", root.pem, between.pem, leaf.pem),
            "last certificate of its chain (self-signed, \"CN=Root CA\")",
        ),
        (format!("{}{}", leaf.pem, between.pem), "its issuer \"CN=Root CA\""),
        (leaf.pem.clone(), "its issuer \"CN=Between CA\", whose certificate is not in the file"),
    ] {
        let identity = Identity::from_pem(text.as_bytes(), key.as_bytes()).unwrap();
        assert!(identity.trust().contains(trust), "{}", identity.trust());
        assert_eq!(identity.certificate().subject, "CN=router");
        assert!(identity.warnings().is_empty(), "{:?}", identity.warnings());
    }
    let own = made("own", None);
    let both = format!("\u{feff}{}{}", own.key_pem(), own.pem);
    let identity = Identity::from_store(both.as_bytes(), &[]).unwrap();
    assert!(identity.trust().starts_with("this certificate itself"), "{}", identity.trust());
    assert!(!format!("{identity:?}").contains("key"), "{identity:?}");
    assert_eq!((identity.alias(), identity.key()), ("", "an EC key of 256 bits"));
}

#[test]
fn dates_are_told_before_they_hurt() {
    let own = made("own", None);
    let identity = Identity::from_pem(own.pem.as_bytes(), own.key_pem().as_bytes()).unwrap();
    for (now, warning, problem) in [
        (1_790_000_000, None, None),
        (
            1_798_000_000,
            Some("ends on 2027-01-01, in 8 days; from then on peers that verify it refuse"),
            None,
        ),
        (
            1_799_000_000,
            Some("expired on 2027-01-01, and peers that verify it refuse"),
            Some("expired on 2027-01-01"),
        ),
        (1_700_000_000, Some("is not valid before 2026-01-01"), Some("is not valid before 2026-01-01")),
    ] {
        for (found, wanted) in [
            (identity.date_warning(at(now), "make a new one"), warning),
            (identity.date_problem(at(now)), problem),
        ] {
            assert_eq!(found.is_some(), wanted.is_some(), "{now}: {found:?}");
            assert!(found.as_deref().unwrap_or_default().contains(wanted.unwrap_or_default()), "{found:?}");
        }
    }
    assert_eq!(identity.certificate().days_left(at(1_798_761_600 - 86_400)), 1);
}

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let (one, two) = (made("one", None), made("two", None));
    let key = one.key_pem();
    let cut = &one.pem[..one.pem.len() / 2];
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let dsa = key.replace("PRIVATE KEY", "DSA PRIVATE KEY");
    for (certificate, key, part) in [
        (one.pem.as_str(), two.key_pem(), "does not belong to the certificate of \"CN=one\""),
        (cut, key.clone(), "cut or damaged"),
        ("", key.clone(), "It is empty"),
        (one.pem.as_str(), one.pem.clone(), "no private key in PEM form"),
        (one.pem.as_str(), encrypted, "openssl pkey"),
        (one.pem.as_str(), dsa, "a DSA key"),
        (one.pem.as_str(), String::new(), "It is empty"),
    ] {
        let text = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    for (bytes, part) in [
        (&b"\xFE\xED\xFE\xED\0\0\0\x02"[..], "keytool -importkeystore"),
        (b"\x30\x03\x02\x01\x03", "no PKCS12 store, or the store is damaged"),
        (b"hello", "neither a PKCS12 store nor a PEM file"),
        (&one.der, "no PKCS12 store"),
    ] {
        let text = Identity::from_store(bytes, &["changeit"]).unwrap_err();
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

fn store(entries: &[(&str, &Made)], password: &str) -> Vec<u8> {
    let mut store = KeyStore::new();
    for (alias, made) in entries {
        let key = PrivateKey::from_der(&made.key.serialize_der()).unwrap();
        let certificate = Entry::from_der(&made.der).unwrap();
        let chain = PrivateKeyChain::new(alias.as_bytes(), key, [certificate]);
        store.add_entry(alias, KeyStoreEntry::PrivateKeyChain(chain));
    }
    store.writer(password).write().unwrap()
}

#[test]
fn a_pkcs12_store_opens_with_one_of_the_passwords() {
    let (one, two) = (made("one", None), made("two", None));
    let of_one = store(&[("rcs", &one)], "s3cret");
    assert!(Identity::from_store(&of_one, &["changeit", "s3cret"]).unwrap().warnings().is_empty());
    let text = Identity::from_store(&of_one, &["changeit"]).unwrap_err();
    assert!(text.contains("does not open the PKCS12 store"), "{text}");
    let of_two = store(&[("a", &one), ("b", &two)], "");
    let identity = Identity::from_store(&of_two, &[""]).unwrap();
    assert!(["a", "b"].contains(&identity.alias()), "{}", identity.alias());
    assert!(identity.warnings()[0].contains("1 more private keys"), "{:?}", identity.warnings());
    let none = KeyStore::new().writer("changeit").write().unwrap();
    let text = Identity::from_store(&none, &["changeit"]).unwrap_err();
    assert!(text.contains("no private key"), "{text}");
    for length in 0..of_one.len() {
        assert!(Identity::from_store(&of_one[..length], &["s3cret"]).is_err(), "cut at {length}");
    }
}
