//! One decision: at each index one entry is decided, and no later leader sends another one there.
//!
//! Raft's rule is "one leader a term". openraft's leaders are known by term *and* router, and ordered by both: within a term a router of
//! a higher id may follow a leader that a majority has already elected, as if it were a later term. So two leaders in one term are no
//! fault, but the order of leaders must keep what "one leader" is for.

use std::collections::BTreeMap;

use rcs_consensus::RouterId;
use rcs_consensus::messages::{AppendRequest, LeaderId, LogId};

use super::Broken;

/// A leader: its term and its id.
pub(super) type Leader = (u64, RouterId);

/// The place of an entry: its index, and the leader that made it.
pub(super) type Place = (u64, Leader);

pub(super) fn leader(leader: Option<LeaderId>) -> Leader {
    let leader = leader.unwrap_or_default();
    (leader.term, leader.router.unwrap_or_default().into())
}

pub(super) fn place(at: &LogId) -> Place {
    (at.index, leader(at.leader))
}

/// What is decided at each index: the entry's maker, and the first leader who said so.
#[derive(Default)]
pub(super) struct OneDecision(BTreeMap<u64, (Leader, Leader)>);

impl OneDecision {
    pub(super) fn sent(&mut self, append: &AppendRequest) -> Result<(), Broken> {
        let sender = leader(append.vote.and_then(|vote| vote.leader));
        if let Some((index, maker)) = append.committed.as_ref().map(place) {
            let (decided, by) = self.0.entry(index).or_insert((maker, sender));
            if *decided != maker {
                return Err(format!(
                    "one decision: entry {index} is of {decided:?} by {by:?}, and of {maker:?} by {sender:?}"
                ));
            }
            *by = sender.min(*by);
        }
        for (index, maker) in append.entries.iter().filter_map(|entry| entry.id.as_ref()).map(place) {
            // A leader that was replaced may still send what nobody decided.
            if let Some((decided, by)) = self.0.get(&index)
                && *decided != maker
                && sender >= *by
            {
                return Err(format!(
                    "one decision: {sender:?} sends entry {index} of {maker:?}, and {decided:?} is decided"
                ));
            }
        }
        Ok(())
    }
}
