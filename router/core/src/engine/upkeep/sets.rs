//! Bundle sets: operators' wishes are judged by what this router sees, and groups follow what the view says of their sets.

use std::sync::Arc;

use rcs_proto::manifest::FileManifest;
use rcs_proto::time::Moment;

use crate::agreed::marks::LastMember;
use crate::agreed::sets::{BundleChange, BundleRefusal, PresentRules, ProposedSet, SetsChange};
use crate::bundles::group::{Proposal, Refused, SetDigest};
use crate::bundles::in_use::Lost;
use crate::bundles::range::StandIns;
use crate::engine::members::Asking;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};
use crate::view::{AdminState, Group, Mark};

impl Tables {
    /// Judges an operator's wish for a group's sets by what this router sees. Changes nothing.
    ///
    /// # Errors
    /// [`BundleRefusal`]
    pub(super) fn judge_sets_change(
        &self,
        group: &str,
        change: BundleChange,
        last: LastMember,
        now: Moment,
    ) -> Result<SetsChange, BundleRefusal> {
        let view = &self.view;
        let listed = view.listed(group)?;
        let sets = self.groups.sets(listed.id).ok_or(Refused::NoManifest)?;
        let change = match change {
            BundleChange::Propose { what, stand_ins } => {
                let proposal = match what {
                    ProposedSet::Digest(set) => Proposal::Set(set),
                    ProposedSet::Of(member) => Proposal::Of(view.listed_in(listed, &member)?.id),
                };
                SetsChange::Propose { set: sets.judge_proposal(proposal, now)?, stand_ins }
            }
            BundleChange::Commit => sets.judge_commit().map(|()| SetsChange::Commit)?,
            BundleChange::Abort => sets.judge_abort().map(|()| SetsChange::Abort)?,
            BundleChange::Pin(ProposedSet::Digest(set)) => SetsChange::Pin { set },
            BundleChange::Pin(ProposedSet::Of(member)) => {
                SetsChange::Pin { set: self.set_of(listed, &member)? }
            }
            BundleChange::StandIns { rules, present } => {
                SetsChange::StandIns { rules: self.rules(listed, rules, present) }
            }
        };
        match self.lost_by(listed, &change, now).filter(|_| last == LastMember::Kept) {
            Some(lost) => Err(BundleRefusal::Lost(lost)),
            None => Ok(change),
        }
    }

    /// The stand-in rules of a group, with these rules added or put in their place.
    fn rules(&self, group: &Group, given: StandIns, present: PresentRules) -> StandIns {
        match present {
            PresentRules::Replaced => given,
            PresentRules::Kept => {
                let mut rules = self.agreed.stand_ins(group).clone();
                let fresh: Vec<_> = given.0.into_iter().filter(|rule| !rules.0.contains(rule)).collect();
                rules.0.extend(fresh);
                rules
            }
        }
    }

    /// The connectors that callers of a group use and no member would run after this change.
    fn lost_by(&self, group: &Group, change: &SetsChange, now: Moment) -> Option<Box<Lost>> {
        let sets = self.groups.sets(group.id)?;
        let mut decision = self.agreed.decision(&group.name).clone();
        // A change that is refused for another reason takes nothing away.
        decision.apply(change.clone(), false).ok()?;
        let mut then = sets.clone();
        then.follow(&decision, now);
        // After a commit, the old set cannot come back. So connectors that left with the last member of the old set count as well.
        let old = matches!(change, SetsChange::Commit).then(|| sets.accepted_connectors()).flatten();
        let before = self.takers_now(group, Asking::InPanic).with(old.cloned());
        let stand_ins = decision.stand_ins().unwrap_or(&group.settings.stand_ins);
        let after = self.takers(group, Asking::InPanic, stand_ins, |id| then.may_serve(id));
        self.lost(group, &self.used_in(group, now), &before, &after)
    }

    /// The set that a member has, with as much detail as the group compares.
    fn set_of(&self, group: &Group, name: &str) -> Result<SetDigest, BundleRefusal> {
        let member = self.view.listed_in(group, name)?.id;
        let found = self.groups.sets(group.id).and_then(|sets| sets.found(member));
        found.ok_or(BundleRefusal::Refused(Refused::NoManifest))
    }

    /// A member cannot be reached, or is not wanted. Groups do not wait for this member's first report.
    pub(super) fn is_absent(&mut self, member: MemberId, now: Moment) {
        if self.members.judged_list(member).is_some() {
            return;
        }
        let groups: Vec<GroupId> = self.view.groups_of(member).map(|group| group.id).collect();
        for group in groups {
            if self.groups.sets(group).is_some_and(|sets| sets.has_no_set()) {
                self.groups.sets_change(group, |sets| sets.absent(member, now));
            }
        }
    }

    /// Follows a change of the view: what each group's sets are compared by, which members the group has, what is decided.
    pub(super) fn sets_follow_view(&mut self, now: Moment) {
        let view = Arc::clone(&self.view);
        for group in view.groups() {
            let Some(sets) = self.groups.sets(group.id) else { continue };
            let is_new = |member: &&MemberId| sets.standing(**member).is_none();
            let new: Vec<MemberId> = group.members.iter().filter(is_new).copied().collect();
            let files: Vec<(MemberId, Arc<FileManifest>)> = new
                .iter()
                .filter_map(|of| Some((*of, self.groups.files_of(*of, view.groups_of(*of))?)))
                .collect();
            self.groups.sets_change(group.id, |sets| sets.policy_is(group.settings.bundles, now));
            self.groups.decided(group.id, self.agreed.decision(&group.name), now);
            self.groups.sets_change(group.id, |sets| {
                let mut told = sets.members_are(&group.members, now);
                for (member, files) in files {
                    told.extend(sets.files_seen(member, files, now));
                }
                told
            });
            for member in new {
                self.tell_set(member, &[group.id], now);
            }
            for member in &group.members {
                let is_wanted = view.member(*member).is_some_and(|member| {
                    member.mark == Mark::Enabled && member.spec.admin == AdminState::Enabled
                });
                if !is_wanted {
                    self.is_absent(*member, now);
                }
            }
        }
    }
}
