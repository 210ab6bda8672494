//! What a group's members show may call for a decision on its bundle set: the first set is accepted, and a group of one follows its
//! only member. Such a proposal goes to `agreed`, which decides. A router that stands alone has it decided at once.

use rcs_proto::time::Moment;

use crate::agreed::Author;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;

impl Tables {
    pub(super) fn decide_sets(&mut self, now: Moment, io: &mut impl Io) {
        while let Some((group, wish)) = self.groups.next_wish() {
            // A proposal that is refused was overtaken by another decision, which the group follows.
            let _ = self.agree_sets(group, wish, Author::Router, now);
        }
        for (group, told) in self.groups.take_told() {
            io.note(Note::Bundles { group, told: &told });
        }
    }
}
