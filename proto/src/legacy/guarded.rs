//! Guarded values: AES with a key that everybody has (LEGACY section 6). This keeps no secret; it only reads and writes the form.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

use super::error::LegacyError;

const KEY: [u8; 16] = 0x2365_8722_5978_5443_6405_6ABD_34A2_3457_u128.to_be_bytes();
const IV: [u8; 16] = 0x5165_2223_6405_6ABE_5165_2223_6405_6ABE_u128.to_be_bytes();

/// The cipher text of a `GuardedByteArray`'s bytes.
pub(crate) fn seal(clear: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(&KEY.into(), &IV.into()).encrypt_padded_vec::<Pkcs7>(clear)
}

/// The cipher text of a `GuardedString`.
pub(crate) fn seal_text(clear: &str) -> Vec<u8> {
    let utf16: Vec<u8> = clear.encode_utf16().flat_map(u16::to_be_bytes).collect();
    seal(&utf16)
}

/// The clear bytes. No cipher text at all is an error: no writer produces it.
pub(crate) fn open(cipher_text: &[u8]) -> Result<Vec<u8>, LegacyError> {
    cbc::Decryptor::<Aes128>::new(&KEY.into(), &IV.into())
        .decrypt_padded_vec::<Pkcs7>(cipher_text)
        .map_err(|_| LegacyError::Guarded)
}

/// The clear text. Half a surrogate pair is an error: it has no place in a Rust string.
pub(crate) fn open_text(cipher_text: &[u8]) -> Result<String, LegacyError> {
    let clear = open(cipher_text)?;
    let (units, rest) = clear.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(LegacyError::Guarded);
    }
    let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
    String::from_utf16(&units).map_err(|_| LegacyError::Guarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_they_were_sealed() {
        for clear in ["", "pw", "p\u{e4}ss 🚀", "exactly 8 units.."] {
            assert_eq!(open_text(&seal_text(clear)).as_deref(), Ok(clear));
        }
    }

    #[test]
    fn what_no_writer_seals_is_refused() {
        let half_pair = seal(&[0xD8, 0x00]);
        let odd = seal(b"abc");
        for (name, cipher_text) in
            [("none", &[][..]), ("no block", &[0; 5]), ("half a pair", &half_pair), ("odd", &odd)]
        {
            assert_eq!(open_text(cipher_text), Err(LegacyError::Guarded), "{name}");
        }
    }
}
