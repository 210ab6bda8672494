//! What operators decide. Their files are agreed as they come. This router first judges their wishes by what it sees, and then has
//! them agreed. What is agreed is followed within the same event.

use rcs_proto::time::Moment;

use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::agreed::sets::{BundleChange, BundleRefusal};
use crate::agreed::{Author, Change, Done, Refusal};
use crate::engine::event::{Answer, Wish};
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::view::NotListed;

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
            Wish::Bundles { group, change, last } => {
                Answer::Bundles(self.change_sets(&group, change, last, now))
            }
            Wish::Release(configuration) => {
                Answer::Released(self.release_configuration(configuration, now, io))
            }
        }
    }

    /// Has a change agreed, and follows it.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    fn agree(
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

    /// An operator wants a mark set or taken off.
    ///
    /// # Errors
    /// [`MarkRefusal`]; nothing is changed then.
    fn mark(
        &mut self,
        group: &str,
        member: &str,
        change: MarkChange,
        last: LastMember,
        now: Moment,
        io: &mut impl Io,
    ) -> Result<(), MarkRefusal> {
        let mark = self.judge_mark(group, member, change, last, now)?;
        let change = Change::Mark { member: member.to_owned(), mark };
        self.agree(change, Author::Operator, now, io)?;
        Ok(())
    }

    /// An operator wants something of a group's sets.
    ///
    /// # Errors
    /// [`BundleRefusal`]; nothing is changed then.
    fn change_sets(
        &mut self,
        group: &str,
        change: BundleChange,
        last: LastMember,
        now: Moment,
    ) -> Result<(), BundleRefusal> {
        let (group, change) = self.judge_sets_change(group, change, last, now)?;
        self.agree_sets(group, change, Author::Operator, now).map_err(|refusal| match refusal {
            Refusal::Sets(refused) => refused.into(),
            // The document has moved on, and the view could not follow.
            Refusal::NoGroup(group) => NotListed::NoGroup(group).into(),
            other => unreachable!("a change of sets is refused for its sets alone: {other}"),
        })
    }
}
