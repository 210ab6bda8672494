//! openraft's values as messages of `proto/cluster/raft.proto`, for the wire and for the disk, and back.

use std::collections::{BTreeMap, BTreeSet};

use openraft::entry::EntryPayload;
use openraft::{
    AsyncRuntime, CommittedLeaderId, Entry, LogId, Membership, SnapshotMeta, StoredMembership, Vote,
};

use crate::messages as pb;
use crate::types::{Address, Commands, RouterId, Types};

/// A message lacks what it must have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing")]
pub(crate) struct Missing(pub(crate) &'static str);

impl From<RouterId> for pb::RouterId {
    fn from(id: RouterId) -> Self {
        Self { number: id.number, incarnation: id.incarnation }
    }
}

impl From<pb::RouterId> for RouterId {
    fn from(id: pb::RouterId) -> Self {
        Self { number: id.number, incarnation: id.incarnation }
    }
}

pub(crate) fn log_id(id: &LogId<RouterId>) -> pb::LogId {
    let leader = pb::LeaderId { term: id.leader_id.term, router: Some(id.leader_id.node_id.into()) };
    pb::LogId { leader: Some(leader), index: id.index }
}

pub(crate) fn read_log_id(id: &pb::LogId) -> Result<LogId<RouterId>, Missing> {
    let leader = id.leader.as_ref().ok_or(Missing("the leader of an entry"))?;
    let router = leader.router.ok_or(Missing("the router that led"))?;
    Ok(LogId::new(CommittedLeaderId::new(leader.term, router.into()), id.index))
}

pub(crate) fn read_log_id_if_any(id: Option<&pb::LogId>) -> Result<Option<LogId<RouterId>>, Missing> {
    id.map(read_log_id).transpose()
}

pub(crate) fn vote(vote: &Vote<RouterId>) -> pb::Vote {
    let leader = pb::LeaderId { term: vote.leader_id.term, router: Some(vote.leader_id.node_id.into()) };
    pb::Vote { leader: Some(leader), committed: vote.committed }
}

pub(crate) fn read_vote(vote: Option<&pb::Vote>) -> Result<Vote<RouterId>, Missing> {
    let vote = vote.ok_or(Missing("the vote"))?;
    let leader = vote.leader.as_ref().ok_or(Missing("the candidate of a vote"))?;
    let router: RouterId = leader.router.ok_or(Missing("the router of a vote"))?.into();
    let make = if vote.committed { Vote::new_committed } else { Vote::new };
    Ok(make(leader.term, router))
}

pub(crate) fn membership(membership: &Membership<RouterId, Address>) -> pb::Membership {
    let voters = |ids: &BTreeSet<RouterId>| pb::membership::Voters {
        ids: ids.iter().map(|id| (*id).into()).collect(),
    };
    let router = |(id, address): (&RouterId, &Address)| pb::Router {
        id: Some((*id).into()),
        address: address.cluster.clone(),
    };
    pb::Membership {
        configs: membership.get_joint_config().iter().map(voters).collect(),
        routers: membership.nodes().map(router).collect(),
    }
}

pub(crate) fn read_membership(message: &pb::Membership) -> Result<Membership<RouterId, Address>, Missing> {
    let mut routers = BTreeMap::new();
    for router in &message.routers {
        let id: RouterId = router.id.ok_or(Missing("a router's id"))?.into();
        routers.insert(id, Address { cluster: router.address.clone() });
    }
    let configs: Vec<BTreeSet<RouterId>> = message
        .configs
        .iter()
        .map(|voters| voters.ids.iter().map(|id| RouterId::from(*id)).collect::<BTreeSet<_>>())
        .collect();
    // openraft panics on a voter without an address.
    if configs.iter().flatten().any(|id| !routers.contains_key(id)) {
        return Err(Missing("the address of a voter"));
    }
    Ok(Membership::new(configs, routers))
}

pub(crate) fn stored_membership(stored: &StoredMembership<RouterId, Address>) -> pb::StoredMembership {
    pb::StoredMembership {
        at: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(stored.membership())),
    }
}

pub(crate) fn read_stored_membership(
    message: Option<&pb::StoredMembership>,
) -> Result<StoredMembership<RouterId, Address>, Missing> {
    let message = message.ok_or(Missing("the membership"))?;
    let of = message.membership.as_ref().ok_or(Missing("the routers of a membership"))?;
    Ok(StoredMembership::new(read_log_id_if_any(message.at.as_ref())?, read_membership(of)?))
}

pub(crate) fn entry<R: AsyncRuntime>(entry: &Entry<Types<R>>) -> pb::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => pb::entry::Payload::Blank(true),
        EntryPayload::Normal(Commands(commands)) => {
            pb::entry::Payload::Commands(pb::Commands { commands: commands.clone() })
        }
        EntryPayload::Membership(of) => pb::entry::Payload::Membership(membership(of)),
    };
    pb::Entry { id: Some(log_id(&entry.log_id)), payload: Some(payload) }
}

pub(crate) fn read_entry<R: AsyncRuntime>(message: pb::Entry) -> Result<Entry<Types<R>>, Missing> {
    let log_id = read_log_id(message.id.as_ref().ok_or(Missing("the id of an entry"))?)?;
    let payload = match message.payload.ok_or(Missing("the content of an entry"))? {
        pb::entry::Payload::Blank(_) => EntryPayload::Blank,
        pb::entry::Payload::Commands(pb::Commands { commands }) => EntryPayload::Normal(Commands(commands)),
        pb::entry::Payload::Membership(of) => EntryPayload::Membership(read_membership(&of)?),
    };
    Ok(Entry { log_id, payload })
}

pub(crate) fn snapshot_meta(meta: &SnapshotMeta<RouterId, Address>) -> pb::SnapshotMeta {
    pb::SnapshotMeta {
        last: meta.last_log_id.as_ref().map(log_id),
        membership: Some(stored_membership(&meta.last_membership)),
        id: meta.snapshot_id.clone(),
    }
}

pub(crate) fn read_snapshot_meta(
    message: Option<&pb::SnapshotMeta>,
) -> Result<SnapshotMeta<RouterId, Address>, Missing> {
    let message = message.ok_or(Missing("what the snapshot stands for"))?;
    Ok(SnapshotMeta {
        last_log_id: read_log_id_if_any(message.last.as_ref())?,
        last_membership: read_stored_membership(message.membership.as_ref())?,
        snapshot_id: message.id.clone(),
    })
}
