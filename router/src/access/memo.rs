//! What is known of keys that were verified before, so that most connections cost no argon2.
//!
//! Of a key only a tag is kept: its HMAC under a random key of the process, with the hash that the key was verified against. A tag never
//! leaves the process, and says nothing about another hash. So what is known stays true when the file of credentials changes, and it goes
//! with its hash.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;

use super::hash::Hash;
use crate::limits::WRONG_KEYS_REMEMBERED_MAX;

/// A key and a hash as one number.
pub(super) type Tag = [u8; 32];

/// What was found out about keys.
pub(super) struct Memo {
    process: hmac::Key,
    wrong: Mutex<HashSet<Tag>>,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Right,
    Wrong,
    /// Nothing.
    Not,
}

impl Memo {
    /// Nothing is known.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub(super) fn new() -> Result<Self, Unspecified> {
        Ok(Self { process: hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())?, wrong: Mutex::default() })
    }

    fn tag(&self, hash: &Hash, key: &str) -> Tag {
        let mut context = hmac::Context::with_key(&self.process);
        context.update(hash.text().as_bytes());
        // No hash contains this byte.
        context.update(&[0]);
        context.update(key.as_bytes());
        let signed = context.sign();
        let mut tag = Tag::default();
        tag.copy_from_slice(signed.as_ref());
        tag
    }

    pub(super) fn known(&self, hash: &Hash, key: &str) -> Known {
        let tag = self.tag(hash, key);
        if hash.is_known_to_be_right(&tag) {
            return Known::Right;
        }
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.contains(&tag) { Known::Wrong } else { Known::Not }
    }

    pub(super) fn learn(&self, hash: &Hash, key: &str, is_right: bool) {
        let tag = self.tag(hash, key);
        if is_right {
            return hash.is_right(tag);
        }
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        // A peer with a wrong key repeats this one key. Only an attacker has many.
        if wrong.len() >= WRONG_KEYS_REMEMBERED_MAX {
            wrong.clear();
        }
        wrong.insert(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_about_one_key_and_one_hash_and_is_bounded() {
        let memo = Memo::new().unwrap();
        let (one, other) = (Hash::of("k", [1; 16]), Hash::of("k", [2; 16]));
        assert_eq!(memo.known(&one, "k"), Known::Not);
        memo.learn(&one, "k", true);
        memo.learn(&one, "l", false);
        assert_eq!([memo.known(&one, "k"), memo.known(&one, "l")], [Known::Right, Known::Wrong]);
        assert_eq!([memo.known(&one, "m"), memo.known(&other, "k")], [Known::Not, Known::Not]);
        for number in 0..2 * WRONG_KEYS_REMEMBERED_MAX {
            memo.learn(&one, &number.to_string(), false);
        }
        assert!(memo.wrong.lock().unwrap().len() <= WRONG_KEYS_REMEMBERED_MAX);
        assert_eq!(memo.known(&one, "k"), Known::Right, "an attacker does not make the router forget");
    }
}
