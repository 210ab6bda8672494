//! Groups, members and callers.

use crate::bundles::group::Alarm;
use crate::engine::callers::{Caller, Redials};
use crate::engine::members::{Drain, Member, Standing};
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::view::{AdminState, Mark};

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The groups in the order of the document.
    pub groups: Vec<GroupReport>,
    /// Callers that are known.
    pub callers: usize,
    /// Calls in flight.
    pub calls: usize,
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
    /// Its members in list order.
    pub members: Vec<MemberReport>,
}

/// A member in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// Its name.
    pub name: String,
    /// Whether the member can run calls, whatever the document and operators want.
    pub up: bool,
    /// Why the member gets no calls although it can be reached.
    pub unfit: Option<&'static str>,
    /// Why its bundle set keeps the member out of this group: a sentence that goes on after the member's name.
    pub quarantine: Option<String>,
    /// What document and operators want of the member, and how far that is carried out.
    pub admin: Administration,
    /// Open sockets that are ready.
    pub sockets: usize,
    /// Calls that it holds, of all its groups.
    pub in_flight: usize,
    /// Connectors that the member reported.
    pub connectors: Vec<String>,
}

/// A caller that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerReport {
    /// The principal that the caller proved.
    pub principal: String,
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

/// What document and operators want of a member, and how far that is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Administration {
    /// The member gets calls when it can run them.
    Enabled,
    /// An operator drains the member: its last calls are ending, or its sockets are being closed.
    Draining,
    /// The drain is over.
    Drained,
    /// An operator disabled the member, which may have calls and sockets for [`crate::limits::DRAIN_TIME`].
    Disabled,
    /// The document disables the member.
    DisabledInDocument,
}

impl Administration {
    /// The word for logs, the API and the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Disabled | Self::DisabledInDocument => "disabled",
        }
    }

    fn of(state: &Member) -> Self {
        match (state.member.spec.admin, state.member.mark, state.drain) {
            (AdminState::Disabled, ..) => Self::DisabledInDocument,
            (_, Mark::Enabled, _) => Self::Enabled,
            (_, Mark::Draining, Drain::Over) => Self::Drained,
            (_, Mark::Draining, _) => Self::Draining,
            (_, Mark::Disabled, _) => Self::Disabled,
        }
    }
}

impl MemberReport {
    /// Whether the member gets calls: it can run them, has the right bundle set, and document and operators want it to serve.
    pub fn takes_calls(&self) -> bool {
        self.up && self.quarantine.is_none() && self.admin == Administration::Enabled
    }
}

impl Tables {
    /// The state now.
    pub(in crate::engine) fn report(&self) -> Report {
        let groups = self.view.groups().iter().map(|group| GroupReport {
            name: group.name.clone(),
            algorithm: group.policy.name(),
            queued: self.groups.queued(group.id),
            alarm: self.groups.sets(group.id).and_then(|sets| sets.alarm()),
            members: group.members.iter().filter_map(|id| self.member_report(group.id, *id)).collect(),
        });
        Report { groups: groups.collect(), callers: self.callers.len(), calls: self.calls.len() }
    }

    /// The known callers, including those whose last socket closed within [`crate::limits::CALLER_KEPT`].
    pub(in crate::engine) fn caller_reports(&self) -> Vec<CallerReport> {
        let report = |caller: &Caller| CallerReport {
            principal: caller.id.principal.to_string(),
            group: match caller.id.selector {
                Selector::Group(group) => self.view.group(group).map(|group| group.name.clone()),
                Selector::ByConnectorKey => None,
            },
            sockets: caller.sockets().count(),
            calls: caller.open_calls(),
            subscriptions: caller.subscriptions(),
            redials: caller.redials,
        };
        self.callers.iter().map(|(_, caller)| report(caller)).collect()
    }

    fn member_report(&self, group: GroupId, id: MemberId) -> Option<MemberReport> {
        let state = self.members.get(id)?;
        let bundles = self.groups.sets(group).and_then(|sets| sets.standing(id));
        let session = state.session.and_then(|key| self.members.session(key));
        Some(MemberReport {
            name: state.name().to_owned(),
            up: state.standing == Standing::Serving,
            unfit: match state.standing {
                Standing::Unfit(reason) => Some(reason.label()),
                Standing::Down | Standing::Serving => None,
            },
            quarantine: bundles.filter(|standing| standing.keeps_out()).map(ToString::to_string),
            admin: Administration::of(state),
            sockets: session.map_or(0, |session| session.sockets().count()),
            in_flight: state.in_flight(),
            connectors: state
                .list
                .iter()
                .flat_map(|list| list.connectors())
                .map(ToString::to_string)
                .collect(),
        })
    }
}
