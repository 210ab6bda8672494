//! Names that are proved by access tokens of an authorization server (RFC 6750), instead of keys.
//!
//! A signed token is verified with the issuer's keys, an opaque token by the issuer's introspection endpoint. The client of the token is
//! then looked up in the file of credentials like any other name. Nothing else gives a token a meaning.

mod algorithm;
mod claims;
mod endpoint;
mod fault;
mod introspection;
mod issuer;
mod jwks;
mod jws;
mod keys;
mod leases;
#[cfg(test)]
mod outages_tests;
mod state;
#[cfg(test)]
mod tests;
mod upkeep;
mod verified;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use rcs_proto::driver::accept::Refusal;
use rcs_proto::icf::Secret;
use tokio::sync::watch;
use tokio::time::Instant;

use self::claims::{Claims, End, Subject};
use self::fault::TokenFault;
pub(super) use self::issuer::{Issuer, Issuers};
use self::issuer::{Keys, Proof, Signatures};
use self::jwks::{Key, KeySet};
use self::leases::Leases;
pub(crate) use self::leases::{LeaseId, TokenLease, next_lease};
pub(crate) use self::state::IssuerState;
pub(crate) use self::upkeep::Revoked;
use super::Proved;
use super::table::Table;
use super::verifier::Verifier;
use crate::clock::wall;
use crate::limits::ACCESS_TOKEN_BYTES_MAX;

/// A token as one number: its HMAC under a random key of the process.
type Tag = [u8; 32];

/// Whether others could read what a connection carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// By TLS, or within this machine; or the router is in development.
    Privately,
    /// Over a network without TLS.
    InClear,
}

/// What judges tokens.
pub(super) struct Tokens {
    process: hmac::Key,
    leases: Arc<Leases>,
}

impl Tokens {
    /// # Errors
    /// The operating system has no random numbers.
    pub(super) fn new() -> Result<Self, Unspecified> {
        let process = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self { process, leases: Arc::default() })
    }

    /// What a token proves. With it comes the lease of the connection.
    ///
    /// # Errors
    /// The refusal that the sender is told.
    pub(super) async fn judge(
        &self,
        table: &Table,
        verifier: &Verifier,
        token: &Secret<String>,
        from: IpAddr,
        carried: Carried,
    ) -> Result<(Proved, TokenLease), Refusal> {
        let text = token.expose();
        let issuer = first_look(text, table.issuers(), carried).map_err(|fault| fault.refusal(None))?;
        let tag = self.tag(text);
        let told = |fault: TokenFault| fault.refusal(Some(issuer.name()));
        let (subject, asked) = match &issuer.proof {
            Proof::Introspection(endpoint) => {
                let answer = endpoint.ask(tag, token, from).await.map_err(told)?;
                let claims = answer.claims.ok_or(TokenFault::Inactive).map_err(told)?;
                (claims.check(issuer.expected(), End::Optional, wall()), answer.asked)
            }
            Proof::Signature(signatures) => {
                let claims =
                    signatures.verify(issuer.name(), (tag, token), verifier, from).await.map_err(told)?;
                (claims.check(issuer.expected(), End::Required, wall()), Instant::now())
            }
        };
        let subject = subject.map_err(told)?;
        let proved = of_name(table, issuer, &subject).map_err(told)?;
        let lease = self.leases.grant((tag, token), issuer, &subject, asked);
        Ok((proved, lease))
    }

    /// Looks after issuers and open connections for ever.
    pub(super) async fn keep_watch<F: Future<Output = ()>>(
        &self,
        table: watch::Receiver<Arc<Table>>,
        close: impl FnMut(Vec<Revoked>) -> F,
    ) {
        upkeep::run(table, Arc::clone(&self.leases), close).await;
    }

    fn tag(&self, token: &str) -> Tag {
        let mut tag = Tag::default();
        tag.copy_from_slice(hmac::sign(&self.process, token.as_bytes()).as_ref());
        tag
    }
}

/// What a token is told where no token is accepted.
pub(super) fn refuse_all() -> Refusal {
    TokenFault::NoIssuers.refusal(None)
}

/// Whose token it is, by what the token says itself. Nothing is proved yet.
fn first_look<'a>(
    token: &str,
    issuers: &'a Issuers,
    carried: Carried,
) -> Result<&'a Arc<Issuer>, TokenFault> {
    if carried == Carried::InClear {
        return Err(TokenFault::Plain);
    }
    if issuers.is_empty() {
        return Err(TokenFault::NoIssuers);
    }
    if token.len() > ACCESS_TOKEN_BYTES_MAX {
        return Err(TokenFault::TooLong);
    }
    // An authorization server that is asked about its tokens may sign them all the same.
    let signed = jws::is_signed_form(token);
    let own = signed.then(|| jws::issuer(token)).flatten().and_then(|iss| issuers.with_keys(&iss));
    match (own.or_else(|| issuers.introspecting()), signed) {
        (Some(issuer), _) => Ok(issuer),
        (None, true) => Err(TokenFault::UnknownIssuer),
        (None, false) => Err(TokenFault::Opaque),
    }
}

/// What the name of a token is for. The name must have an entry, and the entry must be proved by tokens of this issuer: so a client of one
/// issuer cannot take the name of another issuer's client, or a name that has a key.
fn of_name(table: &Table, issuer: &Issuer, subject: &Subject) -> Result<Proved, TokenFault> {
    let name = &*subject.name;
    let credential = table.get(name).ok_or_else(|| TokenFault::NoEntry(name.to_owned()))?;
    if credential.token.as_ref().is_none_or(|proving| proving.name() != issuer.name()) {
        return Err(TokenFault::NotByToken(name.to_owned()));
    }
    credential.proves(name).map_err(|at| TokenFault::EntryExpired(name.to_owned(), at))
}

impl Signatures {
    /// What a token of this issuer says whose signature is good.
    async fn verify(
        &self,
        issuer: &str,
        (tag, token): (Tag, &Secret<String>),
        verifier: &Verifier,
        from: IpAddr,
    ) -> Result<Arc<Claims>, TokenFault> {
        if let Some(keys) = self.keys.now()
            && let Some(claims) = self.verified.known(&tag, &keys)
        {
            return Ok(claims);
        }
        let signed = jws::read(token.expose())?;
        if !self.pinned.contains(&signed.algorithm) {
            return Err(TokenFault::AlgorithmNotPinned(signed.algorithm));
        }
        let keys = self.keys.fitting(&signed, from).await?;
        let claims = Arc::new(signed.claims);
        let (algorithm, length) = (signed.algorithm, signed.signed_length);
        let signature: Arc<[u8]> = signed.signature.into();
        let check = |keys: Vec<Arc<Key>>| {
            let (token, signature) = (token.clone(), Arc::clone(&signature));
            let signer = move || {
                let bytes = token.expose().as_bytes().get(..length).unwrap_or_default();
                let signer = keys.iter().find(|key| key.signed(algorithm, bytes, &signature));
                signer.map(|key| key.print()).ok_or(TokenFault::WrongSignature)
            };
            async { verifier.check(issuer, from, signer).await.map_err(|_| TokenFault::TooMany)? }
        };
        let key = match (check(keys.clone()).await, &self.keys) {
            // The key may be a new one, which the token does not name.
            (Err(TokenFault::WrongSignature), Keys::Fetched(fetched)) if signed.kid.is_none() => {
                match fetched.fresher(&keys, algorithm, from).await? {
                    Some(keys) => check(keys).await?,
                    None => return Err(TokenFault::WrongSignature),
                }
            }
            (key, _) => key?,
        };
        if let Some(until) = claims.end() {
            self.verified.learn(tag, Arc::clone(&claims), key, until, wall());
        }
        Ok(claims)
    }
}

impl Keys {
    fn now(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Fetched(keys) => keys.now(),
            Self::Fixed(keys) => Some(Arc::clone(keys)),
        }
    }

    async fn fitting(&self, token: &jws::Signed, from: IpAddr) -> Result<Vec<Arc<Key>>, TokenFault> {
        let kid = token.kid.as_deref();
        match self {
            Self::Fetched(keys) => keys.fitting(kid, token.algorithm, from).await,
            Self::Fixed(keys) => keys.fitting(kid, token.algorithm).map_err(keys::fault),
        }
    }
}
