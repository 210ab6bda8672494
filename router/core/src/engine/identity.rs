//! The identities that the router shows its peers. Each pairing has an identity of its own, because peers file sockets by sessionId
//! alone:
//!
//! - Towards each member another identity. Otherwise a server that is two members would take their sockets for one session, and
//!   spread the answers for one member over the sockets of the other (WIRE 4.2, section 8).
//! - Towards IDMs one identity for each way in (a group, by its path or its own address, or the bare path). Otherwise an IDM that uses two ways in would
//!   mix their sockets, and calls for one group would arrive as calls for the other. For the same reason each principal that may use some
//!   groups only has an identity of its own on the bare path: its calls must not arrive with the rights of another principal.
//!
//! Towards an IDM that the router dials: one identity for the name under which the IDM is configured. It is the process's own, because an IDM
//! that listens files the sockets of all routers with one identity under one session (WIRE section 8).
//!
//! Towards another router that uses a member through this one: one identity for each member, of the process's own seed.
//!
//! An identity follows from a seed and from names, never from numbers that a process counted. So routers with one seed show a
//! caller the same identity, whatever the order in which their documents came. Towards members, and towards IDMs that are dialled, the seed is
//! the process's own: each router has sessions of its own with them.

use bytes::Bytes;
use rcs_proto::frames::Identity;
use rcs_proto::session::Side;
use sha1::{Digest, Sha1};

use super::allowed::Allowed;
use super::facade::ConfigurationDigest;
use crate::ids::ConfigurationId;

/// Makes identities from seeds: the same pairing always has the same one.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    seed: [u64; 2],
    /// Towards members.
    own_seed: [u64; 2],
}

/// With whom the router pairs. The bytes are a part of the identity: never change one.
#[derive(Clone, Copy)]
enum Pairing {
    Member = 1,
    Group = 2,
    AnyGroup = 3,
    /// The bare path, for one principal that may use some groups only.
    OwnGroups = 5,
    /// An IDM that the router dials.
    DialledCaller = 6,
    /// Another router, which forwards calls to a member.
    Via = 7,
}

/// In an identity, this byte stands where a [`Pairing`] stands: so the name of a configuration is never equal to an identity.
const CONFIGURATION: u8 = 4;

impl Identities {
    pub(super) fn new(seed: [u64; 2], own_seed: [u64; 2]) -> Self {
        Self { seed, own_seed }
    }

    /// Towards the member of this name.
    pub(super) fn towards_member(&self, name: &str) -> Identity {
        identity(self.own_seed, Pairing::Member, name)
    }

    /// Towards another router that forwards calls to the member of this name. The identity is the process's own: a router whose way to a member
    /// leads through another process has another session with the member.
    pub(super) fn towards_router(&self, member: &str) -> Identity {
        identity(self.own_seed, Pairing::Via, member)
    }

    /// Towards a caller. `group` is the name of the group of its way in, `principal` and `allowed` are what it proved. The principal of a caller
    /// that we dial is the name under which the caller is configured.
    pub(super) fn towards_caller(
        &self,
        side: Side,
        group: Option<&str>,
        principal: &str,
        allowed: &Allowed,
    ) -> Identity {
        match side {
            Side::Accepted => self.towards_callers(group, allowed.of(principal)),
            Side::Dialled => {
                // No name of a group has a slash, so no two pairs have one text.
                let name = format!("{}/{principal}", group.unwrap_or_default());
                identity(self.own_seed, Pairing::DialledCaller, &name)
            }
        }
    }

    /// Towards callers of the group of this name; without a name: towards callers whose calls are routed by connector. `restricted` is
    /// the principal of a caller that may use some groups only.
    fn towards_callers(&self, group: Option<&str>, restricted: Option<&str>) -> Identity {
        match (group, restricted) {
            (Some(name), _) => identity(self.seed, Pairing::Group, name),
            (None, None) => identity(self.seed, Pairing::AnyGroup, ""),
            (None, Some(principal)) => identity(self.seed, Pairing::OwnGroups, principal),
        }
    }

    /// The name of a configuration towards operators.
    pub(super) fn configuration(&self, digest: &ConfigurationDigest) -> ConfigurationId {
        let mut hash = Sha1::new();
        for part in self.seed {
            hash.update(part.to_be_bytes());
        }
        hash.update([CONFIGURATION]);
        hash.update(digest.bytes());
        let digest = hash.finalize();
        ConfigurationId(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

fn identity(seed: [u64; 2], with: Pairing, name: &str) -> Identity {
    let mut hash = Sha1::new();
    for part in seed {
        hash.update(part.to_be_bytes());
    }
    hash.update([with as u8]);
    hash.update(name);
    let digest = hash.finalize();
    // The form of Java's ids: 40 upper-case hexadecimal digits. The key is used for nothing (WIRE 4.1).
    let session_id = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Identity { session_id, public_key: Bytes::copy_from_slice(&digest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configurations_name_follows_from_the_seed_as_well() {
        let (one, other) = (Identities::new([1, 2], [9, 9]), Identities::new([1, 3], [9, 9]));
        let (a, b) = (ConfigurationDigest::numbered(1), ConfigurationDigest::numbered(2));
        assert_eq!(one.configuration(&a), one.configuration(&a));
        assert_ne!(one.configuration(&a), one.configuration(&b));
        assert_ne!(
            one.configuration(&a),
            other.configuration(&a),
            "nobody can try configurations out against it"
        );
    }

    #[test]
    fn identities_follow_from_seed_and_name_alone() {
        let (one, other) = (Identities::new([1, 2], [1, 2]), Identities::new([1, 3], [1, 3]));
        let again = Identities::new([1, 2], [1, 2]);
        let all = [
            one.towards_member("n1"),
            one.towards_member("n2"),
            one.towards_router("n1"),
            one.towards_callers(Some("n1"), None),
            one.towards_callers(None, None),
            one.towards_callers(None, Some("n1")),
            one.towards_callers(None, Some("n2")),
            one.towards_caller(Side::Dialled, None, "n1", &Allowed::All),
            one.towards_caller(Side::Dialled, None, "n2", &Allowed::All),
            one.towards_caller(Side::Dialled, Some("n1"), "n1", &Allowed::All),
            other.towards_member("n1"),
        ];
        assert_eq!(again.towards_member("n1").session_id, all[0].session_id);
        assert_eq!(all[0].session_id.len(), 40);
        let mut ids: Vec<_> = all.iter().map(|identity| &identity.session_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    }

    /// Otherwise a member would answer a call of one router on a socket of the other.
    #[test]
    fn routers_of_a_cluster_share_the_identities_towards_callers_and_none_towards_members() {
        let (one, other) = (Identities::new([1, 2], [3, 4]), Identities::new([1, 2], [5, 6]));
        let caller = |of: &Identities| of.towards_callers(Some("g"), None).session_id;
        let member = |of: &Identities| of.towards_member("n1").session_id;
        let dialled =
            |of: &Identities| of.towards_caller(Side::Dialled, Some("g"), "idm", &Allowed::All).session_id;
        assert_eq!(caller(&one), caller(&other));
        assert_ne!(member(&one), member(&other));
        assert_ne!(dialled(&one), dialled(&other), "an IDM that listens takes each router for a server");
    }
}
