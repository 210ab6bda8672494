//! Digests of bundle sets and of their parts: those of the files' manifests, so that an operator meets one form of them.

use std::fmt;

pub use rcs_proto::manifest::{Digest, NoDigest};

/// Digits that are shown where people only tell the sets of one group apart.
const SHORT: usize = 12;

/// The first 12 digits of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short<'a>(pub &'a Digest);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.get(..SHORT).unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_form_is_the_beginning() {
        let digest = Digest::of(b"");
        assert_eq!(Short(&digest).to_string(), "e3b0c44298fc");
        assert!(digest.to_string().starts_with("e3b0c44298fc"));
    }
}
