//! Who may change something over the admin API: whoever shows the token. In development, on a loopback address, everybody.
//! What only shows the state is open, as `/metrics` is: the address is to be kept private.

use std::net::SocketAddr;

use axum::http::{HeaderMap, StatusCode, header};

use crate::access::Mode;
use crate::token::{TOKEN_VARIABLE, Token};

/// Judges requests that change something.
#[derive(Debug)]
pub(crate) struct Gate {
    token: Option<Token>,
    /// Whether requests without a token are let in.
    open: bool,
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error(
        "this needs the router's token: send Authorization: Bearer TOKEN (rcs-router reads {TOKEN_VARIABLE})"
    )]
    NoToken,
    #[error("wrong token: compare it with the one that the router was started with")]
    WrongToken,
    #[error("this router takes no changes: start it with {TOKEN_VARIABLE} or --admin-token-file")]
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
    /// The gate of a router that is started like this.
    pub(crate) fn new(token: Option<Token>, mode: Mode, address: SocketAddr) -> Self {
        Self { token, open: mode == Mode::Development && address.ip().is_loopback() }
    }

    /// Whether a request with these headers is let in.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
        match (&self.token, shown) {
            (Some(token), Some(shown)) if token.is(shown) => Ok(()),
            (Some(_), Some(_)) => Err(Denied::WrongToken),
            _ if self.open => Ok(()),
            (Some(_), None) => Err(Denied::NoToken),
            (None, _) => Err(Denied::NoChanges),
        }
    }
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
            (None, dev, loopback, None, Ok(())),
            (Some("t"), live, loopback, None, Err(NoToken)),
            (Some("t"), live, loopback, Some("Basic t"), Err(NoToken)),
            (Some("t"), live, loopback, Some("bearer t"), Ok(())),
            (Some("t"), live, any, Some("Bearer x"), Err(WrongToken)),
            (Some("t"), dev, any, None, Err(NoToken)),
            (Some("t"), dev, loopback, None, Ok(())),
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
