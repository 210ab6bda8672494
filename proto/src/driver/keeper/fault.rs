//! Why a URL cannot be reached, in the words of the file that names the URL.

use crate::driver::dial::DialError;
use crate::driver::proxy::ProxyError;
use crate::driver::socket::CloseReason;
use crate::limits::HANDSHAKE_DEADLINE;

/// What an operator reads of settings: their names in the file that names the URL.
#[derive(Debug)]
pub struct Names {
    /// The process that dials, such as `this node`.
    pub dialler: &'static str,
    /// The setting with the URL.
    pub url: &'static str,
    /// The setting with the principal.
    pub principal: &'static str,
    /// The setting with the password.
    pub password: &'static str,
    /// The setting with the name that the peer knows the process by.
    pub server_name: &'static str,
    /// The settings with the proxy's host and port.
    pub proxy_address: &'static str,
    /// The settings with the proxy's user and password.
    pub proxy_credentials: &'static str,
}

/// Why there is no socket.
#[derive(Debug)]
pub(super) enum Fault {
    /// The dial failed.
    Dial(DialError),
    /// The WebSocket opened and ended before the peer's handshake.
    NoHandshake(Option<CloseReason>),
}

impl Fault {
    /// Whether only a person can mend the fault, so that there is no use in trying again soon.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_lasting(),
            Self::NoHandshake(_) => false,
        }
    }

    /// What is wrong and what to do, without a full stop. `principal` is the name that was shown to the peer.
    pub(super) fn in_words(&self, principal: &str, names: &Names) -> String {
        let Names { dialler, url, password, server_name, .. } = names;
        let error = match self {
            Self::Dial(error) => error,
            Self::NoHandshake(reason) => {
                let reason = reason.map_or_else(|| format!("{dialler} ends"), |reason| reason.to_string());
                return format!(
                    "the peer opened the WebSocket but did not introduce itself within {} s ({reason}): check that the URL leads to an \
                     OpenICF service",
                    HANDSHAKE_DEADLINE.as_secs()
                );
            }
        };
        match error {
            DialError::PlainPeer => {
                format!("the peer does not speak TLS: write ws:// in {url}, or give the peer a certificate")
            }
            DialError::NoTlsAnswer => {
                format!("the peer does not answer the TLS hello: if it has no TLS, write ws:// in {url}")
            }
            DialError::TlsPeer => format!("the peer answers with TLS: write wss:// in {url}"),
            DialError::WrongKey { status: 401 } => format!(
                "the peer wants credentials that {dialler} does not have (HTTP 401; principal {principal:?}): set {} and {password} as the \
                 peer expects them",
                names.principal
            ),
            DialError::WrongKey { status } => format!(
                "the peer refused the principal {principal:?} (HTTP {status}): compare {password} with the credential that the peer has for \
                 this name, and {server_name} with the peer's remoteConnectorClients"
            ),
            DialError::NoSuchPath { path } => format!(
                "the peer has nothing for us at {path} (HTTP 404): correct the path in {url}, which ends in /openicf for most peers, \
                 and compare {server_name} with the peer's remoteConnectorClients"
            ),
            DialError::Refused { status: 503 } => {
                "the peer is overloaded or not ready (HTTP 503): look in its log if this lasts".to_owned()
            }
            DialError::Refused { status } => {
                format!("the peer refused the WebSocket with HTTP {status}: look in its log for the reason")
            }
            DialError::Closed => {
                format!(
                    "the peer closed the connection without an answer: it may want TLS (wss:// in {url}), or be shutting down"
                )
            }
            DialError::Proxy { host, port, source } => {
                let way_out = match source {
                    ProxyError::Credentials => format!(": set {}", names.proxy_credentials),
                    ProxyError::Forbidden { .. } => {
                        ": have the proxy allow CONNECT to this host and port".to_owned()
                    }
                    ProxyError::NotHttp | ProxyError::Tls | ProxyError::Closed => {
                        format!(": check {}", names.proxy_address)
                    }
                    _ => String::new(),
                };
                format!("the proxy {host}:{port} does not help: {source}{way_out}")
            }
            DialError::BadTarget(what) => format!("it cannot be dialled: {what}"),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        dialler: "this node",
        url: "the.url",
        principal: "the.principal",
        password: "the.password",
        server_name: "the.name",
        proxy_address: "the.proxyHost and the.proxyPort",
        proxy_credentials: "the.proxyPrincipal and the.proxyPassword",
    };

    /// P16: what is wrong, and the setting that mends it.
    #[test]
    fn each_fault_names_the_setting_that_mends_it() {
        let proxy = |source| DialError::Proxy { host: "p".to_owned(), port: 1, source };
        for (error, says) in [
            (DialError::WrongKey { status: 401 }, "the.principal"),
            (DialError::WrongKey { status: 403 }, "the.password"),
            (DialError::NoSuchPath { path: "/x".to_owned() }, "the.url"),
            (DialError::PlainPeer, "ws:// in the.url"),
            (DialError::TlsPeer, "wss:// in the.url"),
            (proxy(ProxyError::Credentials), "the.proxyPassword"),
            (proxy(ProxyError::NotHttp), "the.proxyPort"),
        ] {
            let words = Fault::Dial(error).in_words("rcs1", &NAMES);
            assert!(words.contains(says) && !words.ends_with('.'), "{words}");
        }
    }
}
