//! The states of members in their groups. An outage of a group is noted, and so is its end.

use std::sync::Arc;

use rcs_proto::time::Moment;

use crate::engine::groups::Supplied;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::state::MemberState;

impl Tables {
    pub(super) fn look_at_states(&mut self, now: Moment, io: &mut impl Io) {
        while let Some(group) = self.groups.next_restated() {
            let view = Arc::clone(&self.view);
            let Some(listed) = view.group(group) else { continue };
            let of = |member: &MemberId| Some((*member, self.state_of(group, *member)?));
            let states: Vec<(MemberId, MemberState)> = listed.members.iter().filter_map(of).collect();
            match self.groups.states_are(group, &states, now) {
                Some(_) if !self.is_in_service(listed) => {}
                None => {}
                Some(Supplied::Out) => {
                    let queued = self.groups.queued(group);
                    io.note(Note::GroupOut { group, members: &states, queued });
                }
                Some(Supplied::Back(after)) => io.note(Note::GroupBack { group, after }),
            }
        }
    }
}
