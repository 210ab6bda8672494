//! The session protocol as a state machine without I/O: handshake, the sockets of one sessionId, message ids, session
//! checks, the order of streams (WIRE section 4). Router, node and bench use the same one.
//!
//! A socket first runs a [`Handshake`]; once the peer's sessionId is known it joins a [`Session`]. The protocol is
//! symmetric after that: either end may have calls open at the other. The owner keeps what a call *is*; the session
//! keeps which ids are in use and gives back the owner's key `K` for them.

mod control;
mod early;
mod handshake;
mod ids;
mod recent;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use self::control::Checked;
use self::control::Control;
use self::early::EarlyCancels;
pub use self::handshake::{Handshake, HandshakeError, HandshakeStep, Remote, Side};
pub use self::ids::Ids;
pub use self::recent::Last;
use self::recent::{RecentAnswers, Sent};
pub use self::stream::{Reorder, StreamError, StreamOrder};
use crate::envelope::{Envelope, ErrorHead, Kind, UnknownKind};
use crate::frames;
use crate::icf::exceptions;
use crate::limits;
use crate::operation::Operation;
use crate::time::Moment;

/// One WebSocket, unique in its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// Everything that is known of one peer: all sockets that shared its sessionId, and the calls in either direction.
#[derive(Debug)]
pub struct Session<K> {
    /// Open sockets in the order in which they joined, with the moment from which the peer is sure to know them.
    sockets: Vec<(SocketId, Moment)>,
    /// Those of them that nothing is sent on while there is another.
    retired: Vec<SocketId>,
    /// Where the next frame without a socket of its own goes (WIRE 4.2: round robin).
    turn: usize,
    /// The ids of our requests.
    ids: Ids,
    /// Our calls that the peer executes, by our id.
    open: HashMap<i64, Tracked<K>>,
    /// The peer's calls that we execute, by its id.
    executing: HashMap<i64, Tracked<K>>,
    control: Control,
    recent: RecentAnswers,
    early: EarlyCancels,
}

/// A call with what session checks found out about it.
#[derive(Clone, Copy, Debug)]
struct Tracked<K> {
    key: K,
    since: Moment,
    /// Checks of the peer in which the call was not listed; never goes down (WIRE 4.4).
    misses: u32,
}

/// What a received frame means to the owner of the session.
#[derive(Debug)]
pub enum Event<K> {
    /// A new call of the peer: run it and [`Session::accept`] it, or answer an error.
    Call,
    /// The peer gives up a call of its own.
    Cancel(K),
    /// A connector at the peer changed its configuration (WIRE 6).
    ConfigurationChange,
    /// A frame of the answer to one of our calls.
    Answer(K),
    /// Our call was refused before the peer had stored our handshake: it was not run (WIRE 7.1).
    NotRun(K),
    /// A frame of an answer of ours was refused for the same reason. It is to be sent again if it was the last one and is
    /// still known.
    AnswerRefused(Option<Last>),
    /// A session check: answer it with [`frames::control_response`] on the same socket.
    Control(Checked<K>),
    /// The peer's connectors, as a legacy blob.
    ConnectorInfos(Bytes),
    /// A repeated handshake on a live socket: to be answered as the first was; it changes nothing (WIRE 4.1).
    HandshakeAgain,
    /// To be sent back on the same socket: what the protocol itself answers.
    Reply(Bytes),
    /// Nothing to do, and why.
    Ignored(Ignored),
}

/// Why a frame needs no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// An answer or error with an id that we do not have open, e.g. of a cancelled call (WIRE 4.3).
    UnknownId,
    /// A handshake answer on a socket that is through with it.
    LateHandshake,
    /// The answer to a session check without connectors.
    CheckAnswered,
}

impl<K: Copy> Default for Session<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy> Session<K> {
    /// A session without sockets, checked at Java's rhythm.
    pub fn new() -> Self {
        Self::checked_every(limits::CHECK_EVERY)
    }

    /// A session without sockets whose peer is asked for a sign of life so often.
    pub fn checked_every(rhythm: Duration) -> Self {
        Self {
            sockets: Vec::new(),
            retired: Vec::new(),
            turn: 0,
            ids: Ids::EVERY,
            open: HashMap::new(),
            executing: HashMap::new(),
            control: Control::every(rhythm),
            recent: RecentAnswers::default(),
            early: EarlyCancels::default(),
        }
    }

    /// The session with ids of this class only, for routers that show the peer the same sessionId. Ids that the session has given
    /// already are not given again.
    pub fn with_ids(mut self, mut ids: Ids) -> Self {
        ids.go_on_after(self.ids.last());
        self.ids = ids;
        self
    }

    /// Has ids go on after those of an earlier session that showed the peer the same identity: it may still run calls of
    /// that one, and sends their answers on whatever socket joins later (WIRE 4.2).
    pub fn go_on_after(&mut self, last_id: i64) {
        self.ids.go_on_after(last_id);
    }

    /// The last id that a request of ours got, here or in an earlier session that this one goes on after.
    pub fn last_id(&self) -> i64 {
        self.ids.last()
    }

    /// Adds a socket whose handshake is done. The peer may take [`limits::HOLD_OFF`] to know it: the caller holds the
    /// socket's frames back for so long, and [`Session::socket_for`] prefers other sockets meanwhile.
    pub fn join(&mut self, socket: SocketId, now: Moment) {
        assert!(!self.sockets.iter().any(|(id, _)| *id == socket), "{socket} joined twice");
        self.sockets.push((socket, now + limits::HOLD_OFF));
        self.control.socket_joined(now);
    }

    /// Removes a socket; answers how many are left.
    pub fn leave(&mut self, socket: SocketId) -> usize {
        self.sockets.retain(|(id, _)| *id != socket);
        self.retired.retain(|id| *id != socket);
        self.sockets.len()
    }

    /// Sends nothing on a socket any more that could go on another one; what is pinned to it stays there.
    pub fn retire(&mut self, socket: SocketId) {
        if !self.retired.contains(&socket) {
            self.retired.push(socket);
        }
    }

    /// Takes that back.
    pub fn reinstate(&mut self, socket: SocketId) {
        self.retired.retain(|id| *id != socket);
    }

    /// The open sockets.
    pub fn sockets(&self) -> impl Iterator<Item = SocketId> + '_ {
        self.sockets.iter().map(|(id, _)| *id)
    }

    /// Whether any socket is open.
    pub fn is_connected(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// The socket for the next frame: the pinned one if it is still open, else the next in turn. Sockets that are still
    /// held back come after those that are not, retired ones last.
    pub fn socket_for(&mut self, pinned: Option<SocketId>, now: Moment) -> Option<SocketId> {
        if let Some(socket) = pinned.filter(|socket| self.sockets.iter().any(|(id, _)| id == socket)) {
            return Some(socket);
        }
        let count = self.sockets.len();
        self.turn = self.turn.wrapping_add(1);
        let turns = (0..count).map(|step| self.sockets[(self.turn + step) % count]);
        let in_use = turns.clone().filter(|(id, _)| !self.retired.contains(id));
        let ready = in_use.clone().find(|(_, ready_at)| *ready_at <= now);
        let soonest = || in_use.min_by_key(|(_, ready_at)| *ready_at).or_else(|| turns.into_iter().next());
        ready.or_else(soonest).map(|(id, _)| id)
    }

    /// Whether a frame sent now would go out at once.
    pub fn is_ready(&self, now: Moment) -> bool {
        self.sockets.iter().any(|(_, ready_at)| *ready_at <= now)
    }

    /// Opens a call of ours and gives its id.
    pub fn open(&mut self, key: K, now: Moment) -> i64 {
        let id = self.ids.next();
        self.open.insert(id, Tracked { key, since: now, misses: 0 });
        id
    }

    /// Forgets a call of ours: answered, cancelled or given up. Late frames for it are ignored from now on.
    pub fn close(&mut self, id: i64) -> Option<K> {
        self.open.remove(&id).map(|call| call.key)
    }

    /// Takes a call of the peer. Answers false if the id is in use: [`Session::receive`] has checked that already.
    pub fn accept(&mut self, id: i64, key: K, now: Moment) -> bool {
        self.executing.insert(id, Tracked { key, since: now, misses: 0 }).is_none()
    }

    /// Forgets a call of the peer: answered in full or given up.
    pub fn finish(&mut self, id: i64) -> Option<K> {
        let call = self.executing.remove(&id)?;
        self.early.ended(id);
        Some(call.key)
    }

    /// The key of a call that we have open at the peer.
    pub fn open_key(&self, id: i64) -> Option<K> {
        self.open.get(&id).map(|call| call.key)
    }

    /// Keys of all calls that we have open at the peer, in the order of their ids.
    pub fn open_keys(&self) -> Vec<K> {
        keys_by_id(self.open.iter().map(|(id, call)| (*id, call.key)))
    }

    /// The key of a call that the peer has open here.
    pub fn executing_key(&self, id: i64) -> Option<K> {
        self.executing.get(&id).map(|call| call.key)
    }

    /// Keys of all calls that the peer has open here, in the order of their ids.
    pub fn executing_keys(&self) -> Vec<K> {
        keys_by_id(self.executing.iter().map(|(id, call)| (*id, call.key)))
    }

    /// The ids of the calls that the peer has open here, in no order.
    pub fn executing_ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.executing.keys().copied()
    }

    /// Calls of the peer that we hold.
    pub fn executing_count(&self) -> usize {
        self.executing.len()
    }

    /// Calls of ours that the peer holds.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Notes the last frame of an answer: it may be refused by a peer that does not know the socket yet (WIRE 7.1), and it
    /// may die with its socket.
    pub fn sent_last(&mut self, socket: SocketId, last: Last, now: Moment) {
        self.recent.keep(Sent { socket, last }, now);
    }

    /// Bytes of the last frames that are kept, so that they can be sent again.
    pub fn recent_bytes(&self) -> usize {
        self.recent.bytes()
    }

    /// Keeps at most this many bytes of last frames. An answer whose last frame was dropped can only be repeated as an error.
    pub fn limit_recent(&mut self, bytes: usize) {
        self.recent.limit(bytes);
    }

    /// Drops last frames that are too old to be sent again. Returns when to call this method again, if frames are left.
    pub fn forget_old_answers(&mut self, now: Moment) -> Option<Moment> {
        self.recent.forget_old(now)
    }

    /// The last frames that went out on a socket shortly before it died and may not have arrived. To be sent again on
    /// another one: a peer that did get them drops what follows, as their ids are no longer open there (WIRE 4.3).
    pub fn unconfirmed(&mut self, dead: SocketId, now: Moment) -> Vec<Last> {
        self.recent.take_of(dead, now)
    }

    /// When [`Session::due_check`] has something to send next.
    pub fn next_check(&self) -> Option<Moment> {
        self.control.next()
    }

    /// Reads a frame that arrived on one of the session's sockets.
    pub fn receive(&mut self, envelope: &Envelope, now: Moment) -> Event<K> {
        let id = envelope.message_id;
        match &envelope.kind {
            Kind::Operation(head) if head.operation == Operation::ConfigurationChange => {
                Event::ConfigurationChange
            }
            Kind::Operation(head) => self.receive_call(id, head.operation, now),
            Kind::Cancel => match self.executing.get(&id) {
                Some(call) => Event::Cancel(call.key),
                None => {
                    // It comes too late, or before its call.
                    self.early.park(id, now);
                    Event::Ignored(Ignored::UnknownId)
                }
            },
            Kind::Answer(_) => match self.open.get(&id) {
                Some(call) => Event::Answer(call.key),
                None => Event::Ignored(Ignored::UnknownId),
            },
            Kind::Error(error) => self.receive_error(id, error),
            Kind::ControlRequest(request) => {
                let mut checked = self.control.check(id, request, &mut self.open, &mut self.executing, now);
                if let Some(ids) = &mut checked.not_held {
                    self.recent.leave_out(ids);
                }
                Event::Control(checked)
            }
            Kind::ControlResponse(response) => {
                self.control.answered(id, !response.connector_infos.is_empty());
                match response.connector_infos.is_empty() {
                    true => Event::Ignored(Ignored::CheckAnswered),
                    false => Event::ConnectorInfos(response.connector_infos.clone()),
                }
            }
            Kind::HandshakeRequest(_) => Event::HandshakeAgain,
            Kind::HandshakeResponse(_) => Event::Ignored(Ignored::LateHandshake),
            Kind::Unknown(kind) => {
                Event::Reply(frames::error(id, exceptions::CONNECTOR, unknown_text(*kind)))
            }
        }
    }

    /// The session check or the question for connectors that is due now, with the socket it belongs on.
    ///
    /// `elsewhere` are the ids of calls of the peer that another router executes under the same sessionId. A peer fails a call of
    /// its own that several checks left out, whoever sent them (WIRE 4.4, and section 8 for two routers).
    pub fn due_check(&mut self, now: Moment, elsewhere: &[i64]) -> Option<(SocketId, Bytes)> {
        let ask = self.control.due(now).filter(|_| self.is_ready(now))?;
        let socket = self.socket_for(None, now)?;
        let id = self.ids.next();
        self.control.asked(id, now);
        let local = self.executing.keys().copied().chain(elsewhere.iter().copied());
        // The peer's own frame lists the check itself among the open requests (WIRE 3.1).
        let remote = self.open.keys().copied().chain([id]);
        let (local, remote) = (in_order(local), in_order(remote));
        Some((socket, frames::control_request(id, ask, &local, &remote)))
    }

    /// Whether the last check still waits for its answer.
    pub fn is_check_unanswered(&self) -> bool {
        self.control.is_unanswered()
    }

    /// Has the next check ask for the peer's connectors (again).
    pub fn want_connector_infos(&mut self, now: Moment) {
        self.control.want_infos(now);
    }

    /// The same for connectors that are known and may have changed: asked with the next check that is due anyway, and no sooner
    /// again than with the one after it.
    pub fn recheck_connector_infos(&mut self) {
        self.control.recheck_infos();
    }

    fn receive_call(&mut self, id: i64, operation: Operation, now: Moment) -> Event<K> {
        if self.executing.contains_key(&id) {
            // The first holder of the id runs on, this copy does not (WIRE 4.3).
            let text = format!("Request has been registered with id: {id}");
            return Event::Reply(frames::error(id, exceptions::ILLEGAL_STATE, &text));
        }
        if operation == Operation::Unknown {
            return Event::Reply(frames::error(id, exceptions::CONNECTOR, "Unknown OperationRequest"));
        }
        if self.early.take(id, now) {
            // Not run. Its caller may wait for it all the same, so it is answered.
            return Event::Reply(frames::error(
                id,
                exceptions::CANCELLATION,
                "The call was cancelled before it was run",
            ));
        }
        Event::Call
    }

    fn receive_error(&mut self, id: i64, error: &ErrorHead) -> Event<K> {
        match refused_before_handshake(error) {
            // It is about a frame of ours that was no request: never let it end our own request of that id (WIRE 7.1).
            Some(Refused::Response) => Event::AnswerRefused(self.recent.take(id)),
            Some(Refused::Request) if self.control.refused(id) => Event::Ignored(Ignored::CheckAnswered),
            refused => match (self.open.get(&id), refused) {
                (Some(call), Some(Refused::Request)) => Event::NotRun(call.key),
                (Some(call), _) => Event::Answer(call.key),
                (None, _) => Event::Ignored(Ignored::UnknownId),
            },
        }
    }
}

/// The ids in their order, each once: the order of a hash table differs from process to process, and the frame goes to others.
fn in_order(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The keys of calls, in the order of the calls' ids: what is done with them must not depend on the order of a hash table.
fn keys_by_id<K>(calls: impl Iterator<Item = (i64, K)>) -> Vec<K> {
    let mut calls: Vec<(i64, K)> = calls.collect();
    calls.sort_unstable_by_key(|(id, _)| *id);
    calls.into_iter().map(|(_, key)| key).collect()
}

/// What a peer refused because our handshake was not stored yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Request,
    Response,
}

fn refused_before_handshake(error: &ErrorHead) -> Option<Refused> {
    // Class and text: a script may fail with any text after it has changed something.
    if !error.class.ends_with(".ConnectorException") {
        return None;
    }
    match error.message.as_str() {
        "Connection received response before handshake" => Some(Refused::Response),
        "Connection received request before handshake" => Some(Refused::Request),
        _ => None,
    }
}

fn unknown_text(kind: UnknownKind) -> &'static str {
    match kind {
        UnknownKind::Message => "Unknown RemoteMessage",
        UnknownKind::Request => "Unknown Request message",
        UnknownKind::Response => "Unknown Response message",
    }
}

#[cfg(test)]
mod tests;
