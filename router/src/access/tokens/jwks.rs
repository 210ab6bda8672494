//! The public keys of an issuer (JWKS, RFC 7517).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Parts};
use crate::limits::JWKS_KEYS_MAX;

/// What tells two keys apart: a digest of the key's content.
pub(super) type Print = [u8; 32];

/// The keys that an issuer signs with, as far as they fit the algorithms of the issuer's entry.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Arc<Key>>);

/// One public key.
pub(super) struct Key {
    /// The name that tokens call the key by.
    kid: Option<String>,
    /// The key, ready for each algorithm that it may be used with: those that are pinned, fit the type of the key, and are not excluded by
    /// the key itself.
    uses: Vec<(Algorithm, ParsedPublicKey)>,
    print: Print,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses: Vec<_> = self.uses.iter().map(|(algorithm, _)| algorithm).collect();
        f.debug_struct("Key").field("kid", &self.kid).field("uses", &uses).finish_non_exhaustive()
    }
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// No key has the name. A fresher set may have one.
    Unknown,
    /// The key of this name is for other algorithms.
    OtherAlgorithm,
    /// The token names no key, and this many fit.
    Unnamed(usize),
}

impl KeySet {
    /// Reads a set. Keys that are of no use are left out: those for encryption, of other types, or with algorithms that are not pinned.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the file or address.
    pub(super) fn parse(bytes: &[u8], pinned: &[Algorithm]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(bytes).map_err(|error| match error.is_data() {
            true => format!("is no key set (JWKS): {error}"),
            false => "is no JSON: it must hold the issuer's key set (JWKS)".to_owned(),
        })?;
        let keys: Vec<_> =
            written.keys.0.iter().filter_map(|key| Key::of(key, pinned)).map(Arc::new).collect();
        if keys.is_empty() {
            let names: Vec<_> = pinned.iter().map(|algorithm| algorithm.name()).collect();
            let names = names.join(", ");
            return Err(format!(
                "has no key for signatures with {names}: compare the algorithms of the issuer with those of its entry"
            ));
        }
        Ok(Self(keys))
    }

    /// How many keys are of use.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token with this algorithm and name of a key. There are several only if the issuer gave them one name.
    ///
    /// # Errors
    /// [`NoKey`]
    pub(super) fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, NoKey> {
        let fits = |key: &&Arc<Key>| key.uses.iter().any(|(of, _)| *of == algorithm);
        let Some(kid) = kid else {
            let fitting: Vec<_> = self.0.iter().filter(fits).cloned().collect();
            return match fitting.len() {
                0 => Err(NoKey::OtherAlgorithm),
                1 => Ok(fitting),
                many => Err(NoKey::Unnamed(many)),
            };
        };
        let mut named = self.0.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Err(NoKey::Unknown);
        }
        let fitting: Vec<_> = named.filter(fits).cloned().collect();
        if fitting.is_empty() { Err(NoKey::OtherAlgorithm) } else { Ok(fitting) }
    }

    /// Whether the set has this very key.
    pub(super) fn has(&self, print: &Print) -> bool {
        self.0.iter().any(|key| key.print == *print)
    }

    /// Whether both sets have the same keys.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.len() == other.len() && self.0.iter().all(|key| other.has(&key.print))
    }
}

impl Key {
    /// The key, if it can have signed anything that is accepted.
    fn of(written: &Map<String, Value>, pinned: &[Algorithm]) -> Option<Self> {
        let text = |name: &str| written.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let operations = written.get("key_ops").and_then(Value::as_array);
        if operations.is_some_and(|all| !all.iter().any(|one| one == "verify")) {
            return None;
        }
        let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        let (kind, curve) = (text("kty")?, text("crv").unwrap_or_default());
        let (first, second) = match kind {
            "RSA" => (bytes("n")?, bytes("e")?),
            "EC" => (bytes("x")?, bytes("y")?),
            "OKP" if curve == "Ed25519" => (bytes("x")?, Vec::new()),
            // Shared secrets (oct) among them: they prove nothing to whoever does not have them.
            _ => return None,
        };
        let parts = match kind {
            // Some issuers write a zero in front of the modulus.
            "RSA" => Parts::Rsa { n: without_zeros(&first), e: without_zeros(&second) },
            "EC" => Parts::Ec { curve, x: &first, y: &second },
            _ => Parts::Ed25519 { x: &first },
        };
        let own = text("alg");
        let may = |algorithm: &&Algorithm| own.is_none_or(|own| Algorithm::named(own) == Some(**algorithm));
        let uses: Vec<_> = pinned
            .iter()
            .filter(may)
            .filter_map(|algorithm| Some((*algorithm, algorithm.key(parts)?.ok()?)))
            .collect();
        if uses.is_empty() {
            return None;
        }
        let kid = text("kid").map(str::to_owned);
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [
            kid.as_deref().unwrap_or_default().as_bytes(),
            kind.as_bytes(),
            curve.as_bytes(),
            &first,
            &second,
        ] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        for (algorithm, _) in &uses {
            context.update(algorithm.name().as_bytes());
        }
        let mut print = Print::default();
        print.copy_from_slice(context.finish().as_ref());
        Some(Self { kid, uses, print })
    }

    /// What tells this key from others.
    pub(super) fn print(&self) -> Print {
        self.print
    }

    /// Whether the key signed these bytes with this algorithm. This takes some 50 µs.
    pub(super) fn signed(&self, algorithm: Algorithm, bytes: &[u8], signature: &[u8]) -> bool {
        let of = self.uses.iter().find(|(of, _)| *of == algorithm);
        of.is_some_and(|(_, key)| key.verify_sig(bytes, signature).is_ok())
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[derive(Deserialize)]
struct Written {
    keys: Keys,
}

/// The keys as they are written. The list is bounded while it is read: a short text may hold very many keys.
struct Keys(Vec<Map<String, Value>>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = list.next_element()? {
                    if keys.len() >= JWKS_KEYS_MAX {
                        return Err(de::Error::custom(format_args!("it has more than {JWKS_KEYS_MAX} keys")));
                    }
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        from.deserialize_seq(Bounded)
    }
}
