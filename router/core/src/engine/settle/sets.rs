//! What a group's members show may call for a decision on its bundle set: the set of most members is accepted at first, and a group of one follows its
//! only member. Such a proposal goes to `agreed`, which decides. A router that stands alone has it decided at once.

use rcs_proto::time::Moment;

use crate::agreed::Author;
use crate::agreed::sets::{Content, SetsChange};
use crate::bundles::group::SetDigest;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};

impl Tables {
    pub(super) fn decide_sets(&mut self, now: Moment, io: &mut impl Io) {
        while let Some((group, wish)) = self.groups.next_wish() {
            let wish = self.asked_for(group, wish, now);
            // A proposal that is refused was overtaken by another decision, which the group follows.
            let _ = self.agree_sets(group, wish, Author::Router, now);
        }
        for (group, told) in self.groups.take_told() {
            // What concerns nobody is not noted a second time for each server.
            if !self.view.group(group).is_some_and(|group| self.is_in_service(group)) {
                continue;
            }
            io.note(Note::Bundles { group, told: &told });
        }
    }

    /// The same decision for the set that has most of the connectors that callers ask for, where equally many members have each of
    /// several sets.
    fn asked_for(&self, group: GroupId, wish: SetsChange, now: Moment) -> SetsChange {
        let SetsChange::AcceptFirst { .. } = wish else { return wish };
        let Some((listed, sets)) = self.view.group(group).zip(self.groups.sets(group)) else { return wish };
        let equals = sets.first_uses();
        if equals.len() < 2 {
            return wish;
        }
        let used = self.used_in(listed, now);
        let callers = |(_, _, member): &(SetDigest, Content, MemberId)| {
            self.members.told_by(*member).map_or(0, |wire| used.callers_of(wire))
        };
        // Of equals the last one wins here, and the first one in list order should.
        let best = equals.into_iter().rev().max_by_key(callers);
        best.map_or(wish, |(set, content, _)| SetsChange::AcceptFirst { set, content })
    }
}
