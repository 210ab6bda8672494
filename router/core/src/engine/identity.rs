//! Who the router says it is. Each pairing gets an identity of its own, because the peers file sockets by sessionId alone:
//!
//! - towards each member another one: two members at one server would otherwise be one group of sockets to it, and it would
//!   spread the answers of one over the sockets of the other (WIRE 4.2, section 8);
//! - towards IDMs one for each way in (`/openicf/GROUP`, or the bare path): an IDM that uses two of them would otherwise
//!   mix their sockets, and calls for one group would arrive as calls for the other.

use bytes::Bytes;
use rcs_proto::frames::Identity;
use sha1::{Digest, Sha1};

use super::Selector;
use crate::ids::MemberId;

/// Makes identities from the process's seed: the same pairing always has the same one.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    seed: [u64; 2],
}

impl Identities {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Self { seed }
    }

    pub(super) fn towards_member(&self, member: MemberId) -> Identity {
        self.identity(1, member.0)
    }

    pub(super) fn towards_callers(&self, selector: Selector) -> Identity {
        match selector {
            Selector::Group(group) => self.identity(2, group.0),
            Selector::ByConnectorKey => self.identity(3, 0),
        }
    }

    fn identity(&self, kind: u8, number: u32) -> Identity {
        let mut hash = Sha1::new();
        for part in self.seed {
            hash.update(part.to_be_bytes());
        }
        hash.update([kind]);
        hash.update(number.to_be_bytes());
        let digest = hash.finalize();
        // The form of Java's ids: 40 upper-case hexadecimal digits. The key is used for nothing (WIRE 4.1).
        let session_id = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Identity { session_id, public_key: Bytes::copy_from_slice(&digest) }
    }
}
