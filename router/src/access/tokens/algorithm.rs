//! The signature algorithms of tokens. Only signatures with a public key are here: neither `none` nor an algorithm with a shared secret
//! (`HS256`) has a name in this list, so no token can choose one.

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents,
};

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// Every algorithm, with its name in tokens and keys.
const NAMES: [(&str, Algorithm); 11] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("ES512", Algorithm::Es512),
    ("EdDSA", Algorithm::EdDsa),
    // The newer name of the same algorithm (RFC 9864).
    ("Ed25519", Algorithm::EdDsa),
];

/// The names, for texts.
pub(super) const ALGORITHM_NAMES: &str =
    "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA";

/// The parts of a public key, decoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts<'a> {
    /// RSA: modulus and exponent.
    Rsa { n: &'a [u8], e: &'a [u8] },
    /// A point on the curve of this name.
    Ec { curve: &'a str, x: &'a [u8], y: &'a [u8] },
    /// Ed25519.
    Ed25519 { x: &'a [u8] },
}

impl Algorithm {
    /// How many names there are.
    pub(super) const COUNT: usize = NAMES.len();

    /// The algorithm of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// The name in tokens.
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    /// A key for signatures of this algorithm; `None` if the key is of another type, or on another curve.
    pub(super) fn key(self, parts: Parts<'_>) -> Option<Result<ParsedPublicKey, KeyRejected>> {
        match (self, parts) {
            (_, Parts::Rsa { n, e }) => {
                let parameters = self.rsa()?;
                Some(RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters))
            }
            (Self::Es256, Parts::Ec { curve: "P-256", x, y }) => {
                Some(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(x, y, 32)))
            }
            (Self::Es384, Parts::Ec { curve: "P-384", x, y }) => {
                Some(ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point(x, y, 48)))
            }
            (Self::Es512, Parts::Ec { curve: "P-521", x, y }) => {
                Some(ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point(x, y, 66)))
            }
            (Self::EdDsa, Parts::Ed25519 { x }) => Some(ParsedPublicKey::new(&ED25519, x)),
            _ => None,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::Es512 | Self::EdDsa => None,
        }
    }
}

/// An uncompressed point. Each coordinate has the full length of the curve, with zeros in front. A coordinate of another length gives a
/// point that is no key.
fn point(x: &[u8], y: &[u8], length: usize) -> Vec<u8> {
    let mut point = vec![4];
    for coordinate in [x, y] {
        point.extend(std::iter::repeat_n(0, length.saturating_sub(coordinate.len())));
        point.extend_from_slice(coordinate);
    }
    point
}
