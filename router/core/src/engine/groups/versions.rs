//! Takers: which members may have a call, by the version of the connector that the call names, while the members of a group have
//! different versions (B03 to B05). That is so in the middle of a rolling upgrade, and after it for callers that know the old version.
//!
//! A range never arrives here: an IDM resolves its reference itself, once a session, and then names one version in each call. So
//! a call goes to members that have that very version. Where the operator's stand-ins allow it, the call also goes to members with
//! another version. Then the request that is sent names the member's version; the request that is kept stays as it came. A call for
//! a connector that no member has may go to any member, which answers that it has no such connector.
//!
//! Takers are worked out anew after each change of the picker, once for each connector key. There are none while all members have
//! the same connectors and no version stands in for another.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::icf::ConnectorKey;
use rcs_proto::messages;

use crate::balance::{Picker, Policy};
use crate::bundles::range::StandIns;
use crate::bundles::wire::WireManifest;
use crate::digest64::digest64;
use crate::ids::{MemberId, MemberSet};
use crate::limits::{CONNECTOR_KEY_BYTES_MAX, CONNECTOR_KEYS_WORKED_OUT_MAX};

/// The takers of each connector in one group, for one state of the group's members.
#[derive(Debug)]
pub(in crate::engine) struct Versions {
    policy: Policy,
    stand_ins: StandIns,
    /// The members that count, in list order, with the connectors that they reported last.
    members: Vec<(MemberId, Arc<WireManifest>)>,
    available: MemberSet,
    /// Members that can be reached and may serve, fit or not.
    reachable: MemberSet,
    /// The takers that were worked out so far, by the bytes of the connector key in requests; none: no member has the connector.
    worked_out: BTreeMap<Bytes, Option<Takers>>,
}

/// The takers of one connector.
#[derive(Debug)]
pub(super) struct Takers {
    /// Chooses among those that are available.
    pub(super) picker: Picker,
    /// Names the connector among others.
    pub(super) digest: u64,
    /// All takers, each with the connector key to send to it; none: the key of the request.
    members: Vec<(MemberId, Option<ConnectorKey>)>,
}

impl Takers {
    /// Whether this member is a taker.
    pub(super) fn contains(&self, member: MemberId) -> bool {
        self.members.iter().any(|(of, _)| *of == member)
    }
}

impl Versions {
    /// The takers in a group; none if all members have the same connectors, and no version stands in for another. `members` are the
    /// members that count, in list order, with the connectors that they reported last. `reachable` are the members to turn to for a
    /// connector that no available member has.
    pub(super) fn of(
        policy: Policy,
        members: Vec<(MemberId, Arc<WireManifest>)>,
        stand_ins: &StandIns,
        available: MemberSet,
        reachable: MemberSet,
    ) -> Option<Self> {
        let are_alike = members.windows(2).all(|pair| has_same_connectors(&pair[0].1, &pair[1].1));
        let worked_out = BTreeMap::new();
        (!are_alike || !stand_ins.0.is_empty()).then(|| Self {
            policy,
            stand_ins: stand_ins.clone(),
            members,
            available,
            reachable,
            worked_out,
        })
    }

    /// The takers of the connector with this key, as in the request. None: the call goes to any member.
    pub(super) fn takers(&mut self, key: &Bytes) -> Option<&Takers> {
        if key.len() > CONNECTOR_KEY_BYTES_MAX {
            return None;
        }
        if !self.worked_out.contains_key(key) {
            if self.worked_out.len() >= CONNECTOR_KEYS_WORKED_OUT_MAX {
                self.worked_out.clear();
            }
            let takers = self.work_out(key);
            // A copy: a slice would keep the whole frame alive.
            self.worked_out.insert(Bytes::copy_from_slice(key), takers);
        }
        self.worked_out.get(key)?.as_ref()
    }

    /// The number of connector keys whose takers are kept.
    #[cfg(test)]
    pub(in crate::engine) fn worked_out(&self) -> usize {
        self.worked_out.len()
    }

    /// The takers of the connector with this key, worked out anew.
    fn work_out(&self, key: &Bytes) -> Option<Takers> {
        let wanted = connector_of(key)?;
        let taking = self.members.iter().filter_map(|(member, wire)| {
            let used = self.stand_ins.satisfying(&wanted, wire.connectors().keys())?;
            Some((*member, (*used != wanted).then(|| used.clone())))
        });
        let members: Vec<(MemberId, Option<ConnectorKey>)> = taking.collect();
        let listed: Vec<MemberId> = members.iter().map(|(member, _)| *member).collect();
        // A taker that is unfit, or still warms up, is better than none (P3).
        let has_available = listed.iter().any(|member| self.available.contains(*member));
        let taking = if has_available { &self.available } else { &self.reachable };
        (!members.is_empty()).then(|| Takers {
            picker: self.policy.picker(&listed, taking),
            digest: digest64(&[key]),
            members,
        })
    }

    /// The request as a member gets it: with the message id `id`, and with the version of the connector that the member has.
    pub(super) fn request_for(&mut self, member: MemberId, request: &Envelope, id: i64) -> Bytes {
        let key = match &request.kind {
            Kind::Operation(head) => self.takers(&head.connector_key),
            _ => None,
        };
        let used = key.and_then(|takers| takers.members.iter().find(|(of, _)| *of == member)?.1.as_ref());
        // If the connector key cannot be read, the request goes as it is, and the member's answer says what is wrong.
        let rewritten = used.and_then(|used| request.rewrite_id_and_connector(id, used));
        rewritten.unwrap_or_else(|| request.rewrite_id(id))
    }
}

fn has_same_connectors(one: &WireManifest, other: &WireManifest) -> bool {
    one.digest() == other.digest() || one.connectors().keys().eq(other.connectors().keys())
}

/// The connector that a key in a request names.
pub(in crate::engine) fn connector_of(key: &Bytes) -> Option<ConnectorKey> {
    let key = messages::ConnectorKey::decode(key.clone()).ok()?;
    Some(ConnectorKey {
        bundle_name: key.bundle_name,
        bundle_version: key.bundle_version,
        connector_name: key.connector_name,
    })
}
