//! What a token says: its client, its time, for whom it is.

use rcs_core::agreed::At;
use serde::Deserialize;
use serde_json::Value;

use super::fault::TokenFault;
use super::issuer::Expected;

/// What a token, or the answer of an introspection endpoint, says. Fields that are not listed do not matter.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Claims {
    iss: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    client_id: Option<Value>,
    azp: Option<Value>,
    sub: Option<Value>,
    scope: Option<Value>,
    cnf: Option<Value>,
    token_type: Option<Value>,
    typ: Option<Value>,
    #[serde(rename = "tokenName")]
    token_name: Option<Value>,
    token_use: Option<Value>,
    at_hash: Option<Value>,
    c_hash: Option<Value>,
}

/// Claims that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The name that the token stands for.
    pub(super) name: String,
    /// When the token ends, with the leeway of its issuer; `None` if the issuer answers for each use and says no end.
    pub(super) until: Option<At>,
    /// Until when the token has certainly not expired by the issuer's clock. From then on an issuer may call it inactive for its age alone.
    pub(super) fresh_until: Option<At>,
}

/// Whether a token must say when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Yes: nobody else says when.
    Required,
    /// No: the issuer is asked again and again.
    Optional,
}

impl Claims {
    /// Checks everything but the signature.
    ///
    /// # Errors
    /// [`TokenFault`]
    pub(super) fn check(&self, expected: &Expected, end: End, now: At) -> Result<Subject, TokenFault> {
        if let Some(issuer) = &expected.issuer
            && (end == End::Required || self.iss.is_some())
            && self.iss.as_ref().and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenFault::WrongIssuer);
        }
        // Only the holder of a key may use such a token, and nobody proves here to have it (RFC 7800).
        if self.cnf.as_ref().is_some_and(|cnf| !cnf.is_null()) {
            return Err(TokenFault::BoundToKey);
        }
        if self.is_of_another_kind() {
            return Err(TokenFault::OtherType);
        }
        // An endpoint may answer for refresh tokens too (RFC 7662, section 4), and such a token opens nothing.
        if end == End::Optional && !says(self.token_type.as_ref(), &["bearer", "access_token"]) {
            return Err(TokenFault::OtherType);
        }
        let leeway = u64::try_from(expected.leeway.as_millis()).unwrap_or(u64::MAX);
        let until = match (moment(self.exp.as_ref())?, end) {
            (None, End::Required) => return Err(TokenFault::NoEnd),
            (None, End::Optional) => None,
            (Some(exp), _) if exp.0.saturating_add(leeway) <= now.0 => return Err(TokenFault::Expired(exp)),
            (Some(exp), _) => Some(At(exp.0.saturating_add(leeway))),
        };
        if let Some(nbf) = moment(self.nbf.as_ref())?
            && nbf.0 > now.0.saturating_add(leeway)
        {
            return Err(TokenFault::NotYet(nbf));
        }
        if let Some(audience) = &expected.audience
            && !texts(self.aud.as_ref()).any(|one| one == audience)
        {
            return Err(TokenFault::WrongAudience(audience.clone()));
        }
        let has = |scope: &String| {
            texts(self.scope.as_ref()).flat_map(str::split_ascii_whitespace).any(|one| one == scope)
        };
        if let Some(missing) = expected.scopes.iter().find(|scope| !has(scope)) {
            return Err(TokenFault::NoScope(missing.clone()));
        }
        let fresh_until = self.end().map(|exp| At(exp.0.saturating_sub(leeway)));
        Ok(Subject { name: self.name(expected, end)?, until, fresh_until })
    }

    /// When the token ends, if it says a moment.
    pub(super) fn end(&self) -> Option<At> {
        moment(self.exp.as_ref()).ok().flatten()
    }

    /// Whether the token shows a mark of another kind of token than an access token. Authorization servers sign ID tokens with the same keys,
    /// some with the client in `azp`, and an ID token is known to whoever the client logs in to. There is no standard mark of an ID token, so
    /// each mark is that of a server: `typ` of Keycloak, `tokenName` of PingAM, `token_use` of Cognito, and the hashes of OpenID Connect.
    fn is_of_another_kind(&self) -> bool {
        let is_given = |claim: &Option<Value>| claim.as_ref().is_some_and(|claim| !claim.is_null());
        !says(self.typ.as_ref(), &["bearer", "at+jwt", "access_token"])
            || !says(self.token_name.as_ref(), &["access_token"])
            || !says(self.token_use.as_ref(), &["access"])
            || is_given(&self.at_hash)
            || is_given(&self.c_hash)
    }

    /// The client that the token was issued to: `client_id`, else `azp`, else `sub`.
    ///
    /// In a signed token `sub` counts only if the token is certainly for this router: the authorization server signs ID tokens with the same
    /// keys, and `sub` of an ID token is a person, who may choose the own name.
    fn name(&self, expected: &Expected, end: End) -> Result<String, TokenFault> {
        let given = |name: &&Value| !name.is_null();
        let client = [&self.client_id, &self.azp].into_iter().flatten().find(given);
        let does_sub_count = end == End::Optional || expected.audience.is_some();
        let name = match (client, self.sub.as_ref().filter(given)) {
            (None, Some(_)) if !does_sub_count => return Err(TokenFault::NoClient),
            (client, sub) => client.or(sub),
        };
        match name.and_then(Value::as_str) {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(TokenFault::NoName),
        }
    }
}

/// Whether a claim is absent, or one of these words in whatever letters.
fn says(claim: Option<&Value>, words: &[&str]) -> bool {
    let Some(told) = claim.filter(|told| !told.is_null()) else { return true };
    told.as_str().is_some_and(|told| words.iter().any(|word| told.eq_ignore_ascii_case(word)))
}

/// A claim that is a text or a list of texts.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::Array(many)) => (None, Some(many)),
        one => (one, None),
    };
    one.into_iter().chain(many.into_iter().flatten()).filter_map(Value::as_str)
}

/// A moment in seconds since 1970, perhaps with a fraction.
fn moment(claim: Option<&Value>) -> Result<Option<At>, TokenFault> {
    let Some(claim) = claim.filter(|claim| !claim.is_null()) else { return Ok(None) };
    if let Some(seconds) = claim.as_u64() {
        return Ok(Some(At(seconds.saturating_mul(1000))));
    }
    match claim.as_f64() {
        // The conversion saturates.
        Some(seconds) if seconds >= 0.0 => Ok(Some(At((seconds * 1000.0) as u64))),
        _ => Err(TokenFault::Malformed),
    }
}
