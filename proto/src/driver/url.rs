//! Addresses of OpenICF services, as people write them: `ws://HOST[:PORT][/PATH]` or `wss://…`.

use std::fmt;
use std::str::FromStr;

/// The path of a URL without one: the one at which every OpenICF service answers.
const DEFAULT_PATH: &str = "/openicf";

/// The address of an OpenICF service. `http` and `https` are aliases of `ws` and `wss` (WIRE 1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsUrl {
    /// Whether TLS is spoken: `wss`.
    pub tls: bool,
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port; 80 or 443 unless the URL has one.
    pub port: u16,
    /// Path with query; `/openicf` unless the URL has one.
    pub path: String,
}

/// A text is no [`WsUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as ws://HOST:PORT/openicf or wss://HOST/openicf")]
pub struct NoWsUrl;

impl FromStr for WsUrl {
    type Err = NoWsUrl;

    fn from_str(url: &str) -> Result<Self, NoWsUrl> {
        parse(url).ok_or(NoWsUrl)
    }
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port, path } = self;
        let scheme = if *tls { "wss" } else { "ws" };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]")?,
            false => write!(f, "{scheme}://{host}")?,
        }
        if *port != default_port(*tls) {
            write!(f, ":{port}")?;
        }
        f.write_str(path)
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn parse(url: &str) -> Option<WsUrl> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => false,
        "wss" | "https" => true,
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { DEFAULT_PATH } else { path };
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(default_port(tls)), |port| port.parse().ok())?;
    let usable = !host.is_empty() && !authority.contains('@');
    usable.then(|| WsUrl { tls, host: host.to_owned(), port, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let address = |tls, host: &str, port, path: &str| {
            Ok(WsUrl { tls, host: host.to_owned(), port, path: path.to_owned() })
        };
        for (url, expected) in [
            ("ws://h:8759/openicf/hr", address(false, "h", 8759, "/openicf/hr")),
            ("ws://h:8759", address(false, "h", 8759, "/openicf")),
            ("wss://h/x?y=z", address(true, "h", 443, "/x?y=z")),
            ("http://[::1]:80/", address(false, "::1", 80, "/")),
            ("WS://h", address(false, "h", 80, "/openicf")),
            ("ws://", Err(NoWsUrl)),
            ("ws://h:port", Err(NoWsUrl)),
            ("ws://user:key@h", Err(NoWsUrl)),
            ("h:8759", Err(NoWsUrl)),
            ("ftp://h", Err(NoWsUrl)),
        ] {
            assert_eq!(url.parse(), expected, "{url}");
        }
        for (url, shown) in [
            ("wss://[::1]:443", "wss://[::1]/openicf"),
            ("ws://h:443/x", "ws://h:443/x"),
            ("http://h", "ws://h/openicf"),
        ] {
            assert_eq!(url.parse::<WsUrl>().unwrap().to_string(), shown);
        }
    }
}
