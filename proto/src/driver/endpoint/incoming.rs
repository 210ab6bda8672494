//! The executing side of the hub: calls of peers, and their answers.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::call::{IncomingCall, Responder, Shared, Watch};
use super::hub::Hub;
use super::peer::PeerNo;
use crate::envelope::{Envelope, Part};
use crate::frames;
use crate::icf::exceptions;
use crate::messages::RemoteMessage;
use crate::operation::Operation;
use crate::session::{Event, Last, SocketId};

/// A call of a peer that we execute.
pub(super) struct Incoming {
    pub(super) peer: PeerNo,
    /// The peer's id of it.
    pub(super) id: i64,
    pub(super) shared: Arc<Shared>,
    /// The socket of its answer: one for all frames, as long as it lives.
    pub(super) pin: SocketId,
    /// Frames of the answer that were queued on `pin`.
    pub(super) on_pin: usize,
    /// Frames that found `pin` dead before its end was reported.
    pub(super) waiting: Vec<Bytes>,
    /// Whether the last of `waiting` is the answer's last frame.
    pub(super) done: bool,
}

impl Hub {
    /// Reads a frame of a peer.
    pub(super) fn receive(&mut self, no: PeerNo, socket: SocketId, envelope: Envelope) {
        let now = self.now();
        let Some(peer) = self.peers.get_mut(&no) else { return };
        let id = envelope.message_id;
        let reply = match peer.session.receive(&envelope, now) {
            Event::Call => self.start_call(no, socket, &envelope),
            Event::Cancel(key) => {
                if let Some(call) = self.incoming.get(&key) {
                    call.shared.cancel();
                }
                None
            }
            Event::Control(checked) => {
                for key in checked.abandoned {
                    if let Some(call) = self.incoming.get(&key) {
                        call.shared.cancel();
                    }
                }
                checked.vanished.into_iter().for_each(|key| self.vanished(key));
                let infos = checked.wants_connector_infos.then(|| self.executor.connector_infos());
                Some(frames::control_response(checked.id, infos))
            }
            Event::HandshakeAgain => Some(frames::handshake_response(&self.config.identity)),
            Event::Reply(frame) => Some(frame),
            Event::AnswerRefused(Some(Last { frame: Some(frame), .. })) => {
                self.answer(no, None, id, frame);
                None
            }
            Event::Answer(key) => {
                self.answered(key, envelope);
                None
            }
            Event::NotRun(key) => {
                peer.refused.push(key);
                None
            }
            Event::ConnectorInfos(infos) => {
                self.infos_arrived(no, infos);
                None
            }
            Event::AnswerRefused(_) | Event::ConfigurationChange | Event::Ignored(_) => None,
        };
        if let Some(reply) = reply {
            // It belongs on this socket (WIRE 4.2); if that has just died, the peer asks again.
            self.send_on(socket, &reply);
        }
    }

    /// Hands a call to the executor; gives the error that refuses it instead.
    fn start_call(&mut self, no: PeerNo, socket: SocketId, envelope: &Envelope) -> Option<Bytes> {
        let id = envelope.message_id;
        let (now, key) = (self.now(), self.number());
        let peer = self.peers.get_mut(&no)?;
        if peer.session.executing_count() >= self.config.calls_max {
            return Some(frames::error(
                id,
                exceptions::CONNECTION_FAILED,
                "The connector server has too many calls of this client",
            ));
        }
        if self.is_closing() {
            self.refused_while_closing();
            return Some(frames::shutting_down(id));
        }
        let (Some(hub), Some(member)) = (self.commands.upgrade(), self.sockets.get(&socket)) else {
            return None;
        };
        let Some(request) = decode(envelope) else {
            return Some(frames::error(id, exceptions::CONNECTOR, "The request cannot be decoded"));
        };
        let peer = self.peers.get_mut(&no)?;
        peer.session.accept(id, key, now);
        let shared = Shared::new(member.handle.clone());
        let pause = self.config.pause_backlog_bytes;
        let responder = Responder::new(key, id, shared.clone(), hub, self.transit.clone(), pause);
        let watch = Watch::new(shared.clone());
        self.incoming.insert(
            key,
            Incoming { peer: no, id, shared, pin: socket, on_pin: 0, waiting: Vec::new(), done: false },
        );
        self.executor.execute(IncomingCall { request, responder, watch });
        None
    }

    /// A frame of an answer that is not its last.
    pub(super) fn send_item(&mut self, key: u64, frame: Bytes) {
        let Some(call) = self.incoming.get(&key) else { return };
        let sent = call.waiting.is_empty() && self.send_on(call.pin, &frame);
        if let Some(call) = self.incoming.get_mut(&key) {
            match sent {
                true => call.on_pin += 1,
                false => call.waiting.push(frame),
            }
        }
    }

    /// The last frame of an answer.
    pub(super) fn send_final(&mut self, key: u64, frame: Bytes) {
        let Some(call) = self.incoming.get_mut(&key) else { return };
        let (no, id, pin) = (call.peer, call.id, call.pin);
        // Behind frames whose socket has died: their fate, and so the answer's, is known with its report.
        let behind = call.on_pin > 0 && self.sockets.get(&pin).is_none_or(|member| member.handle.is_closed());
        if !call.waiting.is_empty() || behind {
            call.waiting.push(frame);
            call.done = true;
            return;
        }
        self.end_incoming(key);
        self.answer(no, Some(pin), id, frame);
    }

    /// Sends a last frame on the preferred or any socket of the peer, or keeps it until there is one.
    pub(super) fn answer(&mut self, no: PeerNo, preferred: Option<SocketId>, id: i64, frame: Bytes) {
        let socket = self.deliver(no, preferred, &frame);
        let now = self.now();
        let Some(peer) = self.peers.get_mut(&no) else { return };
        match socket {
            Some(socket) => {
                let last = Last { id, operation: Operation::Unknown, frame: Some(frame), since: now };
                peer.session.sent_last(socket, last, now);
            }
            None => peer.keep(id, frame),
        }
    }

    /// Forgets a call whose answer is on its way.
    pub(super) fn end_incoming(&mut self, key: u64) {
        let Some(call) = self.incoming.remove(&key) else { return };
        call.shared.end();
        if let Some(peer) = self.peers.get_mut(&call.peer) {
            peer.session.finish(call.id);
        }
    }
}

fn decode(envelope: &Envelope) -> Option<crate::messages::OperationRequest> {
    RemoteMessage::decode(envelope.frame().clone()).ok()?.request?.operation
}

/// How many frames precede this one in its answer, by its own count.
pub(super) fn items_before(part: Part) -> usize {
    match part {
        Part::End { count, .. } => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}
