//! Reads the files of certificates and keys.

use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use rcs_cli::file::{FileError, SecretFile, read_bounded, read_secret};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::PkiError;
use crate::limits::{CERTIFICATES_BYTES_MAX, ENDS_SOON, KEY_BYTES_MAX};

fn file_error(path: &Path, source: FileError) -> PkiError {
    let path = path.to_owned();
    match &source {
        FileError::Io(error) if error.kind() == ErrorKind::NotFound => PkiError::Missing { path },
        _ => PkiError::Unreadable { path, source },
    }
}

pub(super) fn unusable(path: &Path, reason: impl Into<String>) -> PkiError {
    PkiError::Unusable { path: path.to_owned(), reason: reason.into() }
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let bytes = read_bounded(path, CERTIFICATES_BYTES_MAX).map_err(|source| file_error(path, source))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(path, "it has no block BEGIN CERTIFICATE: it must be a PEM file")),
        Err(_) => Err(unusable(path, "its PEM blocks are cut or damaged: copy the file again")),
    }
}

/// The key of a PEM file, and a warning if everybody can read the file.
pub(super) fn key(path: &Path) -> Result<(PrivateKeyDer<'static>, Option<String>), PkiError> {
    let SecretFile { bytes, warning } =
        read_secret(path, KEY_BYTES_MAX).map_err(|source| file_error(path, source))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        unusable(path, "it has no block BEGIN PRIVATE KEY: it must be a PEM file without password")
    })?;
    Ok((key, warning))
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dates {
    from: ASN1Time,
    until: ASN1Time,
}

impl Dates {
    pub(super) fn of(path: &Path, der: &CertificateDer<'_>) -> Result<Self, PkiError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|_| unusable(path, "a certificate in it is damaged: copy the file again"))?;
        let validity = certificate.validity();
        Ok(Self { from: validity.not_before, until: validity.not_after })
    }

    /// The end, in seconds since 1970.
    pub(super) fn until(self) -> i64 {
        self.until.timestamp()
    }

    /// Whether the certificate is valid; a warning, if it ends soon.
    pub(super) fn check(self, path: &Path, now: SystemTime) -> Result<Option<String>, PkiError> {
        let now = seconds(now);
        let (from, until) = (self.from.timestamp(), self.until.timestamp());
        if now > until {
            return Err(PkiError::Expired { path: path.to_owned(), day: day(self.until) });
        }
        if now < from {
            return Err(PkiError::NotYetValid { path: path.to_owned(), day: day(self.from) });
        }
        let soon = i64::try_from(ENDS_SOON.as_secs()).unwrap_or(i64::MAX).min((until - from) / 3);
        Ok((until - now < soon).then(|| {
            format!(
                "the certificate in {} ends on {}: replace it before that day",
                path.display(),
                day(self.until)
            )
        }))
    }
}

/// Seconds since 1970; before 1970 is 0.
pub(super) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn day(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}
