//! Who reports: HMAC-SHA256 under what both ends know of the member's key, over a number that the router gave out once.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::digest::{read_hex, write_hex};

/// The header that carries the [`Proof`] of a report.
pub const PROOF_HEADER: &str = "RCS-Agent-Proof";

/// The header that carries the [`Head`] of a report: a proof that a router can check before the report itself arrives. Older agents do not
/// send this header.
pub const HEAD_HEADER: &str = "RCS-Agent-Head";

/// A number for one report, from the router's random source; its text is 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// The 16 bytes themselves.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Nonce {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for Nonce {
    type Err = NoNonce;

    fn from_str(text: &str) -> Result<Self, NoNonce> {
        read_hex(text).map(Self).ok_or(NoNonce)
    }
}

/// The text is no [`Nonce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is written as 32 digits of 0-9 and a-f")]
pub struct NoNonce;

/// What proofs are made with: the stored hash of a member's key, as text, the way it stands in `connectorserver.key` (P35). No
/// further secret has to be handed out. `Debug` does not show it.
#[derive(Clone)]
pub struct ProofKey(Hmac<Sha256>);

impl ProofKey {
    /// From the stored hash: base64 of SHA-1 over the UTF-16BE bytes of the key, without blanks around it.
    pub fn of_stored_hash(text: &str) -> Self {
        Self(Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of every length"))
    }

    /// From the key itself, for whoever dials the member and so knows it.
    pub fn of_key(key: &str) -> Self {
        let mut hash = Sha1::new();
        for unit in key.encode_utf16() {
            hash.update(unit.to_be_bytes());
        }
        Self::of_stored_hash(&STANDARD.encode(hash.finalize()))
    }

    /// The proof of a report: its bytes as they travel, for this member, under this nonce.
    pub fn prove(&self, nonce: &Nonce, member: &str, body: &[u8]) -> Proof {
        Proof(self.over(nonce, member, body).finalize().into_bytes().into())
    }

    /// Whether a header's text is the proof of these bytes. Takes the same time for all wrong ones of the right length.
    ///
    /// # Errors
    /// [`WrongProof`] if not.
    pub fn verify(&self, nonce: &Nonce, member: &str, body: &[u8], header: &str) -> Result<(), WrongProof> {
        let proof: [u8; 32] = read_hex(header.trim()).ok_or(WrongProof)?;
        self.over(nonce, member, body).verify_slice(&proof).map_err(|_| WrongProof)
    }

    /// The head of a report with this many bytes about this member, under this nonce.
    pub fn prove_head(&self, nonce: &Nonce, member: &str, bytes: u64) -> Head {
        Head {
            nonce: *nonce,
            proof: Proof(self.over_head(nonce, member, bytes).finalize().into_bytes().into()),
        }
    }

    /// Checks that a head announces a report with this many bytes about this member. The check takes equally long for all wrong heads.
    ///
    /// # Errors
    /// [`WrongProof`] if the head announces something else.
    pub fn verify_head(&self, head: &Head, member: &str, bytes: u64) -> Result<(), WrongProof> {
        self.over_head(&head.nonce, member, bytes).verify_slice(&head.proof.0).map_err(|_| WrongProof)
    }

    /// These bytes can never be a report: a report begins with the nonce, and `h` is not a digit of a nonce.
    fn over_head(&self, nonce: &Nonce, member: &str, bytes: u64) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(format!("head\n{nonce}\n{member}\n{bytes}").as_bytes());
        mac
    }

    /// Neither a nonce's text nor a member's name can hold a line's end, so no two reports have these bytes in common.
    fn over(&self, nonce: &Nonce, member: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [nonce.to_string().as_bytes(), b"\n", member.as_bytes(), b"\n", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(***)")
    }
}

/// What the header [`PROOF_HEADER`] says: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Proof([u8; 32]);

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(***)")
    }
}

/// The content of the header [`HEAD_HEADER`]: the nonce of the report, a blank, and 64 digits of a proof over nonce, member and length.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    nonce: Nonce,
    proof: Proof,
}

impl Head {
    /// The nonce of the report.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.nonce, self.proof)
    }
}

impl FromStr for Head {
    type Err = WrongProof;

    fn from_str(text: &str) -> Result<Self, WrongProof> {
        let (nonce, proof) = text.trim().split_once(' ').ok_or(WrongProof)?;
        let nonce = nonce.parse().map_err(|_| WrongProof)?;
        Ok(Self { nonce, proof: Proof(read_hex(proof).ok_or(WrongProof)?) })
    }
}

/// The proof is missing its form, or made with another key, nonce, member or body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof is wrong: the agent must use the key of this member, and each nonce once")]
pub struct WrongProof;
