//! Whose a certificate is.

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::limits::NAME_CHARS_MAX;

/// The router that a certificate stands for. A certificate says it in a URI of the form that SPIFFE defines: `spiffe://CLUSTER/router/N`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The cluster's id.
    pub cluster: String,
    /// The router's number; 1 or more.
    pub router: u32,
}

impl Name {
    /// What a certificate in DER says.
    ///
    /// # Errors
    /// A sentence without full stop.
    pub(crate) fn of(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| UNREADABLE.to_owned())?;
        let names = certificate.subject_alternative_name().map_err(|_| UNREADABLE.to_owned())?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let mut found = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Self::parse(uri),
            _ => None,
        });
        match (found.next(), found.next()) {
            (Some(name), None) => Ok(name),
            (None, _) => Err("it names no router: it needs the URI spiffe://CLUSTER/router/N".to_owned()),
            (Some(_), Some(_)) => Err("it names several routers: each router needs its own".to_owned()),
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        let (cluster, router) = uri.strip_prefix("spiffe://")?.split_once("/router/")?;
        let number = router.parse().ok().filter(|number| *number > 0)?;
        // One router has one name: `+1` and `01` are none.
        let is_plain = u32::to_string(&number) == router;
        (is_plain && is_cluster(cluster)).then(|| Self { cluster: cluster.to_owned(), router: number })
    }
}

const UNREADABLE: &str = "it is no certificate that can be read";

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/router/{}", self.cluster, self.router)
    }
}

/// Whether this can be a cluster's id: what SPIFFE allows for a trust domain.
pub(super) fn is_cluster(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_in_its_one_form() {
        let name = Name { cluster: "c0ffee".to_owned(), router: 3 };
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for odd in [
            "spiffe://c0ffee/router/0",
            "spiffe://c0ffee/router/03",
            "spiffe://c0ffee/router/+3",
            "spiffe://c0ffee/router/3/",
            "spiffe://c0ffee/router/4294967296",
            "spiffe:///router/3",
            "spiffe://C0FFEE/router/3",
            "spiffe://a/b/router/3",
            "https://c0ffee/router/3",
        ] {
            assert_eq!(Name::parse(odd), None, "{odd}");
        }
        assert!(Name::of(b"no certificate").is_err());
    }
}
