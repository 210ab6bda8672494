//! The certificates of a trust store, as far as an operator must know a certificate to replace it in time.

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::{NEW_ONE, date, printable};
use crate::driver::limits::CERTIFICATE_ENDS_SOON;

/// A trusted certificate: its name and its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The distinguished name of its subject: a line of bounded length without control characters.
    pub subject: String,
    /// Its serial number, in hexadecimal digits. It tells a certificate from its successor, which has the same subject.
    pub serial: String,
    /// From when on it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
}

impl Certificate {
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let serial = certificate.raw_serial().iter().take(SERIAL_BYTES_MAX);
        Some(Self {
            subject: printable(&certificate.subject().to_string()),
            serial: serial.map(|byte| format!("{byte:02x}")).collect(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// A sentence without full stop if the certificate, which is trusted, has ended, ends within [`CERTIFICATE_ENDS_SOON`], or is not valid
    /// yet.
    pub fn warning(&self, now: UnixTime) -> Option<String> {
        self.warning_of("a member that shows it is refused", NEW_ONE, now)
    }

    /// The same for a certificate that this process shows. `way_out` is what to do.
    pub fn warning_as_own(&self, now: UnixTime, way_out: &str) -> Option<String> {
        self.warning_of("peers that verify it refuse to connect", way_out, now)
    }

    /// The same with what follows when the certificate ends.
    fn warning_of(&self, consequence: &str, way_out: &str, now: UnixTime) -> Option<String> {
        let Self { subject, not_before, not_after, .. } = self;
        match dates_problem(*not_before, *not_after, now) {
            Some(problem) if self.days_left(now) < 0 => {
                return Some(format!(
                    "the certificate of {subject:?} {problem}, and {consequence}: {way_out}"
                ));
            }
            Some(problem) => return Some(format!("the certificate of {subject:?} {problem}")),
            None => {}
        }
        let soon = i64::try_from(CERTIFICATE_ENDS_SOON.as_secs()).unwrap_or(i64::MAX) / DAY_SECONDS;
        let days = match self.days_left(now) {
            left if left >= soon => return None,
            0 => "in less than a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        Some(format!(
            "the certificate of {subject:?} ends on {}, {days}; from then on {consequence}: {way_out}",
            day(*not_after)
        ))
    }

    /// Whole days until the certificate ends; negative once it has ended.
    pub fn days_left(&self, now: UnixTime) -> i64 {
        self.not_after.saturating_sub(seconds(now)).div_euclid(DAY_SECONDS)
    }

    /// Whether the certificate has begun and has not ended.
    pub fn is_valid(&self, now: UnixTime) -> bool {
        dates_problem(self.not_before, self.not_after, now).is_none()
    }

    /// The day on which the certificate begins, as `YYYY-MM-DD` (UTC).
    pub fn first_day(&self) -> String {
        day(self.not_before)
    }

    /// The day on which the certificate ends, as `YYYY-MM-DD` (UTC).
    pub fn last_day(&self) -> String {
        day(self.not_after)
    }
}

fn seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn day(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds).map(date).unwrap_or_default()
}

/// What is wrong with dates (seconds since 1970), as the end of a sentence.
pub(super) fn dates_problem(not_before: i64, not_after: i64, now: UnixTime) -> Option<String> {
    let now = seconds(now);
    if now > not_after {
        return Some(format!("expired on {}", day(not_after)));
    }
    (now < not_before)
        .then(|| format!("is not valid before {} (compare the clocks of both machines)", day(not_before)))
}

/// The certificates with their dates. Those that cannot be read are left out.
pub fn certificates(trusted: &[CertificateDer<'static>]) -> Vec<Certificate> {
    trusted.iter().filter_map(Certificate::of).collect()
}

/// Bytes of a serial number that are shown; RFC 5280 allows no more.
const SERIAL_BYTES_MAX: usize = 20;

const DAY_SECONDS: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_or_has_ended_is_told_with_its_date() {
        const END: i64 = 1_798_761_600;
        let certificate = Certificate {
            subject: "CN=rcs1".to_owned(),
            serial: "01".to_owned(),
            not_before: END - 365 * DAY_SECONDS,
            not_after: END,
        };
        for (seconds_left, says) in [
            (30 * DAY_SECONDS, None),
            (30 * DAY_SECONDS - 1, Some("ends on 2027-01-01, in 29 days; from then on")),
            (DAY_SECONDS, Some("in 1 day;")),
            (0, Some("in less than a day;")),
            (-1, Some("\"CN=rcs1\" expired on 2027-01-01, and a member that shows it is refused: give")),
            (366 * DAY_SECONDS, Some("is not valid before 2026-01-01")),
        ] {
            let now = u64::try_from(END - seconds_left).unwrap();
            let warning =
                certificate.warning(UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)));
            assert_eq!(warning.is_some(), says.is_some(), "{seconds_left}: {warning:?}");
            assert!(warning.as_deref().unwrap_or_default().contains(says.unwrap_or_default()), "{warning:?}");
        }
    }

    #[test]
    fn what_a_certificate_is_called_fits_a_line() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("a\u{1b}[2J\n{}", "b".repeat(500)));
        params.serial_number = Some(vec![0x0A, 0xFF].into());
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone();
        let [certificate] = &certificates(&[der])[..] else { panic!("one certificate") };
        assert!(!certificate.subject.contains(char::is_control), "{certificate:?}");
        assert!(certificate.subject.chars().count() <= 128, "{certificate:?}");
        assert_eq!(certificate.serial, "0aff");
    }
}
