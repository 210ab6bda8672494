//! Who the node is to its peers: a principal with its password, or the holder of an access token (P17, P30, P31).

use rcs_oauth::token::{Token, Tokens};
use rcs_proto::driver::WebSocket;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialError, InClear, dial_with};
use tokio::time::Instant;

use super::words::Fault;
use super::{Peer, Proof};
use crate::config::AtTokenEnd;

/// What is shown to peers. Copies share their tokens.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Password(Credentials),
    Token(Holder),
}

/// An OAuth2 client with its tokens.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    client_id: String,
    endpoint: String,
    tokens: Tokens,
    in_clear: InClear,
    at_end: AtTokenEnd,
}

/// A WebSocket, and the moment at which another one has to replace it.
pub(super) struct Opened {
    pub(super) socket: WebSocket,
    pub(super) replaced_at: Option<Instant>,
}

impl Who {
    /// Must be called within a tokio runtime.
    pub(super) fn of(proof: Proof) -> Self {
        match proof {
            Proof::Password(credentials) => Self::Password(credentials),
            Proof::Token(setup) => Self::Token(Holder {
                client_id: setup.options.client_id.clone(),
                endpoint: setup.options.endpoint.to_string(),
                tokens: Tokens::start(setup.https, setup.options),
                in_clear: setup.in_clear,
                at_end: setup.at_end,
            }),
        }
    }

    /// The name that a peer knows.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Password(credentials) => &credentials.principal,
            Self::Token(holder) => &holder.client_id,
        }
    }

    /// Dials a peer.
    pub(super) async fn dial(&self, peer: &Peer) -> Result<Opened, Fault> {
        match self {
            Self::Password(credentials) => {
                let target = peer.target(DialAuthorization::Basic(credentials.clone()));
                let (socket, _) = dial_with(&target, &peer.extras).await.map_err(Fault::Dial)?;
                Ok(Opened { socket, replaced_at: None })
            }
            Self::Token(holder) => holder.dial(peer).await,
        }
    }
}

impl Holder {
    async fn dial(&self, peer: &Peer) -> Result<Opened, Fault> {
        let token = self.token().await?;
        match self.dial_with(peer, &token).await {
            // O04: a new token, and once more at once. If the endpoint gives no other one, once more is of no use.
            Err(error @ DialError::TokenRefused { status: 401 }) => match self.token().await {
                Ok(next) if !next.is(&token) => self.opened(self.dial_with(peer, &next).await, &next),
                _ => Err(Fault::Dial(error)),
            },
            outcome => self.opened(outcome, &token),
        }
    }

    async fn token(&self) -> Result<Token, Fault> {
        let no_token = |error| Fault::Token { endpoint: self.endpoint.clone(), error };
        self.tokens.token().await.map_err(no_token)
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
}
