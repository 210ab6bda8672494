//! What becomes of the calls of a socket that has died, or joined (WIRE 4.2: the session lives on its other sockets).

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::caller::RemoteError;
use super::hub::Hub;
use super::incoming::items_before;
use super::peer::PeerNo;
use crate::envelope::{BatchPart, Envelope, Kind, Part};
use crate::frames;
use crate::icf::exceptions;
use crate::session::SocketId;

/// Parts of an answer may be lost, and the peer would wait for them for ever: better a clear error.
const CUT_TEXT: &str = "The connection broke while results were being sent; some may be lost";

impl Hub {
    /// A socket has ended. What certainly did not arrive is sent again on another one; an answer of which a part may be lost
    /// ends in an error; a last frame that may be lost is sent again, since a peer ignores a second one (WIRE 4.3).
    pub(super) fn socket_lost(&mut self, no: PeerNo, dead: SocketId, unsent: Vec<Bytes>) {
        let now = self.now();
        let Some(peer) = self.peers.get_mut(&no) else { return };
        let left = peer.session.leave(dead);
        if left == 0 {
            peer.lost_at = Some(now);
        }
        let finals = peer.session.unconfirmed(dead, now);
        let finals = finals.into_iter().filter_map(|last| Some((last.id, last.frame?))).collect();
        let mut lost = Lost::new(unsent, finals);
        let pinned = self.incoming.iter().filter(|(_, call)| call.peer == no && call.pin == dead);
        let pinned: Vec<u64> = pinned.map(|(key, _)| *key).collect();
        for key in pinned {
            self.take_back(key, &mut lost);
        }
        self.move_calls(no);
        self.flush_waiting(no);
        for (id, frame) in lost.answers() {
            self.answer(no, None, id, frame);
        }
        for id in lost.requests {
            self.resend_call(no, id);
        }
        for frame in lost.cancels {
            // A peer without sockets has nothing to cancel.
            self.deliver(no, None, &frame);
        }
        if left == 0 {
            self.fail_outgoing_of(no, RemoteError::ConnectionLost);
        }
    }

    /// A running call whose socket has died: its unsent frames wait for another one, or the call ends.
    fn take_back(&mut self, key: u64, lost: &mut Lost) {
        let Some(call) = self.incoming.get_mut(&key) else { return };
        let older = lost.items.remove(&call.id).unwrap_or_default();
        if older.len() == call.on_pin {
            call.on_pin = 0;
            call.waiting.splice(0..0, older);
            return;
        }
        let (no, id) = (call.peer, call.id);
        self.end_incoming(key);
        self.answer(no, None, id, cut(id));
    }

    /// A socket has joined: answers that waited for one go out.
    pub(super) fn socket_joined(&mut self, no: PeerNo) {
        let kept = self.peers.get_mut(&no).map(|peer| peer.take_outbox()).unwrap_or_default();
        for (id, frame) in kept {
            self.answer(no, None, id, frame);
        }
        self.move_calls(no);
        self.flush_waiting(no);
        self.ask_infos_of(no);
    }

    /// Gives every call whose socket has died a living one, if there is one.
    fn move_calls(&mut self, no: PeerNo) {
        let now = self.now();
        let Some(peer) = self.peers.get_mut(&no) else { return };
        let alive: HashSet<SocketId> = peer.session.sockets().collect();
        for call in self.incoming.values_mut().filter(|call| call.peer == no && !alive.contains(&call.pin)) {
            let Some(socket) = peer.session.socket_for(None, now) else { return };
            if let Some(member) = self.sockets.get(&socket) {
                call.pin = socket;
                call.shared.repin(member.handle.clone());
            }
        }
    }

    /// Sends frames that had found their socket dead, now that their calls have another one.
    fn flush_waiting(&mut self, no: PeerNo) {
        let Some(peer) = self.peers.get(&no) else { return };
        let alive: HashSet<SocketId> = peer.session.sockets().collect();
        let ready: Vec<u64> = self
            .incoming
            .iter()
            .filter(|(_, call)| call.peer == no && !call.waiting.is_empty() && alive.contains(&call.pin))
            .map(|(key, _)| *key)
            .collect();
        for key in ready {
            let Some(call) = self.incoming.get_mut(&key) else { continue };
            let (mut frames, done) = (std::mem::take(&mut call.waiting), std::mem::take(&mut call.done));
            let last = if done { frames.pop() } else { None };
            frames.into_iter().for_each(|frame| self.send_item(key, frame));
            if let Some(last) = last {
                self.send_final(key, last);
            }
        }
    }
}

/// What a dead socket leaves behind.
struct Lost {
    /// By call of the peer, the frames of its answer before the last that certainly did not arrive.
    items: HashMap<i64, Vec<Bytes>>,
    /// Last frames that may not have arrived.
    finals: Vec<(i64, Bytes)>,
    /// Requests of ours that certainly did not arrive.
    requests: Vec<i64>,
    /// Cancels of ours, likewise.
    cancels: Vec<Bytes>,
}

impl Lost {
    fn new(unsent: Vec<Bytes>, finals: Vec<(i64, Bytes)>) -> Self {
        let mut lost = Self { items: HashMap::new(), finals, requests: Vec::new(), cancels: Vec::new() };
        for envelope in unsent.into_iter().filter_map(|frame| Envelope::parse(frame).ok()) {
            let (id, frame) = (envelope.message_id, envelope.frame().clone());
            match &envelope.kind {
                Kind::Answer(head) if is_item(head.part) => lost.items.entry(id).or_default().push(frame),
                // Most last frames are known as unconfirmed already.
                Kind::Answer(_) | Kind::Error(_) if lost.finals.iter().any(|(known, _)| *known == id) => {}
                Kind::Answer(_) | Kind::Error(_) => lost.finals.push((id, frame)),
                Kind::Operation(_) => lost.requests.push(id),
                Kind::Cancel => lost.cancels.push(frame),
                // Handshakes and session checks belong to their socket.
                _ => {}
            }
        }
        lost
    }

    /// Answers that were complete on our side, to be sent again: whole, or as an error if a part of them may be missing.
    fn answers(&mut self) -> Vec<(i64, Bytes)> {
        let mut frames = Vec::new();
        for (id, last) in std::mem::take(&mut self.finals) {
            let items = self.items.remove(&id).unwrap_or_default();
            let before = Envelope::parse(last.clone()).map_or(0, |envelope| match &envelope.kind {
                Kind::Answer(head) => items_before(head.part),
                _ => 0,
            });
            if before > items.len() {
                frames.push((id, cut(id)));
            } else {
                frames.extend(items.into_iter().chain([last]).map(|frame| (id, frame)));
            }
        }
        frames
    }
}

fn cut(id: i64) -> Bytes {
    frames::error(id, exceptions::CONNECTION_BROKEN, CUT_TEXT)
}

/// Whether a frame is part of an answer but not its last one.
fn is_item(part: Part) -> bool {
    match part {
        Part::Item { .. } | Part::Event { completed: false } => true,
        Part::Batch(BatchPart::Result { .. } | BatchPart::Complete) => true,
        Part::Batch(BatchPart::Token { .. }) | Part::Only | Part::End { .. } | Part::Event { .. } => false,
    }
}
