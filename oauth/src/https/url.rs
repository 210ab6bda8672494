//! URLs of HTTP services, and which of these services may be asked without TLS.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

/// Where `http://`, which has no TLS, is accepted. Requests carry secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// On this machine alone: `localhost` and loopback addresses.
    Loopback,
    /// Everywhere, for trials.
    Anywhere,
}

/// The address of an HTTP service: `https://HOST[:PORT][/PATH][?QUERY]`, or `http://…` where that is accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// As in a `Host` header.
    authority: String,
    /// Path and query.
    target: String,
    plain: Plain,
}

/// Why a text is no usable [`Url`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// The text is not a URL, or has parts that no request has.
    #[error("expected a URL such as https://HOST/PATH, without a user and without a fragment (#)")]
    Form,
    /// Neither `https` nor `http`.
    #[error("expected a URL that begins with https://")]
    Scheme,
    /// `http` to another machine.
    #[error("http:// would send secrets in clear text to {host}; write https://")]
    InClear {
        /// The host.
        host: String,
    },
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`BadUrl`]
    pub fn parse(text: &str, plain: Plain) -> Result<Self, BadUrl> {
        if text.contains('#') {
            return Err(BadUrl::Form);
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl::Form)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BadUrl::Form);
        };
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(BadUrl::Scheme),
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(BadUrl::Form);
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(BadUrl::Form),
            Some(port) => port,
            // A port that is no number is taken for none.
            None if authority.as_str().len() > authority.host().len() => return Err(BadUrl::Form),
            None if tls => 443,
            None => 80,
        };
        let target = match uri.path_and_query().map_or("/", |target| target.as_str()) {
            query if query.starts_with('?') => format!("/{query}"),
            target => target.to_owned(),
        };
        Self { tls, host, port, authority: authority.as_str().to_owned(), target, plain }.with(plain)
    }

    /// The same URL, with another rule for `http`.
    ///
    /// # Errors
    /// [`BadUrl::InClear`]
    pub fn with(self, plain: Plain) -> Result<Self, BadUrl> {
        match !self.tls && plain == Plain::Loopback && !is_loopback(&self.host) {
            true => Err(BadUrl::InClear { host: self.host }),
            false => Ok(Self { plain, ..self }),
        }
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Whether the peer must be on this machine.
    pub(super) fn is_bound_to_loopback(&self) -> bool {
        !self.tls && self.plain == Plain::Loopback
    }
}

/// Without the query, which may hold anything.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Whether a host is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, tls, host, port, target, shown) in [
            (
                "https://am.example.com/am/oauth2/access_token",
                true,
                "am.example.com",
                443,
                "/am/oauth2/access_token",
                None,
            ),
            ("HTTPS://a:8443?realm=x", true, "a", 8443, "/?realm=x", Some("https://a:8443/")),
            ("http://localhost:80/", false, "localhost", 80, "/", None),
            ("http://127.0.0.2", false, "127.0.0.2", 80, "/", Some("http://127.0.0.2/")),
            ("http://[::1]:8080/t", false, "::1", 8080, "/t", None),
        ] {
            let url = Url::parse(text, Plain::Loopback).unwrap();
            assert_eq!(
                (url.is_tls(), url.host(), url.port(), url.target()),
                (tls, host, port, target),
                "{text}"
            );
            assert_eq!(url.to_string(), shown.unwrap_or(text), "{text}");
        }
    }

    /// A07
    #[test]
    fn what_is_no_url_or_has_no_tls_is_refused() {
        for text in [
            "",
            "a",
            "/path",
            "am.example.com:443",
            "https://",
            "https://:443/",
            "https://a:port/",
            "https://a:0/",
            "https://a:70000/",
            "https://u:p@a/",
            "https://a/#b",
            "https://a b/",
            "https://a/\r\nX: y",
        ] {
            assert_eq!(Url::parse(text, Plain::Anywhere).expect_err(text), BadUrl::Form, "{text:?}");
        }
        assert_eq!(Url::parse("ws://a/", Plain::Anywhere), Err(BadUrl::Scheme));
        for host in ["a", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com"] {
            let text = format!("http://{host}/");
            let refused = Url::parse(&text, Plain::Loopback);
            assert_eq!(refused, Err(BadUrl::InClear { host: host.to_owned() }), "{text}");
            assert!(Url::parse(&text, Plain::Anywhere).is_ok(), "{text}");
        }
    }
}
