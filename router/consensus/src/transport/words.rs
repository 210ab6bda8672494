//! What went wrong on a connection, in words for the operator.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use crate::limits::SENTENCE_CHARS_MAX;

/// The TLS error within an error of a stream.
pub(super) fn tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a connection that we dialled came to nothing. The sentence goes on after "the router at ADDRESS".
pub(super) fn dialled(error: &io::Error) -> String {
    match tls(error) {
        None => format!("does not answer: {error}"),
        Some(Error::AlertReceived(alert)) => {
            format!("refuses this router's certificate: {}", of_alert(*alert))
        }
        Some(Error::InvalidCertificate(problem)) => {
            format!("shows a certificate that is not accepted: {}", of_certificate(problem))
        }
        Some(Error::InvalidMessage(_)) => {
            "does not speak TLS: give the address of its --cluster listener".to_owned()
        }
        Some(error) => format!("and this router have no TLS connection: {error}"),
    }
}

/// Why a peer's certificate is refused.
pub(super) fn of_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Other(inner) => inner.0.to_string(),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "an authority signed it that is not in this router's ca.pem: all routers need the files of one `rcs-router cluster init`"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: renew it with `rcs-router cluster init`, or compare the clocks".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: compare the clocks of both machines".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for both ends of a connection: it needs server and client authentication as extended key usages".to_owned()
        }
        other => other.to_string(),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "the authority that signed it is not in that router's ca.pem: all routers need the files of one `rcs-router cluster init`"
                .to_owned()
        }
        AlertDescription::CertificateExpired => {
            "it has expired there: renew it with `rcs-router cluster init`, or compare the clocks".to_owned()
        }
        AlertDescription::AccessDenied | AlertDescription::CertificateUnknown => {
            "it is not for that router's cluster. That router's log says more".to_owned()
        }
        other => format!("TLS alert {other:?}. That router's log says more"),
    }
}

/// A peer's sentence on one line, within its bound.
pub(super) fn told(text: &str) -> String {
    let short: String = text.chars().take(SENTENCE_CHARS_MAX).collect();
    rcs_cli::printable::line(&short).into_owned()
}

/// An error with what caused it.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let mut text = error.to_string();
    for cause in causes.take(4) {
        let is_end = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
        let cause = if is_end { "the peer has gone".to_owned() } else { cause.to_string() };
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    told(&text)
}
