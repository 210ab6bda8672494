//! Hashes of keys: argon2id in the PHC string format, as `rcs-router hash-key` prints them.

use std::fmt;
use std::sync::OnceLock;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::memo::Tag;
use crate::limits::{HASH_MEMORY_MAX_KIB, HASH_MEMORY_MIN_KIB, HASH_PASSES_MAX, HASH_WORK_MAX_KIB};

/// The hash of one key.
pub(crate) struct Hash {
    /// The hash as it stands in the file.
    text: String,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
    /// The tag of the key that was found to be right.
    right: OnceLock<Tag>,
}

/// The text would help to find a weak key.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(***)")
    }
}

/// The memory that a thread computes hashes in.
pub(crate) type Memory = Vec<Block>;

impl Hash {
    /// Hashes a key with 16 random bytes.
    pub(crate) fn of(key: &str, salt: [u8; 16]) -> Self {
        let params = Params::DEFAULT;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        fill(&params, key, &salt, &mut output, &mut Memory::new());
        let why =
            "the default parameters, 16 bytes of salt and 32 bytes of output are within the format's bounds";
        let hash = PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).expect(why),
            salt: Some(Salt::new(&salt).expect(why)),
            hash: Some(Output::new(&output).expect(why)),
        };
        let text = hash.to_string();
        Self { text, params, salt: salt.to_vec(), output: output.to_vec(), right: OnceLock::new() }
    }

    /// Reads a hash. The reason says what is wrong and what to do, and never contains the text: the text may be a key.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let hash = PasswordHash::new(text).map_err(
            |_| "is not a hash that `rcs-router hash-key` printed: make one with this command, and keep the key itself out of the file",
        )?;
        if hash.algorithm != argon2::ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
            return Err(
                "is a hash of another kind than argon2id (v=19): make one with `rcs-router hash-key`",
            );
        }
        let params = Params::try_from(&hash).map_err(
            |_| "has parameters that argon2id does not have: make it anew with `rcs-router hash-key`",
        )?;
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else {
            return Err(
                "is incomplete, it lacks its salt or its last part: copy the whole line that `rcs-router hash-key` printed",
            );
        };
        let (memory, passes) = (params.m_cost(), params.t_cost());
        if !(HASH_MEMORY_MIN_KIB..=HASH_MEMORY_MAX_KIB).contains(&memory)
            || passes > HASH_PASSES_MAX
            || memory.saturating_mul(passes) > HASH_WORK_MAX_KIB
            || params.p_cost() != 1
            || output.len() < Params::DEFAULT_OUTPUT_LEN
        {
            return Err(
                "has parameters that are too weak or too costly for the router: make it anew with `rcs-router hash-key`",
            );
        }
        let (salt, output) = (salt.to_vec(), output.as_bytes().to_vec());
        Ok(Self { text: text.to_owned(), params, salt, output, right: OnceLock::new() })
    }

    /// The hash as it stands in a file of credentials.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is the hash of that key. This takes milliseconds, and up to [`HASH_MEMORY_MAX_KIB`] of memory.
    pub(super) fn verify(&self, key: &str, memory: &mut Memory) -> bool {
        let mut output = vec![0; self.output.len()];
        fill(&self.params, key, &self.salt, &mut output, memory) && output.ct_eq(&self.output).into()
    }

    /// Remembers the tag of the right key.
    pub(super) fn is_right(&self, tag: Tag) {
        // A hash has one right key. So a second tag is equal to the first one.
        let _ = self.right.set(tag);
    }

    /// Whether a key with this tag was found to be right before.
    pub(super) fn is_known_to_be_right(&self, tag: &Tag) -> bool {
        self.right.get().is_some_and(|right| right.ct_eq(tag).into())
    }
}

/// Returns false if the key cannot be hashed. No key of a request is too long for that.
fn fill(params: &Params, key: &str, salt: &[u8], output: &mut [u8], memory: &mut Memory) -> bool {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2.hash_password_into_with_memory(key.as_bytes(), salt, output, &mut memory[..blocks]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash() {
        let made = Hash::of("a key", [7; 16]);
        assert!(made.text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", made.text());
        let read = Hash::parse(made.text()).unwrap();
        let mut memory = Memory::new();
        assert!(read.verify("a key", &mut memory) && !read.verify("a keY", &mut memory));
        assert!(!read.verify("", &mut memory) && !read.verify(&"k".repeat(8 << 10), &mut memory));
        assert_ne!(made.text(), Hash::of("a key", [8; 16]).text(), "the salt counts");
        assert_eq!(format!("{read:?}"), "Hash(***)");
    }

    /// A file must not make the router spend more than it has.
    #[test]
    fn what_is_no_hash_or_would_cost_too_much_is_refused_without_being_shown() {
        let made = Hash::of("a key", [7; 16]);
        let with = |from: &str, to: &str| made.text().replace(from, to);
        let cut = made.text().rsplit_once('$').unwrap().0.to_owned();
        for (text, part) in [
            ("the-key-itself".to_owned(), "keep the key itself out"),
            (String::new(), "hash-key"),
            (with("argon2id", "argon2i"), "another kind"),
            (with("v=19", "v=16"), "another kind"),
            (with("m=19456", "m=1024"), "too weak or too costly"),
            (with("m=19456", "m=4000000"), "too weak or too costly"),
            (with("t=2", "t=4000000"), "too weak or too costly"),
            (with("m=19456,t=2", "m=65536,t=8"), "too weak or too costly"),
            (with("p=1", "p=4"), "too weak or too costly"),
            (cut, "incomplete"),
        ] {
            let why = Hash::parse(&text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
