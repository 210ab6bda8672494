//! The certificates that an operator trusts, for either end of a connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{DistinguishedName, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::is_authority;

/// Trusted certificates, by what they vouch for. Only an authority's certificate vouches for others: the owner of another trusted
/// certificate cannot make certificates in other names.
pub(super) struct Trusted {
    /// The authorities' certificates; none if no trusted certificate is an authority's.
    pub(super) authorities: Option<Arc<RootCertStore>>,
    /// The bytes of every trusted certificate, which vouches for itself.
    pub(super) pinned: BTreeSet<Vec<u8>>,
    /// The subjects of all trusted certificates, in their order.
    pub(super) subjects: Vec<DistinguishedName>,
}

impl Trusted {
    /// Reads certificates.
    ///
    /// # Errors
    /// A sentence about the first certificate that cannot be read, or about a missing certificate.
    pub(super) fn read(certificates: &[CertificateDer<'static>]) -> Result<Self, String> {
        let (mut roots, mut pinned, mut subjects) = (RootCertStore::empty(), BTreeSet::new(), Vec::new());
        for (number, certificate) in certificates.iter().enumerate() {
            let unreadable = || format!("certificate {} of the file cannot be read", number + 1);
            let parsed = X509Certificate::from_der(certificate).ok().filter(|(rest, _)| rest.is_empty());
            let (_, parsed) = parsed.ok_or_else(unreadable)?;
            if is_authority(&parsed) {
                roots.add(certificate.clone()).map_err(|_| unreadable())?;
            }
            subjects.push(DistinguishedName::from(parsed.subject().as_raw().to_vec()));
            pinned.insert(certificate.to_vec());
        }
        if pinned.is_empty() {
            return Err("it holds no certificate".to_owned());
        }
        let authorities = (!roots.is_empty()).then(|| Arc::new(roots));
        Ok(Self { authorities, pinned, subjects })
    }
}
