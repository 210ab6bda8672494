//! What operators decide: their files, and their changes of bundle sets. A change is judged by what this router sees, then agreed,
//! and the groups follow.

use std::sync::Arc;

use rcs_proto::manifest::FileManifest;
use rcs_proto::time::Moment;

use crate::agreed::sets::{BundleChange, BundleRefusal, ProposedSet, SetsChange};
use crate::agreed::{Author, Change, Done, Refusal};
use crate::bundles::group::{Proposal, Refused, SetDigest};
use crate::engine::event::{Answer, Wish};
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::view::Group;

impl Tables {
    /// A change was agreed outside: by the operator's files, or by other routers.
    pub(in crate::engine) fn on_agreed(
        &mut self,
        change: Change,
        author: Author,
        now: Moment,
        io: &mut impl Io,
    ) {
        if let Err(refusal) = self.agree(change, author, now, io) {
            io.note(Note::ViewNotFollowed { reason: &refusal.to_string() });
        }
    }

    /// An operator asks for a change.
    pub(in crate::engine) fn on_wish(&mut self, wish: Wish, now: Moment, io: &mut impl Io) -> Answer {
        match wish {
            Wish::Mark { group, member, change, last } => {
                Answer::Marked(self.mark(&group, &member, change, last, now, io))
            }
            Wish::Bundles { group, change } => Answer::Bundles(self.change_sets(&group, change, now)),
        }
    }

    /// Has a change agreed, and follows it.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub(super) fn agree(
        &mut self,
        change: Change,
        author: Author,
        now: Moment,
        io: &mut impl Io,
    ) -> Result<(), Refusal> {
        if let Change::Sets { group, change } = change {
            let Some(id) = self.view.group_named(&group).map(|group| group.id) else {
                return Err(Refusal::NoGroup(group));
            };
            return self.agree_sets(id, change, author, now);
        }
        if self.agreed.apply(change, author, self.epoch.after(now))? == Done::Changed {
            self.follow_view(now, io);
        }
        Ok(())
    }

    /// Carries out what an operator wants of a group's sets.
    ///
    /// # Errors
    /// [`BundleRefusal`]; nothing is changed then.
    fn change_sets(&mut self, group: &str, change: BundleChange, now: Moment) -> Result<(), BundleRefusal> {
        let view = Arc::clone(&self.view);
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
        };
        self.agree_sets(listed.id, change, Author::Operator, now).map_err(|refusal| match refusal {
            Refusal::Sets(refused) => refused.into(),
            other => unreachable!("a change of sets is refused for its sets alone: {other}"),
        })
    }

    /// What a member has, to the depth that its group compares.
    fn set_of(&self, group: &Group, name: &str) -> Result<SetDigest, BundleRefusal> {
        let member = self.view.listed_in(group, name)?.id;
        let found = self.groups.sets(group.id).and_then(|sets| sets.found(member));
        found.ok_or(BundleRefusal::Refused(Refused::NoManifest))
    }

    /// After a change of the view: what each group's sets are compared by, who is in the group, what is decided.
    pub(super) fn sets_follow_view(&mut self, now: Moment) {
        let view = Arc::clone(&self.view);
        for group in view.groups() {
            let Some(sets) = self.groups.sets(group.id) else { continue };
            let is_new = |member: &&MemberId| sets.standing(**member).is_none();
            let new: Vec<MemberId> = group.members.iter().filter(is_new).copied().collect();
            let files: Vec<(MemberId, Arc<FileManifest>)> =
                new.iter().filter_map(|of| Some((*of, self.groups.files_of(*of)?))).collect();
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
        }
    }
}
