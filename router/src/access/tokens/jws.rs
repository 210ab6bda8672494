//! Signed tokens (JWT in the compact form of RFC 7515): what is in a token, before anything of it is believed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::fault::TokenFault;

/// A token in its parts. Nothing of it is proved.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) algorithm: Algorithm,
    /// The name of the key.
    pub(super) kid: Option<String>,
    /// The length of the text that is signed: header and payload.
    pub(super) signed_length: usize,
    pub(super) signature: Vec<u8>,
    pub(super) claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Types of tokens that are no access tokens, such as a proof of a DPoP client, must not be taken for one (RFC 8725 section 3.11).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Whether a token has the form of a signed token. All other tokens are opaque: only their issuer can read them.
pub(super) fn is_signed_form(token: &str) -> bool {
    let mut parts = token.split('.');
    let header = parts.next().and_then(decoded);
    let is_json = header.is_some_and(|header| header.first() == Some(&b'{'));
    is_json && parts.count() == 2
}

/// Reads a token of that form.
///
/// # Errors
/// [`TokenFault`]
pub(super) fn read(token: &str) -> Result<Signed, TokenFault> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenFault::Malformed);
    };
    let signed_length = header.len() + 1 + payload.len();
    let header: Header = json(header)?;
    if header.crit.is_some() {
        return Err(TokenFault::Extensions);
    }
    if header.typ.is_some_and(|typ| !TYPES.contains(&&*typ.to_ascii_lowercase())) {
        return Err(TokenFault::OtherType);
    }
    // `none` and algorithms with a shared secret have no name here.
    let algorithm = Algorithm::named(&header.alg).ok_or(TokenFault::AlgorithmNeverAccepted)?;
    let signature = decoded(signature).ok_or(TokenFault::Malformed)?;
    Ok(Signed { algorithm, kid: header.kid, signed_length, signature, claims: json(payload)? })
}

/// What a token says of its issuer, before anything is proved.
pub(super) fn issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: Option<String>,
    }
    json::<Issuer>(token.split('.').nth(1)?).ok()?.iss
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

fn json<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, TokenFault> {
    let bytes = decoded(part).ok_or(TokenFault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenFault::Malformed)
}
