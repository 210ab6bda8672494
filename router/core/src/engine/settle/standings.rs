//! Members that something happened to: their standing now, and when something is due for them next.

use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::members::Turned;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};

impl Tables {
    pub(super) fn look_at_members(&mut self, now: Moment, io: &mut impl Io) {
        while let Some(member) = self.members.next_changed() {
            if self.members.get(member).is_some_and(|member| !member.linked) {
                self.forget_judgement(member, now);
                // What follows for the groups' bundle sets is noted before the member's own standing.
                self.decide_sets(now, io);
            }
            if let Some(turned) = self.members.review(member, now) {
                self.tell_standing(member, turned, io);
                let groups: Vec<GroupId> = self.view.groups_of(member).map(|group| group.id).collect();
                groups.into_iter().for_each(|group| self.groups.is_stale(group));
            }
            self.members.look_at_presence(member);
            for group in self.view.groups_of(member) {
                self.groups.states_may_change(group.id);
            }
            self.members.plan(member);
        }
    }

    fn tell_standing(&self, member: MemberId, turned: Turned, io: &mut impl Io) {
        match turned {
            Turned::Up(connectors) => io.note(Note::MemberUp { member, connectors }),
            Turned::Down(calls) => io.note(Note::MemberDown { member, calls }),
            Turned::Unfit(reason) => io.note(Note::MemberUnfit { member, reason }),
            Turned::Silent => {}
        }
    }
}
