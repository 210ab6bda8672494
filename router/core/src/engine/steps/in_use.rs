//! Which connector versions callers of a group use, which members run their calls, and what a change would leave without a member.
//!
//! A change of marks or of bundle sets is judged by two states of the group, before and after the change. A connector that callers use and
//! a member runs before must have a member after, unless the operator insists. So a rolling upgrade cannot silently take the last member
//! from an IDM that asks for one exact version.

use std::collections::BTreeSet;
use std::sync::Arc;

use rcs_proto::icf::ConnectorKey;
use rcs_proto::time::Moment;

use crate::bundles::in_use::{self, InUse, Lost};
use crate::bundles::range::StandIns;
use crate::bundles::wire::WireManifest;
use crate::engine::allowed::Allowed;
use crate::engine::callers::Users;
use crate::engine::groups::connector_of;
use crate::engine::keys::{CallKey, CallerKey};
use crate::engine::members::Asking;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::view::{Group, GroupOrigin};

/// The members that run calls in one state of a group.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Takers {
    /// Lists of connectors, each with its member. A list without a member counts, although no member has it any more.
    lists: Vec<(Option<MemberId>, Arc<WireManifest>)>,
    stand_ins: StandIns,
}

/// The connectors that callers of a group use.
#[derive(Debug)]
pub(in crate::engine) struct Used(Vec<(ConnectorKey, Users)>);

impl Used {
    /// How many callers ask for connectors of this list. A caller counts once for each connector.
    pub(in crate::engine) fn callers_of(&self, wire: &WireManifest) -> usize {
        let has = |connector: &ConnectorKey| wire.connectors().contains_key(connector);
        self.0.iter().filter(|(connector, _)| has(connector)).map(|(_, users)| users.callers).sum()
    }
}

impl Takers {
    fn take<'a>(&'a self, connector: &'a ConnectorKey) -> impl Iterator<Item = Option<MemberId>> + 'a {
        let takes = |wire: &WireManifest| in_use::taken_by(wire, connector, &self.stand_ins).is_some();
        self.lists.iter().filter(move |(_, wire)| takes(wire)).map(|(member, _)| *member)
    }

    /// Adds a list without a member.
    pub(in crate::engine) fn with(mut self, wire: Option<Arc<WireManifest>>) -> Self {
        self.lists.extend(wire.map(|wire| (None, wire)));
        self
    }

    /// Keeps this member alone.
    pub(in crate::engine) fn only(mut self, member: MemberId) -> Self {
        self.lists.retain(|(of, _)| *of == Some(member));
        self
    }

    /// Leaves this member out.
    pub(in crate::engine) fn without(mut self, member: MemberId) -> Self {
        self.lists.retain(|(of, _)| *of != Some(member));
        self
    }
}

impl Tables {
    /// The members of a group that run its calls, if `may_serve` lets them.
    pub(in crate::engine) fn takers(
        &self,
        group: &Group,
        asking: Asking,
        stand_ins: &StandIns,
        may_serve: impl Fn(MemberId) -> bool,
    ) -> Takers {
        let serving =
            group.members.iter().filter(|id| may_serve(**id) && self.members.takes(**id, asking).is_ok());
        let lists = serving.filter_map(|id| Some((Some(*id), Arc::clone(self.members.told_by(*id)?))));
        Takers { lists: lists.collect(), stand_ins: stand_ins.clone() }
    }

    /// The members of a group that run its calls now.
    pub(in crate::engine) fn takers_now(&self, group: &Group, asking: Asking) -> Takers {
        let sets = self.groups.sets(group.id);
        let may_serve = |id| sets.is_some_and(|sets| sets.may_serve(id));
        self.takers(group, asking, self.agreed.stand_ins(group), may_serve)
    }

    /// The connectors that callers of a group use and its members run now.
    pub(in crate::engine) fn in_use(&self, group: &Group, now: Moment) -> Vec<InUse> {
        let takers = self.takers_now(group, Asking::New);
        let used = self.used_in(group, now).0.into_iter();
        let rows = used.map(|(connector, users)| {
            let members: Vec<MemberId> = takers.take(&connector).flatten().collect();
            let names = members.iter().filter_map(|id| Some(self.members.get(*id)?.name().to_owned()));
            InUse { members: names.collect(), callers: users.callers, principals: users.names(), connector }
        });
        rows.filter(|row| !row.members.is_empty()).collect()
    }

    /// The connectors that callers of a group use, and that have a member `before` a change and none `after` it.
    pub(in crate::engine) fn lost(
        &self,
        group: &Group,
        used: &Used,
        before: &Takers,
        after: &Takers,
    ) -> Option<Box<Lost>> {
        let mut connectors = Vec::new();
        for (connector, users) in &used.0 {
            if is_lost(connector, before, after) {
                let (callers, principals) = (users.callers, users.names());
                let connector = connector.clone();
                connectors.push(InUse { connector, callers, principals, members: Vec::new() });
            }
        }
        let first = &connectors.first()?.connector;
        let there: BTreeSet<&str> = after
            .lists
            .iter()
            .flat_map(|(_, wire)| in_use::keys_of(wire, first))
            .map(|key| &*key.bundle_version)
            .collect();
        let rule = there.last().and_then(|version| in_use::rule(first, version));
        Some(Box::new(Lost { group: group.name.clone(), connectors, rule }))
    }

    /// How many of a group's members may be taken down at once, so that `serving_min` are left, and each version in use keeps a member.
    pub(in crate::engine) fn spare(&self, group: &Group, spare: usize, now: Moment) -> usize {
        let Some(sets) = self.groups.sets(group.id) else { return 0 };
        let used = self.used_in(group, now);
        let mut takers = self.takers_now(group, Asking::New);
        let mut taken = 0;
        for member in group.members.iter().filter(|id| sets.may_serve(**id)) {
            if taken == spare {
                break;
            }
            let fewer = takers.clone().without(*member);
            if !used.0.iter().any(|(connector, _)| is_lost(connector, &takers, &fewer)) {
                (takers, taken) = (fewer, taken + 1);
            }
        }
        taken
    }

    /// The versions of a connector at the members that get a group's calls. `None` if the version is not to blame: a member runs calls for
    /// the connector as it is asked for, a member's list cannot be read, or no member gets calls.
    pub(in crate::engine) fn other_versions(
        &self,
        group: &Group,
        asked: &ConnectorKey,
    ) -> Option<Vec<String>> {
        let sets = self.groups.sets(group.id)?;
        let stand_ins = self.agreed.stand_ins(group);
        let mut versions: BTreeSet<String> = BTreeSet::new();
        let mut is_any = false;
        for member in &group.members {
            if !sets.may_serve(*member) || self.members.takes(*member, Asking::InPanic).is_err() {
                continue;
            }
            let wire = self.members.told_by(*member)?;
            if in_use::taken_by(wire, asked, stand_ins).is_some() {
                return None;
            }
            let of_it = in_use::keys_of(wire, asked).filter(|key| group.settings.visible.allows(key));
            versions.extend(of_it.map(|key| key.bundle_version.clone()));
            is_any = true;
        }
        is_any.then(|| versions.into_iter().collect())
    }

    /// If no member that gets calls has the version of the connector that a call asks for: that connector, and a sentence for the caller
    /// that names the versions which are there.
    pub(in crate::engine) fn missing_version(&self, key: CallKey) -> Option<(ConnectorKey, String)> {
        let call = self.calls.get(key)?;
        let asked = call.head()?.connector()?;
        let versions = self.other_versions(self.view.group(call.group)?, &asked)?;
        let sentence = in_use::sentence(&asked, &versions);
        Some((asked, sentence))
    }

    /// The same sentence for a call whose connector decides on its group, if no group has the connector.
    /// The caller hears of the groups that it may use.
    pub(in crate::engine) fn missing_everywhere(&self, asked: &ConnectorKey, allowed: &Allowed) -> String {
        let its_own = self.view.meant_groups().filter(|group| allowed.has(&group.name));
        let shown = its_own.filter_map(|group| self.groups.shown(group.id));
        let versions: BTreeSet<&str> = shown.flat_map(|shown| shown.versions_of(asked)).collect();
        let versions: Vec<String> = versions.into_iter().map(str::to_owned).collect();
        in_use::sentence(asked, &versions)
    }

    /// Counts a call that failed because no member has its version of the connector.
    pub(in crate::engine) fn count_unserved(
        &mut self,
        group: Option<GroupId>,
        connector: &ConnectorKey,
        caller: CallerKey,
        now: Moment,
    ) {
        if let Some(known) = self.callers.get(caller) {
            self.groups.unserved(group, connector, (caller, &known.id.principal), now);
        }
    }

    /// Whether a group is shown and noted: every group is, except the address of a listed server that nobody uses.
    pub(in crate::engine) fn is_in_service(&self, group: &Group) -> bool {
        group.origin != GroupOrigin::Address || self.callers.is_way_in(group.id)
    }

    /// The connectors that callers of a group use, whichever member runs them.
    pub(in crate::engine) fn used_in(&self, group: &Group, now: Moment) -> Used {
        // The connector of a call never chooses the address of a listed server.
        let is_address = group.origin == GroupOrigin::Address;
        let used = self.callers.uses_in(group.id, (!is_address).then_some(&*group.name), now).into_iter();
        Used(used.filter_map(|(key, users)| Some((connector_of(key)?, users))).collect())
    }
}

fn is_lost(connector: &ConnectorKey, before: &Takers, after: &Takers) -> bool {
    before.take(connector).next().is_some() && after.take(connector).next().is_none()
}
