//! Which names a browser may have used for the admin address. A web page of a stranger can make a browser send requests here in two ways:
//! from the page's own origin, which the request then names, or under a name of the stranger's that leads to this address (DNS rebinding).

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, Uri, header, uri::Authority};

/// The entry that accepts every name.
const ANY: &str = "*";
/// Names with these endings exist in private networks only, so no stranger can own one.
const PRIVATE: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".svc"];

/// Names of the admin address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// What the operator added, in lower case.
    named: Vec<String>,
}

impl Hosts {
    /// Accepts addresses, `localhost`, names without a dot, names of private networks, and these names.
    pub(crate) fn new(named: &[String]) -> Self {
        Self { named: named.iter().map(|name| clean(name)).collect() }
    }

    /// The name that a request was sent to, if an honest client would not use this name for the admin address.
    pub(super) fn foreign<'r>(&self, uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
        if let Some(host) = uri.host().filter(|host| !self.is_ours(host)) {
            return Some(host);
        }
        // Browsers always send this header. Only programs leave it out.
        let host = headers.get(header::HOST)?;
        // A header that is not text cannot be a name of the router.
        let Ok(host) = host.to_str() else { return Some("") };
        let is_ours = Authority::from_str(host).is_ok_and(|authority| self.is_ours(authority.host()));
        (!is_ours).then_some(host)
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = clean(host);
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || PRIVATE.iter().any(|suffix| host.ends_with(suffix))
            || self.named.iter().any(|name| *name == host || name == ANY)
    }
}

fn clean(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a browser sent this request for a page of another origin.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return true;
    }
    let Some(origin) = text("origin") else { return false };
    let origin = origin.split_once("://").map(|(_, authority)| authority);
    origin.is_none_or(|origin| text("host").is_none_or(|host| !host.eq_ignore_ascii_case(origin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn names_that_a_stranger_can_have_are_foreign() {
        let hosts = Hosts::new(&["Router.Example.com".to_owned()]);
        let uri = Uri::from_static("/metrics");
        for ours in [
            "127.0.0.1:8760",
            "10.1.2.3",
            "[::1]:8760",
            "[fe80::1]",
            "localhost:8760",
            "LOCALHOST",
            "router:8760",
            "router.ns.svc:8760",
            "router.ns.svc.cluster.local",
            "router.example.com:8760",
            "router.example.com.",
        ] {
            assert_eq!(hosts.foreign(&uri, &headers(&[("host", ours)])), None, "{ours}");
        }
        for foreign in
            ["evil.example:8760", "127.0.0.1.evil.example", "router.example.com.evil.example", "a b"]
        {
            assert_eq!(hosts.foreign(&uri, &headers(&[("host", foreign)])), Some(foreign));
        }
        assert_eq!(hosts.foreign(&uri, &headers(&[])), None, "HTTP/1.0");
        let absolute = Uri::from_static("http://evil.example/metrics");
        assert_eq!(hosts.foreign(&absolute, &headers(&[("host", "localhost")])), Some("evil.example"));
        assert_eq!(Hosts::new(&["*".to_owned()]).foreign(&absolute, &headers(&[])), None);
    }

    #[test]
    fn only_browsers_say_where_a_request_comes_from() {
        for (case, expected) in [
            (&[("host", "localhost:1")][..], false),
            (&[("host", "localhost:1"), ("origin", "http://localhost:1")], false),
            (&[("host", "localhost:1"), ("origin", "http://localhost:2")], true),
            (&[("host", "localhost:1"), ("origin", "null")], true),
            (&[("host", "localhost:1"), ("origin", "http://evil.example")], true),
            (&[("host", "localhost:1"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "localhost:1"), ("sec-fetch-site", "same-site")], true),
            (&[("host", "localhost:1"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "localhost:1"), ("sec-fetch-site", "none")], false),
            (&[("origin", "http://localhost:1")], true),
        ] {
            assert_eq!(is_cross_site(&headers(case)), expected, "{case:?}");
        }
    }
}
