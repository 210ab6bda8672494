//! What a router shows to the others, and whom it trusts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier as _;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::read::{self, Dates, unusable};
use super::verifier::{Verifier, provider};
use super::{Name, PkiError};

/// The start of the common name of an authority that [`super::Authority::init`] made; the cluster's id follows.
pub(super) const AUTHORITY_NAME: &str = "rcs-router cluster ";

/// Where a router's certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificates of the authorities that are trusted.
    pub authorities: PathBuf,
    /// The router's certificate, and intermediate ones.
    pub certificate: PathBuf,
    /// The router's key.
    pub key: PathBuf,
}

impl Files {
    /// The files that [`super::Authority`] writes for a router.
    pub fn in_folder(folder: &Path, router: u32) -> Self {
        Self {
            authorities: folder.join("ca.pem"),
            certificate: folder.join(format!("router-{router}.pem")),
            key: folder.join(format!("router-{router}.key")),
        }
    }
}

/// A router's certificate with its key, and the authorities that it trusts. All of it was checked.
pub struct Identity {
    pub(crate) name: Name,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) verifier: Arc<Verifier>,
    dates: Dates,
    warnings: Vec<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .field("until", &self.until())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Identity {
    /// Whether both were read from files of the same content.
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
            && self.authorities == other.authorities
            && self.key.secret_der() == other.key.secret_der()
    }
}

impl Identity {
    /// Reads the files, which are small and local. `router` is the number of the router that reads them, and `now` its clock.
    ///
    /// # Errors
    /// [`PkiError`]: a file that is missing or damaged, a certificate out of its dates, of another authority or router, or a key that does
    /// not belong to it.
    pub fn load(files: &Files, router: u32, now: SystemTime) -> Result<Self, PkiError> {
        let mut warnings = Vec::new();
        let authorities = authorities(&files.authorities, now, &mut warnings)?;
        let chain = read::certificates(&files.certificate)?;
        let (key, warning) = read::key(&files.key)?;
        warnings.extend(warning);
        let path = &files.certificate;
        let own = chain.first().ok_or_else(|| unusable(path, "it has no certificate"))?;
        let dates = Dates::of(path, own)?;
        warnings.extend(dates.check(path, now)?);
        let name = Name::of(own).map_err(|reason| unusable(path, reason))?;
        if name.router != router {
            return Err(PkiError::OtherRouter { path: path.clone(), named: name.router, own: router });
        }
        if let Some((_, cluster)) = authorities.iter().find_map(|authority| labels_of(authority))
            && cluster != name.cluster
        {
            return Err(PkiError::OtherCluster { path: path.clone(), named: name.cluster, own: cluster });
        }
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()).map_err(|_| {
            unusable(&files.key, "it is not the key of the router's certificate: copy both files again")
        })?;
        let verifier = Verifier::new(name.cluster.clone(), &authorities)
            .map_err(|reason| unusable(&files.authorities, reason))?;
        judge(&verifier, &chain, now).map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                PkiError::OtherAuthority { path: path.clone(), authorities: files.authorities.clone() }
            }
            error => unusable(path, format!("other routers would refuse it: {error}")),
        })?;
        let verifier = Arc::new(verifier);
        Ok(Self { name, authorities, chain, key, verifier, dates, warnings })
    }

    /// The cluster's id, and the router's number.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// When the router's certificate ends, in seconds since 1970.
    pub fn until(&self) -> i64 {
        self.dates.until()
    }

    /// From when until when the router's certificate is valid.
    pub fn dates(&self) -> Dates {
        self.dates
    }

    /// What an operator should know, a sentence each: certificates that end soon, a key that everybody can read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The authorities of a file, without those that have ended; one must be left.
fn authorities(
    path: &Path,
    now: SystemTime,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let mut valid = Vec::new();
    let mut problem = None;
    for authority in read::certificates(path)? {
        match Dates::of(path, &authority)?.check(path, now) {
            Ok(warning) => {
                warnings.extend(warning);
                valid.push(authority);
            }
            Err(error) => problem = Some(error),
        }
    }
    match problem {
        Some(error) if valid.is_empty() => return Err(error),
        Some(error) => warnings.push(format!("an authority is not used: {error}")),
        None => {}
    }
    Ok(valid)
}

/// The label and the cluster's id that an authority of ours has in its subject.
pub(super) fn labels_of(authority: &CertificateDer<'_>) -> Option<(String, String)> {
    let (_, certificate) = X509Certificate::from_der(authority).ok()?;
    let subject = certificate.subject();
    let cluster = subject.iter_common_name().next()?.as_str().ok()?.strip_prefix(AUTHORITY_NAME)?;
    let label = subject.iter_organization().next()?.as_str().ok()?;
    Some((label.to_owned(), cluster.to_owned()))
}

/// Judges the router's own certificate as the others will, in both roles.
fn judge(verifier: &Verifier, chain: &[CertificateDer<'static>], now: SystemTime) -> Result<(), Error> {
    let Some((own, intermediates)) = chain.split_first() else {
        return Err(Error::NoCertificatesPresented);
    };
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(now);
    let any = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    verifier.verify_server_cert(own, intermediates, &any, &[], now)?;
    verifier.verify_client_cert(own, intermediates, now)?;
    Ok(())
}
