//! Frames that were still queued when their socket died: the peer certainly does not have these frames. So a request among the
//! frames was not run, whatever it would have changed, and the end of an answer among the frames is still owed to the caller.

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind, Part};
use rcs_proto::operation::Operation;
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::keys::{CallKey, MemberSessionKey};
use crate::engine::sockets::Belongs;
use crate::engine::steps::Unsent;
use crate::engine::tables::Tables;

impl Tables {
    /// A socket is gone, and gave these frames back.
    pub(in crate::engine) fn on_closed(
        &mut self,
        socket: SocketId,
        frames: Vec<Bytes>,
        now: Moment,
        io: &mut impl Io,
    ) {
        let unsent = self.take_back(socket, frames, now);
        self.closed(socket, unsent, now, io);
    }

    /// Sorts out what a dying socket gives back, before anybody judges the calls that it carried.
    fn take_back(&mut self, socket: SocketId, frames: Vec<Bytes>, now: Moment) -> Unsent {
        let frames = frames.into_iter().filter_map(|frame| Envelope::parse(frame).ok());
        match self.sockets.belongs(socket) {
            Some(Belongs::Member { session, .. }) => {
                let session = *session;
                let requests = frames.filter(|frame| matches!(frame.kind, Kind::Operation(_)));
                let ids: Vec<i64> = requests.map(|frame| frame.message_id).collect();
                let calls = ids.into_iter().filter_map(|id| self.take_back_request(session, socket, id));
                Unsent { calls: calls.collect(), ends: Vec::new() }
            }
            Some(Belongs::Caller(_)) => {
                Unsent { calls: Vec::new(), ends: frames.filter_map(|frame| last_of(frame, now)).collect() }
            }
            Some(Belongs::Greeting(..)) | None => Unsent::default(),
        }
    }

    /// Takes the call off the member. The call goes on as if it had not been sent to the member.
    fn take_back_request(&mut self, session: MemberSessionKey, socket: SocketId, id: i64) -> Option<CallKey> {
        let key = self.members.call_under(session, id)?;
        // A hedged call goes on at its other member.
        let call = self.calls.get(key).filter(|call| call.is_untouched() && !call.is_hedged())?;
        call.route.filter(|route| route.is(session, socket, id))?;
        self.take_off_unsent(key);
        Some(key)
    }
}

/// The end of an answer in a frame for a caller. The end of a stream vouches for items that may be lost, so an error takes its
/// place.
fn last_of(frame: Envelope, now: Moment) -> Option<Last> {
    let (id, bytes) = (frame.message_id, frame.frame().clone());
    let (operation, frame) = match frame.kind {
        Kind::Answer(head) => match head.part {
            Part::Only => (head.operation, Some(bytes)),
            Part::End { count: 0, .. } => (head.operation, Some(bytes)),
            Part::End { .. } => (head.operation, None),
            Part::Item { .. } | Part::Event { .. } | Part::Batch(_) => return None,
        },
        Kind::Error(_) => (Operation::Unknown, Some(bytes)),
        _ => return None,
    };
    Some(Last { id, operation, frame, since: now, refusals: 0 })
}
