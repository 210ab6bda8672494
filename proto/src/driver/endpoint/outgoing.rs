//! Our calls that peers execute, and how far their answers are.

use std::collections::HashMap;

use bytes::Bytes;

use super::answer::{RemoteError, Sink};
use super::net::{Net, PeerNo};
use crate::envelope::{BatchPart, Envelope, Kind, Part};
use crate::frames;
use crate::messages::OperationRequest;
use crate::session::{Reorder, SocketId};

/// How often a call is sent again that a peer refused because it did not know us yet: at one a tick, for a second.
const REFUSALS_MAX: u32 = 20;

/// Our calls at all peers, by the numbers that their callers gave them.
#[derive(Default)]
pub(super) struct Outgoing {
    calls: HashMap<u64, Call>,
    /// Calls that a peer refused before it had stored our handshake; to be sent again at the next tick.
    refused: Vec<u64>,
}

/// A call of ours that a peer executes.
struct Call {
    peer: PeerNo,
    /// Our id of it at the peer.
    id: i64,
    sink: Sink,
    /// The request, to be sent again if it certainly was not run.
    frame: Bytes,
    /// Where it was sent, and so where its cancel goes (WIRE 7.3).
    socket: Option<SocketId>,
    progress: Progress,
    refusals: u32,
}

/// How far an answer is.
enum Progress {
    /// Items in order, and the end if it overtook some.
    Stream(Box<Reorder<Envelope>>, Option<Envelope>),
    /// What of a batch has come (WIRE 5.6).
    Batch { token: Option<bool>, complete: bool, last_result: bool },
    /// One frame, or events that carry no numbers.
    Plain,
}

/// What a frame of an answer means.
enum Step {
    GoOn,
    Over,
    Fail(RemoteError),
}

impl Outgoing {
    /// Sends a call to the peer that joined last.
    pub(super) fn open(&mut self, key: u64, request: &OperationRequest, sink: Sink, net: &mut Net) {
        let opened = net.latest_peer().and_then(|no| Some((no, net.open_call(no, key)?)));
        let Some((no, id)) = opened else { return sink.fail(RemoteError::NotSent) };
        let frame = frames::operation(id, request);
        let Some(socket) = net.deliver(no, None, &frame) else {
            net.close_call(no, id);
            return sink.fail(RemoteError::NotSent);
        };
        let progress = Progress::of(request);
        let call = Call { peer: no, id, sink, frame, socket: Some(socket), progress, refusals: 0 };
        self.calls.insert(key, call);
    }

    /// A frame of an answer.
    pub(super) fn answered(&mut self, key: u64, envelope: Envelope, net: &mut Net) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match call.step(envelope) {
            Step::GoOn => {}
            Step::Over => self.end(key, None, net),
            Step::Fail(error @ (RemoteError::TooSlow | RemoteError::Garbled)) => {
                self.cancel_at_peer(key, net);
                self.end(key, Some(error), net);
            }
            Step::Fail(error) => self.end(key, Some(error), net),
        }
    }

    /// The caller has lost interest.
    pub(super) fn cancel(&mut self, key: u64, net: &mut Net) {
        self.cancel_at_peer(key, net);
        self.end(key, None, net);
    }

    /// The peer has said three times that it does not know this call (WIRE 4.4).
    pub(super) fn vanished(&mut self, key: u64, net: &mut Net) {
        self.end(key, Some(RemoteError::ConnectionLost), net);
    }

    /// An answer was over the size limit.
    pub(super) fn oversize(&mut self, no: PeerNo, id: i64, bytes: u64, net: &mut Net) {
        if let Some(key) = net.open_key(no, id) {
            self.end(key, Some(RemoteError::Oversize { bytes }), net);
        }
    }

    /// The peer has no socket any more: its calls fail. Those that certainly were not run are told apart.
    pub(super) fn lose(&mut self, no: PeerNo, net: &mut Net) {
        let of_peer = self.calls.iter().filter(|(_, call)| call.peer == no);
        let lost: Vec<(u64, bool)> = of_peer.map(|(key, call)| (*key, call.socket.is_none())).collect();
        for (key, is_unsent) in lost {
            let error = if is_unsent { RemoteError::NotSent } else { RemoteError::ConnectionLost };
            self.end(key, Some(error), net);
        }
    }

    /// A request that certainly did not arrive goes out on another socket, if there is one.
    pub(super) fn resend(&mut self, no: PeerNo, id: i64, net: &mut Net) {
        let call = net.open_key(no, id).and_then(|key| self.calls.get_mut(&key));
        if let Some(call) = call {
            call.socket = net.deliver(no, None, &call.frame);
        }
    }

    /// A peer refused a call because it did not know us yet (WIRE 7.1): the next tick sends it again.
    pub(super) fn refused(&mut self, key: u64) {
        self.refused.push(key);
    }

    /// Sends the refused calls again, each a limited number of times.
    pub(super) fn repeat_refused(&mut self, net: &mut Net) {
        for key in std::mem::take(&mut self.refused) {
            let Some(call) = self.calls.get_mut(&key) else { continue };
            call.refusals += 1;
            if call.refusals > REFUSALS_MAX {
                self.end(key, Some(RemoteError::NotSent), net);
            } else {
                call.socket = net.deliver(call.peer, None, &call.frame);
            }
        }
    }

    fn cancel_at_peer(&mut self, key: u64, net: &mut Net) {
        let Some(call) = self.calls.get(&key) else { return };
        // A peer without sockets has nothing to cancel.
        net.deliver(call.peer, call.socket, &frames::cancel(call.id));
    }

    /// Forgets a call, with an error for its caller if it failed.
    fn end(&mut self, key: u64, error: Option<RemoteError>, net: &mut Net) {
        let Some(call) = self.calls.remove(&key) else { return };
        net.close_call(call.peer, call.id);
        if let Some(error) = error {
            call.sink.fail(error);
        }
    }
}

impl Progress {
    /// What the answer to this request is made of.
    fn of(request: &OperationRequest) -> Self {
        if request.search.is_some() || request.sync.as_ref().is_some_and(|sync| sync.sync.is_some()) {
            Self::Stream(Box::default(), None)
        } else if request.batch.is_some() {
            Self::Batch { token: None, complete: false, last_result: false }
        } else {
            Self::Plain
        }
    }
}

impl Call {
    fn step(&mut self, envelope: Envelope) -> Step {
        let part = match &envelope.kind {
            Kind::Error(error) => {
                return Step::Fail(RemoteError::Peer {
                    class: error.class.clone(),
                    message: error.message.clone(),
                });
            }
            Kind::Answer(head) => head.part,
            _ => return Step::Fail(RemoteError::Garbled),
        };
        match (&mut self.progress, part) {
            (Progress::Stream(order, end), part) => {
                let noted = match part {
                    Part::Item { sequence } => order.item(sequence, envelope),
                    Part::End { count, .. } => {
                        *end = Some(envelope);
                        order.end(count)
                    }
                    _ => return Step::Fail(RemoteError::Garbled),
                };
                if noted.is_err() {
                    return Step::Fail(RemoteError::Garbled);
                }
                while let Some(item) = order.pop() {
                    if let Err(error) = self.sink.push(item) {
                        return Step::Fail(error);
                    }
                }
                match end.take_if(|_| order.is_finished()) {
                    Some(end) => self.last(end),
                    None => Step::GoOn,
                }
            }
            (Progress::Batch { token, complete, last_result }, Part::Batch(part)) => {
                match part {
                    BatchPart::Result { complete, .. } => *last_result |= complete,
                    BatchPart::Token { returns_results, .. } => *token = Some(returns_results),
                    BatchPart::Complete => *complete = true,
                }
                if *complete && token.is_some_and(|returns| !returns || *last_result) {
                    self.last(envelope)
                } else {
                    self.not_last(envelope)
                }
            }
            (Progress::Plain, Part::Event { completed: false }) => self.not_last(envelope),
            (Progress::Plain, Part::Only | Part::Event { .. }) => self.last(envelope),
            _ => Step::Fail(RemoteError::Garbled),
        }
    }

    fn not_last(&mut self, envelope: Envelope) -> Step {
        self.sink.push(envelope).map_or_else(Step::Fail, |()| Step::GoOn)
    }

    fn last(&mut self, envelope: Envelope) -> Step {
        self.sink.push(envelope).map_or_else(Step::Fail, |()| Step::Over)
    }
}

#[cfg(test)]
mod tests;
