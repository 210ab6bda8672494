//! The endpoint's one task: all sockets, sessions and calls, changed by one input at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::caller::Sink;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::peer::{Peer, PeerNo};
use super::{Counts, EndpointConfig, Executor};
use crate::driver::WebSocket;
use crate::driver::framing::Role;
use crate::driver::limits::{CLOSE_DEADLINE, SHUTTING_DOWN_QUIET};
use crate::driver::oversize::{self, OversizeHead};
use crate::driver::socket::{self, CloseReason, SendError, SocketEvent, SocketHandle};
use crate::frames;
use crate::icf::exceptions;
use crate::limits;
use crate::messages::OperationRequest;
use crate::session::{Handshake, HandshakeStep, Side, SocketId};
use crate::time::Moment;

/// Frames of streams between their executors and the hub.
pub(super) const FRAMES_IN_TRANSIT: usize = 1024;
/// Rhythm of everything that depends on time alone.
const TICK: Duration = Duration::from_millis(50);
/// Reports of sockets that wait for the hub.
const EVENTS: usize = 1024;
/// Inputs applied before the hub looks at its other sources.
const INPUTS_AT_ONCE: usize = 64;
/// Undecodable messages after which a socket is closed.
const GARBAGE_MAX: u64 = 16;

/// What the endpoint's handles ask of the hub.
pub(super) enum Command {
    Adopt { socket: Box<WebSocket>, ended: oneshot::Sender<CloseReason> },
    Item { call: u64, frame: Bytes },
    Final { call: u64, frame: Bytes },
    Call { key: u64, request: Box<OperationRequest>, sink: Sink },
    Cancel { call: u64 },
    Infos { reply: oneshot::Sender<Bytes> },
    AwaitPeer { reply: oneshot::Sender<()> },
    Count { reply: oneshot::Sender<Counts> },
    ShutDown { limit: Duration, reply: oneshot::Sender<Counts> },
}

pub(super) struct Hub {
    pub(super) config: EndpointConfig,
    pub(super) executor: Arc<dyn Executor>,
    /// For responders; weak, so that the endpoint ends with its last handle.
    pub(super) commands: mpsc::WeakUnboundedSender<Command>,
    pub(super) transit: Arc<Semaphore>,
    pub(super) sockets: HashMap<SocketId, Member>,
    pub(super) peers: HashMap<PeerNo, Peer>,
    /// Peers by their sessionId.
    pub(super) by_session_id: HashMap<String, PeerNo>,
    /// Calls of peers that we execute.
    pub(super) incoming: HashMap<u64, Incoming>,
    /// Our calls that peers execute.
    pub(super) outgoing: HashMap<u64, Outgoing>,
    /// Who waits for a peer's connectors.
    pub(super) infos_wanted: Vec<oneshot::Sender<Bytes>>,
    /// Who waits for any peer.
    pub(super) peer_wanted: Vec<oneshot::Sender<()>>,
    events: (socket::Events, mpsc::Receiver<(SocketId, SocketEvent)>),
    start: Instant,
    /// The last number given to a socket, peer or call.
    last_no: u64,
    closing: Option<Closing>,
}

/// One socket.
pub(super) struct Member {
    pub(super) handle: SocketHandle,
    pub(super) stage: Stage,
    /// When something last arrived on it.
    heard: Instant,
    pinged: Instant,
    ended: Option<oneshot::Sender<CloseReason>>,
}

pub(super) enum Stage {
    Shaking(Handshake),
    Joined(PeerNo),
}

/// A shutdown: first the calls end, then the sockets.
struct Closing {
    deadline: Instant,
    /// When it began, or a call was refused for it last.
    asked_at: Instant,
    /// What was there when the calls had ended or run out of time; the sockets are closing.
    left: Option<Counts>,
    reply: Option<oneshot::Sender<Counts>>,
}

enum Input {
    Events,
    Commands(usize),
    Tick,
}

impl Hub {
    pub(super) fn new(
        config: EndpointConfig,
        executor: Arc<dyn Executor>,
        commands: mpsc::WeakUnboundedSender<Command>,
        transit: Arc<Semaphore>,
    ) -> Self {
        Self {
            config,
            executor,
            commands,
            transit,
            sockets: HashMap::new(),
            peers: HashMap::new(),
            by_session_id: HashMap::new(),
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            infos_wanted: Vec::new(),
            peer_wanted: Vec::new(),
            events: mpsc::channel(EVENTS),
            start: Instant::now(),
            last_no: 0,
            closing: None,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut events, mut asked) = (Vec::new(), Vec::new());
        loop {
            let input = tokio::select! {
                _ = self.events.1.recv_many(&mut events, INPUTS_AT_ONCE) => Input::Events,
                count = commands.recv_many(&mut asked, INPUTS_AT_ONCE) => Input::Commands(count),
                _ = tick.tick() => Input::Tick,
            };
            match input {
                Input::Events => events.drain(..).for_each(|(id, event)| self.socket_event(id, event)),
                // The last handle is gone; dropping the sockets' handles closes them.
                Input::Commands(0) => return,
                Input::Commands(_) => asked.drain(..).for_each(|command| self.command(command)),
                Input::Tick => self.tick(),
            }
            if self.finish_closing() {
                return;
            }
        }
    }

    /// The time as the session protocol counts it.
    pub(super) fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// A number that was not given before.
    pub(super) fn number(&mut self) -> u64 {
        self.last_no += 1;
        self.last_no
    }

    /// Whether new calls of peers are refused.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// A call came while shutting down: its peer did not know yet.
    pub(super) fn refused_while_closing(&mut self) {
        if let Some(closing) = &mut self.closing {
            closing.asked_at = Instant::now();
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Adopt { socket, ended } => self.adopt(*socket, ended),
            Command::Item { call, frame } => {
                self.transit.add_permits(1);
                self.send_item(call, frame);
            }
            Command::Final { call, frame } => self.send_final(call, frame),
            Command::Call { key, request, sink } => self.open_call(key, &request, sink),
            Command::Cancel { call } => self.cancel_call(call),
            Command::Infos { reply } => self.want_infos(reply),
            Command::AwaitPeer { reply } => {
                self.peer_wanted.push(reply);
                self.tell_peer_wanted();
            }
            Command::Count { reply } => {
                // Who asked may have lost interest.
                let _ = reply.send(self.counts());
            }
            Command::ShutDown { limit, reply } => {
                let now = Instant::now();
                self.closing =
                    Some(Closing { deadline: now + limit, asked_at: now, left: None, reply: Some(reply) });
            }
        }
    }

    fn counts(&self) -> Counts {
        Counts { executing: self.incoming.len(), sessions: self.peers.len(), sockets: self.sockets.len() }
    }

    fn adopt(&mut self, socket: WebSocket, ended: oneshot::Sender<CloseReason>) {
        let side = match socket.role() {
            Role::Client => Side::Dialled,
            Role::Server => Side::Accepted,
        };
        let id = SocketId(self.number());
        let handle = socket::spawn(id, socket, &self.config.socket, self.events.0.clone());
        let (handshake, first) = Handshake::start(side, &self.config.identity, self.now());
        if let Some(first) = first {
            // A new queue takes its first frame.
            let _ = handle.send(first);
        }
        let now = Instant::now();
        let stage = Stage::Shaking(handshake);
        if self.is_closing() {
            handle.close();
        }
        self.sockets.insert(id, Member { handle, stage, heard: now, pinged: now, ended: Some(ended) });
    }

    fn socket_event(&mut self, id: SocketId, event: SocketEvent) {
        let Some(member) = self.sockets.get_mut(&id) else { return };
        member.heard = Instant::now();
        match event {
            SocketEvent::Frame(envelope) => match &mut member.stage {
                Stage::Joined(peer) => {
                    let peer = *peer;
                    self.receive(peer, id, envelope);
                }
                Stage::Shaking(handshake) => match handshake.receive(envelope, &self.config.identity) {
                    HandshakeStep::Wait => {}
                    HandshakeStep::Done { remote, reply, parked } => {
                        self.join(id, &remote.session_id, reply);
                        if let Some(Member { stage: Stage::Joined(peer), .. }) = self.sockets.get(&id) {
                            let peer = *peer;
                            parked.into_iter().for_each(|envelope| self.receive(peer, id, envelope));
                        }
                    }
                    HandshakeStep::Failed(error) => {
                        tracing::warn!(socket = %id, %error, "a handshake failed");
                        member.handle.close();
                    }
                },
            },
            SocketEvent::Pong => {}
            SocketEvent::Oversize(head) => self.oversize(id, head),
            SocketEvent::Garbage { error, count } => {
                tracing::warn!(socket = %id, %error, count, "a message makes no sense");
                if count >= GARBAGE_MAX {
                    member.handle.close();
                }
            }
            SocketEvent::Closed(closed) => {
                if let Some(member) = self.sockets.remove(&id) {
                    tracing::debug!(socket = %id, reason = %closed.reason, "a socket ended");
                    member.ended.map(|ended| ended.send(closed.reason));
                    if let Stage::Joined(peer) = member.stage {
                        self.socket_lost(peer, id, closed.unsent);
                    }
                }
            }
        }
    }

    /// A handshake is done: the socket joins its peer's session, then the answer goes out, then the socket is held back
    /// (WIRE 7.9 and consequence 2).
    fn join(&mut self, id: SocketId, session_id: &str, reply: Option<Bytes>) {
        let now = self.now();
        let no = match self.by_session_id.get(session_id) {
            Some(no) => *no,
            None => {
                let no = PeerNo(self.number());
                self.by_session_id.insert(session_id.to_owned(), no);
                self.peers.insert(no, Peer::new(session_id.to_owned()));
                no
            }
        };
        let (Some(member), Some(peer)) = (self.sockets.get_mut(&id), self.peers.get_mut(&no)) else { return };
        peer.session.join(id, now);
        peer.lost_at = None;
        member.stage = Stage::Joined(no);
        // What cannot be queued here comes back with the report of the socket's end.
        if let Some(reply) = reply {
            let _ = member.handle.send(reply);
        }
        let _ = member.handle.hold(Instant::now() + limits::HOLD_OFF);
        self.socket_joined(no);
        self.tell_peer_wanted();
    }

    /// Queues a frame of ours on the preferred socket or another one of the peer; tells which one took it.
    pub(super) fn deliver(
        &mut self,
        no: PeerNo,
        preferred: Option<SocketId>,
        frame: &Bytes,
    ) -> Option<SocketId> {
        let now = self.now();
        let session = &mut self.peers.get_mut(&no)?.session;
        let first = session.socket_for(preferred, now)?;
        let others: Vec<SocketId> = session.sockets().filter(|socket| *socket != first).collect();
        std::iter::once(first).chain(others).find(|socket| self.send_on(*socket, frame))
    }

    /// Queues a frame on this socket; false if it cannot take it.
    pub(super) fn send_on(&self, socket: SocketId, frame: &Bytes) -> bool {
        let Some(member) = self.sockets.get(&socket) else { return false };
        match member.handle.send(frame.clone()) {
            Ok(()) => true,
            Err(SendError::Closed) => false,
            Err(SendError::Full) => {
                tracing::warn!(socket = %socket, "a peer does not read; its socket is given up");
                member.handle.abort();
                false
            }
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        let mut checks = Vec::new();
        for peer in self.peers.values_mut() {
            if peer.session.next_check().is_some_and(|due| due <= now) {
                checks.extend(peer.session.due_check(now));
            }
        }
        for (socket, frame) in checks {
            // A lost check is asked for again.
            self.send_on(socket, &frame);
        }
        for member in self.sockets.values() {
            if matches!(&member.stage, Stage::Shaking(handshake) if handshake.is_overdue(now)) {
                member.handle.close();
            }
        }
        self.ping();
        self.repeat_refused();
        let keep = self.config.keep_lost;
        let gone = |peer: &Peer| peer.lost_at.is_some_and(|lost| now.since(lost) >= keep);
        let forgotten: Vec<PeerNo> =
            self.peers.iter().filter(|(_, peer)| gone(peer)).map(|(no, _)| *no).collect();
        forgotten.into_iter().for_each(|no| self.forget(no));
    }

    fn ping(&mut self) {
        let Some(every) = self.config.ping_every else { return };
        for member in self.sockets.values_mut() {
            if member.heard.elapsed() >= every * 3 {
                member.handle.abort();
            } else if member.pinged.elapsed() >= every {
                member.pinged = Instant::now();
                // A full queue says as much as a missing pong.
                let _ = member.handle.ping();
            }
        }
    }

    /// A peer that has not come back: its calls have no reader.
    fn forget(&mut self, no: PeerNo) {
        if let Some(peer) = self.peers.remove(&no) {
            self.by_session_id.remove(&peer.session_id);
        }
        self.incoming.retain(|_, call| {
            let keep = call.peer != no;
            if !keep {
                call.shared.end();
            }
            keep
        });
    }

    fn tell_peer_wanted(&mut self) {
        if self.peers.values().any(|peer| peer.session.is_connected()) {
            self.peer_wanted.drain(..).for_each(|reply| {
                // Who asked may have lost interest.
                let _ = reply.send(());
            });
        }
    }

    /// While shutting down: closes the sockets once the calls are done, and tells who asked when they are closed. A request that
    /// is on its way when its socket closes is lost without a word, so the sockets stay until no call has come for a while: by
    /// then the peers know from the refusals.
    fn finish_closing(&mut self) -> bool {
        let counts = self.counts();
        let Some(closing) = &mut self.closing else { return false };
        let late = Instant::now() >= closing.deadline;
        let quiet = closing.asked_at.elapsed() >= SHUTTING_DOWN_QUIET;
        if closing.left.is_none() && (counts.executing == 0 && quiet || late) {
            closing.left = Some(counts);
            closing.deadline = Instant::now() + 2 * CLOSE_DEADLINE;
            self.sockets.values().for_each(|member| member.handle.close());
        } else if closing.left.is_some() && (self.sockets.is_empty() || late) {
            let (reply, left) = (closing.reply.take(), closing.left.unwrap_or_default());
            // Who asked may have lost interest.
            reply.map(|reply| reply.send(left));
            return true;
        }
        false
    }

    /// A message too large to be read fails its call only.
    fn oversize(&mut self, socket: SocketId, head: OversizeHead) {
        let limit = self.config.socket.message.message;
        let text = format!("A message of {} bytes is over the limit of {limit} bytes", head.total);
        tracing::warn!(socket = %socket, bytes = head.total, limit, "a message is over the limit");
        let Some(Member { stage: Stage::Joined(peer), .. }) = self.sockets.get(&socket) else { return };
        match (head.side, head.message_id) {
            (oversize::Side::Request, Some(id)) => {
                self.send_on(socket, &frames::error(id, exceptions::CONNECTOR, &text));
            }
            (oversize::Side::Response, Some(id)) => self.fail_outgoing_id(*peer, id, head.total),
            _ => {}
        }
    }
}
