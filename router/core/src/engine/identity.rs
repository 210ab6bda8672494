//! Who the router says it is. Each pairing gets an identity of its own, because the peers file sockets by sessionId alone:
//!
//! - towards each member another one: two members at one server would otherwise be one group of sockets to it, and it would
//!   spread the answers of one over the sockets of the other (WIRE 4.2, section 8);
//! - towards IDMs one for each way in (`/openicf/GROUP`, or the bare path): an IDM that uses two of them would otherwise
//!   mix their sockets, and calls for one group would arrive as calls for the other.
//!
//! An identity follows from the seed and from NAMES, never from numbers that a process counted: routers with one seed show a
//! caller the same identity, whatever order their documents came in.

use bytes::Bytes;
use rcs_proto::frames::Identity;
use sha1::{Digest, Sha1};

/// Makes identities from a seed: the same pairing always has the same one.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    seed: [u64; 2],
}

/// With whom the router pairs. The bytes are a part of the identity: never change one.
#[derive(Clone, Copy)]
enum Pairing {
    Member = 1,
    Group = 2,
    AnyGroup = 3,
}

impl Identities {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Self { seed }
    }

    /// Towards the member of this name.
    pub(super) fn towards_member(&self, name: &str) -> Identity {
        self.identity(Pairing::Member, name)
    }

    /// Towards callers of the group of this name; none: of the address where the connector of each call decides.
    pub(super) fn towards_callers(&self, group: Option<&str>) -> Identity {
        match group {
            Some(name) => self.identity(Pairing::Group, name),
            None => self.identity(Pairing::AnyGroup, ""),
        }
    }

    fn identity(&self, with: Pairing, name: &str) -> Identity {
        let mut hash = Sha1::new();
        for part in self.seed {
            hash.update(part.to_be_bytes());
        }
        hash.update([with as u8]);
        hash.update(name);
        let digest = hash.finalize();
        // The form of Java's ids: 40 upper-case hexadecimal digits. The key is used for nothing (WIRE 4.1).
        let session_id = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Identity { session_id, public_key: Bytes::copy_from_slice(&digest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_follow_from_seed_and_name_alone() {
        let (one, other) = (Identities::new([1, 2]), Identities::new([1, 3]));
        let again = Identities::new([1, 2]);
        let all = [
            one.towards_member("n1"),
            one.towards_member("n2"),
            one.towards_callers(Some("n1")),
            one.towards_callers(None),
            other.towards_member("n1"),
        ];
        assert_eq!(again.towards_member("n1").session_id, all[0].session_id);
        assert_eq!(all[0].session_id.len(), 40);
        let mut ids: Vec<_> = all.iter().map(|identity| &identity.session_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    }
}
