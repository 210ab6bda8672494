//! The admin address as the operator writes it.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::str::FromStr;

use rcs_core::view::Transport;

use crate::listeners::resolve;

/// The admin address, as `--admin` has it: `HOST:PORT` or `http://HOST:PORT`, with TLS `https://HOST:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAt {
    /// Whether clients speak TLS at the address.
    pub transport: Transport,
    /// The address to listen on. Port 0 picks a free port.
    pub address: SocketAddr,
}

impl AdminAt {
    /// Whether the bytes of operators can be read on a network.
    pub(crate) fn is_exposed(&self) -> bool {
        self.transport == Transport::Plain && !self.address.ip().is_loopback()
    }
}

impl FromStr for AdminAt {
    type Err = String;

    /// If the host name has several addresses, the first one is used.
    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, rest) = match text.split_once("://") {
            None => (Transport::Plain, text),
            Some(("http", rest)) => (Transport::Plain, rest),
            Some(("https", rest)) => (Transport::Tls, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "{scheme:?} is not spoken at the admin address; write https://HOST:PORT for TLS, or HOST:PORT"
                ));
            }
        };
        let address = resolve(rest.strip_suffix('/').unwrap_or(rest))?;
        Ok(Self { transport, address })
    }
}

impl Display for AdminAt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scheme = if self.transport == Transport::Tls { "https://" } else { "" };
        write!(f, "{scheme}{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_scheme_and_a_host_name() {
        let at = |text: &str| text.parse::<AdminAt>();
        for (text, shown, is_exposed) in [
            ("127.0.0.1:8760", "127.0.0.1:8760", false),
            ("http://127.0.0.1:8760", "127.0.0.1:8760", false),
            ("https://127.0.0.1:8760/", "https://127.0.0.1:8760", false),
            ("0.0.0.0:8760", "0.0.0.0:8760", true),
            ("[::]:8760", "[::]:8760", true),
            ("https://0.0.0.0:8760", "https://0.0.0.0:8760", false),
        ] {
            let read = at(text).unwrap();
            assert_eq!((read.to_string().as_str(), read.is_exposed()), (shown, is_exposed));
        }
        assert!(at("localhost:1").unwrap().address.ip().is_loopback());
        for (bad, part) in
            [("wss://127.0.0.1:1", "https://HOST:PORT"), ("8760", "HOST:PORT"), ("", "HOST:PORT")]
        {
            let error = at(bad).unwrap_err();
            assert!(error.contains(part), "{bad:?}: {error}");
        }
    }
}
