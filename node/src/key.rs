//! The shared key of a listening RCS (P35, C06): what `connectorserver.key` holds and what a caller's password is held against.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

/// The key of a fresh installation, known to everyone; refused outside `--dev` (A09).
pub const DEFAULT_KEY_TEXT: &str = "changeit";

/// SHA-1 over the UTF-16BE bytes of the key (P35). `Debug` does not show the hash, because an attacker can check guesses of the key with
/// it. Overwritten with zeros when dropped.
#[derive(Clone)]
pub struct SharedKey([u8; 20]);

impl Drop for SharedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl SharedKey {
    /// A hash that belongs to no known key. It stands for a hash that could not be read, and a node never serves with it.
    pub(crate) fn nobodys() -> Self {
        Self([0; 20])
    }

    /// The hash of a key in clear.
    pub fn of_text(text: &str) -> Self {
        let mut hash = Sha1::new();
        for unit in text.encode_utf16() {
            hash.update(unit.to_be_bytes());
        }
        Self(hash.finalize().into())
    }

    /// Reads the form of the properties file: base64 of the 20 bytes.
    ///
    /// # Errors
    /// [`NoKeyHash`] for anything else; a key typed in clear into the file is the usual case.
    pub fn from_base64(text: &str) -> Result<Self, NoKeyHash> {
        let bytes = STANDARD.decode(text).map_err(|_| NoKeyHash)?;
        Ok(Self(bytes.try_into().map_err(|_| NoKeyHash)?))
    }

    /// The form of the properties file.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Whether a caller's password is this key; takes the same time for all wrong ones.
    pub fn admits(&self, password: &str) -> bool {
        self.0.ct_eq(&Self::of_text(password).0).into()
    }

    /// Whether this value stands for a hash that could not be read.
    pub(crate) fn is_nobodys(&self) -> bool {
        self.0.ct_eq(&Self::nobodys().0).into()
    }

    /// Whether this is the hash of [`DEFAULT_KEY_TEXT`].
    pub fn is_default(&self) -> bool {
        self.admits(DEFAULT_KEY_TEXT)
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(***)")
    }
}

/// The value of `connectorserver.key` is no key hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a key hash (base64 of 20 bytes): do not type the key in, set it with `rcs-node set-key FILE`"
)]
pub struct NoKeyHash;

#[cfg(test)]
mod tests {
    use super::*;

    /// P35: the value of the sample file, recomputed.
    #[test]
    fn hash_of_the_default_key_is_the_sample_files() {
        let key = SharedKey::of_text("changeit");
        assert_eq!(key.to_base64(), "lmA6bMfENJGlIDbfrVtklXFK32s=");
        assert!(key.is_default());
        assert!(SharedKey::from_base64("lmA6bMfENJGlIDbfrVtklXFK32s=").unwrap().admits("changeit"));
    }

    #[test]
    fn only_the_key_itself_is_admitted() {
        let key = SharedKey::of_text("Passw0rd");
        assert!(key.admits("Passw0rd") && !key.is_default());
        for wrong in ["", "passw0rd", "Passw0rd ", "changeit", &key.to_base64()] {
            assert!(!key.admits(wrong), "{wrong}");
        }
        assert!(!format!("{key:?}").contains(&key.to_base64()));
    }

    #[test]
    fn a_key_in_clear_is_no_hash() {
        for text in ["", "Passw0rd", "lmA6bMfENJGlIDbfrVtklXFK32s", "lmA6bMfENJGlIDbfrVtklXFK3w==", "ö"] {
            assert_eq!(SharedKey::from_base64(text).expect_err(text), NoKeyHash);
        }
    }
}
