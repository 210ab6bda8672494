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
    /// The setting with the trust store.
    pub trust_store: &'static str,
    /// The setting with the OAuth2 token endpoint.
    pub token_endpoint: &'static str,
    /// The settings with the OAuth2 client's id and secret.
    pub client: &'static str,
    /// The setting with the scope of access tokens.
    pub scope: &'static str,
}

/// Why there is no socket.
#[derive(Debug)]
pub enum Fault {
    /// The dial failed.
    Dial(DialError),
    /// There is nothing to prove with who dials, such as an access token: why, and what to do, without a full stop.
    NoProof(String),
    /// The WebSocket opened and ended before the peer's handshake.
    NoHandshake(Option<CloseReason>),
}

impl Fault {
    /// Whether only a person can mend the fault, so that there is no use in trying again soon.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_lasting(),
            // Whoever gives the proofs has pauses of its own.
            Self::NoProof(_) | Self::NoHandshake(_) => false,
        }
    }

    /// What is wrong and what to do, without a full stop. `principal` is the name that was shown to the peer: the principal, or the OAuth2
    /// client.
    pub(super) fn in_words(&self, principal: &str, names: &Names) -> String {
        let Names { dialler, url, password, server_name, token_endpoint, scope, .. } = names;
        let error = match self {
            Self::Dial(error) => error,
            Self::NoProof(words) => return words.clone(),
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
            DialError::TokenRefused { status: 401 } => format!(
                "the peer refused the access token of the client {principal:?} (HTTP 401): check that the peer accepts tokens from \
                 {token_endpoint} with the scope in {scope}, and that the client is active"
            ),
            DialError::TokenRefused { status } => format!(
                "the peer knows the access token, but not as that of this server (HTTP {status}; client {principal:?}): at an IDM, map the \
                 client to a user in the rsFilter of conf/authentication.json; at a router, give the client an entry for this server"
            ),
            DialError::TokenInClear { .. } => {
                format!("an access token is not sent without TLS: write wss:// in {url}")
            }
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
                    ProxyError::Credentials { .. } => format!(": set {}", names.proxy_credentials),
                    ProxyError::Forbidden { .. } => {
                        ": have the proxy allow CONNECT to this host and port".to_owned()
                    }
                    ProxyError::NotReached(_)
                    | ProxyError::NotHttp
                    | ProxyError::Tls
                    | ProxyError::Closed
                    | ProxyError::Io(_) => {
                        format!(": check {}, and whether the proxy runs", names.proxy_address)
                    }
                    ProxyError::Refused { .. } => {
                        format!(": check the host and port in {url}, and whether the proxy can reach them")
                    }
                    ProxyError::BadCredentials => format!(": correct {}", names.proxy_credentials),
                };
                format!("the proxy {host}:{port} does not help: {source}{way_out}")
            }
            DialError::ProxyTimeout { .. } => format!(
                "{error}: check the host and port in {url}, whether the proxy can reach them, and {}",
                names.proxy_address
            ),
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
        trust_store: "the.trustStoreFile",
        token_endpoint: "the.tokenEndpoint",
        client: "the.clientId and the.clientSecret",
        scope: "the.scope",
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
            (DialError::TokenRefused { status: 401 }, "the.scope"),
            (DialError::TokenRefused { status: 403 }, "the rsFilter of conf/authentication.json"),
            (DialError::TokenInClear { host: "h".to_owned() }, "wss:// in the.url"),
            (proxy(ProxyError::Credentials { status: 407 }), "the.proxyPassword"),
            (proxy(ProxyError::NotHttp), "the.proxyPort"),
            (proxy(ProxyError::NotReached(Box::new(DialError::Closed))), "the.proxyPort"),
            (proxy(ProxyError::Refused { target: "h:1".to_owned(), status: 503 }), "the.url"),
            (
                DialError::ProxyTimeout { host: "p".to_owned(), port: 1, limit: HANDSHAKE_DEADLINE },
                "whether the proxy can reach them",
            ),
        ] {
            let words = Fault::Dial(error).in_words("rcs1", &NAMES);
            assert!(words.contains(says) && !words.ends_with('.'), "{words}");
        }
    }
}
