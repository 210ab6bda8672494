//! Operators' marks carried out (P11). A drained member gets no new call, and its calls in flight end as they would. Then its
//! sockets are closed a few at a time, and the member is not dialled until the mark is taken off.
//!
//! Two things live at a member for longer than a call. Paged searches: their pages go on while the drain waits, which waits
//! [`limits::PAGE_GAP`] for the next page. Subscriptions: as they never end by themselves, they are ended at once with an error
//! that says to subscribe again.

use rcs_proto::time::Moment;

use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::bundles::in_use::Lost;
use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, Slot};
use crate::engine::members::{Asking, Drain, Member};
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::Fault;
use crate::view::{Group, Mark};

impl Tables {
    /// The mark that a member would have after this change, judged by what this router sees. Changes nothing.
    pub(in crate::engine) fn judge_mark(
        &self,
        group: &str,
        member: &str,
        change: MarkChange,
        last: LastMember,
        now: Moment,
    ) -> Result<Mark, MarkRefusal> {
        let listed = self.view.listed_in(self.view.listed(group)?, member)?;
        let mark = change.judge(listed)?;
        if mark == Mark::Enabled || last == LastMember::Released {
            return Ok(mark);
        }
        if let Some(group) = self.group_that_needs(listed.id) {
            return Err(MarkRefusal::LastOne { group, member: member.to_owned() });
        }
        match self.versions_that_need(listed.id, now) {
            Some(lost) => Err(MarkRefusal::LastWithVersion { member: member.to_owned(), lost }),
            None => Ok(mark),
        }
    }

    /// The connector versions in use that this member alone runs in one of its groups.
    fn versions_that_need(&self, member: MemberId, now: Moment) -> Option<Box<Lost>> {
        self.members.takes(member, Asking::InPanic).ok()?;
        self.view.groups_of(member).filter(|group| self.is_in_service(group)).find_map(|group| {
            let (with_it, fit) =
                (self.takers_now(group, Asking::InPanic), self.takers_now(group, Asking::New));
            self.lost(group, &self.used_in(group, now), &with_it.only(member), &fit.without(member))
        })
    }

    /// The group whose calls only this member can run. A member that gets no calls can be taken out without harm.
    fn group_that_needs(&self, member: MemberId) -> Option<String> {
        self.members.takes(member, Asking::InPanic).ok()?;
        // A quarantined member gets none of the group's calls, even if it could run them.
        let may_serve =
            |group: &Group, id: MemberId| self.groups.sets(group.id).is_some_and(|sets| sets.may_serve(id));
        let serves =
            |group: &Group, id: MemberId| self.members.takes(id, Asking::New).is_ok() && may_serve(group, id);
        let has_others = |group: &Group| group.members.iter().any(|id| *id != member && serves(group, *id));
        let mut groups = self.view.groups_of(member);
        let needs =
            groups.find(|group| self.is_in_service(group) && may_serve(group, member) && !has_others(group));
        needs.map(|group| group.name.clone())
    }

    /// An operator's mark of a member changed. Sockets that an enabled member lacks are dialled one after the other.
    pub(super) fn on_mark(&mut self, member: MemberId, mark: Mark, now: Moment, io: &mut impl Io) {
        let (calls, drain_begins) = self.members.mark(member, mark, now);
        io.note(Note::MemberMarked { member, mark, calls });
        for group in self.view.groups_of(member) {
            self.groups.is_stale(group.id);
        }
        if drain_begins {
            let held = self.members.calls_at(member);
            self.end_subscriptions(held);
        }
        self.clock.set(now, Timer::Via(member));
        if mark == Mark::Enabled {
            for slot in 0..self.members.slots_of(member) {
                let at = now + limits::DIAL_STAGGER * u32::from(slot);
                self.clock.set(at, Timer::Redial(member, Slot(slot)));
            }
        }
    }

    /// Ends the subscriptions among these calls. A drain would wait for them for ever.
    pub(super) fn end_subscriptions(&mut self, calls: Vec<CallKey>) {
        for call in calls {
            if self.calls.get(call).is_some_and(|call| call.operation.is_subscription()) {
                self.calls.fault(call, Fault::Draining);
            }
        }
    }

    /// What is due by now for a member that is drained.
    pub(super) fn look_after_drain(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        match self.members.drain_goes_on(member, now) {
            // The time of the member's calls is over: reads are retried elsewhere, changes end with "outcome unknown". The sockets
            // are closed from the next tick on, behind the cancels.
            Some(Drain::Ending(_)) => {
                for session in self.members.sessions_of(member) {
                    for call in self.members.calls_of(session) {
                        self.lost_in(call, session, Fault::MemberLost, now, io);
                    }
                }
            }
            Some(Drain::Closing) => self.close_some(member, now, io),
            Some(Drain::Off | Drain::Over) | None => {}
        }
    }

    fn close_some(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        // Only the member could open the sockets again, and a 1.8.0 dialler never does (WIRE 7.5): the sockets stay.
        let stay = self.members.get(member).is_some_and(Member::dials_us);
        let sockets = if stay { Vec::new() } else { self.sockets.of(member) };
        for socket in sockets.iter().take(limits::DRAIN_CLOSES) {
            self.close_socket(*socket, now, io);
        }
        if sockets.len() <= limits::DRAIN_CLOSES {
            self.members.drained(member);
            io.note(Note::MemberDrained { member });
        }
    }
}
