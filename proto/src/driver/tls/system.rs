//! The authorities that the operating system trusts.

use rustls_native_certs::CertificateResult;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// The certificates of the authorities that the system trusts.
///
/// # Errors
/// A sentence without full stop: why there are none, and what to do. The caller adds what else may be done.
pub fn of_system() -> Result<Vec<CertificateDer<'static>>, String> {
    let CertificateResult { certs, errors, .. } = rustls_native_certs::load_native_certs();
    let is_usable = |found: &CertificateDer<'static>| RootCertStore::empty().add(found.clone()).is_ok();
    let usable: Vec<_> = certs.into_iter().filter(is_usable).collect();
    if usable.is_empty() {
        let why = errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
        return Err(format!(
            "the system's certificates of authorities cannot be read ({why}): install them (package ca-certificates)"
        ));
    }
    Ok(usable)
}
