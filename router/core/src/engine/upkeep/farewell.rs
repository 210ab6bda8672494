//! How the router parts from its callers when it ends. A Java caller gets no answer to a call that it sends into a closing
//! socket: its thread hangs for 13 minutes (WIRE section 9). So a caller's sockets are closed while none of its threads is about
//! to send. First, new calls are kept unanswered for a moment, so that threads with a new call wait for the answer. Then all
//! sockets of the caller but one are closed. Then the refusals are sent on the last socket, followed at once by its close.

use rcs_proto::time::Moment;

use crate::engine::event::Phase;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, CallerKey};
use crate::engine::tables::Tables;
use crate::verdict::Fault;

impl Tables {
    /// The process is asked to end: no new calls, and subscriptions end.
    pub(in crate::engine) fn on_drain(&mut self) {
        self.phase = Phase::Draining;
        self.members.tell_presence_again();
        let all: Vec<CallKey> = self.calls.iter().map(|(key, _)| key).collect();
        self.end_subscriptions(all);
    }

    /// The time to drain is over. Calls in flight get their last answer now; new calls get no answer until their caller is let go.
    pub(in crate::engine) fn on_drain_over(&mut self) {
        let left: Vec<CallKey> = self.calls.iter().map(|(key, _)| key).collect();
        for key in left {
            self.calls.fault(key, Fault::Draining);
        }
        self.phase = Phase::Leaving;
    }

    /// Closes the last socket of the callers that the call before this one left with one socket. Then closes all sockets but one of
    /// `count` further callers.
    pub(in crate::engine) fn let_callers_go(&mut self, count: usize, now: Moment, io: &mut impl Io) {
        for key in self.callers.take_going() {
            self.callers.deliver_kept(key, now, io);
            self.callers.close_down_to(key, 0, io);
        }
        let next: Vec<CallerKey> = self.callers.connected().take(count).collect();
        for key in next {
            self.callers.close_down_to(key, 1, io);
        }
    }
}
