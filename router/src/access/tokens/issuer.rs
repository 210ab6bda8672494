//! The issuers of tokens, as the file of credentials has them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rcs_core::view::is_usable_name;
use rcs_oauth::https::Url;
use rcs_proto::icf::Secret;
use toml::de::DeValue;

use super::algorithm::{ALGORITHM_NAMES, Algorithm};
use super::endpoint::{Endpoint, address};
use super::introspection::Introspection;
use super::jwks::KeySet;
use super::keys::FetchedKeys;
use super::state::IssuerState;
use super::verified::Verified;
use crate::access::beside::Beside;
use crate::access::fields::Fields;
use crate::access::{Mode, judge_any};
use crate::limits::{
    ISSUER_SCOPES_MAX, ISSUERS_MAX, JWKS_BYTES_MAX, KEY_FILE_BYTES_MAX, KEYS_AGE, KEYS_AGE_MAX, KEYS_AGE_MIN,
    RECHECK, RECHECK_MAX, RECHECK_MIN, TOKEN_LEEWAY, TOKEN_LEEWAY_MAX, TRUST_STORE_BYTES_MAX,
};

/// The keys of an issuer's entry.
const KEYS: [&str; 14] = [
    "introspection",
    "client_id",
    "client_secret_file",
    "recheck",
    "jwks",
    "jwks_file",
    "keys_age",
    "algorithms",
    "issuer",
    "audience",
    "scopes",
    "leeway",
    "after_expiry",
    "trust_store",
];

/// Those that only an issuer with an introspection endpoint has, and those that only an issuer with a key set has.
const OF_INTROSPECTION: [&str; 3] = ["client_id", "client_secret_file", "recheck"];
const OF_KEYS: [&str; 2] = ["keys_age", "algorithms"];

/// What a token of an issuer must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Who issued the token (`iss`).
    pub(super) issuer: Option<String>,
    /// For whom the token is (`aud`): this text must be among the audiences.
    pub(super) audience: Option<String>,
    /// What the token allows (`scope`): all of these.
    pub(super) scopes: Vec<String>,
    /// How far the clocks may differ.
    pub(super) leeway: Duration,
}

/// What becomes of a connection whose token has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterExpiry {
    /// The connection stays: the token was good when the connection was opened.
    Keep,
    /// The connection is closed.
    Close,
}

/// What an entry says, and what the files hold that it names. An issuer whose entry says the same as before goes on with what it knows.
#[derive(Clone, PartialEq)]
struct Written {
    expected: Expected,
    after_expiry: AfterExpiry,
    proof: ProofWritten,
    trust_store: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq)]
enum ProofWritten {
    Introspection { url: Url, client_id: String, secret: Secret<String>, recheck: Duration },
    Keys { url: Url, age: Duration, pinned: Vec<Algorithm> },
    KeyFile { content: Vec<u8>, pinned: Vec<Algorithm> },
}

/// An introspection endpoint, and the client as which the router asks there. An entry that leads elsewhere now is another endpoint; an entry
/// with a new secret or other times is the same one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct EndpointId {
    url: Url,
    client_id: String,
}

/// How the tokens of an issuer are proved.
pub(super) enum Proof {
    /// By the issuer's introspection endpoint (RFC 7662).
    Introspection(Arc<Introspection>),
    /// By signatures.
    Signature(Signatures),
}

/// What the signatures of an issuer are verified with.
pub(super) struct Signatures {
    pub(super) keys: Keys,
    /// The algorithms that the operator lists.
    pub(super) pinned: Vec<Algorithm>,
    /// Tokens that were verified before.
    pub(super) verified: Verified,
}

/// Where the keys come from.
pub(super) enum Keys {
    /// From an address.
    Fetched(Arc<FetchedKeys>),
    /// From a file.
    Fixed(Arc<KeySet>),
}

/// An authorization server whose tokens count.
pub(in crate::access) struct Issuer {
    name: String,
    written: Written,
    pub(super) proof: Proof,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Issuer {
    /// The name of the entry.
    pub(in crate::access) fn name(&self) -> &str {
        &self.name
    }

    /// How the issuer is.
    pub(in crate::access) fn state(&self) -> IssuerState {
        IssuerState::of(self)
    }

    /// Asks the issuer what the router would ask; a sentence without full stop.
    ///
    /// # Errors
    /// Why tokens of this issuer could not be verified now, and what to do.
    pub(in crate::access) async fn examine(&self) -> Result<String, String> {
        let asked = match &self.written.proof {
            ProofWritten::Introspection { url, .. } | ProofWritten::Keys { url, .. } => url.to_string(),
            ProofWritten::KeyFile { .. } => "the file".to_owned(),
        };
        let keys = |keys: usize| match keys {
            0 => Err(format!(
                "{asked} has no key for the algorithms of the entry: compare algorithms with the keys of the issuer"
            )),
            1 => Ok(format!("{asked} has 1 key that counts")),
            more => Ok(format!("{asked} has {more} keys that count")),
        };
        match &self.proof {
            Proof::Introspection(endpoint) => endpoint
                .examine()
                .await
                .map_err(|why| format!("{asked} cannot be asked: {why}"))
                .map(|()| format!("{asked} answers, and knows the router's client")),
            Proof::Signature(Signatures { keys: Keys::Fetched(fetched), .. }) => keys(
                fetched
                    .examine()
                    .await
                    .map_err(|why| format!("the keys at {asked} cannot be fetched: {why}"))?,
            ),
            Proof::Signature(Signatures { keys: Keys::Fixed(fixed), .. }) => keys(fixed.len()),
        }
    }

    /// Where the router asks about tokens; `None` for an issuer with keys.
    pub(super) fn endpoint_id(&self) -> Option<EndpointId> {
        match &self.written.proof {
            ProofWritten::Introspection { url, client_id, .. } => {
                Some(EndpointId { url: url.clone(), client_id: client_id.clone() })
            }
            ProofWritten::Keys { .. } | ProofWritten::KeyFile { .. } => None,
        }
    }

    /// What a token must say.
    pub(super) fn expected(&self) -> &Expected {
        &self.written.expected
    }

    /// What becomes of connections whose token has expired.
    pub(super) fn after_expiry(&self) -> AfterExpiry {
        self.written.after_expiry
    }
}

/// All issuers, by the names of their entries.
#[derive(Debug, Default)]
pub(in crate::access) struct Issuers(BTreeMap<String, Arc<Issuer>>);

impl Issuers {
    /// The issuer whose entry has this name.
    pub(in crate::access) fn named(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.0.get(name)
    }

    /// All of them.
    pub(in crate::access) fn all(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.0.values()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The issuer that has an introspection endpoint.
    pub(super) fn introspecting(&self) -> Option<&Arc<Issuer>> {
        self.all().find(|issuer| matches!(issuer.proof, Proof::Introspection(_)))
    }

    /// The issuer with keys whose tokens say this `iss`.
    pub(super) fn with_keys(&self, iss: &str) -> Option<&Arc<Issuer>> {
        let is_it = |issuer: &&Arc<Issuer>| {
            !matches!(issuer.proof, Proof::Introspection(_))
                && issuer.expected().issuer.as_deref() == Some(iss)
        };
        self.all().find(is_it)
    }

    /// Takes in an entry. An issuer of `before` with the same entry is taken over.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the entry, without a secret.
    pub(in crate::access) fn add(
        &mut self,
        name: &str,
        entry: &DeValue<'_>,
        before: &Self,
        mode: Mode,
        beside: &mut Beside,
    ) -> Result<(), String> {
        if !is_usable_name(name) {
            return Err("cannot be the name of an issuer: use letters, digits, - and _".to_owned());
        }
        let written = written(&Fields::of(entry, &KEYS)?, mode, beside)?;
        let known = before.named(name).filter(|known| known.written == written);
        let issuer = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Issuer { name: name.to_owned(), proof: proof(name, &written)?, written }),
        };
        match &issuer.proof {
            // An opaque token does not say who issued it, and must not be shown to anybody else.
            Proof::Introspection(_) if self.introspecting().is_some() => {
                return Err("is the second issuer with introspection, and an opaque token does not say whose it is: keep one of them".to_owned());
            }
            Proof::Signature(_)
                if issuer.expected().issuer.as_deref().is_some_and(|iss| self.with_keys(iss).is_some()) =>
            {
                return Err(
                    "has the issuer of another entry: give each authorization server one entry".to_owned()
                );
            }
            _ => {}
        }
        self.0.insert(name.to_owned(), issuer);
        if self.0.len() > ISSUERS_MAX {
            return Err(format!(
                "is one more than the {ISSUERS_MAX} issuers that the file may have: remove some"
            ));
        }
        Ok(())
    }
}

/// What an entry says.
fn written(fields: &Fields<'_, '_>, mode: Mode, beside: &mut Beside) -> Result<Written, String> {
    let one_of =
        "needs one of introspection = \"https://...\", jwks = \"https://...\" and jwks_file = \"FILE\"";
    let (introspection, jwks) = (fields.text("introspection")?, fields.text("jwks")?);
    let proof = match (introspection, jwks, fields.text("jwks_file")?) {
        (Some(url), None, None) => {
            without(fields, &OF_KEYS, "introspection")?;
            let (Some(client_id), Some(file)) =
                (fields.text("client_id")?, fields.text("client_secret_file")?)
            else {
                return Err("needs client_id and client_secret_file, with which the router asks the introspection endpoint".to_owned());
            };
            ProofWritten::Introspection {
                url: address(url, mode).map_err(|why| format!("introspection {why}"))?,
                client_id: client_id.to_owned(),
                secret: secret(beside, file)
                    .map_err(|why| format!("client_secret_file: the file {file} {why}"))?,
                recheck: fields.time("recheck", RECHECK_MIN..=RECHECK_MAX)?.unwrap_or(RECHECK),
            }
        }
        (None, Some(url), None) => {
            without(fields, &OF_INTROSPECTION, "jwks")?;
            ProofWritten::Keys {
                url: address(url, mode).map_err(|why| format!("jwks {why}"))?,
                age: fields.time("keys_age", KEYS_AGE_MIN..=KEYS_AGE_MAX)?.unwrap_or(KEYS_AGE),
                pinned: pinned(fields)?,
            }
        }
        (None, None, Some(path)) => {
            without(fields, &OF_INTROSPECTION, "jwks_file")?;
            without(fields, &["keys_age", "trust_store"], "jwks_file")?;
            let content = beside.plain(path, JWKS_BYTES_MAX);
            let content = content.map_err(|why| format!("jwks_file: the file {path} {why}"))?;
            ProofWritten::KeyFile { content, pinned: pinned(fields)? }
        }
        _ => return Err(one_of.to_owned()),
    };
    let issuer = fields.text("issuer")?.map(str::to_owned);
    if issuer.is_none() && introspection.is_none() {
        return Err(
            "needs issuer, the text that the authorization server puts into its tokens (iss)".to_owned()
        );
    }
    let scopes = match fields.has("scopes") {
        true => fields.texts("scopes", ISSUER_SCOPES_MAX)?.into_iter().map(str::to_owned).collect(),
        false => Vec::new(),
    };
    let leeway = fields.time("leeway", Duration::ZERO..=TOKEN_LEEWAY_MAX)?.unwrap_or(TOKEN_LEEWAY);
    let after_expiry = match fields.text("after_expiry")? {
        None | Some("keep") => AfterExpiry::Keep,
        Some("close") => AfterExpiry::Close,
        Some(_) => return Err("needs \"keep\" or \"close\" in after_expiry".to_owned()),
    };
    let trust_store = match fields.text("trust_store")? {
        None => None,
        Some(path) => {
            let bytes = beside.plain(path, TRUST_STORE_BYTES_MAX);
            Some(bytes.map_err(|why| format!("trust_store: the file {path} {why}"))?)
        }
    };
    let audience = fields.text("audience")?.map(str::to_owned);
    Ok(Written { expected: Expected { issuer, audience, scopes, leeway }, after_expiry, proof, trust_store })
}

fn without(fields: &Fields<'_, '_>, others: &[&str], has: &str) -> Result<(), String> {
    match others.iter().find(|other| fields.has(other)) {
        Some(other) => Err(format!("has {other}, which does not go with {has}: remove one of them")),
        None => Ok(()),
    }
}

fn pinned(fields: &Fields<'_, '_>) -> Result<Vec<Algorithm>, String> {
    if !fields.has("algorithms") {
        return Ok(vec![Algorithm::Rs256]);
    }
    let names = fields.texts("algorithms", Algorithm::COUNT)?;
    let named = |name: &str| {
        Algorithm::named(name).ok_or_else(|| {
            format!("has a name in algorithms that is none of {ALGORITHM_NAMES}: others are never accepted, such as none, or HS256, whose key is a shared secret")
        })
    };
    names.into_iter().map(named).collect()
}

fn secret(beside: &mut Beside, path: &str) -> Result<Secret<String>, String> {
    let bytes = beside.secret(path, KEY_FILE_BYTES_MAX)?;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = str::from_utf8(bytes).map_err(|_| "is not UTF-8 text: save it as UTF-8".to_owned())?;
    let line = text.lines().next().unwrap_or_default();
    judge_any(line).map_err(|why| format!("cannot be used: its first line {why}"))?;
    Ok(Secret::new(line.to_owned()))
}

fn proof(name: &str, written: &Written) -> Result<Proof, String> {
    let trusted = written.trust_store.as_deref();
    Ok(match &written.proof {
        ProofWritten::Introspection { url, client_id, secret, recheck } => {
            let endpoint = Endpoint::new(url, trusted)?;
            let client = (client_id.clone(), secret.clone());
            Proof::Introspection(Introspection::new(name, endpoint, client, *recheck))
        }
        ProofWritten::Keys { url, age, pinned } => {
            let endpoint = Endpoint::new(url, trusted)?;
            let keys = FetchedKeys::new(name, endpoint, pinned.clone(), *age);
            signatures(Keys::Fetched(keys), pinned)
        }
        ProofWritten::KeyFile { content, pinned } => {
            let keys = KeySet::parse(content, pinned).map_err(|why| format!("jwks_file: the file {why}"))?;
            signatures(Keys::Fixed(Arc::new(keys)), pinned)
        }
    })
}

fn signatures(keys: Keys, pinned: &[Algorithm]) -> Proof {
    Proof::Signature(Signatures { keys, pinned: pinned.to_vec(), verified: Verified::default() })
}
