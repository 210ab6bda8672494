//! Calls of peers that are executed here, and their answers.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::sync::{Semaphore, mpsc};

use super::call::{CallState, Executor, IncomingCall, Responder, Watch};
use super::config::EndpointConfig;
use super::lost::{Lost, cut};
use super::net::{Net, PeerNo};
use super::to_hub::ToHub;
use crate::envelope::Envelope;
use crate::frames;
use crate::icf::exceptions;
use crate::messages::{OperationRequest, RemoteMessage};
use crate::session::SocketId;

/// Frames of streams between their executors and the hub.
const FRAMES_IN_TRANSIT: usize = 1024;

/// The calls of all peers.
pub(super) struct Incoming {
    calls: HashMap<u64, Call>,
    last_key: u64,
    executor: Arc<dyn Executor>,
    /// For responders; weak, so that the endpoint ends with its last handle.
    hub: mpsc::WeakUnboundedSender<ToHub>,
    /// One permit for each frame that may be on its way to the hub.
    transit: Arc<Semaphore>,
    calls_max: usize,
    pause_backlog_bytes: usize,
}

/// A call of a peer.
struct Call {
    peer: PeerNo,
    /// The peer's id of it.
    id: i64,
    state: Arc<CallState>,
    /// The socket of its answer: one for all frames, as long as it lives.
    pin: SocketId,
    /// Frames of the answer that were queued on `pin`.
    on_pin: usize,
    /// Frames that found `pin` dead before its end was reported.
    waiting: Vec<Bytes>,
    /// Whether the last of `waiting` is the answer's last frame.
    done: bool,
}

impl Incoming {
    pub(super) fn new(
        config: &EndpointConfig,
        executor: Arc<dyn Executor>,
        hub: mpsc::WeakUnboundedSender<ToHub>,
    ) -> Self {
        Self {
            calls: HashMap::new(),
            last_key: 0,
            executor,
            hub,
            transit: Arc::new(Semaphore::new(FRAMES_IN_TRANSIT)),
            calls_max: config.calls_max,
            pause_backlog_bytes: config.pause_backlog_bytes,
        }
    }

    /// Calls that are executed.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The connectors that calls may name.
    pub(super) fn connector_infos(&self) -> Bytes {
        self.executor.connector_infos()
    }

    /// The error that refuses a further call of this peer, if it has too many.
    pub(super) fn refusal(&self, no: PeerNo, id: i64, net: &Net) -> Option<Bytes> {
        const TEXT: &str = "The connector server has too many calls of this client";
        // What an IDM takes for "this server cannot be reached": the call was not run.
        let refuse = || frames::error(id, exceptions::CONNECTION_FAILED, TEXT);
        (net.executing(no) >= self.calls_max).then(refuse)
    }

    /// Hands a call to the executor; gives the error that refuses it instead.
    pub(super) fn start(
        &mut self,
        no: PeerNo,
        socket: SocketId,
        envelope: &Envelope,
        net: &mut Net,
    ) -> Option<Bytes> {
        let id = envelope.message_id;
        // A socket that retires takes no further answers.
        let pin = net.instead_of(no, socket).unwrap_or(socket);
        let (Some(hub), Some(handle)) = (self.hub.upgrade(), net.handle(pin)) else { return None };
        let Some(request) = decode(envelope) else {
            return Some(frames::error(id, exceptions::CONNECTOR, "The request cannot be decoded"));
        };
        self.last_key += 1;
        let key = self.last_key;
        let state = CallState::new(handle.clone());
        net.accept(no, id, key);
        let pause = self.pause_backlog_bytes;
        let responder = Responder::new(key, id, state.clone(), hub, self.transit.clone(), pause);
        let watch = Watch::new(state.clone());
        let call = Call { peer: no, id, state, pin, on_pin: 0, waiting: Vec::new(), done: false };
        self.calls.insert(key, call);
        self.executor.execute(IncomingCall { request, responder, watch });
        None
    }

    /// The peer no longer waits for the answer.
    pub(super) fn cancel(&self, key: u64) {
        if let Some(call) = self.calls.get(&key) {
            call.state.cancel();
        }
    }

    /// A frame of an answer that is not its last, from the executor.
    pub(super) fn item(&mut self, key: u64, frame: Bytes, net: &Net) {
        self.transit.add_permits(1);
        if let Some(call) = self.calls.get_mut(&key) {
            call.send(frame, net);
        }
    }

    /// The last frame of an answer.
    pub(super) fn last(&mut self, key: u64, frame: Bytes, net: &mut Net) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (no, id, pin) = (call.peer, call.id, call.pin);
        // Behind frames whose socket has died: their fate, and so the answer's, is known with its report.
        let behind = call.on_pin > 0 && !net.is_open(pin);
        if !call.waiting.is_empty() || behind {
            call.waiting.push(frame);
            call.done = true;
            return;
        }
        self.end(key, net);
        net.answer(no, Some(pin), id, frame);
    }

    /// The running calls of a peer whose socket has died: their unsent frames wait for another one, or the call ends because a part
    /// of its answer may be lost.
    pub(super) fn take_back(&mut self, no: PeerNo, dead: SocketId, lost: &mut Lost, net: &mut Net) {
        let pinned = self.calls.iter().filter(|(_, call)| call.peer == no && call.pin == dead);
        let pinned: Vec<u64> = pinned.map(|(key, _)| *key).collect();
        for key in pinned {
            let Some(call) = self.calls.get_mut(&key) else { continue };
            let unsent = lost.take_items(call.id);
            if unsent.len() == call.on_pin {
                call.on_pin = 0;
                call.waiting.splice(0..0, unsent);
                continue;
            }
            let id = call.id;
            self.end(key, net);
            net.answer(no, None, id, cut(id));
        }
    }

    /// Gives every call of the peer whose socket has died a living one, if there is one, and sends what waited for it.
    pub(super) fn move_to_living(&mut self, no: PeerNo, net: &mut Net) {
        let is_stuck = |call: &Call, net: &Net| call.peer == no && net.peer_of(call.pin).is_none();
        for call in self.calls.values_mut() {
            if !is_stuck(call, net) {
                continue;
            }
            let Some(socket) = net.next_socket(no, None) else { return };
            if let Some(handle) = net.handle(socket) {
                call.pin = socket;
                call.state.repin(handle.clone());
            }
        }
        let ready = self.calls.iter().filter(|(_, call)| {
            call.peer == no && !call.waiting.is_empty() && net.peer_of(call.pin).is_some()
        });
        let ready: Vec<u64> = ready.map(|(key, _)| *key).collect();
        for key in ready {
            let Some(call) = self.calls.get_mut(&key) else { continue };
            let (mut frames, done) = (std::mem::take(&mut call.waiting), std::mem::take(&mut call.done));
            let last = if done { frames.pop() } else { None };
            frames.into_iter().for_each(|frame| call.send(frame, net));
            if let Some(last) = last {
                self.last(key, last, net);
            }
        }
    }

    /// Gives the calls whose answers have not begun on a socket another one.
    pub(super) fn leave(&mut self, socket: SocketId, net: &Net) {
        for call in self.calls.values_mut().filter(|call| call.pin == socket && !call.has_begun()) {
            let other = net.instead_of(call.peer, socket);
            if let Some((other, handle)) = other.and_then(|other| Some((other, net.handle(other)?))) {
                call.pin = other;
                call.state.repin(handle.clone());
            }
        }
    }

    /// Whether an answer has begun on a socket, and goes on.
    pub(super) fn needs(&self, socket: SocketId) -> bool {
        self.calls.values().any(|call| call.pin == socket && call.has_begun())
    }

    /// A peer that has not come back: its calls have no reader.
    pub(super) fn forget(&mut self, no: PeerNo) {
        self.calls.retain(|_, call| {
            let keep = call.peer != no;
            if !keep {
                call.state.end();
            }
            keep
        });
    }

    /// Forgets a call whose answer is on its way.
    fn end(&mut self, key: u64, net: &mut Net) {
        let Some(call) = self.calls.remove(&key) else { return };
        call.state.end();
        net.finish(call.peer, call.id);
    }
}

impl Call {
    /// Whether a frame of its answer is on its socket, or waits.
    fn has_begun(&self) -> bool {
        self.on_pin > 0 || !self.waiting.is_empty()
    }

    /// Queues a frame on the call's socket, or keeps it until the call has a living one.
    fn send(&mut self, frame: Bytes, net: &Net) {
        match self.waiting.is_empty() && net.send_on(self.pin, &frame) {
            true => self.on_pin += 1,
            false => self.waiting.push(frame),
        }
    }
}

fn decode(envelope: &Envelope) -> Option<OperationRequest> {
    RemoteMessage::decode(envelope.frame().clone()).ok()?.request?.operation
}

#[cfg(test)]
mod tests;
