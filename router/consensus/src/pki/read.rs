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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    from: ASN1Time,
    until: ASN1Time,
}

impl Dates {
    pub(super) fn of(path: &Path, der: &CertificateDer<'_>) -> Result<Self, PkiError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|_| unusable(path, "a certificate in it is damaged: copy the file again"))?;
        Ok(Self::from(&certificate))
    }

    /// Of a certificate that a peer showed; none if it cannot be read.
    pub(crate) fn shown(der: &[u8]) -> Option<Self> {
        X509Certificate::from_der(der).ok().map(|(_, certificate)| Self::from(&certificate))
    }

    /// The end, in seconds since 1970.
    pub fn until(self) -> i64 {
        self.until.timestamp()
    }

    /// What an operator should know of the certificate of a router: none before the last 30 days, or the last third of the time for which
    /// the certificate is valid.
    pub fn warning(self, router: u32, now: SystemTime) -> Option<String> {
        let (left, day) = (self.until() - seconds(now), day(self.until));
        let what = match left {
            ..0 => format!("ended on {day}, so the others refuse its connections"),
            0..86_400 => format!("ends on {day}, within a day"),
            left if left < self.soon() => format!("ends on {day}, in {} days", left / 86_400),
            _ => return None,
        };
        Some(format!(
            "the cluster certificate of router {router} {what}: run `rcs-router cluster init` again with the folder of ca.key, and copy \
             router-{router}.pem and router-{router}.key to the router"
        ))
    }

    /// Seconds before the end at which operators are warned.
    fn soon(self) -> i64 {
        let valid = self.until.timestamp() - self.from.timestamp();
        i64::try_from(ENDS_SOON.as_secs()).unwrap_or(i64::MAX).min(valid / 3)
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
        Ok((until - now < self.soon()).then(|| {
            format!(
                "the certificate in {} ends on {}: replace it before that day",
                path.display(),
                day(self.until)
            )
        }))
    }
}

impl From<&X509Certificate<'_>> for Dates {
    fn from(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { from: validity.not_before, until: validity.not_after }
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn operators_are_warned_in_the_last_days_of_a_certificate() {
        const DAY: i64 = 86_400;
        let at = |seconds| ASN1Time::from_timestamp(seconds).unwrap();
        let now = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap());
        for (valid, left, says) in [
            (365, 31 * DAY, None),
            (365, 30 * DAY, None),
            (365, 30 * DAY - 1, Some("ends on 1971-01-01, in 29 days:")),
            (365, DAY - 1, Some("ends on 1971-01-01, within a day:")),
            (365, -1, Some("ended on 1971-01-01, so the others refuse")),
            (9, 3 * DAY, None),
            (9, 3 * DAY - 1, Some("ends on 1971-01-01, in 2 days:")),
        ] {
            let end = 365 * DAY;
            let dates = Dates { from: at(end - valid * DAY), until: at(end) };
            let told = dates.warning(7, now(end - left));
            let is_so = match (&told, says) {
                (Some(told), Some(says)) => told.contains(says) && told.contains("router-7.key"),
                (told, says) => told.is_none() && says.is_none(),
            };
            assert!(is_so, "{valid} {left}: {told:?}");
        }
    }
}
