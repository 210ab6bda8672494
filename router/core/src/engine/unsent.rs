//! Frames that were still queued when their socket died: the peer certainly does not have them. A request among them was not
//! run, whatever it would have changed; the end of an answer among them is still owed.

use std::collections::HashSet;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind, Part};
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use super::sockets::Place;
use super::{CallKey, DownstreamKey, Engine, Progress, UpstreamKey, Work};

impl Engine {
    /// Sorts out what a dying socket gives back, before anybody judges the calls that it carried. Answers the ends of
    /// answers that its caller is still owed.
    pub(super) fn take_back(&mut self, socket: SocketId, unsent: Vec<Bytes>, now: Moment) -> Vec<Last> {
        let frames = unsent.into_iter().filter_map(|frame| Envelope::parse(frame).ok());
        match self.sockets.get(&socket).map(|socket| &socket.place) {
            Some(Place::Member { session, .. }) => {
                let session = *session;
                let requests: Vec<i64> =
                    frames.filter(|f| matches!(f.kind, Kind::Operation(_))).map(|f| f.message_id).collect();
                for id in requests {
                    self.take_back_request(session, socket, id);
                }
                Vec::new()
            }
            Some(Place::Caller(_)) => frames.filter_map(|frame| last_of(frame, now)).collect(),
            Some(Place::Greeting(..)) | None => Vec::new(),
        }
    }

    /// The call goes on as if it had not been sent there.
    fn take_back_request(&mut self, session: UpstreamKey, socket: SocketId, id: i64) {
        let Some(Work::Call(key)) = self.upstreams.get(session).and_then(|u| u.session.open_key(id)) else {
            return;
        };
        if self.is_untouched(key, session, socket, id) {
            self.close_route(key);
            if let Some(call) = self.calls.get_mut(key)
                && let Some(route) = call.route.take()
            {
                call.tried.remove(route.member);
                self.unsent.push(key);
            }
        }
    }

    fn is_untouched(&self, key: CallKey, session: UpstreamKey, socket: SocketId, id: i64) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let is_route = call.route.is_some_and(|r| (r.session, r.socket, r.id) == (session, socket, id));
        is_route && matches!(call.answer, Progress::Nothing)
    }

    /// Delivers the ends that a dead socket gave back and that are not delivered again anyway.
    pub(super) fn deliver_owed(
        &mut self,
        caller: DownstreamKey,
        owed: Vec<Last>,
        delivered: &HashSet<i64>,
        now: Moment,
        io: &mut impl super::Io,
    ) {
        for last in owed.into_iter().filter(|last| !delivered.contains(&last.id)) {
            self.deliver_again(caller, last, None, now, io);
        }
    }
}

/// The end of an answer in a frame for a caller. That of a stream stands for items that may be lost: an error takes its place.
fn last_of(frame: Envelope, now: Moment) -> Option<Last> {
    let (id, bytes) = (frame.message_id, frame.frame().clone());
    let (operation, frame) = match frame.kind {
        Kind::Answer(head) => match head.part {
            Part::Only => (head.operation, Some(bytes)),
            Part::End { count: 0, .. } => (head.operation, Some(bytes)),
            Part::End { .. } => (head.operation, None),
            Part::Item { .. } | Part::Event { .. } | Part::Batch(_) => return None,
        },
        Kind::Error(_) => (rcs_proto::operation::Operation::Unknown, Some(bytes)),
        _ => return None,
    };
    Some(Last { id, operation, frame, since: now })
}
