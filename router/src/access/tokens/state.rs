//! How the issuers of access tokens are, for readers: `GET /v1/status`, `/metrics`.

use rcs_core::agreed::At;
use serde::Serialize;

use super::issuer::{Issuer, Keys, Proof, Signatures};
use crate::clock::rfc3339;

/// One issuer at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct IssuerState {
    /// The name of the issuer's entry.
    pub(crate) issuer: String,
    /// How its tokens are proved.
    pub(crate) kind: Kind,
    /// Whether the issuer answered when the router asked last; null for keys in a file.
    pub(crate) up: Option<bool>,
    /// When the issuer answered last (RFC 3339); null if it has not answered since the router started, or its entry changed.
    pub(crate) last_success: Option<String>,
    /// Why the last request failed, and what to do; null after one that succeeded.
    pub(crate) failure: Option<String>,
}

/// The setting that an issuer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An introspection endpoint.
    Introspection,
    /// The address of a key set.
    Jwks,
    /// A file with a key set.
    JwksFile,
}

/// What is known of the requests to an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// When a request succeeded last.
    pub(super) succeeded: Option<At>,
    /// Why the last request failed; `None` after one that succeeded.
    pub(super) failure: Option<String>,
}

impl IssuerState {
    pub(super) fn of(issuer: &Issuer) -> Self {
        let (kind, health) = match &issuer.proof {
            Proof::Introspection(endpoint) => (Kind::Introspection, Some(endpoint.health())),
            Proof::Signature(Signatures { keys: Keys::Fetched(keys), .. }) => {
                (Kind::Jwks, Some(keys.health()))
            }
            Proof::Signature(Signatures { keys: Keys::Fixed(_), .. }) => (Kind::JwksFile, None),
        };
        let up = health.as_ref().map(|health| health.failure.is_none());
        let Health { succeeded, failure } = health.unwrap_or_default();
        Self { issuer: issuer.name().to_owned(), kind, up, last_success: succeeded.map(rfc3339), failure }
    }

    /// A sentence for an operator, without full stop, if new connections with tokens of the issuer may be refused.
    pub(crate) fn warning(&self) -> Option<String> {
        let (name, why) = (&self.issuer, self.failure.as_ref()?);
        Some(match self.kind {
            Kind::Introspection => format!(
                "the issuer {name:?} of access tokens cannot be asked, so new connections with its tokens are refused and open ones stay: {why}"
            ),
            Kind::Jwks | Kind::JwksFile => format!(
                "the keys of the issuer {name:?} of access tokens cannot be fetched, so tokens that are signed with a new key are refused: {why}"
            ),
        })
    }
}
