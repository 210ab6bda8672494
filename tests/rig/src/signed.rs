//! Signed access tokens (JWT), as an authorization server makes them, and as an attacker would like to.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

/// A private key with a name.
pub struct Signer {
    kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    /// A fresh RSA key, for RS256.
    pub fn rs256(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be made");
        Self { kid: kid.to_owned(), pair: Pair::Rsa(pair) }
    }

    /// A fresh key on P-256, for ES256.
    pub fn es256(kid: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("an EC key can be made");
        let pair =
            EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref()).expect("a key is read as it was written");
        Self { kid: kid.to_owned(), pair: Pair::Ec(pair) }
    }

    /// A fresh Ed25519 key, for EdDSA.
    pub fn eddsa(kid: &str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("an Ed25519 key can be made");
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key is read as it was written");
        Self { kid: kid.to_owned(), pair: Pair::Ed(pair) }
    }

    /// The name of the algorithm.
    pub fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// The public key (JWK).
    pub fn jwk(&self) -> Value {
        let (kid, alg) = (&self.kid, self.algorithm());
        match &self.pair {
            Pair::Rsa(pair) => {
                let (n, e) = rsa_parts(pair.public_key().as_ref());
                json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": alg, "n": base64(n), "e": base64(e) })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": alg, "x": x, "y": y })
            }
            Pair::Ed(pair) => {
                let x = base64(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": alg, "x": x })
            }
        }
    }

    /// A token with these claims, as it should be.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_under(&json!({ "alg": self.algorithm(), "kid": self.kid, "typ": "JWT" }), claims)
    }

    /// A token with a header of one's own, whatever the header says.
    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let text = unsigned(header, claims);
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
                    .expect("the signature has the length of the modulus");
                signature
            }
            Pair::Ec(pair) => {
                let signed = pair.sign(&SystemRandom::new(), text.as_bytes()).expect("a text can be signed");
                signed.as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        format!("{text}.{}", base64(&signature))
    }

    /// A token with HS256, whose shared secret is this public key: the classical confusion of algorithms.
    pub fn confuse(&self, claims: &Value) -> String {
        let text = unsigned(&json!({ "alg": "HS256", "kid": self.kid, "typ": "JWT" }), claims);
        let public = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        };
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), text.as_bytes());
        format!("{text}.{}", base64(signature.as_ref()))
    }
}

/// Header and payload of a token, with a dot between them.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

/// A key set (JWKS) with these keys.
pub fn key_set(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

/// The present moment in seconds since 1970, moved by some seconds.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_add(seconds)
}

fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Modulus and exponent of a public key in the form of PKCS #1: a sequence of two integers.
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(der);
    let (n, rest) = element(sequence);
    let (e, _) = element(rest);
    (n.strip_prefix(&[0]).unwrap_or(n), e)
}

/// The content of the first element, and what follows the element.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match der[1] {
        short @ 0..=0x7F => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    };
    der[head..].split_at(length)
}
