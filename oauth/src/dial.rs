//! Who dials by access tokens: the proof of a process in client mode towards its peers (P17, M04), for the keeper of rcs-proto.

use rcs_proto::driver::WebSocket;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialError, InClear, dial_with};
use rcs_proto::driver::keeper::{Dials, Fault, Names, Opened, Peer};
use tokio::time::Instant;

use crate::https::{Https, HttpsError};
use crate::token::{Token, TokenError, TokenOptions, Tokens};

/// How a process gets and uses access tokens.
#[derive(Clone, Debug)]
pub struct TokenSetup {
    /// The way to the token endpoint.
    pub https: Https,
    /// Where tokens come from.
    pub options: TokenOptions,
    /// Whether a token may go to a peer without TLS (A07).
    pub in_clear: InClear,
    /// What becomes of connections at the end of their token.
    pub at_end: AtTokenEnd,
}

/// What becomes of an open connection when the token ends that it was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtTokenEnd {
    /// The connection stays. Peers look at a token when a connection is opened.
    Keep,
    /// Another connection with a new token replaces the connection before.
    Replace,
}

/// An OAuth2 client with its tokens. Copies share the tokens.
#[derive(Clone, Debug)]
pub struct Holder {
    client_id: String,
    endpoint: String,
    tokens: Tokens,
    in_clear: InClear,
    at_end: AtTokenEnd,
}

/// A process that proves itself in one of the two ways.
#[derive(Clone, Debug)]
pub enum Who {
    /// By a principal and its password.
    Password(Credentials),
    /// By an access token.
    Token(Holder),
}

impl Who {
    /// See [`Holder::failure`]; `None` for a password.
    pub fn failure(&self, names: &Names) -> Option<String> {
        match self {
            Self::Password(_) => None,
            Self::Token(holder) => holder.failure(names),
        }
    }

    /// See [`Tokens::ends`]; `None` for a password.
    pub fn token_ends(&self) -> Option<Instant> {
        match self {
            Self::Password(_) => None,
            Self::Token(holder) => holder.tokens.ends(),
        }
    }
}

impl Dials for Who {
    fn name(&self) -> &str {
        match self {
            Self::Password(credentials) => credentials.name(),
            Self::Token(holder) => holder.name(),
        }
    }

    async fn dial(&self, peer: &Peer, names: &'static Names) -> Result<Opened, Fault> {
        match self {
            Self::Password(credentials) => credentials.dial(peer, names).await,
            Self::Token(holder) => holder.dial(peer, names).await,
        }
    }
}

impl Dials for Holder {
    fn name(&self) -> &str {
        &self.client_id
    }

    async fn dial(&self, peer: &Peer, names: &'static Names) -> Result<Opened, Fault> {
        let token = self.token(names).await?;
        match self.dial_with(peer, &token).await {
            // O04: a new token, and once more at once. If the endpoint gives no other one, once more is of no use.
            Err(error @ DialError::TokenRefused { status: 401 }) => match self.token(names).await {
                Ok(next) if !next.is(&token) => self.opened(self.dial_with(peer, &next).await, &next),
                _ => Err(Fault::Dial(error)),
            },
            outcome => self.opened(outcome, &token),
        }
    }
}

impl Holder {
    /// A client that asks for a token once somebody dials. Must be called within a tokio runtime.
    pub fn start(setup: TokenSetup) -> Self {
        Self {
            client_id: setup.options.client_id.clone(),
            endpoint: setup.options.endpoint.to_string(),
            tokens: Tokens::start(setup.https, setup.options),
            in_clear: setup.in_clear,
            at_end: setup.at_end,
        }
    }

    /// Why the last request for a token failed, and what to do, in the words of `names` and without a full stop. `None` after a request that
    /// succeeded. The token before may still be in use.
    pub fn failure(&self, names: &Names) -> Option<String> {
        let error = self.tokens.failure()?;
        Some(format!("no new access token comes from {}: {error}{}", self.endpoint, setting(&error, names)))
    }

    async fn token(&self, names: &Names) -> Result<Token, Fault> {
        self.tokens.token().await.map_err(|error| {
            let setting = setting(&error, names);
            Fault::NoProof(format!("there is no access token from {}: {error}{setting}", self.endpoint))
        })
    }

    /// A peer that refuses a token, with 401 or as forbidden, may want a newer one.
    async fn dial_with(&self, peer: &Peer, token: &Token) -> Result<WebSocket, DialError> {
        let authorization =
            DialAuthorization::Bearer { token: token.secret().clone(), in_clear: self.in_clear };
        let dialled = dial_with(&peer.target(authorization), &peer.extras).await;
        if matches!(dialled, Err(DialError::TokenRefused { .. })) {
            self.tokens.refused(token);
        }
        dialled.map(|(socket, _)| socket)
    }

    fn opened(&self, dialled: Result<WebSocket, DialError>, token: &Token) -> Result<Opened, Fault> {
        let socket = dialled.map_err(Fault::Dial)?;
        let replaced_at = match self.at_end {
            AtTokenEnd::Keep => None,
            AtTokenEnd::Replace => between(token.renewal(), token.ends(), Instant::now()),
        };
        Ok(Opened { socket, replaced_at })
    }
}

/// The setting that mends the lack of a token.
fn setting(error: &TokenError, names: &Names) -> String {
    match error {
        TokenError::InvalidClient { .. } => format!(" ({})", names.client),
        TokenError::InvalidScope { .. } => format!(" ({})", names.scope),
        TokenError::Exchange(error) if matches!(**error, HttpsError::Tls { .. }) => {
            format!(" ({}, {})", names.trust_store, names.token_endpoint)
        }
        TokenError::NoEndpoint | TokenError::Exchange(_) => format!(" ({})", names.token_endpoint),
        _ => String::new(),
    }
}

/// A moment at which the token has a successor, and is not over yet: half-way between renewal and end. Without a successor, the end.
fn between(renewal: Instant, ends: Option<Instant>, now: Instant) -> Option<Instant> {
    let ends = ends?;
    let middle = renewal + ends.saturating_duration_since(renewal) / 2;
    [middle, ends].into_iter().find(|moment| *moment > now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_socket_is_replaced_between_renewal_and_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(between(at(80), Some(at(100)), at(0)), Some(at(90)));
        assert_eq!(between(at(80), Some(at(100)), at(90)), Some(at(100)), "the endpoint was down at 80");
        assert_eq!(between(at(80), Some(at(100)), at(100)), None);
        assert_eq!(between(at(80), None, at(0)), None, "nobody knows its end");
        assert_eq!(between(at(100), Some(at(80)), at(0)), Some(at(100)));
    }

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

    /// P16: the setting that mends the lack of a token.
    #[test]
    fn each_fault_of_the_endpoint_names_the_setting_that_mends_it() {
        let (client, scope) = ("c".to_owned(), "s".to_owned());
        let tls = HttpsError::Tls { host: "am".to_owned(), words: "it is unknown".to_owned() };
        for (error, says) in [
            (
                TokenError::InvalidClient { client: client.clone(), status: 401 },
                " (the.clientId and the.clientSecret)",
            ),
            (TokenError::InvalidScope { client, scope, status: 400 }, " (the.scope)"),
            (TokenError::NoEndpoint, " (the.tokenEndpoint)"),
            (TokenError::Exchange(std::sync::Arc::new(tls)), " (the.trustStoreFile, the.tokenEndpoint)"),
            (TokenError::Unavailable { status: 503 }, ""),
        ] {
            assert_eq!(setting(&error, &NAMES), says);
        }
    }
}
