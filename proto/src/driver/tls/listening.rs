//! The TLS of a listener: the certificate that it shows, and the certificates that it asks its diallers for.
//!
//! As with servers that are dialled, there are two ways to trust a dialler: an authority that is trusted signed the dialler's certificate,
//! or the certificate itself is trusted (pinned).

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::watch;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, ServerConfig,
    SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::trusted::Trusted;
use super::{Identity, Known, client_hello_problem, name, printable, refused, spaced};
use crate::driver::limits::{CERTIFICATE_NAME_CHARS_MAX, CERTIFICATE_NAMES_MAX};

/// The TLS configuration of a listener, which may change while the listener runs: each handshake uses the present one.
#[derive(Clone, Debug)]
pub struct ListenTls(watch::Receiver<Arc<ServerConfig>>);

impl ListenTls {
    /// A configuration that never changes.
    pub fn fixed(config: Arc<ServerConfig>) -> Self {
        Self(watch::channel(config).1)
    }

    /// A configuration that changes as the sender says.
    pub fn followed(config: watch::Receiver<Arc<ServerConfig>>) -> Self {
        Self(config)
    }

    /// The configuration for the next handshake.
    pub fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow())
    }
}

/// Whether a listener asks for certificates, and whose certificates it accepts.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// The listener does not ask.
    #[default]
    NotAsked,
    /// The listener asks. A dialler may have none, and a wrong one is refused.
    Optional(Vec<CertificateDer<'static>>),
    /// A dialler without a certificate is refused too.
    Required(Vec<CertificateDer<'static>>),
}

/// The TLS configuration of a listener: TLS 1.2 and 1.3. `protocols` are the ALPN names that the listener speaks, if any.
///
/// # Errors
/// A sentence about the first certificate of `clients` that cannot be used.
pub fn server_config(
    identity: &Identity,
    clients: &ClientCertificates,
    protocols: &[&str],
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder =
        match clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Optional(trusted) => builder
                .with_client_cert_verifier(Arc::new(Verifier::new(trusted, Mandate::Optional, provider)?)),
            ClientCertificates::Required(trusted) => builder
                .with_client_cert_verifier(Arc::new(Verifier::new(trusted, Mandate::Required, provider)?)),
        };
    let mut config = builder.with_cert_resolver(identity.resolver());
    if !matches!(clients, ClientCertificates::NotAsked) {
        // A resumed session would go on with a certificate that is not verified again, and may have expired.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// The certificate that a dialler showed, and proved to have the key of. Its names are exact: no name is cut or changed, and a name that
/// cannot stand in a line of text is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The distinguished name of its subject, such as `CN=idm1, O=Example`.
    pub subject: Option<String>,
    /// The common name of its subject, if the subject has exactly one.
    pub common_name: Option<String>,
    /// Its alternative names, as keytool writes them: `dns:NAME`, `ip:ADDRESS`, `email:ADDRESS`, `uri:URI`. At most
    /// [`CERTIFICATE_NAMES_MAX`].
    pub names: Vec<String>,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// SHA-256 of its public key (SubjectPublicKeyInfo), which stays the same when a certificate is renewed for the same key.
    pub key_fingerprint: [u8; 32],
}

impl ClientCertificate {
    pub(in crate::driver) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let usable = |text: &str| {
            let is_usable = !text.is_empty()
                && text.chars().count() <= CERTIFICATE_NAME_CHARS_MAX
                && !text.contains(char::is_control);
            is_usable.then(|| text.to_owned())
        };
        let mut common = certificate.subject().iter_common_name();
        let common_name = match (common.next(), common.next()) {
            (Some(one), None) => one.as_str().ok().and_then(usable),
            _ => None,
        };
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let general = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let names = general
            .filter_map(|general| match general {
                GeneralName::DNSName(text) => usable(text).map(|text| format!("dns:{text}")),
                GeneralName::RFC822Name(text) => usable(text).map(|text| format!("email:{text}")),
                GeneralName::URI(text) => usable(text).map(|text| format!("uri:{text}")),
                GeneralName::IPAddress(_) => name(general).map(|text| format!("ip:{text}")),
                _ => None,
            })
            .take(CERTIFICATE_NAMES_MAX)
            .collect();
        let sha256 = |bytes: &[u8]| {
            let mut fingerprint = [0; 32];
            fingerprint.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
            fingerprint
        };
        Some(Self {
            subject: usable(&certificate.subject().to_string()),
            common_name,
            names,
            fingerprint: sha256(der),
            key_fingerprint: sha256(certificate.public_key().raw),
        })
    }
}

/// What a handshake that failed at a listener says about the dialler, in words.
pub fn client_in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.to_string(),
        Error::NoCertificatesPresented => {
            "the peer showed no certificate, and this listener asks for one: give the peer a key store with a certificate that this listener trusts"
                .to_owned()
        }
        Error::AlertReceived(alert) => {
            let alert = spaced(&format!("{alert:?}"));
            let why = match alert.contains("certificate") || alert.contains("unknown c a") {
                true => "the peer does not trust the certificate of this listener, or connects by a name that the certificate lacks. Add the \
                         certificate, or its authority's, to the peer's trust store",
                false => "look in the peer's log for the reason",
            };
            format!("the peer ended the handshake with the alert {alert}: {why}")
        }
        Error::PeerIncompatible(problem) => client_hello_problem(&format!("{problem:?}")),
        other => other.to_string(),
    }
}

/// Whether a dialler without a certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mandate {
    Optional,
    Required,
}

#[derive(Debug)]
struct Verifier {
    /// None if no trusted certificate is an authority's.
    chains: Option<Arc<dyn ClientCertVerifier>>,
    pinned: BTreeSet<Vec<u8>>,
    /// The subjects of all trusted certificates: a Java peer chooses its certificate by them.
    hints: Vec<DistinguishedName>,
    mandate: Mandate,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        trusted: &[CertificateDer<'static>],
        mandate: Mandate,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let Trusted { authorities, pinned, subjects: hints } = Trusted::read(trusted)?;
        let judge = |roots| WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let chains = authorities.map(judge).transpose().map_err(|error| error.to_string())?;
        Ok(Self { chains, pinned, hints, mandate, provider })
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandate == Mandate::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let known = Known::of(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.pinned.contains(end_entity.as_ref()) {
            return match known.dates_problem(now) {
                None => Ok(ClientCertVerified::assertion()),
                Some(dates) => {
                    Err(refused(format!("the peer's certificate {} {dates}: {NEW_ONE}", known.subject)))
                }
            };
        }
        let judged = match &self.chains {
            Some(chains) => chains.verify_client_cert(end_entity, intermediates, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        judged.map_err(|error| match error {
            Error::InvalidCertificate(problem) => refused(problem_in_words(&problem, &known, now)),
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

const NEW_ONE: &str = "give the peer a new certificate, and trust that one here";

fn problem_in_words(problem: &CertificateError, known: &Known, now: UnixTime) -> String {
    let Known { subject, issuer, .. } = known;
    match problem {
        CertificateError::UnknownIssuer if subject == issuer => format!(
            "the peer's certificate {subject} is signed by itself, and is not trusted here: add this certificate to the file of client authorities"
        ),
        CertificateError::UnknownIssuer => format!(
            "the peer's certificate {subject} is signed by {issuer}, which is not trusted here: add the certificate of that authority (with \
             CA:TRUE), or this certificate itself, to the file of client authorities. If an authority between the two is missing, let the peer \
             send its whole chain"
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => format!(
            "the peer's certificate {subject} is not made for clients: make one whose extended key usage has clientAuth"
        ),
        other => match known.dates_problem(now) {
            Some(dates) => format!("the peer's certificate {subject} {dates}: {NEW_ONE}"),
            None => format!(
                "the peer's certificate {subject} is not accepted ({}): {NEW_ONE}",
                printable(&spaced(&format!("{other:?}")))
            ),
        },
    }
}
