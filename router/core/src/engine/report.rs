//! The engine's state as an operator sees it. No payload, no secret.

use super::Engine;
use super::probes::Standing;
use crate::view::AdminState;

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
    /// Its members in list order.
    pub members: Vec<MemberReport>,
}

/// A member in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// Its name.
    pub name: String,
    /// Whether it takes calls.
    pub up: bool,
    /// Why it takes none although it can be reached.
    pub unfit: Option<&'static str>,
    /// Whether the operator wants it.
    pub enabled: bool,
    /// Open sockets that are ready.
    pub sockets: usize,
    /// Calls that it holds, of all its groups.
    pub in_flight: usize,
    /// Connectors that it told.
    pub connectors: Vec<String>,
}

impl Engine {
    /// The state now.
    pub fn report(&self) -> Report {
        let groups = self.view.groups().iter().map(|group| GroupReport {
            name: group.name.clone(),
            algorithm: group.policy.name(),
            queued: self.groups.get(&group.id).map_or(0, |state| state.places.queue.len()),
            members: group.members.iter().filter_map(|id| self.member_report(*id)).collect(),
        });
        Report { groups: groups.collect(), callers: self.downstreams.len(), calls: self.calls.len() }
    }

    fn member_report(&self, id: crate::ids::MemberId) -> Option<MemberReport> {
        let state = self.members.get(&id)?;
        let session = state.session.and_then(|key| self.upstreams.get(key));
        Some(MemberReport {
            name: state.member.spec.name.clone(),
            up: state.standing == Standing::Serving,
            unfit: match state.standing {
                Standing::Unfit(reason) => Some(reason.label()),
                Standing::Down | Standing::Serving => None,
            },
            enabled: state.member.spec.admin == AdminState::Enabled,
            sockets: session.map_or(0, |upstream| upstream.session.sockets().count()),
            in_flight: state.in_flight,
            connectors: state.connectors.iter().map(ToString::to_string).collect(),
        })
    }
}
