//! The proof that a stream is whole. A Java server that cannot write an item tries twice for 100 ms, and then ends the stream as if it
//! were complete (WIRE 5.3). Both copies of the item are still written, on any two sockets, so the last item of such a stream comes
//! twice. If the stream had a pause, its end is held back until a pong has come on each socket of the member: behind the pong, no copy is
//! on its way.

use bytes::Bytes;
use rcs_proto::time::Moment;

use crate::engine::callers::Waits;
use crate::engine::calls::LastItem;
use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::tables::Tables;
use crate::health::Finding;
use crate::limits;
use crate::settings::StreamEnd;
use crate::verdict::{Cut, Fault, Outcome};

impl Tables {
    /// What is to be thought of the last item of a call's stream, by the settings of the group.
    pub(in crate::engine) fn last_item(&self, key: CallKey) -> LastItem {
        let Some(call) = self.calls.get(key).filter(|call| call.stream.is_some()) else {
            return LastItem::Certain;
        };
        let settings = self.view.group(call.group).map(|group| group.settings.stream_end);
        match settings {
            Some(StreamEnd::AsLearned) => call.last_item(),
            Some(StreamEnd::AsItCame) | None => LastItem::Certain,
        }
    }

    /// Passes the end of a stream on whose items have all been passed on. If the last item is in doubt, the end waits for the proof.
    pub(in crate::engine) fn finish_stream(
        &mut self,
        key: CallKey,
        end: Bytes,
        now: Moment,
        io: &mut impl Io,
    ) {
        let may_lack_a_copy = self.calls.get(key).is_some_and(|call| call.may_have_lost_a_copy(now));
        let pongs = match self.last_item(key) {
            LastItem::Doubtful if may_lack_a_copy => return self.cut(key, Cut::CopyLost, io),
            LastItem::Repeated => return self.cut(key, Cut::LastRepeated, io),
            LastItem::Doubtful => self.ask_for_proof(key, now, io),
            LastItem::Certain => 0,
        };
        if pongs == 0 {
            return self.stream_is_whole(key, end, now, io);
        }
        if !self.calls.hold_end(key, end, pongs) {
            return self.cut(key, Cut::OutOfOrder, io);
        }
        let sends = self.calls.get(key).map_or(0, |call| call.sends);
        self.clock.set(now + limits::STREAM_PROOF_WAIT, Timer::Proof { call: key, sends });
    }

    /// Pings the sockets of the member's session; returns how many pongs are awaited. A session with one socket needs no proof, because
    /// both copies came before the end. Neither does a member that is not pinged get one: such a member may answer no ping.
    fn ask_for_proof(&mut self, key: CallKey, now: Moment, io: &mut impl Io) -> usize {
        let Some(route) = self.calls.get(key).and_then(|call| call.route) else { return 0 };
        let sockets = self.members.sockets_of(route.session());
        if sockets.len() < 2 || self.members.has_no_pings(route.session()) {
            return 0;
        }
        let wait = (now, now + limits::STREAM_PROOF_WAIT);
        sockets.into_iter().filter(|socket| self.sockets.ping_for(*socket, key, wait, io)).count()
    }

    /// A pong came that a call waits for.
    pub(in crate::engine) fn on_proof(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        if let Some(end) = self.calls.ponged(key) {
            self.stream_is_whole(key, end, now, io);
        }
    }

    /// A socket is gone whose pong a call waits for. A copy of the last item may have been lost with the socket.
    pub(in crate::engine) fn lost_proof(&mut self, key: CallKey, io: &mut impl Io) {
        if self.calls.give_up_pongs(key).is_some() {
            self.cut(key, Cut::CopyLost, io);
        }
    }

    /// The pongs did not come in time. The member lives, since its sockets are still open, so nothing speaks against the end.
    pub(in crate::engine) fn on_proof_overdue(
        &mut self,
        key: CallKey,
        sends: u32,
        now: Moment,
        io: &mut impl Io,
    ) {
        if self.calls.get(key).is_none_or(|call| call.sends != sends) {
            return;
        }
        if let Some(end) = self.calls.give_up_pongs(key) {
            self.stream_is_whole(key, end, now, io);
        }
    }

    fn stream_is_whole(&mut self, key: CallKey, end: Bytes, now: Moment, io: &mut impl Io) {
        self.clear(key, io);
        self.note_health(key, Finding::Good, now);
        let caller = self.calls.get(key).and_then(|call| call.caller);
        if caller.is_some_and(|caller| self.callers.is_backlogged(&caller, end.len(), Waits::InMemory, io)) {
            return self.calls.fault(key, Fault::CallerTooSlow);
        }
        self.finish_with(key, end, Outcome::Ok, now, io);
    }
}
