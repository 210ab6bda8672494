//! Tokens whose signature was verified before, so that most connections cost no signature check.
//!
//! A token is kept as its tag only. It counts as long as the issuer has the key that signed it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcs_core::agreed::At;

use super::Tag;
use super::claims::Claims;
use super::jwks::{KeySet, Print};
use crate::limits::TOKENS_REMEMBERED_MAX;

/// The tokens of one issuer.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<Tag, One>>);

#[derive(Debug)]
struct One {
    claims: Arc<Claims>,
    key: Print,
    until: At,
}

impl Verified {
    /// What a token says that was verified with a key of this set.
    pub(super) fn known(&self, tag: &Tag, keys: &KeySet) -> Option<Arc<Claims>> {
        let all = self.all();
        let one = all.get(tag).filter(|one| keys.has(&one.key))?;
        Some(Arc::clone(&one.claims))
    }

    /// Remembers a token that was verified with this key.
    pub(super) fn learn(&self, tag: Tag, claims: Arc<Claims>, key: Print, until: At, now: At) {
        let mut all = self.all();
        if all.len() >= TOKENS_REMEMBERED_MAX {
            all.retain(|_, one| one.until > now);
            if all.len() >= TOKENS_REMEMBERED_MAX {
                all.clear();
            }
        }
        all.insert(tag, One { claims, key, until });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Tag, One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
