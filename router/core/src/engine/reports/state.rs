//! Groups and callers.

use rcs_proto::session::Side;

use super::member::MemberReport;
use crate::agreed::At;
use crate::bundles::group::Alarm;
use crate::engine::callers::{Caller, Redials};
use crate::engine::groups::Supply;
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;
use crate::view::{Group, GroupOrigin};

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The groups in the order of the document. The address of a server that groups list is one of the groups while callers use that
    /// address.
    pub groups: Vec<GroupReport>,
    /// Callers that are known.
    pub callers: usize,
    /// Calls in flight.
    pub calls: usize,
    /// Configurations that are quarantined.
    pub quarantined: usize,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// Its algorithm's name.
    pub algorithm: &'static str,
    /// Calls that wait for a free place.
    pub queued: usize,
    /// Why the group's bundle sets need the operator.
    pub alarm: Option<Alarm>,
    /// Whether the group has a member that gets calls, and since when not.
    pub supply: GroupSupply,
    /// Callers of this group that asked for connectors, and wait for an answer because no member has reported its connectors yet.
    pub callers_waiting: usize,
    /// Its members in list order.
    pub members: Vec<MemberReport>,
}

/// Whether a group has a member that gets its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSupply {
    /// The group has a member that gets its calls.
    Served,
    /// The group has never had such a member: callers that asked for connectors wait for an answer.
    NeverServed,
    /// The group has had no such member since this moment.
    OutSince(At),
}

/// A caller that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerReport {
    /// The principal that the caller proved; of a caller that the router dials, the name under which the caller is configured.
    pub principal: String,
    /// Which end dialled.
    pub side: Side,
    /// The group of its way in; none where the connector decides.
    pub group: Option<String>,
    /// Open sockets that are ready.
    pub sockets: usize,
    /// Calls that it has open, subscriptions included.
    pub calls: usize,
    /// Subscriptions among them.
    pub subscriptions: usize,
    /// Whether the caller opens a socket in place of one that closed.
    pub redials: Redials,
}

impl Tables {
    /// The state now.
    pub(in crate::engine) fn report(&self) -> Report {
        let ways_in = self.callers.ways_in();
        let is_shown = |group: &&Group| group.origin != GroupOrigin::Address || ways_in.contains(&group.id);
        let groups = self.view.groups().iter().filter(is_shown).map(|group| GroupReport {
            name: group.name.clone(),
            algorithm: group.policy.name(),
            queued: self.groups.queued(group.id),
            alarm: self.groups.sets(group.id).and_then(|sets| sets.alarm()),
            supply: match self.groups.supply(group.id) {
                Supply::Some => GroupSupply::Served,
                Supply::Never => GroupSupply::NeverServed,
                Supply::Out(since) => GroupSupply::OutSince(self.epoch.after(since)),
            },
            callers_waiting: match self.groups.supply(group.id) {
                Supply::Never => self.callers.waiting_on(Selector::Group(group.id)),
                Supply::Some | Supply::Out(_) => 0,
            },
            members: group.members.iter().filter_map(|id| self.member_report(group.id, *id)).collect(),
        });
        let quarantined = self.groups.configurations().quarantined().count();
        let (callers, calls) = (self.callers.known(), self.calls.len());
        Report { groups: groups.collect(), callers, calls, quarantined }
    }

    /// The known callers, including those whose last socket closed within [`crate::limits::CALLER_KEPT`].
    pub(in crate::engine) fn caller_reports(&self) -> Vec<CallerReport> {
        let report = |caller: &Caller| CallerReport {
            principal: caller.id.principal.to_string(),
            side: caller.id.side,
            group: match caller.id.selector {
                // The group is named also after it has left the document.
                Selector::Group(group) => Some(self.book.group_name(group).to_owned()),
                Selector::ByConnectorKey | Selector::Via(_) => None,
            },
            sockets: caller.sockets().count(),
            calls: caller.open_calls(),
            subscriptions: caller.subscriptions(),
            redials: caller.redials,
        };
        let callers = self.callers.iter().map(|(_, caller)| caller);
        callers.filter(|caller| caller.id.selector.forwards_to().is_none()).map(report).collect()
    }
}
