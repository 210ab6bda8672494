//! What a group's members show may call for a decision on its bundle set: the first set is accepted, a group of one follows its
//! only member. A router that stands alone decides at once; what it decides is what `agreed` says.

use rcs_proto::time::Moment;

use crate::agreed::Author;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;

impl Tables {
    pub(super) fn decide_sets(&mut self, now: Moment, io: &mut impl Io) {
        while let Some((group, wish)) = self.groups.next_wish() {
            // One that is refused was overtaken by another decision, which the group follows.
            let _ = self.agree_sets(group, wish, Author::Router, now);
        }
        for (group, told) in self.groups.take_told() {
            io.note(Note::Bundles { group, told: &told });
        }
    }
}
