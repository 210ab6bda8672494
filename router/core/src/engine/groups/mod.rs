//! The table of groups, which spreads calls: each group's picker and places, its queue, the bundle sets of its members, and the
//! habits of its streams.

mod budget;
mod configurations;
mod facades;
mod habits;
mod places;
mod proposed;
mod queue;
mod sets;
mod states;
mod unserved;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::icf::ConnectorKey;
use rcs_proto::time::Moment;

use self::budget::RetryBudget;
pub(super) use self::budget::is_free;
pub(super) use self::configurations::{Bar, Configurations, Quarantine, Suspect, Turned};
use self::facades::ProbedFacades;
use self::habits::StreamHabits;
pub(super) use self::habits::Tail;
use self::proposed::Proposed;
use self::queue::Queue;
pub(super) use self::queue::{Among, Lane};
use self::sets::ListOfSeveral;
use self::states::States;
pub(super) use self::states::{Supplied, Supply};
use self::unserved::Unserved;
pub(super) use self::versions::connector_of;
use self::versions::{Takers, Versions};
use super::agenda::Agenda;
use super::allowed::Allowed;
use super::facade::{ConfigurationDigest, Facade, StreamKind};
use super::keys::{CallKey, CallerKey};
use super::note::UnservedCalls;
use super::out::Out;
use crate::balance::{Cursor, Pick, Picker};
use crate::bundles::group::{GroupSets, Told};
use crate::bundles::infos::Shown;
use crate::bundles::range::StandIns;
use crate::bundles::wire::WireManifest;
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::outlier::Outliers;
use crate::settings::GroupSettings;
use crate::view;

/// The bounds of a group, as its settings say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    in_flight: usize,
    /// Calls that one of its members may hold.
    pub(super) member_in_flight: usize,
    queue: usize,
    wait: Duration,
    retry_percent: u32,
}

impl Bounds {
    fn of(settings: &GroupSettings) -> Self {
        Self {
            in_flight: settings.in_flight_max,
            member_in_flight: settings.member_in_flight_max,
            queue: settings.queue_max,
            wait: settings.queue_wait,
            retry_percent: settings.retry_percent,
        }
    }
}

/// One group.
#[derive(Debug)]
struct Group {
    picker: Picker,
    cursor: Cursor,
    bounds: Bounds,
    /// Calls that are at a member, subscriptions apart.
    in_flight: usize,
    queue: Queue,
    /// The connectors that callers of this group are shown.
    shown: Shown,
    /// The habits of the group's streams: how their ends look.
    habits: StreamHabits,
    /// The configurations that its calls use.
    facades: ProbedFacades,
    /// The latencies of the group's members, compared with each other.
    outliers: Outliers,
    /// The group's retry budget.
    budget: RetryBudget,
    /// Which members run calls for which connector; none while all members have the same connectors.
    versions: Option<Versions>,
    /// The bundle sets of its members, and who may serve with them.
    sets: GroupSets,
    /// What was proposed last for the sets to the routers of the cluster.
    proposed: Option<Proposed>,
    /// The states of the members, as the group's calls see them.
    states: States,
    /// The moment in the table's agenda.
    planned: Option<Moment>,
}

impl Group {
    /// When something is due.
    fn due(&self) -> Option<Moment> {
        let again = self.proposed.as_ref().map(|proposed| proposed.again);
        self.sets.due().into_iter().chain(self.outliers.due()).chain(again).min()
    }

    fn new(group: &view::Group, in_flight: usize) -> Self {
        Self {
            picker: group.policy.picker(&[], &MemberSet::new()),
            cursor: Cursor::default(),
            bounds: Bounds::of(&group.settings),
            in_flight,
            queue: Queue::default(),
            shown: Shown::default(),
            habits: StreamHabits::default(),
            facades: ProbedFacades::default(),
            outliers: Outliers::default(),
            budget: RetryBudget::default(),
            versions: None,
            sets: GroupSets::new(group.settings.bundles),
            proposed: None,
            states: States::default(),
            planned: None,
        }
    }
}

/// The members that could have a call, with what decides among them.
pub(super) struct Candidates<'a> {
    picker: &'a Picker,
    takers: Option<&'a Takers>,
    cursor: &'a mut Cursor,
    sets: &'a GroupSets,
    bounds: Bounds,
    in_flight: usize,
}

impl Candidates<'_> {
    /// The members, in list order.
    pub(super) fn members(&self) -> &[MemberId] {
        self.picker.candidates()
    }

    /// Whether the call was not yet sent to some candidate.
    pub(super) fn has_other_than(&self, tried: &MemberSet) -> bool {
        self.members().iter().any(|member| !tried.contains(*member))
    }

    /// Why the group keeps the call from a member, whatever the member itself could run.
    pub(super) fn why_not(&self, member: MemberId) -> Option<Out> {
        if !self.sets.may_serve(member) {
            Some(Out::Quarantined)
        } else {
            let takes = self.takers.is_none_or(|takers| takers.contains(member));
            (!takes).then_some(Out::OtherVersion)
        }
    }

    /// Whether the group holds as many calls as it may.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight >= self.bounds.in_flight
    }

    /// Calls that one member may hold.
    pub(super) fn member_in_flight_max(&self) -> usize {
        self.bounds.member_in_flight
    }

    /// Which members "any member" means for a call that waits.
    pub(super) fn among(&self) -> Among {
        self.takers.map_or(Among::All, |takers| Among::Takers(takers.digest))
    }

    /// Chooses a candidate that the call was not sent to and that has a place.
    pub(super) fn pick(&mut self, tried: &MemberSet, has_place: impl Fn(MemberId) -> bool) -> Pick {
        self.picker.pick_free(self.cursor, tried, has_place)
    }

    /// Whether the call waits for another candidate than `member`: with failover, for the first untried member of the list, even if
    /// that member is full.
    pub(super) fn waits_for_another(&self, member: MemberId, tried: &MemberSet) -> bool {
        let first = self.members().iter().find(|candidate| !tried.contains(**candidate));
        self.picker.is_in_list_order() && first.is_some_and(|first| *first != member)
    }
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    /// Calls at members of groups that have left the view.
    left: BTreeMap<GroupId, usize>,
    /// Groups in which calls wait for a place, each once.
    waiting: Vec<GroupId>,
    /// Whether a place may have become free since places were given away last.
    places_freed: bool,
    /// Groups whose pickers are out of date.
    stale: BTreeSet<GroupId>,
    /// Groups whose members' states may have changed.
    restated: BTreeSet<GroupId>,
    /// Groups whose callers may have to be shown another list of connectors.
    stale_lists: BTreeSet<GroupId>,
    /// The lists of connectors for callers whose calls choose the group, by the groups that they may use.
    lists_of_several: BTreeMap<Allowed, ListOfSeveral>,
    /// Groups that have something to propose for their bundle sets.
    wishing: BTreeSet<GroupId>,
    /// What is to be noted of bundle sets for operators.
    told: Vec<(GroupId, Told)>,
    /// Calls for connector versions that no member has.
    unserved: Unserved,
    /// Members that may serve in a group since this event.
    let_in: BTreeSet<MemberId>,
    /// Configurations that members were lost with, in all groups.
    configurations: Configurations,
    /// When time changes something in a group.
    agenda: Agenda<GroupId>,
}

impl Groups {
    // --- the view ---

    /// Follows the view. Returns the calls that waited in groups which have left it.
    pub(super) fn follow(&mut self, view: &view::View) -> Vec<CallKey> {
        let gone: Vec<GroupId> =
            self.groups.keys().filter(|id| view.group(**id).is_none()).copied().collect();
        let mut waited = Vec::new();
        for id in gone {
            let Some(mut group) = self.groups.remove(&id) else { continue };
            self.agenda.plan(id, &mut group.planned, None);
            if group.in_flight > 0 {
                self.left.insert(id, group.in_flight);
            }
            waited.extend(group.queue.all());
            self.stale.remove(&id);
            self.restated.remove(&id);
            self.stale_lists.remove(&id);
            self.wishing.remove(&id);
        }
        self.waiting.retain(|id| self.groups.contains_key(id));
        self.lists_of_several_are_stale();
        for listed in view.groups() {
            let left = &mut self.left;
            let new = || Group::new(listed, left.remove(&listed.id).unwrap_or(0));
            self.groups.entry(listed.id).or_insert_with(new).bounds = Bounds::of(&listed.settings);
            self.stale.insert(listed.id);
            self.stale_lists.insert(listed.id);
        }
        waited
    }

    // --- who may have a call ---

    /// The members that could have a call for this connector, given by its key as in the request. This method and
    /// [`Members::takes`] alone say who may have a call.
    ///
    /// [`Members::takes`]: super::members::Members::takes
    pub(super) fn candidates(&mut self, id: GroupId, connector: Option<&Bytes>) -> Option<Candidates<'_>> {
        let Group { picker, cursor, bounds, in_flight, versions, sets, .. } = self.groups.get_mut(&id)?;
        let takers = connector.and_then(|key| versions.as_mut()?.takers(key));
        let picker = takers.map_or(&*picker, |takers| &takers.picker);
        Some(Candidates { picker, takers, cursor, sets, bounds: *bounds, in_flight: *in_flight })
    }

    /// The next group whose picker is to be built anew.
    pub(super) fn next_stale(&mut self) -> Option<GroupId> {
        self.stale.pop_first()
    }

    /// What the members of a group can do may have changed.
    pub(super) fn is_stale(&mut self, id: GroupId) {
        if self.groups.contains_key(&id) {
            self.stale.insert(id);
        }
    }

    /// Builds a group's picker anew. `told` has the connectors of the members that count, in list order.
    pub(super) fn rebuild(
        &mut self,
        listed: &view::Group,
        available: MemberSet,
        reachable: MemberSet,
        told: Vec<(MemberId, Arc<WireManifest>)>,
        stand_ins: &StandIns,
    ) {
        let Some(group) = self.groups.get_mut(&listed.id) else { return };
        group.picker = listed.policy.picker(&listed.members, &available);
        group.versions = Versions::of(listed.policy, told, stand_ins, available, reachable);
        self.places_freed = true;
        self.restated.insert(listed.id);
    }

    /// The request as a member gets it: with the message id `id`, and with the version of the connector that the member has.
    pub(super) fn request_for(
        &mut self,
        id: GroupId,
        member: MemberId,
        request: &Envelope,
        as_id: i64,
    ) -> Bytes {
        match self.groups.get_mut(&id).and_then(|group| group.versions.as_mut()) {
            None => request.rewrite_id(as_id),
            Some(versions) => versions.request_for(member, request, as_id),
        }
    }

    #[cfg(test)]
    pub(super) fn versions(&self) -> impl Iterator<Item = &Versions> {
        self.groups.values().filter_map(|group| group.versions.as_ref())
    }

    // --- what calls leave behind ---

    /// A call with this configuration came.
    pub(super) fn called(&mut self, id: GroupId, facade: &Arc<Facade>, now: Moment) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.facades.note(facade, now);
            group.budget.called(now);
        }
    }

    /// Whether the group may spend a retry.
    pub(super) fn affords_retry(&mut self, id: GroupId, now: Moment) -> bool {
        let group = self.groups.get_mut(&id);
        group.is_none_or(|group| group.budget.take(group.bounds.retry_percent, now))
    }

    /// How long a read took at a member.
    pub(super) fn took(&mut self, id: GroupId, member: MemberId, took: Duration) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let is_first = group.outliers.due().is_none();
        group.outliers.note(member, took);
        if is_first {
            self.plan(id);
        }
    }

    /// The members that are far slower than the others of their group, if a window has ended by now.
    pub(super) fn slow_ones(&mut self, listed: &view::Group, now: Moment) -> Vec<MemberId> {
        let Some(group) = self.groups.get_mut(&listed.id) else { return Vec::new() };
        let percent = listed.settings.ejection.latency_percent;
        let slow = group.outliers.look(percent, &listed.members, now);
        self.plan(listed.id);
        slow
    }

    /// Whether the end of a stream of this kind looks cut.
    pub(super) fn looks_cut(&mut self, id: GroupId, kind: StreamKind, tail: Tail, now: Moment) -> bool {
        self.groups.get_mut(&id).is_some_and(|group| group.habits.looks_cut(kind, tail, now))
    }

    /// A member answered a call of a group with this configuration.
    pub(super) fn was_answered(&mut self, id: GroupId, configuration: ConfigurationDigest) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.facades.was_answered(configuration);
        }
    }

    /// Whether a member has answered a call with this configuration in any group, as far as is remembered.
    pub(super) fn has_answered(&self, configuration: ConfigurationDigest) -> bool {
        self.groups.values().any(|group| group.facades.has_answered(configuration))
    }

    /// The configurations that members were lost with, in all groups.
    pub(super) fn configurations(&self) -> &Configurations {
        &self.configurations
    }

    /// The configurations that members were lost with, to be changed.
    pub(super) fn configurations_mut(&mut self) -> &mut Configurations {
        &mut self.configurations
    }

    /// The configurations that members of a group are tested with.
    pub(super) fn facades_in_use(&self, id: GroupId, now: Moment) -> impl Iterator<Item = &Arc<Facade>> {
        self.groups.get(&id).into_iter().flat_map(move |group| group.facades.in_use(now))
    }

    /// A call of this caller found no member with this connector in this version. `group` is `None` if no group has the connector.
    pub(super) fn unserved(
        &mut self,
        group: Option<GroupId>,
        connector: &ConnectorKey,
        caller: (CallerKey, &Arc<str>),
        now: Moment,
    ) {
        self.unserved.note(group, connector, caller, now);
    }

    // --- when something is due ---

    /// What must be noted by now about calls for connector versions that no member has.
    pub(super) fn unserved_due(&mut self, now: Moment) -> Vec<UnservedCalls> {
        self.unserved.due(now)
    }

    /// The groups in which something is due by now.
    pub(super) fn due(&self, now: Moment) -> Vec<GroupId> {
        self.agenda.due(now)
    }

    fn plan(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id) {
            let at = group.due();
            self.agenda.plan(id, &mut group.planned, at);
        }
    }

    /// What must be true between two events. `there` counts the calls of a group that are at a member, and those that wait.
    #[cfg(test)]
    pub(super) fn assert_settled(&self, there: impl Fn(GroupId) -> (usize, usize)) {
        assert!(self.stale.is_empty() && self.stale_lists.is_empty(), "groups are stale");
        assert!(self.restated.is_empty(), "states are not looked at");
        assert!(self.wishing.is_empty() && self.told.is_empty(), "bundle sets are not settled");
        assert!(!self.places_freed || self.waiting.is_empty(), "places are free");
        for (id, group) in &self.groups {
            assert_eq!((group.in_flight, group.queue.len()), there(*id), "{id}");
            assert_eq!(group.queue.is_empty(), !self.waiting.contains(id), "{id}");
            assert_eq!(group.planned, group.due(), "the agenda of {id}");
        }
        for (id, left) in &self.left {
            assert_eq!(*left, there(*id).0, "{id}, which left the view");
        }
    }
}

#[cfg(test)]
mod tests;
