//! How callers are left when the router ends. A Java caller never hears of a call that it sends into a closing socket: its
//! thread hangs for 13 minutes (WIRE section 9). So a caller's sockets are closed when none of its threads is about to send: new
//! calls are kept unanswered for a moment, so that the threads that have something to ask wait for us; then all but one of its
//! sockets are closed; then the last one gets the refusals, with the close right behind them.

use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::{DownstreamKey, Engine, Io, Phase};

impl Engine {
    /// From now on new calls get no answer until their caller is let go.
    pub(super) fn begin_farewell(&mut self) {
        self.phase = Phase::Leaving;
    }

    /// Whether a caller has a socket that is not being closed.
    pub fn has_callers(&self) -> bool {
        self.downstreams.iter().any(|(_, caller)| caller.session.is_connected())
    }

    /// Callers that are connected.
    pub fn connected_callers(&self) -> usize {
        self.downstreams.iter().filter(|(_, caller)| caller.session.is_connected()).count()
    }

    /// Closes the last socket of the callers that lost their others the last time, then the others of so many callers more.
    pub(super) fn let_callers_go(&mut self, count: usize, now: Moment, io: &mut impl Io) {
        for key in std::mem::take(&mut self.going) {
            self.deliver_kept(key, now, io);
            self.close_down_to(key, 0, io);
        }
        let connected = self.downstreams.iter().filter(|(_, caller)| caller.session.is_connected());
        let next: Vec<DownstreamKey> = connected.map(|(key, _)| key).take(count).collect();
        for key in next {
            self.close_down_to(key, 1, io);
            self.going.push(key);
        }
    }

    fn close_down_to(&mut self, key: DownstreamKey, left: usize, io: &mut impl Io) {
        let Some(caller) = self.downstreams.get_mut(key) else { return };
        let sockets: Vec<SocketId> = caller.session.sockets().skip(left).collect();
        for socket in sockets {
            caller.session.leave(socket);
            io.close(socket);
        }
    }
}
