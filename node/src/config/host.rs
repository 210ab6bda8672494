//! Where to listen, as the file says: an address, or a name that the system resolves.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// `address` or `ifaddress`: an IP address, with or without brackets, or a host name. The Java server resolves the same forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenHost(String);

impl ListenHost {
    /// All interfaces.
    pub(super) fn all() -> Self {
        Self("0.0.0.0".to_owned())
    }

    /// `None` for a text that can be neither an address nor a name. Whether the name exists is not checked here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare = match text.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|inside| inside.contains(':'))?,
            None => text,
        };
        let (address, zone) =
            bare.split_once('%').map_or((bare, None), |(address, zone)| (address, Some(zone)));
        if let Ok(address) = address.parse::<IpAddr>() {
            let usable = zone.is_none_or(|zone| address.is_ipv6() && is_name(zone));
            let zone = zone.map_or_else(String::new, |zone| format!("%{zone}"));
            return usable.then(|| Self(format!("{address}{zone}")));
        }
        // Four numbers that are no address are not accepted as a name either.
        let is_host = is_name(bare) && bare.bytes().any(|byte| byte.is_ascii_alphabetic());
        is_host.then(|| Self(bare.to_owned()))
    }

    /// The address to listen on: the first one that the name has. IPv4 addresses come first, as in Java. Asks the system, which may block.
    ///
    /// # Errors
    /// If the name cannot be resolved.
    pub fn resolve(&self, port: u16) -> io::Result<SocketAddr> {
        let found: Vec<SocketAddr> = (self.0.as_str(), port).to_socket_addrs()?.collect();
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| io::Error::other("the name has no address"))
    }
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms that Java's `InetAddress.getByName` takes.
    #[test]
    fn addresses_and_names_are_taken_as_java_takes_them() {
        for (text, shown) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("[0:0:0:0:0:0:0:1]", Some("::1")),
            ("fe80::1%eth0", Some("fe80::1%eth0")),
            ("localhost", Some("localhost")),
            ("rcs-1.example.com", Some("rcs-1.example.com")),
            ("[localhost]", None),
            ("[::1", None),
            ("127.0.0.1%eth0", None),
            ("::1%", None),
            ("localhost:8759", None),
            ("999.0.0.1", None),
            ("two hosts", None),
            ("", None),
        ] {
            assert_eq!(ListenHost::parse(text).map(|host| host.to_string()).as_deref(), shown, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_resolved_and_ipv4_goes_first() {
        let resolved = ListenHost::parse("localhost").unwrap().resolve(7).unwrap();
        assert!(resolved.ip().is_loopback() && resolved.port() == 7, "{resolved}");
        assert_eq!(ListenHost::parse("[::1]").unwrap().resolve(7).unwrap().to_string(), "[::1]:7");
        assert_eq!(ListenHost::all().resolve(0).unwrap().to_string(), "0.0.0.0:0");
        ListenHost::parse("no-such-host.invalid").unwrap().resolve(7).expect_err("no such host");
    }
}
