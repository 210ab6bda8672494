//! Whose certificate is accepted when the dialling end speaks TLS, and what is wrong with a certificate, in words.
//!
//! There are two ways to trust. A certificate that an authority of the trust store signed is judged as usual (rustls' own verifier). A
//! certificate that is itself in the trust store is pinned: the operator named exactly this certificate, so neither its issuer nor its
//! kind matters. (`keytool -genkeypair` and `openssl req -x509` make certificates that no authority signed, and the latter marks its
//! certificates as an authority's own.) The names and dates of a pinned certificate still count, unless it was pinned for one member
//! alone. In each handshake the peer proves that it has the private key, pinned or not.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

mod certificate;
mod identity;
#[cfg(test)]
mod identity_tests;
mod key;
mod listening;
mod system;
mod trusted;

pub use certificate::{Certificate, certificates};
pub use identity::{Identity, WRONG_PASSWORD};
pub use listening::{ClientCertificate, ClientCertificates, ListenTls, client_in_words, server_config};
pub use system::of_system;

use self::trusted::Trusted;

/// For whom trusted certificates were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pins {
    /// For all members: a pinned certificate is accepted for its names, while it is valid.
    ForNamesItHas,
    /// For one member alone: a pinned certificate is accepted, whatever its names and dates are.
    ForOneMember,
}

/// The TLS configuration that trusts these certificates, and certificates that they signed.
///
/// # Errors
/// A sentence about the first certificate that cannot be used, or about a missing certificate.
pub fn client_config(trusted: &[CertificateDer<'static>], pins: Pins) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(trusted, pins, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What a failed handshake says about the peer or its certificate, in words. `host` is the host that was dialled.
pub fn in_words(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.to_string(),
        Error::InvalidCertificate(problem) => certificate_problem(problem, host, None),
        Error::AlertReceived(alert) => {
            let alert = spaced(&format!("{alert:?}"));
            let why = match alert.contains("certificate") || alert.contains("unknown c a") {
                true => {
                    "the peer asks for a certificate that it trusts. Give this end a key store, and the peer its certificate or authority"
                }
                false => "look in the peer's log for the reason",
            };
            format!("the peer ended the TLS handshake with the alert {alert}: {why}")
        }
        Error::PeerIncompatible(problem) => client_hello_problem(&format!("{problem:?}")),
        other => other.to_string(),
    }
}

#[derive(Debug)]
struct Verifier {
    /// None if no trusted certificate is an authority's.
    chains: Option<Arc<WebPkiServerVerifier>>,
    pinned: BTreeSet<Vec<u8>>,
    pins: Pins,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        trusted: &[CertificateDer<'static>],
        pins: Pins,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let Trusted { authorities, pinned, .. } = Trusted::read(trusted)?;
        let judge = |roots| WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let chains = authorities.map(judge).transpose().map_err(|error| error.to_string())?;
        Ok(Self { chains, pinned, pins, provider })
    }
}

/// A refusal in words, in the form in which rustls carries an error of another crate.
#[derive(Debug)]
struct Words(String);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Words {}

fn refused(words: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Words(words)))))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let host = server_name.to_str();
        if self.pinned.contains(end_entity.as_ref()) {
            return match self.pins {
                Pins::ForOneMember => Ok(ServerCertVerified::assertion()),
                Pins::ForNamesItHas => pinned(end_entity, &host, now),
            };
        }
        let judged = match &self.chains {
            Some(chains) => {
                chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        judged.map_err(|error| match error {
            Error::InvalidCertificate(problem) => {
                refused(certificate_problem(&problem, &host, Known::of(end_entity).as_ref()))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn pinned(der: &CertificateDer<'_>, host: &str, now: UnixTime) -> Result<ServerCertVerified, Error> {
    let known = Known::of(der).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if let Some(dates) = known.dates_problem(now) {
        return Err(refused(format!("the certificate of {} {dates}: {NEW_ONE}", known.subject)));
    }
    if known.is_for(host) {
        return Ok(ServerCertVerified::assertion());
    }
    Err(refused(format!(
        "the certificate of {} is in the trust store, but it is for {}, not for {host:?}: write one of its names as the host, make a \
         certificate for {host:?}, or trust this certificate for the one member only (trust_store in [member.NAME])",
        known.subject,
        known.names()
    )))
}

const NEW_ONE: &str = "give the server a new certificate and trust that one";

/// The facts of a certificate that errors show.
#[derive(Debug)]
struct Known {
    subject: String,
    issuer: String,
    /// Names and addresses of subjectAltName. If a certificate lacks this extension, its common names.
    names: Vec<String>,
    from: ASN1Time,
    until: ASN1Time,
    key: String,
    signature: String,
}

impl Known {
    fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternative = certificate.subject_alternative_name().ok()?;
        let names = match alternative {
            Some(extension) => extension.value.general_names.iter().filter_map(name).collect(),
            None => {
                let common = certificate.subject().iter_common_name();
                common.filter_map(|part| part.as_str().ok().map(str::to_owned)).collect()
            }
        };
        let validity = certificate.validity();
        Some(Self {
            subject: shown(&certificate.subject().to_string()),
            issuer: shown(&certificate.issuer().to_string()),
            names,
            from: validity.not_before,
            until: validity.not_after,
            key: key::describe(&certificate),
            signature: signature(&certificate),
        })
    }

    /// Compares as Java and rustls do: names without regard to case, one `*` for one whole first label, addresses as addresses.
    fn is_for(&self, host: &str) -> bool {
        let fits = |name: &String| {
            if let (Ok(name), Ok(host)) = (name.parse::<std::net::IpAddr>(), host.parse::<std::net::IpAddr>())
            {
                return name == host;
            }
            let (name, host) = (name.trim_end_matches('.'), host.trim_end_matches('.'));
            match name.strip_prefix("*.") {
                Some(rest) => {
                    let below =
                        host.split_once('.').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(rest));
                    below && rest.contains('.')
                }
                None => name.eq_ignore_ascii_case(host),
            }
        };
        self.names.iter().any(fits)
    }

    fn names(&self) -> String {
        match self.names.as_slice() {
            [] => "no name at all".to_owned(),
            names => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
        }
    }

    fn dates_problem(&self, now: UnixTime) -> Option<String> {
        certificate::dates_problem(self.from.timestamp(), self.until.timestamp(), now)
    }
}

/// Whether a certificate is an authority's own, so that it may vouch for other certificates. Certificates of version 1 cannot say so: of
/// them, those that are signed by themselves count.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    match certificate.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca,
        Ok(None) => certificate.version() == X509Version::V1 && certificate.issuer() == certificate.subject(),
        Err(_) => false,
    }
}

/// What a peer's hello lacks, in words.
fn client_hello_problem(problem: &str) -> String {
    format!(
        "the peer has no TLS version or cipher in common with us ({}): the peer must offer TLS 1.2 or 1.3",
        spaced(problem)
    )
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn signature(certificate: &X509Certificate<'_>) -> String {
    let algorithm = &certificate.signature_algorithm.algorithm;
    let registry = x509_parser::oid_registry::OidRegistry::default().with_crypto();
    registry.get(algorithm).map_or_else(|| algorithm.to_string(), |entry| entry.sn().to_owned())
}

/// A distinguished name in quotes that can neither break nor fill a line of the log.
fn shown(name: &str) -> String {
    format!("{:?}", printable(name))
}

/// The same without quotes.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(NAME_CHARS_MAX).collect()
}

/// Characters of a distinguished name that are shown.
const NAME_CHARS_MAX: usize = 128;

fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}

/// `SomeWordsTogether` as "some words together".
fn spaced(word: &str) -> String {
    let mut text = String::new();
    for c in word.chars() {
        if c.is_uppercase() && !text.is_empty() && !text.ends_with([' ', '(']) {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn certificate_problem(problem: &CertificateError, host: &str, known: Option<&Known>) -> String {
    let subject = known.map_or("the peer", |known| known.subject.as_str());
    let names = known.map_or_else(|| "other names".to_owned(), Known::names);
    match problem {
        CertificateError::UnknownIssuer => match known {
            Some(known) if known.subject == known.issuer => format!(
                "the certificate of {subject} is signed by itself, and is not in the trust store: add this certificate to the trust store"
            ),
            Some(known) => format!(
                "the certificate of {subject} is signed by {}, which is not in the trust store as an authority (CA:TRUE): add the certificate of that \
                 authority, or this certificate itself, to the trust store",
                known.issuer
            ),
            None => "the certificate is signed by an authority that is not in the trust store: add the authority's certificate to it"
                .to_owned(),
        },
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let end = known.map_or_else(String::new, |known| format!(" (that of {subject} ends on {})", date(known.until)));
            format!("the certificate of {subject}, or of its issuer, has expired{end}: {NEW_ONE}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let when = known.map_or_else(String::new, |known| format!(" before {}", date(known.from)));
            format!("the certificate of {subject} is not valid{when}: compare the clocks of both machines")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the certificate of {subject} is for {names}, not for {host:?}: write one of its names as the host, make a certificate with \
             subjectAltName {host:?}, or add this certificate itself to trust_store in [member.NAME]"
        ),
        CertificateError::BadSignature => {
            "the certificate was not signed with the key that the trust store has for its authority. If the authority has a new key, add the \
             authority's new certificate to the trust store"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "the certificate of {subject} has the signature {} and {}, which is not accepted: make one with SHA-256 and RSA of \
             2048 bits or more, or EC (keytool -genkeypair -keyalg RSA -keysize 2048 -sigalg SHA256withRSA)",
            known.map_or("of another kind", |known| known.signature.as_str()),
            known.map_or("a key of another kind", |known| known.key.as_str()),
        ),
        CertificateError::BadEncoding => {
            "the peer's certificate is damaged or in a form that is not known: give the server a new certificate".to_owned()
        }
        CertificateError::Revoked => format!("the certificate of {subject} is revoked: {NEW_ONE}"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => format!(
            "the certificate of {subject} is not made for servers: make one whose extended key usage has serverAuth"
        ),
        CertificateError::Other(OtherError(inner)) => {
            let text = format!("{inner:?}");
            match text.contains("CaUsedAsEndEntity") {
                true => format!(
                    "the certificate of {subject} is an authority's own (CA:TRUE), and is not in the trust store itself: add this very \
                     certificate to the trust store, or make one with basicConstraints CA:FALSE"
                ),
                false => not_accepted(subject, &text),
            }
        }
        other => not_accepted(subject, &format!("{other:?}")),
    }
}

fn not_accepted(subject: &str, why: &str) -> String {
    format!(
        "the certificate of {subject} is not accepted ({}): give the server a certificate from `keytool -genkeypair`, `openssl req -x509` or \
         an authority, and trust that one",
        spaced(why)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd,
    };

    use super::*;

    /// 2026-06-01
    const NOW: u64 = 1_780_272_000;

    struct Made {
        der: CertificateDer<'static>,
        params: CertificateParams,
        key: KeyPair,
    }

    fn made(common: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, common);
        params.distinguished_name = subject;
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Made { der, params, key }
    }

    fn judged(trusted: &[&Made], pins: Pins, shown: &Made, host: &str, now: u64) -> Result<(), String> {
        let trusted: Vec<_> = trusted.iter().map(|made| made.der.clone()).collect();
        let verifier = Verifier::new(&trusted, pins, Arc::new(aws_lc_rs::default_provider())).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let judged = verifier.verify_server_cert(&shown.der, &[], &name, &[], now);
        judged.map(|_| ()).map_err(|error| in_words(&error, host))
    }

    /// S02: what `keytool -genkeypair` (common name only) and `openssl req -x509` (CA:TRUE) make.
    #[test]
    fn a_certificate_in_the_store_is_trusted_for_the_names_it_has() {
        let named = made("other", &["rcs1.example", "10.0.0.1", "*.pods.example"], |_| {});
        let common = made("rcs1.example", &[], |_| {});
        let authority = made("rcs1.example", &["rcs1.example"], |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
        });
        for (shown, host, expected) in [
            (&named, "rcs1.example", Ok(())),
            (&named, "RCS1.example", Ok(())),
            (&named, "10.0.0.1", Ok(())),
            (&named, "a.pods.example", Ok(())),
            (&named, "a.b.pods.example", Err("not for \"a.b.pods.example\"")),
            (
                &named,
                "other",
                Err("is for \"rcs1.example\", \"10.0.0.1\", \"*.pods.example\", not for \"other\""),
            ),
            (&common, "rcs1.example", Ok(())),
            (&common, "127.0.0.1", Err("is for \"rcs1.example\", not for \"127.0.0.1\"")),
            (&authority, "rcs1.example", Ok(())),
        ] {
            let found = judged(&[shown], Pins::ForNamesItHas, shown, host, NOW);
            match (&found, expected) {
                (Ok(()), Ok(())) => {}
                (Err(text), Err(part)) => {
                    assert!(text.contains(part) && text.contains("[member.NAME]"), "{host}: {text}");
                }
                _ => panic!("{host}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_certificate_that_is_out_of_date_is_refused_with_its_date_unless_it_is_one_members_own() {
        let old = made("rcs1", &["rcs1"], |params| params.not_after = date_time_ymd(2026, 2, 3));
        let future = made("rcs1", &["rcs1"], |params| params.not_before = date_time_ymd(2026, 11, 5));
        for (made, part) in [(&old, "expired on 2026-02-03"), (&future, "not valid before 2026-11-05")] {
            let text = judged(&[made], Pins::ForNamesItHas, made, "rcs1", NOW).unwrap_err();
            assert!(text.contains(part) && text.contains("CN=rcs1"), "{text}");
            assert_eq!(judged(&[made], Pins::ForOneMember, made, "any.example", NOW), Ok(()));
            let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
            let [certificate] = &certificates(std::slice::from_ref(&made.der))[..] else { panic!("{part}") };
            assert!(certificate.warning(now).unwrap().contains(part), "{certificate:?}");
        }
        let good = made("rcs1", &["rcs1"], |_| {});
        let other = made("rcs1", &["rcs1"], |_| {});
        let text = judged(&[&good], Pins::ForOneMember, &other, "rcs1", NOW).unwrap_err();
        assert!(!text.is_empty(), "a certificate of the same name and another key is not the pinned one");
    }

    #[test]
    fn what_authorities_sign_is_judged_by_names_and_dates_and_told_in_words() {
        let authority =
            made("Our CA", &[], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        let issuer = rcgen::Issuer::from_params(&authority.params, &authority.key);
        let signed = |names: &[&str], change: fn(&mut CertificateParams)| {
            let mut leaf = made("leaf", names, change);
            leaf.der = leaf.params.signed_by(&leaf.key, &issuer).unwrap().der().clone();
            leaf
        };
        let good = signed(&["rcs1"], |_| {});
        assert_eq!(judged(&[&authority], Pins::ForNamesItHas, &good, "rcs1", NOW), Ok(()));
        let old = signed(&["rcs1"], |params| params.not_after = date_time_ymd(2026, 2, 3));
        let stranger = made("Stranger", &["rcs1"], |_| {});
        let its_own_authority =
            made("Own", &["rcs1"], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        for (shown, host, parts) in [
            (&good, "rcs2", &["\"CN=leaf\"", "is for \"rcs1\"", "not for \"rcs2\""][..]),
            (&old, "rcs1", &["expired", "2026-02-03"]),
            (&stranger, "rcs1", &["signed by itself", "add this certificate"]),
            (&its_own_authority, "rcs1", &["add this"]),
        ] {
            let text = judged(&[&authority], Pins::ForNamesItHas, shown, host, NOW).unwrap_err();
            for part in parts {
                assert!(text.contains(part), "no {part:?} in {text}");
            }
            for raw in ["Context", "UNIX", "Other(", "UnknownIssuer", "CaUsed"] {
                assert!(!text.contains(raw), "{text}");
            }
        }
    }

    /// X07: n1 cannot pass for n2, although the trust store has n1's certificate.
    #[test]
    fn a_trusted_certificate_that_is_no_authoritys_vouches_for_nobody() {
        let n1 = made("n1", &["n1"], |_| {});
        let issuer = rcgen::Issuer::from_params(&n1.params, &n1.key);
        let mut forged = made("n2", &["n2"], |_| {});
        forged.der = forged.params.signed_by(&forged.key, &issuer).unwrap().der().clone();
        let text = judged(&[&n1], Pins::ForNamesItHas, &forged, "n2", NOW).unwrap_err();
        assert!(text.contains("\"CN=n1\", which is not in the trust store as an authority"), "{text}");
    }

    #[test]
    fn a_store_without_a_readable_certificate_is_none() {
        assert!(client_config(&[], Pins::ForNamesItHas).unwrap_err().contains("no certificate"));
        let junk = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
        assert!(client_config(&[junk], Pins::ForNamesItHas).unwrap_err().contains("certificate 1"));
    }
}
