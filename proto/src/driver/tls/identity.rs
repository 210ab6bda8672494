//! A certificate with its private key: what a listener shows to those that dial it, and what a dialler shows to a server that asks.
//!
//! The files are those that operators have: a pair of PEM files (`tls.crt` and `tls.key` of a Kubernetes secret, `openssl req -x509`), one
//! PEM file with both, or a PKCS12 store of keytool. The order of the certificates in a file does not matter: the one that belongs to the
//! key comes first, and its issuers follow.

use std::fmt;
use std::sync::Arc;

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error as StoreError;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::{PemObject as _, SectionKind};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;

use super::certificate::dates_problem;
use super::{Certificate, Known};

/// A certificate, the certificates of its issuers, and its private key.
#[derive(Clone)]
pub struct Identity {
    pair: Arc<CertifiedKey>,
    /// Name of the store's entry; empty for PEM files.
    alias: String,
    /// Kind and size of the key.
    key: String,
    certificate: Certificate,
    /// What the peers must trust, in words.
    trust: String,
    warnings: Vec<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads certificates and a private key in PEM form. Both texts may be the same.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do. The sentence has nothing of the key.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, String> {
        let mut found = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(certificates) {
            let number = found.len() + 1;
            let certificate = certificate.map_err(|_| {
                format!("certificate {number} of the certificate file is cut or damaged: copy it again, from its BEGIN line to its END line")
            })?;
            found.push(certificate);
        }
        if found.is_empty() {
            return Err(format!(
                "the certificate file has no certificate in PEM form (-----BEGIN CERTIFICATE-----){}",
                other_form(certificates)
            ));
        }
        Self::assembled(found, pem_key(key)?, "the key file")
    }

    /// Reads a PKCS12 store, or one PEM file that has both certificate and key. The passwords are tried in their order.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do. The sentence has nothing of the key or of a password.
    pub fn from_store(bytes: &[u8], passwords: &[&str]) -> Result<Self, String> {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match text {
            [0x30, ..] => Self::from_pkcs12(bytes, passwords),
            _ if contains(text, b"-----BEGIN ") => Self::from_pem(text, text),
            _ => Err(format!("it is neither a PKCS12 store nor a PEM file{}", other_form(text))),
        }
    }

    fn from_pkcs12(bytes: &[u8], passwords: &[&str]) -> Result<Self, String> {
        for password in passwords {
            match Pkcs12Archive::from_pkcs12(bytes, password) {
                Ok(archive) => return Self::of_archive(archive),
                Err(StoreError::MacError(_)) => {}
                // The password is right, or no password helps.
                Err(error) => return Err(store_problem(bytes, &error)),
            }
        }
        Err(WRONG_PASSWORD.to_owned())
    }

    fn of_archive(archive: Pkcs12Archive) -> Result<Self, String> {
        let certificates: Vec<_> =
            archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
        let mut keys = archive.keys.iter();
        let key = keys.next().ok_or(
            "the PKCS12 store has no private key. A trust store has none: name the key store, or make one with keytool -genkeypair",
        )?;
        let alias = key.friendly_name.as_deref().unwrap_or_default();
        if certificates.is_empty() {
            return Err(format!(
                "the PKCS12 store has the key {alias:?} but no certificate for it: import the certificate with keytool -importcert"
            ));
        }
        let der = PrivateKeyDer::Pkcs8(key.key.as_der().to_vec().into());
        let mut identity = Self::assembled(certificates, der, "the PKCS12 store")?;
        alias.clone_into(&mut identity.alias);
        let more = keys.count();
        if more > 0 {
            identity.warnings.push(format!(
                "the PKCS12 store has {more} more private keys, and only {alias:?} is used: keep one key in the store"
            ));
        }
        Ok(identity)
    }

    /// Puts a key and its certificates together.
    fn assembled(
        found: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        place: &str,
    ) -> Result<Self, String> {
        let first = found.first().and_then(Known::of);
        let of_key = |known: &Option<Known>| {
            known.as_ref().map_or_else(|| "a key of another kind".to_owned(), |known| known.key.clone())
        };
        let key = any_supported_type(&key).map_err(|_| {
            format!(
                "{place} has {}, which TLS here cannot use: it needs an RSA key of 2048 to 8192 bits, an EC key on the curve P-256, P-384 or \
                 P-521, or an Ed25519 key. {MAKE_ONE}",
                of_key(&first)
            )
        })?;
        let Some(spki) = key.public_key() else {
            return Err(format!("{place} has a key without a public part. {MAKE_ONE}"));
        };
        let belongs = |der: &&CertificateDer<'static>| {
            X509Certificate::from_der(der)
                .is_ok_and(|(_, certificate)| certificate.public_key().raw == spki.as_ref())
        };
        let leaf = found.iter().find(belongs).cloned().ok_or_else(|| {
            let subject = first.as_ref().map_or("", |known| known.subject.as_str());
            format!(
                "the private key does not belong to the certificate of {subject}: give both of one pair. If they were replaced one after the \
                 other, both are read again"
            )
        })?;
        let unreadable =
            || "the certificate that belongs to the private key cannot be read: make a new one".to_owned();
        let known = Known::of(&leaf).ok_or_else(unreadable)?;
        let certificate = Certificate::of(&leaf).ok_or_else(unreadable)?;
        let (chain, trust) = chain(leaf, &found);
        let mut warnings = Vec::new();
        if known.signature.to_ascii_lowercase().contains("sha1")
            || known.signature.to_ascii_lowercase().contains("md5")
        {
            warnings.push(format!(
                "the certificate of {} is signed with {}, which many peers refuse: make a new certificate with SHA-256",
                known.subject, known.signature
            ));
        }
        let pair = Arc::new(CertifiedKey::new(chain, key));
        Ok(Self { pair, alias: String::new(), key: known.key, certificate, trust, warnings })
    }

    /// Name of the store's entry; empty for PEM files.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// Kind and size of the key, such as "an EC key of 384 bits".
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The certificate's name and dates.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What the peers must have in their trust stores, as part of a sentence.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// What an operator should know, apart from dates.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A sentence without full stop if the certificate has ended, ends within [`CERTIFICATE_ENDS_SOON`](crate::driver::limits::CERTIFICATE_ENDS_SOON), or
    /// is not valid yet. `way_out` is what to do then.
    pub fn date_warning(&self, now: UnixTime, way_out: &str) -> Option<String> {
        self.certificate.warning_as_own(now, way_out)
    }

    /// A sentence without full stop if peers refuse the certificate because of its dates.
    pub fn date_problem(&self, now: UnixTime) -> Option<String> {
        let problem = dates_problem(self.certificate.not_before, self.certificate.not_after, now)?;
        Some(format!("the certificate of {:?} {problem}", self.certificate.subject))
    }

    /// For rustls: shows this certificate to every peer, as a server or as a client.
    pub fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.pair)))
    }

    /// The same TLS configuration, which shows this certificate to a peer that asks for one.
    pub fn shown_by(&self, config: &ClientConfig) -> Arc<ClientConfig> {
        let mut shows = config.clone();
        shows.client_auth_cert_resolver = self.resolver();
        Arc::new(shows)
    }
}

const MAKE_ONE: &str = "Make one: keytool -genkeypair -alias rcs -keyalg EC -groupname secp256r1 -dname CN=HOST -ext san=dns:HOST \
    -validity 3650 -storetype PKCS12 -keystore NEW.p12, with the name of this machine for HOST";

/// What [`Identity::from_store`] says if none of the passwords opens the store.
pub const WRONG_PASSWORD: &str = "the given password does not open the PKCS12 store: correct the password";

/// Why a store whose password is right cannot be read, or why it cannot be read at all.
fn store_problem(bytes: &[u8], error: &StoreError) -> String {
    // The seal of a store is checked before anything else. So if another password breaks the seal, the form of the store is good.
    let has_seal =
        || matches!(Pkcs12Archive::from_pkcs12(bytes, "\u{1}no password"), Err(StoreError::MacError(_)));
    match error {
        StoreError::UnsupportedEncryptionScheme | StoreError::UnsupportedMacAlgorithm => "the encryption of the PKCS12 store is not supported. Make the \
             store again with a Java from 17 on: keytool -importkeystore -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12"
            .to_owned(),
        StoreError::UnpadError | StoreError::Pkcs5Error(_) | StoreError::InvalidPrivateKey | StoreError::DerError(_)
            if has_seal() =>
        {
            "the password opens the PKCS12 store, but not the private key in it, which has a password of its own. Give the key the password of the \
             store: keytool -importkeystore -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12 -srcalias ALIAS -srckeypass KEYPASS \
             -destkeypass STOREPASS"
                .to_owned()
        }
        StoreError::X509Error(_) | StoreError::UnsupportedCertificateType => {
            "a certificate in the PKCS12 store cannot be read: make a new store".to_owned()
        }
        other => format!("it is no PKCS12 store, or the store is damaged ({other}): copy it again"),
    }
}

fn pem_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        match section {
            Ok((SectionKind::PrivateKey, der)) => return Ok(PrivateKeyDer::Pkcs8(der.into())),
            Ok((SectionKind::RsaPrivateKey, der)) => return Ok(PrivateKeyDer::Pkcs1(der.into())),
            Ok((SectionKind::EcPrivateKey, der)) => return Ok(PrivateKeyDer::Sec1(der.into())),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Err(
        if contains(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || contains(text, b"Proc-Type: 4,ENCRYPTED")
        {
            "the private key is encrypted: write it without a password (openssl pkey -in KEY -out NEW.key, readable by the owner only), or \
         give a PKCS12 store"
            .to_owned()
        } else if contains(text, b"-----BEGIN DSA PRIVATE KEY-----") {
            format!("the private key is a DSA key, which TLS cannot use. {MAKE_ONE}")
        } else {
            format!(
                "the key file has no private key in PEM form (-----BEGIN PRIVATE KEY-----), or the key is cut{}",
                other_form(text)
            )
        },
    )
}

/// What a file is that is not what was asked for, and what to do.
fn other_form(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xFE, 0xED, 0xFE, 0xED, ..] | [0xCE, 0xCE, 0xCE, 0xCE, ..] => {
            ". It is a key store of Java's old form (JKS), which only Java reads. Write a store of the standard form: keytool -importkeystore \
             -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12"
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => ". It is text in UTF-16: save it as plain ASCII text",
        [0x30, ..] => {
            ". It is binary: a PKCS12 store is given as the key store, and a certificate in DER form becomes PEM with openssl x509 -inform der"
        }
        [] => ". It is empty",
        _ => "",
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The leaf and its issuers, as far as they were found, and what the peers must trust.
fn chain(
    leaf: CertificateDer<'static>,
    found: &[CertificateDer<'static>],
) -> (Vec<CertificateDer<'static>>, String) {
    let mut chain = vec![leaf];
    loop {
        let last = chain.last().and_then(|last| X509Certificate::from_der(last).ok());
        let Some((_, last)) = last else { return (chain, String::new()) };
        let (issuer, own) = (last.issuer(), last.subject());
        if issuer == own {
            let which = if chain.len() == 1 {
                "this certificate itself"
            } else {
                "the last certificate of its chain"
            };
            let trust = format!("{which} (self-signed, {})", super::shown(&own.to_string()));
            return (chain, trust);
        }
        let next = found.iter().find(|one| {
            X509Certificate::from_der(one)
                .is_ok_and(|(_, one)| one.subject() == issuer && may_have_signed(&one, &last))
        });
        match next.filter(|next| !chain.contains(next)) {
            Some(next) => {
                let next = next.clone();
                chain.push(next);
            }
            None => {
                let trust = format!(
                    "its issuer {}, whose certificate is not in the file",
                    super::shown(&issuer.to_string())
                );
                return (chain, trust);
            }
        }
    }
}

/// Whether two certificates name the same key of the issuer. A renewed authority may have its old name and a new key.
fn may_have_signed(issuer: &X509Certificate<'_>, signed: &X509Certificate<'_>) -> bool {
    let wanted = signed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
        _ => None,
    });
    let found = issuer.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id),
        _ => None,
    });
    wanted.zip(found).is_none_or(|(wanted, found)| wanted.0 == found.0)
}
