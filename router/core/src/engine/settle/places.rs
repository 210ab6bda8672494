//! Places that became free go to the calls that wait for them.

use rcs_proto::time::Moment;

use crate::engine::groups::Lane;
use crate::engine::io::Io;
use crate::engine::steps::Found;
use crate::engine::tables::Tables;
use crate::ids::GroupId;
use crate::verdict::Fault;

impl Tables {
    /// Gives the places that became free to the calls that wait for them; returns whether any call left its lane.
    pub(super) fn give_places(&mut self, now: Moment, io: &mut impl Io) -> bool {
        let mut has_given = false;
        for group in self.groups.take_turns() {
            while self.give_place(group, now, io) {
                has_given = true;
            }
        }
        if has_given {
            self.groups.forget_idle_queues();
        }
        has_given
    }

    /// Gives one call of the group the place that the call waits for, or fails the call if no member is left that could have a place
    /// for it (G15).
    fn give_place(&mut self, group: GroupId, now: Moment, io: &mut impl Io) -> bool {
        // Few lanes: one for each member that holds pages, and three more; three for each connector that is called while the
        // members have different ones.
        for (lane, key) in self.groups.heads(group) {
            let member = match lane {
                Lane::At(member) => Some(member),
                Lane::Login(_) | Lane::Again(_) | Lane::Any(_) => None,
            };
            let found = self.find_place(key, member);
            if found == Some(Found::NoPlace(lane)) {
                continue;
            }
            self.groups.pop(group, lane);
            self.calls.stop_waiting(key);
            match found {
                Some(Found::Place(member)) => self.send_to(key, member, now, io),
                // The member that the call waited for is gone, and the others are full: the call keeps waiting, for any of them.
                Some(Found::NoPlace(lane)) => self.enqueue(key, lane, now),
                Some(Found::Nobody) => self.calls.fault(key, Fault::NoMember),
                Some(Found::Barred(bar)) => self.stop_at(key, bar),
                None => {}
            }
            return true;
        }
        false
    }
}
