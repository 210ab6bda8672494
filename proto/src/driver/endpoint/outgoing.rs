//! The calling side of the hub: our calls at peers.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::caller::{RemoteError, Sink};
use super::hub::Hub;
use super::peer::PeerNo;
use crate::envelope::{BatchPart, Envelope, Kind, Part};
use crate::frames;
use crate::messages::OperationRequest;
use crate::session::{Reorder, SocketId};

/// How often a call is sent again that a peer refused because it did not know us yet: at one a tick, for a second.
const REFUSALS_MAX: u32 = 20;

/// A call of ours that a peer executes.
pub(super) struct Outgoing {
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

impl Hub {
    /// Sends a call to the peer that joined last.
    pub(super) fn open_call(&mut self, key: u64, request: &OperationRequest, sink: Sink) {
        let now = self.now();
        let connected = self.peers.iter_mut().filter(|(_, peer)| peer.session.is_connected());
        let Some((no, peer)) = connected.max_by_key(|(no, _)| **no) else {
            return sink.fail(RemoteError::NotSent);
        };
        let (no, id) = (*no, peer.session.open(key, now));
        let frame = frames::operation(id, request);
        let Some(socket) = self.deliver(no, None, &frame) else {
            self.close_id(no, id);
            return sink.fail(RemoteError::NotSent);
        };
        let progress =
            if request.search.is_some() || request.sync.as_ref().is_some_and(|sync| sync.sync.is_some()) {
                Progress::Stream(Box::default(), None)
            } else if request.batch.is_some() {
                Progress::Batch { token: None, complete: false, last_result: false }
            } else {
                Progress::Plain
            };
        let call = Outgoing { peer: no, id, sink, frame, socket: Some(socket), progress, refusals: 0 };
        self.outgoing.insert(key, call);
    }

    /// A frame of an answer.
    pub(super) fn answered(&mut self, key: u64, envelope: Envelope) {
        let Some(call) = self.outgoing.get_mut(&key) else { return };
        match call.step(envelope) {
            Step::GoOn => {}
            Step::Over => self.end_outgoing(key, None),
            Step::Fail(error @ (RemoteError::TooSlow | RemoteError::Garbled)) => {
                self.cancel_at_peer(key);
                self.end_outgoing(key, Some(error));
            }
            Step::Fail(error) => self.end_outgoing(key, Some(error)),
        }
    }

    /// The caller has lost interest.
    pub(super) fn cancel_call(&mut self, key: u64) {
        self.cancel_at_peer(key);
        self.end_outgoing(key, None);
    }

    /// The peer has said three times that it does not know this call (WIRE 4.4).
    pub(super) fn vanished(&mut self, key: u64) {
        self.end_outgoing(key, Some(RemoteError::ConnectionLost));
    }

    /// An answer was over the size limit.
    pub(super) fn fail_outgoing_id(&mut self, no: PeerNo, id: i64, bytes: u64) {
        if let Some(key) = self.close_id(no, id) {
            self.end_outgoing(key, Some(RemoteError::Oversize { bytes }));
        }
    }

    /// The peer has no socket any more.
    pub(super) fn fail_outgoing_of(&mut self, no: PeerNo, error: RemoteError) {
        let keys: Vec<u64> =
            self.outgoing.iter().filter(|(_, call)| call.peer == no).map(|(key, _)| *key).collect();
        for key in keys {
            let unsent = self.outgoing.get(&key).is_some_and(|call| call.socket.is_none());
            self.end_outgoing(key, Some(if unsent { RemoteError::NotSent } else { error.clone() }));
        }
    }

    /// A request that certainly did not arrive goes out on another socket, if there is one.
    pub(super) fn resend_call(&mut self, no: PeerNo, id: i64) {
        let found = self.outgoing.iter().find(|(_, call)| call.peer == no && call.id == id);
        let Some((key, frame)) = found.map(|(key, call)| (*key, call.frame.clone())) else { return };
        let socket = self.deliver(no, None, &frame);
        if let Some(call) = self.outgoing.get_mut(&key) {
            call.socket = socket;
        }
    }

    /// Sends calls again that were refused before the peer knew us (WIRE 7.1).
    pub(super) fn repeat_refused(&mut self) {
        let refused: Vec<u64> =
            self.peers.values_mut().flat_map(|peer| std::mem::take(&mut peer.refused)).collect();
        for key in refused {
            let Some(call) = self.outgoing.get_mut(&key) else { continue };
            call.refusals += 1;
            let (no, id, hopeless) = (call.peer, call.id, call.refusals > REFUSALS_MAX);
            if hopeless {
                self.end_outgoing(key, Some(RemoteError::NotSent));
            } else {
                self.resend_call(no, id);
            }
        }
    }

    /// Tells the connectors of the peer that joined last, now or once they are known.
    pub(super) fn want_infos(&mut self, reply: oneshot::Sender<Bytes>) {
        let known =
            self.peers.iter().filter(|(_, peer)| peer.session.is_connected()).max_by_key(|(no, _)| **no);
        match known.map(|(no, peer)| (*no, peer.infos.clone())) {
            Some((_, Some(infos))) => {
                // Who asked may have lost interest.
                let _ = reply.send(infos);
            }
            Some((no, None)) => {
                self.infos_wanted.push(reply);
                self.ask_infos_of(no);
            }
            None => self.infos_wanted.push(reply),
        }
    }

    /// Has the peer asked for its connectors, if anybody wants to know.
    pub(super) fn ask_infos_of(&mut self, no: PeerNo) {
        let now = self.now();
        self.infos_wanted.retain(|reply| !reply.is_closed());
        if let (false, Some(peer)) = (self.infos_wanted.is_empty(), self.peers.get_mut(&no)) {
            peer.session.want_connector_infos(now);
        }
    }

    pub(super) fn infos_arrived(&mut self, no: PeerNo, infos: Bytes) {
        for reply in self.infos_wanted.drain(..) {
            // Who asked may have lost interest.
            let _ = reply.send(infos.clone());
        }
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.infos = Some(infos);
        }
    }

    fn cancel_at_peer(&mut self, key: u64) {
        let Some(call) = self.outgoing.get(&key) else { return };
        let (no, socket, frame) = (call.peer, call.socket, frames::cancel(call.id));
        // A peer without sockets has nothing to cancel.
        self.deliver(no, socket, &frame);
    }

    /// Forgets a call, with an error for its caller if it failed.
    fn end_outgoing(&mut self, key: u64, error: Option<RemoteError>) {
        let Some(call) = self.outgoing.remove(&key) else { return };
        self.close_id(call.peer, call.id);
        if let Some(error) = error {
            call.sink.fail(error);
        }
    }

    fn close_id(&mut self, no: PeerNo, id: i64) -> Option<u64> {
        self.peers.get_mut(&no)?.session.close(id)
    }
}

impl Outgoing {
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
                    BatchPart::Result { complete } => *last_result |= complete,
                    BatchPart::Token { returns_results } => *token = Some(returns_results),
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
