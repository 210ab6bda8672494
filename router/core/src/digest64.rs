//! 64-bit digests that are the same in every process, on every machine and in every release: for names of configurations, pages
//! and stream kinds, which routers will tell each other. Not for anything an attacker gains by making collide.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The digest of these parts, in this order. Each part counts with its length, so `["ab", "c"]` differs from `["a", "bc"]`.
pub(crate) fn digest64(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another value here would be another name in every other router: never change one.
    #[test]
    fn the_digest_of_a_text_never_changes() {
        let values = [digest64(&[]), digest64(&[b"facade"]), digest64(&[b"ab", b"c"])];
        assert_eq!(values, PINNED);
        assert_ne!(digest64(&[b"ab", b"c"]), digest64(&[b"a", b"bc"]));
    }

    const PINNED: [u64; 3] = [15130871412783076140, 16631122803128036305, 1085249655374079794];
}
