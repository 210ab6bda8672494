//! The state of a member in a group.

use crate::bundles::group::BundleStanding;
use crate::engine::members::{Drain, Standing};
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::state::MemberState;
use crate::view::{AdminState, Mark};

impl Tables {
    /// The state of a member in a group. What document and operators want comes first, then whether the member can be reached, then its
    /// bundle set, then its health.
    pub(in crate::engine) fn state_of(&self, group: GroupId, id: MemberId) -> Option<MemberState> {
        let member = self.members.get(id)?;
        match (member.member.spec.admin, member.member.mark, member.drain) {
            (AdminState::Disabled, ..) | (_, Mark::Disabled, _) => return Some(MemberState::Disabled),
            (_, Mark::Draining, Drain::Over) => return Some(MemberState::Drained),
            (_, Mark::Draining, _) => return Some(MemberState::Draining),
            (AdminState::Enabled, Mark::Enabled, _) if member.leaving => return Some(MemberState::Draining),
            (AdminState::Enabled, Mark::Enabled, _) => {}
        }
        let bundles = self.groups.sets(group).and_then(|sets| sets.standing(id));
        Some(match (member.standing, bundles) {
            (Standing::Down, _) => MemberState::Down,
            (_, Some(bundles)) if bundles.keeps_out() => MemberState::Quarantined,
            (Standing::Unfit(reason), _) => MemberState::of(reason),
            (Standing::Serving, None | Some(BundleStanding::Unknown)) => MemberState::Warming,
            (Standing::Serving, Some(_)) => MemberState::Serving,
        })
    }
}
