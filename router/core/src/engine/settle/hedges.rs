//! A read of which nothing came for long is sent to a second member as well (`hedge_after`).

use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::note::Note;
use crate::engine::steps::Found;
use crate::engine::tables::Tables;

impl Tables {
    /// Sends a call to a second member. If no place is free any more, the call stays where it is: it does not wait for a place.
    pub(super) fn hedge(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Some(Found::Place(member)) = self.find_place(key, None) else { return };
        let Some((call, from)) = self.calls.get(key).and_then(|call| Some((call, call.member()?))) else {
            return;
        };
        let (number, group, operation) = (call.number, call.group, call.operation);
        let Some(route) = self.members.open(member, key, false, now) else { return };
        self.groups.take_place(group);
        self.calls.hedged(key, member, route);
        if let Some(request) = self.calls.get(key).and_then(|call| call.request.as_ref()) {
            let frame = self.groups.request_for(group, member, request, route.id());
            self.members.send(&route, frame, io);
        }
        io.note(Note::CallHedged { call: number, group, operation, from, to: member });
    }
}
