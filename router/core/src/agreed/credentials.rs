//! Who may use the API, and which callers may connect, as salted hashes: a copy of the cluster state shows no token and no key.

use std::collections::BTreeMap;
use std::fmt;

use rcs_proto::manifest::{Digest, Hasher};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::limits::{API_TOKENS_MAX, CALLER_PRINCIPALS_MAX, CREDENTIALS_PER_PRINCIPAL_MAX};
use super::refusal::CommandRefusal;
use super::stored::{hex128, text};
use super::{Done, refuse_bad_name};

/// The salted hash of a secret: SHA-256 of the 16 bytes of the salt (big endian) and the bytes of the secret. One round is enough, because
/// the secret is drawn at random and has 128 bits or more. A password that a person chose must not be kept in this form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Salted {
    #[serde(with = "hex128")]
    salt: u128,
    #[serde(with = "text")]
    hash: Digest,
}

impl fmt::Debug for Salted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salted(***)")
    }
}

impl Salted {
    /// Hashes a secret. The router that proposes the command draws the salt: 128 random bits.
    pub fn new(salt: u128, secret: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&salt.to_be_bytes());
        hasher.update(secret.as_bytes());
        Self { salt, hash: hasher.finish() }
    }

    /// Whether this is the hash of that secret. Takes the same time wherever the hashes differ.
    pub fn is_of(&self, secret: &str) -> bool {
        let other = Self::new(self.salt, secret);
        self.hash.bytes().ct_eq(other.hash.bytes()).into()
    }
}

/// What a token allows in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Role {
    /// To read.
    Viewer,
    /// To read and to change, but for tokens and the cluster's routers.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The word for logs, the API and the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A token for the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// What the token allows.
    pub role: Role,
    /// Its hash.
    pub hash: Salted,
}

/// All credentials of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// By the name of the token.
    api_tokens: BTreeMap<String, ApiToken>,
    /// By the principal, then by the name of the credential.
    callers: BTreeMap<String, BTreeMap<String, Salted>>,
}

impl Credentials {
    /// The name and role of an API token; none if it is no token of the cluster.
    pub fn api(&self, token: &str) -> Option<(&str, Role)> {
        let found = self.api_tokens.iter().find(|(_, known)| known.hash.is_of(token));
        found.map(|(name, known)| (name.as_str(), known.role))
    }

    /// The name of the credential with which a caller proves this principal; none if the key is wrong.
    pub fn caller(&self, principal: &str, key: &str) -> Option<&str> {
        let known = self.callers.get(principal)?;
        known.iter().find(|(_, hash)| hash.is_of(key)).map(|(name, _)| name.as_str())
    }

    /// Names and roles of the API tokens, by name.
    pub fn api_tokens(&self) -> impl Iterator<Item = (&str, Role)> {
        self.api_tokens.iter().map(|(name, token)| (name.as_str(), token.role))
    }

    /// Principals and names of the callers' credentials, by principal and name.
    pub fn callers(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = |(principal, known)| {
            let known: &BTreeMap<String, Salted> = known;
            let principal: &String = principal;
            known.keys().map(move |name| (principal.as_str(), name.as_str()))
        };
        self.callers.iter().flat_map(names)
    }

    pub(super) fn grant_api(&mut self, name: &str, token: &ApiToken) -> Result<Done, CommandRefusal> {
        refuse_bad_name(name)?;
        if self.api_tokens.get(name).is_some_and(|present| present != token) {
            return Err(CommandRefusal::TokenExists(name.to_owned()));
        }
        if !self.api_tokens.contains_key(name) && self.api_tokens.len() >= API_TOKENS_MAX {
            return Err(CommandRefusal::TooMany { what: "API tokens", max: API_TOKENS_MAX });
        }
        Ok(put(&mut self.api_tokens, name, token))
    }

    pub(super) fn revoke_api(&mut self, name: &str) -> Result<Done, CommandRefusal> {
        let removed = self.api_tokens.remove(name);
        removed.map(|_| Done::Changed).ok_or_else(|| CommandRefusal::NoCredential(name.to_owned()))
    }

    pub(super) fn grant_caller(
        &mut self,
        principal: &str,
        name: &str,
        hash: &Salted,
    ) -> Result<Done, CommandRefusal> {
        refuse_bad_name(principal)?;
        refuse_bad_name(name)?;
        let of_principal = self.callers.get(principal);
        if of_principal.is_none() && self.callers.len() >= CALLER_PRINCIPALS_MAX {
            return Err(CommandRefusal::TooMany {
                what: "principals with credentials",
                max: CALLER_PRINCIPALS_MAX,
            });
        }
        let is_another = |known: &BTreeMap<String, Salted>| {
            !known.contains_key(name) && known.len() >= CREDENTIALS_PER_PRINCIPAL_MAX
        };
        if of_principal.is_some_and(is_another) {
            let (what, max) = ("credentials of one principal", CREDENTIALS_PER_PRINCIPAL_MAX);
            return Err(CommandRefusal::TooMany { what, max });
        }
        Ok(put(self.callers.entry(principal.to_owned()).or_default(), name, hash))
    }

    pub(super) fn revoke_caller(&mut self, principal: &str, name: &str) -> Result<Done, CommandRefusal> {
        let removed = self.callers.get_mut(principal).and_then(|known| known.remove(name));
        self.callers.retain(|_, known| !known.is_empty());
        removed.map(|_| Done::Changed).ok_or_else(|| CommandRefusal::NoCredential(name.to_owned()))
    }

    /// Whether every bound holds.
    pub(super) fn is_within_bounds(&self) -> bool {
        let are_few = |known: &BTreeMap<_, _>| (1..=CREDENTIALS_PER_PRINCIPAL_MAX).contains(&known.len());
        self.api_tokens.len() <= API_TOKENS_MAX
            && self.callers.len() <= CALLER_PRINCIPALS_MAX
            && self.callers.values().all(are_few)
    }
}

fn put<T: Clone + PartialEq>(all: &mut BTreeMap<String, T>, name: &str, value: &T) -> Done {
    match all.get(name) {
        Some(present) if present == value => Done::Unchanged,
        _ => {
            all.insert(name.to_owned(), value.clone());
            Done::Changed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash_and_its_salt_counts() {
        let one = Salted::new(7, "a long random token");
        assert!(one.is_of("a long random token") && !one.is_of("a long random tokem") && !one.is_of(""));
        assert_ne!(one, Salted::new(8, "a long random token"));
        assert_eq!(format!("{one:?}"), "Salted(***)");
    }

    #[test]
    fn a_principal_has_two_keys_while_one_is_replaced() {
        let mut all = Credentials::default();
        for (name, key) in [("2026", "old"), ("2027", "new")] {
            assert_eq!(all.grant_caller("hr", name, &Salted::new(1, key)), Ok(Done::Changed));
        }
        assert_eq!(all.grant_caller("hr", "2027", &Salted::new(1, "new")), Ok(Done::Unchanged));
        assert_eq!((all.caller("hr", "old"), all.caller("hr", "new")), (Some("2026"), Some("2027")));
        assert_eq!((all.caller("hr", "other"), all.caller("crm", "old")), (None, None));
        assert_eq!(all.revoke_caller("hr", "2026"), Ok(Done::Changed));
        assert_eq!(all.revoke_caller("hr", "2026"), Err(CommandRefusal::NoCredential("2026".into())));
        assert_eq!(all.caller("hr", "old"), None);
        assert_eq!(all.callers().collect::<Vec<_>>(), [("hr", "2027")]);
    }

    #[test]
    fn there_are_only_so_many_and_a_key_can_always_be_replaced() {
        let mut all = Credentials::default();
        let token = |role| ApiToken { role, hash: Salted::new(1, "t") };
        for number in 0..API_TOKENS_MAX {
            assert_eq!(all.grant_api(&format!("t{number}"), &token(Role::Viewer)), Ok(Done::Changed));
        }
        assert!(matches!(all.grant_api("more", &token(Role::Viewer)), Err(CommandRefusal::TooMany { .. })));
        assert_eq!(all.grant_api("t3", &token(Role::Viewer)), Ok(Done::Unchanged));
        let taken = Err(CommandRefusal::TokenExists("t3".into()));
        assert_eq!(all.grant_api("t3", &token(Role::Operator)), taken, "nobody loses a token to a namesake");
        for number in 0..CREDENTIALS_PER_PRINCIPAL_MAX {
            assert!(all.grant_caller("hr", &number.to_string(), &Salted::new(1, "k")).is_ok());
        }
        assert!(all.grant_caller("hr", "more", &Salted::new(1, "k")).is_err());
        assert_eq!(all.grant_caller("hr", "1", &Salted::new(1, "l")), Ok(Done::Changed));
        assert!(all.is_within_bounds());
        assert_eq!(all.api("t"), Some(("t0", Role::Viewer)));
        assert_eq!(all.api("u"), None);
    }
}
