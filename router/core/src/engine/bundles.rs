//! Bundle sets in the engine (P5, G11, G12): what members and their agents tell goes to the sets of each of their groups, and what
//! operators order as well. The groups judge by themselves ([`crate::bundles::group`]); here is who tells them what, and what
//! follows for pickers and lists.
//!
//! The engine's own ids stay inside: operators and agents speak of groups and members by their names.

use std::sync::Arc;

use rcs_proto::manifest::{Digest, FileManifest};
use rcs_proto::time::Moment;

use super::{Engine, Io, Note, Selector};
use crate::bundles::diff::Difference;
use crate::bundles::group::{
    Alarm, GroupSets, Origin, Policy, Proposal, Refused, Reports, Server, SetDigest, Standing, Told,
};
use crate::bundles::range::StandIns;
use crate::ids::{GroupId, MemberId};
use crate::view::{Group, NotListed};

/// What an operator said of a group's sets at run time, and what the sets follow of the settings.
#[derive(Debug, Default)]
pub(super) struct BundleOrders {
    /// The pin of the settings that was carried out last: only another one is carried out.
    pinned: Option<SetDigest>,
    /// Said with a proposal, in place of the settings'; they hold until the next proposal, as callers know old versions for long.
    pub(super) stand_ins: Option<StandIns>,
}

/// The bundle sets of one group as an operator sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct BundlesReport {
    /// The group.
    pub group: String,
    /// What is compared, and what follows.
    pub policy: Policy,
    /// The accepted set and how it came to be that; none before the first member told one.
    pub accepted: Option<(SetDigest, Origin)>,
    /// The next set during a rolling upgrade.
    pub next: Option<SetDigest>,
    /// The set that the settings pin. After a commit of another one it is out of date, and a router that starts enforces it:
    /// the operator should bring it up to date.
    pub pinned_by_settings: Option<SetDigest>,
    /// Connectors of which the versions may stand for each other now.
    pub stand_ins: StandIns,
    /// The members in list order.
    pub members: Vec<MemberBundles>,
    /// How many of them may serve, as far as their sets go.
    pub serving: usize,
    /// How many of these may be taken down now, say for their upgrade, so that enough are left.
    pub spare: usize,
    /// Why the operator is needed.
    pub alarm: Option<Alarm>,
    /// The different servers that are known, in order; more than one is a mixed group (B09).
    pub servers: Vec<Server>,
    /// Callers that know an older list of connectors, which lacks something of the present one. They ask again with a new session
    /// only: a 1.8.0 IDM when it is started again. Those whose calls are routed by connector are among them.
    pub callers_behind: usize,
}

/// One member of it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberBundles {
    /// Its name.
    pub name: String,
    /// How it stands: a word by [`Standing::label`], a sentence behind the name by `Display`.
    pub standing: Standing,
    /// What it has, as far as it is known: without files no agent reported.
    pub found: Option<SetDigest>,
    /// What its server is.
    pub server: Option<Server>,
}

impl BundlesReport {
    /// Whether an operator named the accepted set by its digest.
    pub fn is_pinned(&self) -> bool {
        self.accepted.is_some_and(|(_, origin)| origin == Origin::Pinned)
    }
}

impl MemberBundles {
    /// What its set has other than the group's, if that is known; each item is a line of its `Display`.
    pub fn difference(&self) -> Option<&Difference> {
        match self.standing.cause()? {
            crate::bundles::group::Cause::Differs { difference, .. } => Some(difference),
            _ => None,
        }
    }
}

/// What an operator wants of a group's sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleChange {
    /// Begin a rolling upgrade: members with this set serve as well.
    Propose {
        /// The next set.
        what: ProposedSet,
        /// Connectors of which the versions may stand for each other from now on; none: those of the settings.
        stand_ins: Option<StandIns>,
    },
    /// End it: the next set is the accepted one.
    Commit,
    /// Take it back.
    Abort,
    /// Accept this set, whoever has it; also the way out of an alarm. A pin ends with the next pin or commit.
    Pin(ProposedSet),
}

impl BundleChange {
    /// The word for logs, the API and the command line.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Propose { .. } => "propose",
            Self::Commit => "commit",
            Self::Abort => "abort",
            Self::Pin(_) => "pin",
        }
    }
}

/// Which set is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposedSet {
    /// The one with this digest, whether a member has it or not.
    Digest(SetDigest),
    /// The one that the member of this name has now.
    Of(String),
}

/// Why a change is refused. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefusal {
    /// Nobody is meant by the names.
    #[error(transparent)]
    NotListed(#[from] NotListed),
    /// The state of the group forbids it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// An agent speaks of a member that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider document has no server named {0:?}: give the agent the name that stands there")]
pub struct UnknownMember(pub String);

impl Engine {
    /// The bundle sets of the group of this name, or of the server that is its own group.
    pub fn bundles(&self, group: &str) -> Option<BundlesReport> {
        let listed = self.view.group_named(group)?;
        let state = self.groups.get(&listed.id)?;
        let status = state.sets.status();
        let members = status.members.into_iter().filter_map(|member| {
            let name = self.view.member(member.member)?.spec.name.clone();
            let (standing, found, server) = (member.standing, member.found, member.server);
            Some(MemberBundles { name, standing, found, server })
        });
        Some(BundlesReport {
            group: listed.name.clone(),
            policy: status.policy,
            accepted: status.accepted,
            next: status.next,
            pinned_by_settings: listed.settings.pinned,
            stand_ins: state.stand_ins(listed).clone(),
            members: members.collect(),
            serving: status.serving,
            spare: status.spare,
            alarm: status.alarm,
            servers: status.servers,
            callers_behind: self.callers_behind(Selector::Group(listed.id))
                + self.callers_behind(Selector::ByConnectorKey),
        })
    }

    /// Carries out what an operator wants of a group's sets; answers how they are after that.
    ///
    /// # Errors
    /// [`BundleRefusal`]; nothing is changed then.
    pub fn change_bundles(
        &mut self,
        group: &str,
        change: BundleChange,
        now: Moment,
        io: &mut impl Io,
    ) -> Result<BundlesReport, BundleRefusal> {
        let view = Arc::clone(&self.view);
        let listed = view.listed(group)?;
        match change {
            BundleChange::Propose { what, stand_ins } => {
                let proposal = match what {
                    ProposedSet::Digest(set) => Proposal::Set(set),
                    ProposedSet::Of(member) => Proposal::Of(view.listed_in(listed, &member)?.id),
                };
                self.with_sets(listed.id, io, |sets| sets.propose(proposal, now))?;
                if let Some(state) = self.groups.get_mut(&listed.id) {
                    state.orders.stand_ins = stand_ins;
                }
                self.rebuild_pickers();
            }
            BundleChange::Commit => self.with_sets(listed.id, io, |sets| sets.commit(now))?,
            BundleChange::Abort => self.with_sets(listed.id, io, |sets| sets.abort(now))?,
            BundleChange::Pin(what) => {
                let set = match what {
                    ProposedSet::Digest(set) => set,
                    ProposedSet::Of(member) => self.set_of(listed, &member)?,
                };
                self.with_sets(listed.id, io, |sets| Ok(sets.pin(set, now)))?;
            }
        }
        self.give_places(now, io);
        self.bundles(group).ok_or_else(|| NotListed::NoGroup(group.to_owned()).into())
    }

    /// What a member has, to the depth that its group compares.
    fn set_of(&self, group: &Group, name: &str) -> Result<SetDigest, BundleRefusal> {
        let member = self.view.listed_in(group, name)?.id;
        let status = self.groups.get(&group.id).map(|state| state.sets.status());
        let of = |status: crate::bundles::group::Status| {
            let found = status.members.into_iter().find(|of| of.member == member)?.found?;
            match status.policy.reports {
                Reports::WireOnly => Some(SetDigest { files: None, ..found }),
                Reports::RequireAgent => found.files.is_some().then_some(found),
            }
        };
        status.and_then(of).ok_or(BundleRefusal::Refused(Refused::NoManifest))
    }

    /// An agent reported all files of a member, and proved that it may.
    ///
    /// # Errors
    /// [`UnknownMember`]
    pub fn agent_reported(
        &mut self,
        member: &str,
        files: &Arc<FileManifest>,
        now: Moment,
        io: &mut impl Io,
    ) -> Result<(), UnknownMember> {
        let found = self.view.member_named(member).ok_or_else(|| UnknownMember(member.to_owned()))?.id;
        self.in_groups_of(found, io, |sets| sets.files_seen(found, Arc::clone(files), now));
        self.give_places(now, io);
        Ok(())
    }

    /// An agent says, with proof, that the files of a member are still those of this digest. Answers whether the router knows
    /// these; if not, the agent must report all of them.
    ///
    /// # Errors
    /// [`UnknownMember`]
    pub fn agent_heard(&mut self, member: &str, files: &Digest, now: Moment) -> Result<bool, UnknownMember> {
        let found = self.view.member_named(member).ok_or_else(|| UnknownMember(member.to_owned()))?.id;
        let groups: Vec<GroupId> = self.view.groups_of(found).map(|group| group.id).collect();
        let mut is_known = true;
        for group in groups {
            // Each group must hear it, whatever the others know.
            let knows =
                self.groups.get_mut(&group).is_some_and(|state| state.sets.agent_heard(found, files, now));
            is_known &= knows;
        }
        Ok(is_known)
    }

    /// Takes over what the view says of the sets. A group that is new to a member is told what is known of it.
    pub(super) fn sets_follow_view(&mut self, now: Moment, io: &mut impl Io) {
        let view = Arc::clone(&self.view);
        for group in view.groups() {
            let Some(state) = self.groups.get_mut(&group.id) else { continue };
            let pinned = group.settings.pinned;
            let pin = pinned.filter(|_| state.orders.pinned != pinned);
            state.orders.pinned = pinned;
            let is_new = |member: &&MemberId| state.sets.standing(**member).is_none();
            let new: Vec<MemberId> = group.members.iter().filter(is_new).copied().collect();
            let files: Vec<_> = new.iter().filter_map(|of| Some((*of, self.files_of(*of)?))).collect();
            let _ = self.with_sets(group.id, io, |sets| {
                let mut told = sets.policy_is(group.settings.bundles, now);
                told.extend(pin.map(|set| sets.pin(set, now)).unwrap_or_default());
                told.extend(sets.members_are(&group.members, now));
                for (member, files) in files {
                    told.extend(sets.files_seen(member, files, now));
                }
                Ok(told)
            });
            for member in new {
                self.tell_set(member, &[group.id], now, io);
            }
        }
    }

    /// What the agent of a member reported last, if any of its groups holds it.
    fn files_of(&self, member: MemberId) -> Option<Arc<FileManifest>> {
        self.groups.values().find_map(|state| state.sets.files(member))
    }

    /// Tells groups what a member has, if its session told that.
    fn tell_set(&mut self, member: MemberId, groups: &[GroupId], now: Moment, io: &mut impl Io) {
        let Some(state) = self.members.get(&member) else { return };
        let list = state.list.as_ref().filter(|_| state.is_judged);
        let (server, wire) = (state.server.clone(), list.map(|list| list.wire.clone()));
        for group in groups {
            let _ = self.with_sets(*group, io, |sets| {
                let mut told = Vec::new();
                if let Some(server) = &server {
                    told.extend(sets.server_is(member, server.clone(), now));
                }
                told.extend(match &wire {
                    Some(Ok(wire)) => sets.wire_seen(member, Arc::clone(wire), now),
                    Some(Err(why)) => sets.wire_unreadable(member, why.to_string(), now),
                    None => Vec::new(),
                });
                Ok(told)
            });
        }
    }

    /// Has a member's groups judge it by what it told.
    pub(super) fn judge_member(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let groups: Vec<GroupId> = self.view.groups_of(member).map(|group| group.id).collect();
        self.tell_set(member, &groups, now, io);
    }

    /// What a member told counts no more: it has no session, or another one that has not told anything.
    pub(super) fn forget_judgement(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let was_judged = |state: &mut super::MemberState| std::mem::take(&mut state.is_judged);
        if self.members.get_mut(&member).is_some_and(was_judged) {
            self.in_groups_of(member, io, |sets| sets.gone(member, now));
        }
    }

    fn in_groups_of(
        &mut self,
        member: MemberId,
        io: &mut impl Io,
        mut event: impl FnMut(&mut GroupSets) -> Vec<Told>,
    ) {
        let groups: Vec<GroupId> = self.view.groups_of(member).map(|group| group.id).collect();
        for group in groups {
            let _ = self.with_sets(group, io, |sets| Ok(event(sets)));
        }
    }

    /// Changes the sets of a group, tells what came of it, and rebuilds what depends on them.
    fn with_sets(
        &mut self,
        group: GroupId,
        io: &mut impl Io,
        change: impl FnOnce(&mut GroupSets) -> Result<Vec<Told>, Refused>,
    ) -> Result<(), Refused> {
        let Some(state) = self.groups.get_mut(&group) else { return Ok(()) };
        let before = (state.sets.serving().clone(), state.sets.shown());
        let told = change(&mut state.sets)?;
        for told in &told {
            io.note(Note::Bundles { group, told });
        }
        // One that joins and matches is not told, and serves all the same.
        let (serving, shown) = before;
        let (serve_others, show_others) = (*state.sets.serving() != serving, state.sets.shown() != shown);
        if serve_others || !told.is_empty() {
            self.rebuild_pickers();
        }
        if show_others {
            self.refresh_infos(io);
        }
        Ok(())
    }

    /// What time alone changes: holds end, agents fall silent.
    pub(super) fn tick_bundles(&mut self, now: Moment, io: &mut impl Io) {
        let is_due = |state: &super::GroupState| state.sets.due().is_some_and(|due| due <= now);
        let due: Vec<GroupId> =
            self.groups.iter().filter(|(_, state)| is_due(state)).map(|(group, _)| *group).collect();
        for group in due {
            let _ = self.with_sets(group, io, |sets| Ok(sets.tick(now)));
        }
    }
}
