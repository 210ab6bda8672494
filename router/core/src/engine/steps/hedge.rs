//! A hedged call is at two members. The first of them that answers has the call. If one of them is lost or refuses the call, the call goes
//! on at the other as if nothing had happened: a fault is judged only once the call is at one member.

use rcs_proto::time::Moment;

use crate::engine::calls::Call;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, MemberSessionKey};
use crate::engine::members::Route;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::verdict::{Fault, Verdict};

impl Tables {
    /// A call is answered in this session: if another member has the call as well, it is cancelled there.
    pub(in crate::engine) fn has_answered(
        &mut self,
        key: CallKey,
        session: MemberSessionKey,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key).filter(|call| call.is_hedged()) else { return };
        let (number, group, first) = (call.number, call.group, call.member());
        let loser = self.calls.leave_one(key, |route| route.session() == session);
        if loser.is_some_and(|loser| first == Some(loser.member())) {
            io.note(Note::HedgeWon { call: number, group });
        }
        self.leave_member(key, loser, now, io);
        // The socket that carried the winner's request may have died while the call was hedged, and parts of the answer with it.
        let route = self.calls.get(key).and_then(|call| call.route);
        if route.is_some_and(|route| !self.members.lives(&route)) {
            self.watch(key, now);
        }
    }

    /// A session will not answer a call for this reason. If another member has the call as well, the call goes on there; if not, the fault
    /// is judged at the end of the event.
    pub(in crate::engine) fn lost_in(
        &mut self,
        key: CallKey,
        session: MemberSessionKey,
        fault: Fault,
        now: Moment,
        io: &mut impl Io,
    ) {
        if !self.goes_on_at_other(key, session, fault, now, io) {
            self.calls.fault(key, fault);
        }
    }

    /// Takes a hedged call off the session that will not answer it; returns false if the call is at one member.
    pub(in crate::engine) fn goes_on_at_other(
        &mut self,
        key: CallKey,
        session: MemberSessionKey,
        fault: Fault,
        now: Moment,
        io: &mut impl Io,
    ) -> bool {
        let Some(call) = self.calls.get(key).filter(|call| call.is_hedged()) else { return false };
        let lost = call.route_in(session);
        self.explain_at(key, lost.map(|route| route.member()), fault, Verdict::Wait, now);
        if fault == Fault::MemberLost {
            self.note_loss(key, lost, now);
        }
        let left = self.calls.leave_one(key, |route| route.session() != session);
        self.leave_member(key, left, now, io);
        // The socket that carried the other request may have died while the call was hedged.
        let other = self.calls.get(key).and_then(|call| call.route);
        if other.is_some_and(|route| !self.members.lives(&route)) {
            self.watch(key, now);
        }
        true
    }

    /// Nobody waits for the answer of the second member that has a call.
    pub(in crate::engine) fn end_hedge(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let hedge = self.calls.leave_one(key, |_| false);
        self.leave_member(key, hedge, now, io);
    }

    fn leave_member(&mut self, key: CallKey, route: Option<Route>, now: Moment, io: &mut impl Io) {
        let (Some(route), Some(call)) = (route, self.calls.get(key)) else { return };
        let (group, is_cancellable) = (call.group, Call::is_cancellable(call));
        if is_cancellable {
            self.members.cancel(&route, now, io);
        }
        // A call that may be hedged is no subscription.
        self.close_route(&route, group, false);
    }
}
