//! Who sent a request, for the audit log and for the log.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use rcs_core::agreed::credentials::Role;

use crate::control::Origin;

/// What the audit log calls whoever has the router's own token.
const OWN: &str = "api token";
/// What the audit log calls whoever needed no token.
const NOBODY: &str = "no token";

/// Who sent a request, as far as the request proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requester {
    /// Somebody with the router's own token.
    Own,
    /// Somebody with a token of the cluster.
    Token {
        /// The token's name.
        name: String,
        /// What the token allows.
        role: Role,
    },
    /// Somebody without a token, in development.
    Nobody,
}

impl Requester {
    fn name(&self) -> &str {
        match self {
            Self::Own => OWN,
            Self::Token { name, .. } => name,
            Self::Nobody => NOBODY,
        }
    }

    /// Whether the audit log uses this name for somebody without a token of the cluster, for files, for options or for a router. So no
    /// token may have the name.
    pub(super) fn is_reserved(name: &str) -> bool {
        [OWN, NOBODY, "files", "options"].contains(&name) || name.starts_with("router ")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let who = parts.extensions.get::<Requester>().map_or(NOBODY, Requester::name).to_owned();
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let from = peer.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default();
        Ok(Self { who, from })
    }
}
