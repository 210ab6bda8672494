//! Challenges: each is good for one report of one member, for a short time.
//!
//! The router does not remember the challenges that it issued: each carries its time and its member, authenticated with a key of
//! this process. So strangers, who may request any number of challenges, cost no memory and cannot exhaust those of the members'
//! agents. Only used nonces are remembered, and only a proof of the member's key uses one.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use rcs_core::ids::MemberId;
use rcs_proto::manifest::Nonce;
use subtle::ConstantTimeEq;

use crate::limits::{AGENT_NONCE_LIFE, AGENT_REPORTS_MAX};

/// Gives out challenges, and knows its own again. Times are since the start of the process.
pub(super) struct Nonces {
    /// Other processes have other ones: what was recorded before a restart is worth nothing after it.
    key: hmac::Key,
    /// So that two of one second differ.
    count: u32,
    /// Used ones that are not too old yet, of the members that have such.
    used: HashMap<MemberId, Vec<Nonce>>,
}

/// Why a nonce is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NonceFault {
    /// Not from here, for another member, or too old.
    #[error(
        "the nonce was not issued by this router for this member, or is older than {} s: request a new challenge",
        AGENT_NONCE_LIFE.as_secs()
    )]
    Stale,
    /// The nonce was used by an earlier report.
    #[error("the nonce was used before: request a new challenge for each report")]
    Used,
    /// Reports come too fast.
    #[error("more than {AGENT_REPORTS_MAX} reports of this member in {} s: report less often", AGENT_NONCE_LIFE.as_secs())]
    TooMany,
}

/// Bytes of a nonce that say when and which; the others prove that they were written here.
const SAID: usize = 8;

impl Nonces {
    /// With a key from the system's random source.
    ///
    /// # Errors
    /// If that has none.
    pub(super) fn new() -> Result<Self, Unspecified> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self { key, count: 0, used: HashMap::new() })
    }

    /// A challenge for a member.
    pub(super) fn issue(&mut self, member: MemberId, now: Duration) -> Nonce {
        self.count = self.count.wrapping_add(1);
        let mut bytes = [0; 16];
        let [second, count] = [seconds(now), self.count].map(u32::to_be_bytes);
        let (said, tag) = bytes.split_at_mut(SAID);
        said.copy_from_slice(&[second, count].concat());
        tag.copy_from_slice(&self.tag(member, said));
        Nonce::from(bytes)
    }

    /// Whether it is one of ours for this member and young enough. It may have been used.
    ///
    /// # Errors
    /// [`NonceFault::Stale`]
    pub(super) fn judge(&self, member: MemberId, nonce: &Nonce, now: Duration) -> Result<(), NonceFault> {
        let (said, tag) = nonce.bytes().split_at(SAID);
        let is_ours = bool::from(self.tag(member, said).ct_eq(tag));
        if is_ours && is_young(nonce, now) { Ok(()) } else { Err(NonceFault::Stale) }
    }

    /// Uses one that was judged and came with the member's proof.
    ///
    /// # Errors
    /// [`NonceFault::Used`] and [`NonceFault::TooMany`]
    pub(super) fn spend(&mut self, member: MemberId, nonce: Nonce, now: Duration) -> Result<(), NonceFault> {
        self.used.retain(|_, used| {
            used.retain(|nonce| is_young(nonce, now));
            !used.is_empty()
        });
        let used = self.used.entry(member).or_default();
        if used.contains(&nonce) {
            return Err(NonceFault::Used);
        }
        if used.len() >= AGENT_REPORTS_MAX {
            return Err(NonceFault::TooMany);
        }
        used.push(nonce);
        Ok(())
    }

    fn tag(&self, member: MemberId, said: &[u8]) -> [u8; 16 - SAID] {
        let whole = hmac::sign(&self.key, &[&member.0.to_be_bytes(), said].concat());
        let mut tag = [0; 16 - SAID];
        tag.copy_from_slice(&whole.as_ref()[..16 - SAID]);
        tag
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("members", &self.used.len()).finish_non_exhaustive()
    }
}

fn is_young(nonce: &Nonce, now: Duration) -> bool {
    let [a, b, c, d, ..] = *nonce.bytes();
    let issued = u32::from_be_bytes([a, b, c, d]);
    let age = seconds(now).checked_sub(issued);
    age.is_some_and(|age| u64::from(age) <= AGENT_NONCE_LIFE.as_secs())
}

/// A process that runs for 136 years gives out no challenges any more.
fn seconds(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N1: MemberId = MemberId(1);
    const N2: MemberId = MemberId(2);

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_nonce_is_good_once_for_its_member_and_for_a_while() {
        let mut nonces = Nonces::new().unwrap();
        let nonce = nonces.issue(N1, at(10));
        let life = AGENT_NONCE_LIFE.as_secs();
        for (member, now, outcome) in [
            (N1, 10, Ok(())),
            (N1, 10 + life, Ok(())),
            (N1, 11 + life, Err(NonceFault::Stale)),
            (N1, 9, Err(NonceFault::Stale)),
            (N2, 10, Err(NonceFault::Stale)),
        ] {
            assert_eq!(nonces.judge(member, &nonce, at(now)), outcome, "{member} at {now}");
        }
        assert_eq!(nonces.spend(N1, nonce, at(11)), Ok(()));
        assert_eq!(nonces.spend(N1, nonce, at(10 + life)), Err(NonceFault::Used));
        assert_eq!(nonces.judge(N1, &nonce, at(11 + life)), Err(NonceFault::Stale), "forgotten, and too old");
    }

    #[test]
    fn nobody_makes_one_himself() {
        let (mut nonces, mut other) = (Nonces::new().unwrap(), Nonces::new().unwrap());
        assert_eq!(nonces.judge(N1, &other.issue(N1, at(1)), at(1)), Err(NonceFault::Stale), "a restart");
        let good = nonces.issue(N1, at(1));
        for bit in 0..128 {
            let mut bytes = *good.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(nonces.judge(N1, &bytes.into(), at(1)), Err(NonceFault::Stale), "bit {bit}");
        }
    }

    /// What strangers ask for is not kept; what members use is kept for as long as it could be used again.
    #[test]
    fn memory_is_bounded_by_what_members_use_p10() {
        let mut nonces = Nonces::new().unwrap();
        let given: Vec<Nonce> = (0..10_000).map(|_| nonces.issue(N1, at(1))).collect();
        assert!(nonces.used.is_empty());
        let different: std::collections::HashSet<&Nonce> = given.iter().collect();
        assert_eq!(different.len(), given.len());
        for (place, nonce) in given.iter().enumerate() {
            let outcome = if place < AGENT_REPORTS_MAX { Ok(()) } else { Err(NonceFault::TooMany) };
            assert_eq!(nonces.spend(N1, *nonce, at(2)), outcome, "{place}");
        }
        assert_eq!(nonces.used[&N1].len(), AGENT_REPORTS_MAX);
        let later = at(2 + AGENT_NONCE_LIFE.as_secs());
        let fresh = nonces.issue(N2, later);
        assert_eq!(nonces.spend(N2, fresh, later), Ok(()));
        assert_eq!(nonces.used.len(), 1, "the old ones are gone");
    }
}
