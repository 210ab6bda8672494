//! A call's request goes to a member.

use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::verdict::Fault;

impl Tables {
    /// Sends a call's request to this member, under an id of ours.
    pub(in crate::engine) fn send_to(
        &mut self,
        key: CallKey,
        member: MemberId,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let (group, is_subscription) = (call.group, call.operation.is_subscription());
        let is_forwarded = call.forwarded_to.is_some();
        let route = self.members.open(member, key, is_subscription, now);
        if route.is_some() && !is_subscription {
            self.groups.take_place(group);
        }
        self.calls.sent(key, member, route);
        let request = self.calls.get(key).and_then(|call| call.request.as_ref());
        match (route, request) {
            (Some(route), Some(request)) => {
                let frame = match is_forwarded {
                    // The router that forwards has put the member's version in place.
                    true => request.rewrite_id(route.id()),
                    false => self.groups.request_for(group, member, request, route.id()),
                };
                self.members.send(&route, frame, io);
            }
            // The member's session lost its last socket in this very event.
            _ => self.calls.fault(key, Fault::MemberLost),
        }
    }
}
