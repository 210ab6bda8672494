//! Why a URL cannot be reached, in the words of the properties file.

use rcs_oauth::https::HttpsError;
use rcs_oauth::token::TokenError;
use rcs_proto::driver::dial::DialError;
use rcs_proto::driver::proxy::ProxyError;
use rcs_proto::driver::socket::CloseReason;
use rcs_proto::limits::HANDSHAKE_DEADLINE;

/// Why there is no socket.
#[derive(Debug)]
pub(super) enum Fault {
    /// The dial failed.
    Dial(DialError),
    /// There is no access token to dial with.
    Token {
        /// The token endpoint.
        endpoint: String,
        /// Why.
        error: TokenError,
    },
    /// The WebSocket opened and ended before the peer's handshake.
    NoHandshake(Option<CloseReason>),
}

impl Fault {
    /// What is wrong and what to do, without a full stop. `principal` is the name that was shown to the peer: the principal, or the OAuth2
    /// client.
    pub(super) fn in_words(&self, principal: &str) -> String {
        let error = match self {
            Self::Dial(error) => error,
            Self::Token { endpoint, error } => {
                return format!("there is no access token from {endpoint}: {error}{}", property(error));
            }
            Self::NoHandshake(reason) => {
                let reason = reason.map_or_else(|| "the node ends".to_owned(), |reason| reason.to_string());
                return format!(
                    "the peer opened the WebSocket but did not introduce itself within {} s ({reason}): check that the URL leads to an \
                     OpenICF service",
                    HANDSHAKE_DEADLINE.as_secs()
                );
            }
        };
        match error {
            DialError::PlainPeer => {
                "the peer does not speak TLS: write ws:// in connectorserver.url, or give the peer a certificate".to_owned()
            }
            DialError::NoTlsAnswer => {
                "the peer does not answer the TLS hello: if it has no TLS, write ws:// in connectorserver.url".to_owned()
            }
            DialError::TlsPeer => "the peer answers with TLS: write wss:// in connectorserver.url".to_owned(),
            DialError::WrongKey { status: 401 } => format!(
                "the peer wants credentials that this node does not have (HTTP 401; principal {principal:?}): set connectorserver.principal \
                 and connectorserver.password as the peer expects them"
            ),
            DialError::WrongKey { status } => format!(
                "the peer refused the principal {principal:?} (HTTP {status}): compare connectorserver.password with the credential that the \
                 peer has for this name, and connectorserver.connectorServerName with the peer's remoteConnectorClients"
            ),
            DialError::TokenRefused { status: 401 } => format!(
                "the peer refused the access token of the client {principal:?} (HTTP 401): check that the peer accepts tokens from \
                 connectorserver.tokenEndpoint with the scope in connectorserver.scope, and that the client is active"
            ),
            DialError::TokenRefused { status } => format!(
                "the peer knows the access token, but not as that of this server (HTTP {status}; client {principal:?}): at an IDM, map the \
                 client to a user in the rsFilter of conf/authentication.json; at a router, give the client an entry for this server"
            ),
            DialError::TokenInClear { .. } => {
                "an access token is not sent without TLS: write wss:// in connectorserver.url".to_owned()
            }
            DialError::NoSuchPath { path } => format!(
                "the peer has nothing for us at {path} (HTTP 404): correct the path in connectorserver.url, which ends in /openicf for most \
                 peers, and compare connectorserver.connectorServerName with the peer's remoteConnectorClients"
            ),
            DialError::Refused { status: 503 } => {
                "the peer is overloaded or not ready (HTTP 503): look in its log if this lasts".to_owned()
            }
            DialError::Refused { status } => {
                format!("the peer refused the WebSocket with HTTP {status}: look in its log for the reason")
            }
            DialError::Closed => {
                "the peer closed the connection without an answer: it may want TLS (wss:// in connectorserver.url), or be shutting down"
                    .to_owned()
            }
            DialError::Proxy { host, port, source } => {
                let way_out = match source {
                    ProxyError::Credentials => ": set connectorserver.proxyPrincipal and connectorserver.proxyPassword",
                    ProxyError::Forbidden { .. } => ": have the proxy allow CONNECT to this host and port",
                    ProxyError::NotHttp | ProxyError::Tls | ProxyError::Closed => {
                        ": check connectorserver.proxyHost and connectorserver.proxyPort"
                    }
                    _ => "",
                };
                format!("the proxy {host}:{port} does not help: {source}{way_out}")
            }
            DialError::BadTarget(what) => format!("it cannot be dialled: {what}"),
            other => other.to_string(),
        }
    }
}

/// The property that mends the lack of a token.
fn property(error: &TokenError) -> &'static str {
    match error {
        TokenError::InvalidClient { .. } => {
            " (connectorserver.clientId, connectorserver.clientSecret or its file)"
        }
        TokenError::InvalidScope { .. } => " (connectorserver.scope)",
        TokenError::NoEndpoint => " (connectorserver.tokenEndpoint)",
        TokenError::Exchange(error) if matches!(**error, HttpsError::Tls { .. }) => {
            " (connectorserver.trustStoreFile, connectorserver.tokenEndpoint)"
        }
        TokenError::Exchange(_) => " (connectorserver.tokenEndpoint)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P16: what is wrong, and the property that mends it.
    #[test]
    fn each_fault_names_the_property_that_mends_it() {
        let proxy = |source| DialError::Proxy { host: "p".to_owned(), port: 1, source };
        for (error, says) in [
            (DialError::WrongKey { status: 401 }, "connectorserver.principal"),
            (DialError::WrongKey { status: 403 }, "connectorserver.password"),
            (DialError::NoSuchPath { path: "/x".to_owned() }, "connectorserver.url"),
            (DialError::PlainPeer, "ws:// in connectorserver.url"),
            (DialError::TlsPeer, "wss:// in connectorserver.url"),
            (DialError::TokenRefused { status: 401 }, "connectorserver.scope"),
            (DialError::TokenRefused { status: 403 }, "the rsFilter of conf/authentication.json"),
            (DialError::TokenInClear { host: "h".to_owned() }, "wss:// in connectorserver.url"),
            (proxy(ProxyError::Credentials), "connectorserver.proxyPassword"),
            (proxy(ProxyError::NotHttp), "connectorserver.proxyPort"),
        ] {
            let words = Fault::Dial(error).in_words("rcs1");
            assert!(words.contains(says) && !words.ends_with('.'), "{words}");
        }
        let (client, scope) = ("c".to_owned(), "s".to_owned());
        for (error, says) in [
            (
                TokenError::InvalidClient { client: client.clone(), status: 401 },
                "connectorserver.clientSecret",
            ),
            (TokenError::InvalidScope { client, scope, status: 400 }, "connectorserver.scope"),
            (TokenError::NoEndpoint, "connectorserver.tokenEndpoint"),
        ] {
            let words = Fault::Token { endpoint: "https://am/token".to_owned(), error }.in_words("rcs1");
            assert!(words.starts_with("there is no access token from https://am/token: "), "{words}");
            assert!(words.contains(says), "{words}");
        }
    }
}
