//! What a group's members report may call for a decision on its bundle set. At first, the set of most members is accepted. A group of one
//! follows its only member. Such a proposal goes to `agreed`, which decides. A router that stands alone has the proposal decided at once. A
//! router of a cluster proposes, and meanwhile judges members by what is decided so far.

use rcs_proto::time::Moment;

use crate::agreed::sets::{Content, SetsChange};
use crate::agreed::{Author, Change};
use crate::bundles::group::SetDigest;
use crate::engine::event::Deciding;
use crate::engine::io::{Io, Proposal};
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};

impl Tables {
    pub(super) fn decide_sets(&mut self, now: Moment, io: &mut impl Io) {
        while let Some((group, wish)) = self.groups.next_wish() {
            let Some(name) = self.view.group(group).map(|listed| listed.name.clone()) else { continue };
            let wish = self.asked_for(group, wish, now);
            match self.deciding {
                Deciding::Alone => {
                    let at = self.epoch.after(now);
                    // A proposal that is refused was overtaken by another decision, which the group follows.
                    let _ = self.agree_sets(name, wish, Author::Router, at, now);
                }
                Deciding::Together => {
                    if self.groups.begins_proposal(group, &wish, now) {
                        let change = Change::Sets { group: name, change: wish };
                        io.propose(Proposal { ticket: None, change, author: Author::Router });
                    }
                    self.groups.judged_meanwhile(group, now);
                }
            }
        }
        for (group, told) in self.groups.take_told() {
            // A note about a server's own address, which nobody uses, would only repeat the note about the server's group.
            if !self.view.group(group).is_some_and(|group| self.is_in_service(group)) {
                continue;
            }
            io.note(Note::Bundles { group, told: &told });
        }
    }

    /// If equally many members have each of several sets, the decision for the set with most of the connectors that callers ask for.
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
        // Among equals, `max_by_key` returns the last one. The order is turned, so that the first one in list order wins.
        let best = equals.into_iter().rev().max_by_key(callers);
        best.map_or(wish, |(set, content, _)| SetsChange::AcceptFirst { set, content })
    }
}
