//! Ways between routers. A call that another router forwards goes to the member's own session, or nowhere. A way to a member through another
//! router that ends is looked for anew.

use rcs_proto::time::Moment;

use crate::backoff::reconnect_wait;
use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, MemberSessionKey};
use crate::engine::members::Asking;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::verdict::{Class, Fault};

impl Tables {
    /// Sends a call that another router forwards to its member. The call waits for no place and goes to no other member: the router that
    /// forwards the call decides what follows.
    pub(in crate::engine) fn forward(
        &mut self,
        key: CallKey,
        member: MemberId,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let is_subscription = call.operation.is_subscription();
        // What health says of the member is up to the router that forwards.
        let asking = if call.class() == Class::Page { Asking::Begun } else { Asking::InPanic };
        // The router that forwards may have chosen any group of the member.
        let in_flight_max =
            self.view.groups_of(member).map(|group| group.settings.member_in_flight_max).max();
        let has_place =
            is_subscription || in_flight_max.is_some_and(|most| self.members.has_place(member, most).is_ok());
        if has_place && self.members.is_here(member) && self.members.takes(member, asking).is_ok() {
            self.send_to(key, member, now, io);
        } else {
            self.calls.fault(key, Fault::NoMember);
        }
    }

    /// A member could not be used through another router: the next attempt follows after a pause.
    pub(in crate::engine) fn way_failed(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let attempts = self.members.way_attempts(member);
        self.clock.set(now + reconnect_wait(attempts, io.random()), Timer::Via(member));
    }

    /// A session with a member has ended: the member may be connected to another router.
    pub(in crate::engine) fn look_elsewhere(&mut self, key: MemberSessionKey, now: Moment, io: &mut impl Io) {
        let Some(session) = self.members.session(key) else { return };
        let member = session.member();
        match self.members.via(key) {
            Some(_) => self.way_failed(member, now, io),
            None => self.clock.set(now, Timer::Via(member)),
        }
    }
}
