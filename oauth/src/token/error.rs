//! Why there is no token, in words.

use std::sync::Arc;

use crate::https::HttpsError;

/// Why there is no token. The text says what to do, without a full stop. It contains neither the secret nor a token. A copy is cheap,
/// because everyone who waits for a token gets the same error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The client's secret cannot be read.
    #[error("the client's secret cannot be read: {0}")]
    Secret(String),
    /// There is no answer, or the answer cannot be used.
    #[error("{0}")]
    Exchange(Arc<HttpsError>),
    /// The endpoint reported `invalid_client`, or HTTP 401.
    #[error(
        "the endpoint refuses the client {client:?} or its secret (HTTP {status}): compare both with the authorization server, where the client \
         must be active and authenticate by client_secret_basic"
    )]
    InvalidClient {
        /// The client's id.
        client: String,
        /// The status.
        status: u16,
    },
    /// The endpoint reported `invalid_scope`.
    #[error(
        "the endpoint refuses the scope {scope:?} (HTTP {status}): correct the scope, or allow the scope for the client {client:?} at the \
         authorization server"
    )]
    InvalidScope {
        /// The client's id.
        client: String,
        /// The scope; empty if none was asked for.
        scope: String,
        /// The status.
        status: u16,
    },
    /// The endpoint reported `unauthorized_client` or `unsupported_grant_type`.
    #[error(
        "the endpoint does not grant client credentials to the client {client:?} (HTTP {status}): allow this grant type for the client at \
         the authorization server"
    )]
    GrantRefused {
        /// The client's id.
        client: String,
        /// The status.
        status: u16,
    },
    /// HTTP 404: the URL is wrong.
    #[error("there is no token endpoint at this path (HTTP 404): correct the URL, realm included")]
    NoEndpoint,
    /// HTTP 429 or 5xx: the fault is the endpoint's.
    #[error("the endpoint is overloaded or out of order (HTTP {status}): look in its log if this lasts")]
    Unavailable {
        /// The status.
        status: u16,
    },
    /// Any other refusal.
    #[error("the endpoint refuses the request (HTTP {status}{}): look in its log for the reason", code.as_ref().map_or_else(String::new, |code| format!(", {code}")))]
    Refused {
        /// The status.
        status: u16,
        /// `error` of the answer, if it is a code.
        code: Option<String>,
    },
    /// The answer has another `token_type` than Bearer, or none.
    #[error(
        "the endpoint gives tokens of the type {kind:?}, and only Bearer can be used: change the client at the authorization server"
    )]
    TokenType {
        /// The type, cut to a bound; empty if there is none.
        kind: String,
    },
    /// The token cannot stand in a header.
    #[error("the token of the endpoint cannot be used: {0}")]
    Unusable(&'static str),
}

impl TokenError {
    /// Whether another secret may help.
    pub(super) fn is_about_the_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::InvalidClient { .. })
    }
}
