//! The certificate authority of a cluster.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::identity::{AUTHORITY_NAME, labels_of};
use super::name::is_cluster;
use super::read::{self, Dates, unusable};
use super::{Name, PkiError};
use crate::limits::{AUTHORITY_TIME, CLOCKS_DIFFER_MAX, HOSTS_MAX, NAME_CHARS_MAX};

/// The certificate authority of one cluster. All certificates that it signs are of this cluster.
pub struct Authority {
    cluster: String,
    certificate: CertificateDer<'static>,
    /// When the authority's certificate ends, in seconds since 1970.
    until: i64,
    key: PrivateKeyDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A router's certificate and its key.
pub struct Issued {
    /// Whose it is.
    pub name: Name,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What happens to files that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay, and the call fails.
    Keep,
    /// They are replaced, each in one step: a certificate is renewed.
    Replace,
}

impl Authority {
    /// Makes an authority for a new cluster. `label` is for people: it is the organization in the certificates. The cluster's id is 128 bits
    /// of the hash of the authority's new key, in hexadecimal digits, so no two clusters share one.
    ///
    /// # Errors
    /// [`PkiError::Request`]
    pub fn init(label: &str) -> Result<Self, PkiError> {
        let is_short = (1..=NAME_CHARS_MAX).contains(&label.chars().count());
        if !is_short || label.chars().any(rcs_cli::printable::is_odd) {
            return Err(PkiError::Request(format!(
                "a cluster's name has 1 to {NAME_CHARS_MAX} printable characters"
            )));
        }
        let key = new_key()?;
        let cluster = id_of(&key);
        let params = own_params(label, &cluster);
        let certificate = params.self_signed(&key).map_err(failed)?.der().clone();
        let until = Dates::of(Path::new("ca.pem"), &certificate)?.until();
        let der = key.serialize_der().into();
        Ok(Self {
            cluster,
            certificate,
            until,
            key: PrivateKeyDer::Pkcs8(der),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads an authority that [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`PkiError`]
    pub fn load(folder: &Path) -> Result<Self, PkiError> {
        let (path, key_path) = paths(folder, "ca");
        let certificate = read::certificates(&path)?.swap_remove(0);
        let (der, _) = read::key(&key_path)?;
        let key = KeyPair::try_from(&der).map_err(|_| unusable(&key_path, "it is no key that can sign"))?;
        let Some((label, cluster)) = labels_of(&certificate).filter(|(_, cluster)| is_cluster(cluster))
        else {
            return Err(unusable(
                &path,
                "rcs-router did not make this authority: issue certificates with the tool that did",
            ));
        };
        if id_of(&key) != cluster {
            return Err(unusable(&key_path, "it is not the key of ca.pem: copy both files again"));
        }
        let until = Dates::of(&path, &certificate)?.until();
        let issuer = Issuer::new(own_params(&label, &cluster), key);
        Ok(Self { cluster, certificate, until, key: der, issuer })
    }

    /// The cluster's id.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Makes the certificate of a router, for both ends of a connection. `hosts` are names and addresses by which the router is reached;
    /// routers do not look at them, but other tools do. The certificate does not outlive the authority's.
    ///
    /// # Errors
    /// [`PkiError::Request`]
    pub fn issue(&self, router: u32, hosts: &[String], valid_for: Duration) -> Result<Issued, PkiError> {
        if router == 0 || hosts.len() > HOSTS_MAX || valid_for.is_zero() {
            return Err(PkiError::Request(format!(
                "a router has a number of 1 or more and at most {HOSTS_MAX} hosts, and its certificate is valid for some time"
            )));
        }
        let name = Name { cluster: self.cluster.clone(), router };
        let mut params = params(valid_for, self.until);
        params.distinguished_name.push(DnType::CommonName, format!("router-{router}"));
        let uri = SanType::URI(name.to_string().try_into().map_err(failed)?);
        params.subject_alt_names =
            std::iter::once(Ok(uri)).chain(hosts.iter().map(|host| san(host))).collect::<Result<_, _>>()?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.der().clone();
        Ok(Issued { name, certificate, key: key.into() })
    }

    /// Writes `ca.pem` and `ca.key`; only the owner can read the key. The folder is made if it is missing.
    ///
    /// # Errors
    /// [`PkiError::Exists`]: nothing was written. [`PkiError::Unwritable`]
    pub fn write(&self, folder: &Path) -> Result<(), PkiError> {
        write(folder, "ca", &self.certificate, &self.key, Existing::Keep)
    }
}

impl Issued {
    /// Writes `router-N.pem` and `router-N.key`; only the owner can read the key. The folder is made if it is missing.
    ///
    /// # Errors
    /// [`PkiError::Exists`]: nothing was written. [`PkiError::Unwritable`]
    pub fn write(&self, folder: &Path, existing: Existing) -> Result<(), PkiError> {
        write(folder, &format!("router-{}", self.name.router), &self.certificate, &self.key, existing)
    }
}

fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)
}

/// The id of the cluster whose authority has this key.
fn id_of(key: &KeyPair) -> String {
    let digest = CertificateParams::default().key_identifier(key);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What the authority's own certificate says. Those that it signs repeat its subject, so both are made here.
fn own_params(label: &str, cluster: &str) -> CertificateParams {
    let mut params = params(AUTHORITY_TIME, i64::MAX);
    params.distinguished_name.push(DnType::OrganizationName, label);
    params.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY_NAME}{cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn failed(error: rcgen::Error) -> PkiError {
    PkiError::Request(error.to_string())
}

/// A certificate that is valid from now on, and not after `until` (in seconds since 1970).
fn params(valid_for: Duration, until: i64) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = (now - CLOCKS_DIFFER_MAX).into();
    let left = until.saturating_sub(read::seconds(now));
    let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
    // The longest possible time is the authority's own: dates of four digits hold it.
    params.not_after = (now + valid_for.min(left).min(AUTHORITY_TIME)).into();
    params
}

fn san(host: &str) -> Result<SanType, PkiError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"-_.*".contains(&c);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(fits) {
        return Err(PkiError::Request(format!(
            "{host:?} is no host: write a DNS name or an IP address, without a port"
        )));
    }
    Ok(SanType::DnsName(host.to_owned().try_into().map_err(failed)?))
}

fn paths(folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{stem}.pem")), folder.join(format!("{stem}.key")))
}

fn write(
    folder: &Path,
    stem: &str,
    certificate: &CertificateDer<'_>,
    key: &PrivateKeyDer<'_>,
    existing: Existing,
) -> Result<(), PkiError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| PkiError::Unwritable { path: folder.to_owned(), source })?;
    let (certificate_path, key_path) = paths(folder, stem);
    for path in [&certificate_path, &key_path] {
        if existing == Existing::Keep && path.symlink_metadata().is_ok() {
            return Err(PkiError::Exists { path: path.clone() });
        }
    }
    // The key first: a certificate whose key is missing looks usable to its operator.
    write_file(&key_path, &pem("PRIVATE KEY", key.secret_der()), 0o600, existing)?;
    write_file(&certificate_path, &pem("CERTIFICATE", certificate), 0o644, existing)
}

fn write_file(path: &Path, text: &str, mode: u32, existing: Existing) -> Result<(), PkiError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => PkiError::Exists { path: path.to_owned() },
        _ => PkiError::Unwritable { path: path.to_owned(), source },
    };
    let create = |path: &Path| -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    match existing {
        Existing::Keep => create(path).map_err(failed),
        Existing::Replace => {
            let new = path.with_extension("new");
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
            create(&new).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
        }
    }
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let body = Zeroizing::new(BASE64_STANDARD.encode(der));
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
