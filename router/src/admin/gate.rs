//! Who may change something over the admin API: every request with the token; in development, on a loopback address, every
//! request. Requests that only read the state need no token, like `/metrics`: keep the address private.

use std::net::SocketAddr;

use axum::http::{HeaderMap, StatusCode, header};

use crate::access::Mode;
use crate::token::{TOKEN_VARIABLE, Token};

/// Judges requests that change something.
#[derive(Debug)]
pub(crate) struct Gate {
    token: Option<Token>,
    /// Whether changes need no token.
    open: bool,
}

/// How a request passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// With the token.
    WithToken,
    /// Without one, in development.
    Open,
}

/// Why a change is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error(
        "this change needs the router's API token: send Authorization: Bearer TOKEN (rcs-router: --token-file, or {TOKEN_VARIABLE})"
    )]
    NoToken,
    #[error(
        "wrong token: use a token that stands in the router's token file now, or in its {TOKEN_VARIABLE} if it has no file"
    )]
    WrongToken,
    #[error(
        "this router accepts no changes, as it has no API token: start it with {TOKEN_VARIABLE} or --admin-token-file"
    )]
    NoChanges,
}

impl Denied {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::WrongToken | Self::NoChanges => StatusCode::FORBIDDEN,
        }
    }
}

impl Gate {
    /// The gate of a router with this token, mode and admin address.
    pub(crate) fn new(token: Option<Token>, mode: Mode, address: SocketAddr) -> Self {
        Self { token, open: mode == Mode::Development && address.ip().is_loopback() }
    }

    /// Whether a request with these headers may change something.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<Passed, Denied> {
        match (&self.token, shown(headers)) {
            (Some(token), Some(shown)) if token.is(shown) => Ok(Passed::WithToken),
            (Some(_), Some(_)) => Err(Denied::WrongToken),
            _ if self.open => Ok(Passed::Open),
            (Some(_), None) => Err(Denied::NoToken),
            (None, _) => Err(Denied::NoChanges),
        }
    }

    /// Whether a request shows a token, right or wrong.
    pub(super) fn has_token(headers: &HeaderMap) -> bool {
        shown(headers).is_some()
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
    // Programs that were made for IDM prove themselves with this header.
    bearer.or_else(|| headers.get("x-openidm-password")?.to_str().ok())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_need_the_token_but_in_development_on_loopback() {
        use Denied::{NoChanges, NoToken, WrongToken};
        let (loopback, any) = ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        let (dev, live) = (Mode::Development, Mode::Production);
        for (token, mode, address, shown, outcome) in [
            (None, live, loopback, None, Err(NoChanges)),
            (None, live, loopback, Some("Bearer t"), Err(NoChanges)),
            (None, dev, any, None, Err(NoChanges)),
            (None, dev, loopback, None, Ok(Passed::Open)),
            (Some("t"), live, loopback, None, Err(NoToken)),
            (Some("t"), live, loopback, Some("Basic t"), Err(NoToken)),
            (Some("t"), live, loopback, Some("bearer t"), Ok(Passed::WithToken)),
            (Some("t"), live, any, Some("Bearer x"), Err(WrongToken)),
            (Some("t"), dev, any, None, Err(NoToken)),
            (Some("t"), dev, loopback, None, Ok(Passed::Open)),
            (Some("t"), dev, loopback, Some("Bearer x"), Err(WrongToken)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(header::AUTHORIZATION, shown.parse().unwrap());
            }
            let gate = Gate::new(token.map(Token::of), mode, address);
            assert_eq!(gate.judge(&headers), outcome, "{token:?} {mode:?} {address} {shown:?}");
        }
    }
}
