//! The sockets and sessions of an endpoint: which peer a socket belongs to, and which socket a frame goes out on.

mod connection;
mod peer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::connection::{Connection, Stage};
use self::peer::Peer;
pub(super) use self::peer::PeerNo;
use super::config::EndpointConfig;
use crate::driver::WebSocket;
use crate::driver::framing::Role;
use crate::driver::socket::{self, CloseReason, SendError, SocketConfig, SocketHandle};
use crate::envelope::Envelope;
use crate::frames::{self, Identity};
use crate::limits;
use crate::operation::Operation;
use crate::session::{Event, Handshake, HandshakeStep, Last, Side, SocketId};
use crate::time::Moment;

/// Bytes of answers that are kept for all peers without a socket together.
const OUTBOXES_BYTES: usize = 64 << 20;

/// The sockets and sessions of an endpoint.
pub(super) struct Net {
    identity: Identity,
    socket: SocketConfig,
    keep_lost: Duration,
    ping_every: Option<Duration>,
    check_every: Duration,
    /// Where sockets report to.
    events: socket::Events,
    /// Every socket that has not ended.
    connections: HashMap<SocketId, Connection>,
    peers: HashMap<PeerNo, Peer>,
    /// Peers by their sessionId.
    by_session_id: HashMap<String, PeerNo>,
    start: Instant,
    /// The last number given to a socket or peer.
    last_no: u64,
}

/// What was found when a socket of a peer had ended.
pub(super) struct Left {
    /// Whether it was the last one.
    pub(super) was_last: bool,
    /// Last frames of answers that went out on it, and may not have arrived.
    pub(super) unconfirmed: Vec<(i64, Bytes)>,
}

impl Net {
    pub(super) fn new(config: &EndpointConfig, events: socket::Events) -> Self {
        Self {
            identity: config.identity.clone(),
            socket: config.socket.clone(),
            keep_lost: config.keep_lost,
            ping_every: config.ping_every,
            check_every: config.check_every,
            events,
            connections: HashMap::new(),
            peers: HashMap::new(),
            by_session_id: HashMap::new(),
            start: Instant::now(),
            last_no: 0,
        }
    }

    // --- Sockets.

    /// Adds a socket, whose handshake follows.
    pub(super) fn adopt(&mut self, socket: WebSocket, ended: oneshot::Sender<CloseReason>) -> SocketId {
        let side = match socket.role() {
            Role::Client => Side::Dialled,
            Role::Server => Side::Accepted,
        };
        let id = SocketId(self.number());
        let handle = socket::spawn(id, socket, &self.socket, self.events.clone());
        let (handshake, first) = Handshake::start(side, &self.identity, self.now());
        if let Some(first) = first {
            // A new queue takes its first frame.
            let _ = handle.send(first);
        }
        self.connections.insert(id, Connection::new(handle, handshake, ended, Instant::now()));
        id
    }

    /// Notes that something arrived on a socket. False if the socket is not known.
    pub(super) fn heard(&mut self, id: SocketId) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        connection.heard = Instant::now();
        true
    }

    /// Reads a frame of a socket whose peer is not known yet. Once it is known: that peer, and the frames that came before.
    pub(super) fn shake(&mut self, id: SocketId, envelope: Envelope) -> Option<(PeerNo, Vec<Envelope>)> {
        let connection = self.connections.get_mut(&id)?;
        let Stage::Shaking(handshake) = &mut connection.stage else { return None };
        match handshake.receive(envelope, &self.identity) {
            HandshakeStep::Wait => None,
            HandshakeStep::Done { remote, reply, parked } => {
                Some((self.join(id, &remote.session_id, reply)?, parked))
            }
            HandshakeStep::Failed(error) => {
                tracing::warn!(socket = %id, %error, "a handshake failed");
                connection.handle.close();
                None
            }
        }
    }

    /// A handshake is done: the socket joins its peer's session, then the answer goes out, then the socket is held back
    /// (WIRE 7.9 and consequence 2).
    fn join(&mut self, id: SocketId, session_id: &str, reply: Option<Bytes>) -> Option<PeerNo> {
        let now = self.now();
        let no = match self.by_session_id.get(session_id) {
            Some(no) => *no,
            None => {
                let no = PeerNo(self.number());
                self.by_session_id.insert(session_id.to_owned(), no);
                self.peers.insert(no, Peer::new(session_id.to_owned(), self.check_every));
                no
            }
        };
        let (connection, peer) = (self.connections.get_mut(&id)?, self.peers.get_mut(&no)?);
        peer.session.join(id, now);
        peer.lost_at = None;
        connection.stage = Stage::Joined(no);
        // The owner may have lost interest.
        connection.joined.take().map(|joined| joined.send(id));
        // What cannot be queued here comes back with the report of the socket's end.
        if let Some(reply) = reply {
            let _ = connection.handle.send(reply);
        }
        let _ = connection.handle.hold(Instant::now() + limits::HOLD_OFF);
        Some(no)
    }

    /// Whose socket it is, once that is known.
    pub(super) fn peer_of(&self, id: SocketId) -> Option<PeerNo> {
        self.connections.get(&id)?.peer()
    }

    /// The handle of a socket that has not ended.
    pub(super) fn handle(&self, id: SocketId) -> Option<&SocketHandle> {
        self.connections.get(&id).map(|connection| &connection.handle)
    }

    /// Whether a socket takes frames.
    pub(super) fn is_open(&self, id: SocketId) -> bool {
        self.handle(id).is_some_and(|handle| !handle.is_closed())
    }

    /// Tells the owner of a socket when its peer is known.
    pub(super) fn tell_joined(&mut self, id: SocketId, joined: oneshot::Sender<SocketId>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.joined = Some(joined);
        }
    }

    /// Notes that a socket is to close once no answer needs it, and by this moment in any case.
    pub(super) fn retire(&mut self, id: SocketId, deadline: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.retires.get_or_insert(deadline);
        }
    }

    /// The sockets that retire, each with the moment by which it closes.
    pub(super) fn retiring(&self) -> Vec<(SocketId, Instant)> {
        let retiring = |(id, connection): (&SocketId, &Connection)| Some((*id, connection.retires?));
        self.connections.iter().filter_map(retiring).collect()
    }

    /// Another socket of the peer if this one retires.
    pub(super) fn instead_of(&self, no: PeerNo, id: SocketId) -> Option<SocketId> {
        self.connections.get(&id)?.retires?;
        let stays = |connection: &Connection| {
            connection.peer() == Some(no) && connection.retires.is_none() && !connection.handle.is_closed()
        };
        self.connections.iter().find(|(_, connection)| stays(connection)).map(|(other, _)| *other)
    }

    /// Has a socket write what is queued, and close.
    pub(super) fn close(&self, id: SocketId) {
        self.connections.get(&id).inspect(|connection| connection.handle.close());
    }

    /// The same for every socket.
    pub(super) fn close_all(&self) {
        self.connections.values().for_each(|connection| connection.handle.close());
    }

    /// Forgets a socket that has ended; gives the peer that it belonged to.
    pub(super) fn remove(&mut self, id: SocketId, reason: CloseReason) -> Option<PeerNo> {
        let mut connection = self.connections.remove(&id)?;
        tracing::debug!(socket = %id, %reason, "a socket ended");
        connection.ended(reason);
        connection.peer()
    }

    /// Takes a socket that has ended from its peer's session.
    pub(super) fn leave(&mut self, no: PeerNo, dead: SocketId) -> Option<Left> {
        let now = self.now();
        let peer = self.peers.get_mut(&no)?;
        let was_last = peer.session.leave(dead) == 0;
        if was_last {
            peer.lost_at = Some(now);
        }
        let unconfirmed = peer.session.unconfirmed(dead, now);
        let unconfirmed = unconfirmed.into_iter().filter_map(|last| Some((last.id, last.frame?))).collect();
        Some(Left { was_last, unconfirmed })
    }

    /// Open sockets.
    pub(super) fn sockets(&self) -> usize {
        self.connections.len()
    }

    // --- Frames.

    /// What a frame of a peer means.
    pub(super) fn receive(&mut self, no: PeerNo, envelope: &Envelope) -> Option<Event<u64>> {
        let now = self.now();
        Some(self.peers.get_mut(&no)?.session.receive(envelope, now))
    }

    /// Our answer to a repeated handshake.
    pub(super) fn handshake_again(&self) -> Bytes {
        frames::handshake_response(&self.identity)
    }

    /// Queues a frame on this socket; false if it cannot take it.
    pub(super) fn send_on(&self, socket: SocketId, frame: &Bytes) -> bool {
        self.queue(socket, |handle| handle.send(frame.clone()))
    }

    /// Queues a frame that answers what the peer asked of this endpoint.
    pub(super) fn reply_on(&self, socket: SocketId, frame: &Bytes) -> bool {
        self.queue(socket, |handle| handle.reply(frame.clone()))
    }

    fn queue(&self, socket: SocketId, what: impl FnOnce(&SocketHandle) -> Result<(), SendError>) -> bool {
        let Some(connection) = self.connections.get(&socket) else { return false };
        match what(&connection.handle) {
            Ok(()) => true,
            Err(SendError::Closed) => false,
            Err(SendError::Full) => {
                tracing::warn!(socket = %socket, "a peer does not read; its socket is given up");
                connection.handle.abort();
                false
            }
        }
    }

    /// Queues a frame of ours on the preferred socket or another one of the peer; gives the socket that took it.
    pub(super) fn deliver(
        &mut self,
        no: PeerNo,
        preferred: Option<SocketId>,
        frame: &Bytes,
    ) -> Option<SocketId> {
        let first = self.next_socket(no, preferred)?;
        if self.send_on(first, frame) {
            return Some(first);
        }
        let session = &self.peers.get(&no)?.session;
        session.sockets().filter(|socket| *socket != first).find(|socket| self.send_on(*socket, frame))
    }

    /// Sends a last frame on the preferred or any socket of the peer, or keeps it until there is one.
    pub(super) fn answer(&mut self, no: PeerNo, preferred: Option<SocketId>, id: i64, frame: Bytes) {
        let socket = self.deliver(no, preferred, &frame);
        let now = self.now();
        let kept: usize = match socket {
            Some(_) => 0,
            None => self.peers.values().map(Peer::outbox_bytes).sum(),
        };
        let Some(peer) = self.peers.get_mut(&no) else { return };
        match socket {
            Some(socket) => {
                let last =
                    Last { id, operation: Operation::Unknown, frame: Some(frame), since: now, refusals: 0 };
                peer.session.sent_last(socket, last, now);
            }
            None => peer.keep(id, frame, OUTBOXES_BYTES.saturating_sub(kept)),
        }
    }

    /// Sends the last frames that waited for a socket of the peer.
    pub(super) fn send_kept(&mut self, no: PeerNo) {
        let kept = self.peers.get_mut(&no).map(Peer::take_outbox).unwrap_or_default();
        for (id, frame) in kept {
            self.answer(no, None, id, frame);
        }
    }

    /// The peer's socket that a frame is to go out on: the preferred one while it lives, else the next in turn.
    pub(super) fn next_socket(&mut self, no: PeerNo, preferred: Option<SocketId>) -> Option<SocketId> {
        let now = self.now();
        self.peers.get_mut(&no)?.session.socket_for(preferred, now)
    }

    // --- Calls, as their peers' sessions know them.

    /// Calls of a peer that are executed here.
    pub(super) fn executing(&self, no: PeerNo) -> usize {
        self.peers.get(&no).map_or(0, |peer| peer.session.executing_count())
    }

    /// Notes a call of a peer. The peer's later frames of that id mean `key`.
    pub(super) fn accept(&mut self, no: PeerNo, id: i64, key: u64) {
        let now = self.now();
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.session.accept(id, key, now);
        }
    }

    /// Forgets a call of a peer.
    pub(super) fn finish(&mut self, no: PeerNo, id: i64) {
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.session.finish(id);
        }
    }

    /// Gives a call of ours an id at a peer. The peer's frames of that id mean `key`.
    pub(super) fn open_call(&mut self, no: PeerNo, key: u64) -> Option<i64> {
        let now = self.now();
        Some(self.peers.get_mut(&no)?.session.open(key, now))
    }

    /// The call of ours that has this id at a peer.
    pub(super) fn open_key(&self, no: PeerNo, id: i64) -> Option<u64> {
        self.peers.get(&no)?.session.open_key(id)
    }

    /// Forgets a call of ours at a peer.
    pub(super) fn close_call(&mut self, no: PeerNo, id: i64) {
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.session.close(id);
        }
    }

    // --- Peers.

    /// Peers, those included that have lost their sockets.
    pub(super) fn peers(&self) -> usize {
        self.peers.len()
    }

    /// The peer that joined last, of those with sockets.
    pub(super) fn latest_peer(&self) -> Option<PeerNo> {
        self.peers.iter().filter(|(_, peer)| peer.session.is_connected()).map(|(no, _)| *no).max()
    }

    /// The peer's connectors, if they are known.
    pub(super) fn infos(&self, no: PeerNo) -> Option<Bytes> {
        self.peers.get(&no)?.infos.clone()
    }

    /// Notes the peer's connectors.
    pub(super) fn note_infos(&mut self, no: PeerNo, infos: Bytes) {
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.infos = Some(infos);
        }
    }

    /// Has the peer asked for its connectors.
    pub(super) fn ask_infos(&mut self, no: PeerNo) {
        let now = self.now();
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.session.want_connector_infos(now);
        }
    }

    // --- Time.

    /// What time alone brings about at the sockets: session checks, late handshakes, pings.
    pub(super) fn tick(&mut self) {
        let now = self.now();
        let mut checks = Vec::new();
        for peer in self.peers.values_mut() {
            if peer.session.next_check().is_some_and(|due| due <= now) {
                checks.extend(peer.session.due_check(now, &[]));
            }
            // The memory that a storm took is given back by time, and not only when the next answer comes.
            peer.session.forget_old_answers(now);
        }
        for (socket, frame) in checks {
            // A lost check is asked for again.
            self.send_on(socket, &frame);
        }
        for connection in self.connections.values_mut() {
            if matches!(&connection.stage, Stage::Shaking(handshake) if handshake.is_overdue(now)) {
                connection.handle.close();
            }
            if let Some(every) = self.ping_every {
                connection.ping(every);
            }
        }
    }

    /// Forgets the peers that have been without a socket for too long, and gives their numbers.
    pub(super) fn forget_lost(&mut self) -> Vec<PeerNo> {
        let now = self.now();
        let is_gone = |peer: &Peer| peer.lost_at.is_some_and(|lost| now.since(lost) >= self.keep_lost);
        let gone: Vec<PeerNo> =
            self.peers.iter().filter(|(_, peer)| is_gone(peer)).map(|(no, _)| *no).collect();
        for no in &gone {
            if let Some(peer) = self.peers.remove(no) {
                self.by_session_id.remove(&peer.session_id);
            }
        }
        gone
    }

    /// The time as the session protocol counts it.
    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    fn number(&mut self) -> u64 {
        self.last_no += 1;
        self.last_no
    }
}
