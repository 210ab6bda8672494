//! What each member does for a group's calls, since when, and since when the group has no member at all.

use std::collections::BTreeMap;
use std::time::Duration;

use rcs_proto::time::Moment;

use super::Groups;
use crate::ids::{GroupId, MemberId};
use crate::state::MemberState;

/// The states of a group's members after the last event was settled.
#[derive(Debug, Default)]
pub(super) struct States {
    members: BTreeMap<MemberId, (MemberState, Moment)>,
    supply: Supply,
}

/// Whether a group has a member that gets its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Supply {
    /// The group has never had a member that gets its calls.
    #[default]
    Never,
    /// The group has a member that gets its calls.
    Some,
    /// The group had such a member before, and has had none since this moment.
    Out(Moment),
}

/// A member that gets calls is there again, or the last one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Supplied {
    /// The last member that got calls is gone.
    Out,
    /// A member gets calls again, after this time.
    Back(Duration),
}

impl Groups {
    /// Notes that the states of a group's members may have changed.
    pub(in crate::engine) fn states_may_change(&mut self, id: GroupId) {
        if self.groups.contains_key(&id) {
            self.restated.insert(id);
        }
    }

    /// The next group whose members' states are to be looked at.
    pub(in crate::engine) fn next_restated(&mut self) -> Option<GroupId> {
        self.restated.pop_first()
    }

    /// Sets the states of a group's members. Members that are not listed are dropped.
    pub(in crate::engine) fn states_are(
        &mut self,
        id: GroupId,
        states: &[(MemberId, MemberState)],
        now: Moment,
    ) -> Option<Supplied> {
        let group = self.groups.get_mut(&id)?;
        let known = &mut group.states.members;
        known.retain(|member, _| states.iter().any(|(listed, _)| listed == member));
        for (member, state) in states {
            let entry = known.entry(*member).or_insert((*state, now));
            if entry.0 != *state {
                *entry = (*state, now);
            }
        }
        let has_members = !group.picker.candidates().is_empty();
        let (supply, change) = match (group.states.supply, has_members) {
            (Supply::Some, false) => (Supply::Out(now), Some(Supplied::Out)),
            (Supply::Out(since), true) => (Supply::Some, Some(Supplied::Back(now.since(since)))),
            (Supply::Never, true) => (Supply::Some, None),
            (same, _) => (same, None),
        };
        group.states.supply = supply;
        change
    }

    /// A member's state in a group, and since when.
    pub(in crate::engine) fn state(&self, id: GroupId, member: MemberId) -> Option<(MemberState, Moment)> {
        self.groups.get(&id)?.states.members.get(&member).copied()
    }

    /// Whether a group has a member that gets calls, and since when not.
    pub(in crate::engine) fn supply(&self, id: GroupId) -> Supply {
        self.groups.get(&id).map(|group| group.states.supply).unwrap_or_default()
    }

    /// Whether a member is among those that get a group's calls. An unfit member is among them if too few members are fit (panic
    /// threshold).
    pub(in crate::engine) fn gives_calls_to(&self, id: GroupId, member: MemberId) -> bool {
        self.groups.get(&id).is_some_and(|group| group.picker.candidates().contains(&member))
    }

    /// How long reads took at a member lately: the median of the last window with enough of them.
    pub(in crate::engine) fn latency(&self, id: GroupId, member: MemberId) -> Option<Duration> {
        self.groups.get(&id)?.outliers.median(member)
    }
}
