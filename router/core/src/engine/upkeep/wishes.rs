//! What operators decide. Their files are agreed as they come. This router first judges their wishes by what it sees, and then has
//! them agreed. A router that stands alone agrees and follows within the same event. A router of a cluster proposes, and follows what the
//! cluster's log says.

use rcs_proto::time::Moment;

use crate::agreed::{Agreed, At, Author, Change, Done, Refusal};
use crate::engine::asked::Subject;
use crate::engine::event::{Answer, Deciding, Ticket, Wish};
use crate::engine::io::{Io, Proposal};
use crate::engine::note::Note;
use crate::engine::tables::Tables;

impl Tables {
    /// A change was agreed outside: by the operator's files, or by the routers of the cluster. Returns the answer to an operator of this
    /// router who waits for the change.
    pub(in crate::engine) fn on_agreed(
        &mut self,
        change: Change,
        author: Author,
        at: At,
        ticket: Option<Ticket>,
        now: Moment,
        io: &mut impl Io,
    ) -> Option<(Ticket, Answer)> {
        // Any other refused change is told by the router that proposed it.
        let is_told_here = author == Author::Files || matches!(change, Change::Configured { .. });
        let outcome = self.agree(change, author, at, now, io);
        if let Err(refusal) = &outcome
            && is_told_here
        {
            io.note(Note::ViewNotFollowed { reason: &refusal.to_string() });
        }
        self.asked.ends(ticket, outcome)
    }

    /// A snapshot of the routers' log replaces all that is agreed.
    pub(in crate::engine) fn on_restored(&mut self, agreed: Agreed, now: Moment, io: &mut impl Io) {
        if self.agreed == agreed {
            return;
        }
        self.agreed = agreed;
        self.follow_view(now, io);
        for group in self.view.groups() {
            self.groups.proposal_is_decided(group.id);
        }
    }

    /// An operator asks for a change. Returns the answer, unless the answer depends on the routers of the cluster.
    pub(in crate::engine) fn on_wish(
        &mut self,
        ticket: Ticket,
        wish: Wish,
        now: Moment,
        io: &mut impl Io,
    ) -> Option<(Ticket, Answer)> {
        let answer = match wish {
            Wish::Mark { group, member, change, last } => {
                match self.judge_mark(&group, &member, change, last, now) {
                    Ok(mark) => {
                        self.have_agreed(ticket, Subject::Mark, Change::Mark { member, mark }, now, io)
                    }
                    Err(refused) => Some(Answer::Marked(Err(refused))),
                }
            }
            Wish::Bundles { group, change, last } => {
                match self.judge_sets_change(&group, change, last, now) {
                    Ok(change) => {
                        self.have_agreed(ticket, Subject::Sets, Change::Sets { group, change }, now, io)
                    }
                    Err(refused) => Some(Answer::Bundles(Err(refused))),
                }
            }
            Wish::Release(configuration) => {
                Some(Answer::Released(self.release_configuration(configuration, now, io)))
            }
        };
        Some((ticket, answer?))
    }

    /// Has an operator's change agreed: at once, or by the routers of the cluster. Returns the answer, if it is known.
    fn have_agreed(
        &mut self,
        ticket: Ticket,
        subject: Subject,
        change: Change,
        now: Moment,
        io: &mut impl Io,
    ) -> Option<Answer> {
        match self.deciding {
            Deciding::Alone => {
                let at = self.epoch.after(now);
                Some(subject.answer(self.agree(change, Author::Operator, at, now, io)))
            }
            Deciding::Together => {
                let refused = self.asked.begins(ticket, subject);
                if refused.is_none() {
                    io.propose(Proposal { ticket: Some(ticket), change, author: Author::Operator });
                }
                refused
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
        at: At,
        now: Moment,
        io: &mut impl Io,
    ) -> Result<(), Refusal> {
        if let Change::Sets { group, change } = change {
            return self.agree_sets(group, change, author, at, now);
        }
        let marked = match &change {
            Change::Mark { member, mark } => self.view.member_named(member).map(|member| (member.id, *mark)),
            Change::Configured { .. } | Change::Sets { .. } => None,
        };
        if self.agreed.apply(change, author, at)? == Done::Changed {
            match marked {
                Some((member, mark)) => self.follow_mark(member, mark, now, io),
                None => self.follow_view(now, io),
            }
        }
        Ok(())
    }
}
