//! Why a token is refused: a sentence for its sender and for the log. No sentence has a part of the token, except the name of a client and
//! a moment of a token whose signature is good.

use rcs_core::agreed::At;
use rcs_proto::driver::accept::{Refusal, RefusalStatus};
use rcs_proto::manifest::Shown;

use super::algorithm::Algorithm;
use crate::clock::rfc3339;
use crate::limits::ACCESS_TOKEN_BYTES_MAX;

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    /// The token came without TLS, from another machine.
    Plain,
    /// The file of credentials has no issuer.
    NoIssuers,
    TooLong,
    Malformed,
    /// The token is not a signed one, and no issuer has an introspection endpoint.
    Opaque,
    /// No entry has the issuer that the token names.
    UnknownIssuer,
    WrongIssuer,
    AlgorithmNeverAccepted,
    AlgorithmNotPinned(Algorithm),
    /// The header of the token asks for extensions.
    Extensions,
    OtherType,
    UnknownKey,
    /// The key of this name is for other algorithms.
    OtherAlgorithm,
    /// The token names no key, and this many keys fit.
    UnnamedKey(usize),
    WrongSignature,
    NoEnd,
    Expired(At),
    NotYet(At),
    WrongAudience(String),
    NoScope(String),
    BoundToKey,
    /// The token names no client.
    NoName,
    /// The token has neither `client_id` nor `azp`, and `sub` does not count.
    NoClient,
    /// The issuer says that the token is not active.
    Inactive,
    /// The introspection endpoint answered for this token with this status.
    NotAccepted(u16),
    /// No entry of the file of credentials has the name of this client.
    NoEntry(String),
    /// The entry of this client's name is not proved by tokens of this issuer.
    NotByToken(String),
    /// The entry of this name has expired.
    EntryExpired(String, At),
    /// The router has no keys that count, and cannot fetch them. The log says why.
    NoKeys,
    /// The router does not know the key that the token names, and cannot fetch the keys again. The log says why.
    PerhapsNewKey,
    /// The issuer cannot be asked. The log says why.
    NotAsked,
    TooMany,
}

impl TokenFault {
    /// What the sender is told. `issuer` is the name of the issuer's entry, if the issuer is known.
    pub(super) fn refusal(&self, issuer: Option<&str>) -> Refusal {
        Refusal::new(self.status(), self.sentence(issuer.unwrap_or("?")))
    }

    fn status(&self) -> RefusalStatus {
        match self {
            Self::NoIssuers => RefusalStatus::Unauthorized,
            Self::Plain | Self::NoEntry(_) | Self::NotByToken(_) | Self::EntryExpired(..) => {
                RefusalStatus::NotAllowed
            }
            Self::NoKeys | Self::PerhapsNewKey | Self::NotAsked => RefusalStatus::CannotVerify,
            Self::TooMany => RefusalStatus::Unavailable,
            _ => RefusalStatus::InvalidToken,
        }
    }

    fn sentence(&self, issuer: &str) -> String {
        match self {
            Self::Plain => "a token must not come without TLS, where others can read the token: use wss and an address of the router with TLS, \
                            and have this token revoked"
                .to_owned(),
            Self::NoIssuers => "this router accepts no tokens: send Authorization: Basic with a principal and its key, or add [issuer.NAME] to \
                                the router's file of credentials"
                .to_owned(),
            Self::TooLong => format!(
                "the token has more than {ACCESS_TOKEN_BYTES_MAX} bytes: have the authorization server put fewer claims into the token"
            ),
            Self::Malformed => "the token cannot be read: fetch a new token, and send it whole".to_owned(),
            Self::Opaque => "the token is opaque, and no issuer has an introspection endpoint: add `introspection` to an [issuer.NAME] of the \
                             router's file of credentials, or have the authorization server issue signed tokens (JWT)"
                .to_owned(),
            Self::UnknownIssuer => "no [issuer.NAME] of the router's file of credentials has the issuer (iss) of this token: fetch the token \
                                    from the authorization server that the router knows, or add an entry for this issuer"
                .to_owned(),
            Self::WrongIssuer => {
                format!("the token is of another issuer (iss) than [issuer.{issuer}] says: compare both")
            }
            Self::AlgorithmNeverAccepted => "the token is signed with an algorithm that is never accepted, such as none or HS256: have the \
                                             authorization server sign with a private key, for example with RS256"
                .to_owned(),
            Self::AlgorithmNotPinned(algorithm) => format!(
                "the token is signed with {0}, which [issuer.{issuer}] does not accept: add {0} to `algorithms`, if the issuer is meant to sign \
                 with this algorithm",
                algorithm.name()
            ),
            Self::Extensions => "the header of the token asks for extensions (crit), which the router does not have: have the authorization \
                                 server issue plain signed tokens"
                .to_owned(),
            Self::OtherType => {
                "this is a token of another type (typ) than an access token: send the access token".to_owned()
            }
            Self::UnknownKey => format!(
                "the token names a key (kid) that [issuer.{issuer}] does not have: fetch a new token, and look whether jwks is the address \
                 of the authorization server that issued the token"
            ),
            Self::OtherAlgorithm => format!(
                "the key that the token names is not for the token's algorithm: compare `algorithms` of [issuer.{issuer}] with the key set \
                 of the issuer"
            ),
            Self::UnnamedKey(keys) => format!(
                "the token names no key (kid), and {keys} keys of [issuer.{issuer}] fit: have the authorization server name the key"
            ),
            Self::WrongSignature => format!("the token is not signed by [issuer.{issuer}]: fetch a new token"),
            Self::NoEnd => "the token has no end (exp): have the authorization server issue tokens that expire".to_owned(),
            Self::Expired(at) => format!(
                "the token expired at {}: fetch a new token; if the token is new, compare the clocks of router and authorization server",
                rfc3339(*at)
            ),
            Self::NotYet(at) => format!(
                "the token is not valid before {}: compare the clocks of router and authorization server",
                rfc3339(*at)
            ),
            Self::WrongAudience(audience) => format!(
                "the token is for another audience (aud) than {}: ask the authorization server for a token with this audience",
                Shown::new(audience)
            ),
            Self::NoScope(scope) => format!(
                "the token lacks the scope {}: request this scope, and have the authorization server grant this scope to the client",
                Shown::new(scope)
            ),
            Self::BoundToKey => "the token is bound to a key (cnf), and may be used with a proof of this key only: ask for a plain bearer token"
                .to_owned(),
            Self::NoName => {
                "the token names no client (client_id, azp or sub): have the authorization server name the client".to_owned()
            }
            Self::NoClient => format!(
                "the token has neither client_id nor azp: set audience for [issuer.{issuer}] if sub is to count"
            ),
            Self::Inactive => format!(
                "[issuer.{issuer}] says that the token is not active: fetch a new token; if that does not help, see whether the client was \
                 deactivated"
            ),
            Self::NotAccepted(status) => format!(
                "the introspection endpoint of [issuer.{issuer}] does not accept the token (HTTP {status}): fetch a new token"
            ),
            Self::NoEntry(name) => {
                let name = Shown::new(name);
                format!(
                    "the token is that of client {name}, which has no entry in the router's file of credentials: add [caller.NAME] or \
                     [member.NAME] for this client, with token = \"{issuer}\""
                )
            }
            Self::NotByToken(name) => {
                let name = Shown::new(name);
                format!(
                    "the token is that of client {name}, whose entry in the router's file of credentials is not proved by tokens of this \
                     issuer: add token = \"{issuer}\" to the entry, if the client and the entry belong to the same peer"
                )
            }
            Self::EntryExpired(name, at) => format!(
                "the credential of {} expired at {}: set a later date in the router's file of credentials",
                Shown::new(name),
                rfc3339(*at)
            ),
            Self::NoKeys => format!(
                "the token cannot be verified now: the router has no valid keys of [issuer.{issuer}]. The router's log says why; try again later"
            ),
            Self::PerhapsNewKey => format!(
                "the token cannot be verified now: it names a key (kid) that the router does not know, and the keys of [issuer.{issuer}] cannot \
                 be fetched again. The router's log says why; try again later"
            ),
            Self::NotAsked => format!(
                "the token cannot be verified now: [issuer.{issuer}] cannot be asked. The router's log says why; try again later"
            ),
            Self::TooMany => {
                "too many tokens wait to be verified: look for peers with a wrong token, and try again".to_owned()
            }
        }
    }
}
