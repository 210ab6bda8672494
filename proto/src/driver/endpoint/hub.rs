//! The endpoint's one task: takes one input at a time, and has the tables change by it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::call::Executor;
use super::config::{Counts, EndpointConfig};
use super::incoming::Incoming;
use super::lost::Lost;
use super::net::{Net, PeerNo};
use super::outgoing::Outgoing;
use super::shutdown::{Shutdown, Step};
use super::to_hub::ToHub;
use super::wanted::Wanted;
use crate::driver::WebSocket;
use crate::driver::limits::RETIRING_MAX;
use crate::driver::oversize::{self, Overrun, OversizeHead};
use crate::driver::socket::{CloseReason, Reports, SocketEvent};
use crate::envelope::Envelope;
use crate::frames;
use crate::icf::exceptions;
use crate::session::{Event, Last, SocketId};

/// Rhythm of everything that depends on time alone.
const TICK: Duration = Duration::from_millis(50);
/// Reports of sockets that wait for the hub.
const EVENTS: usize = 1024;
/// Inputs applied before the hub looks at its other sources.
const INPUTS_AT_ONCE: usize = 64;
/// Undecodable messages after which a socket is closed.
const GARBAGE_MAX: u64 = 16;

pub(super) struct Hub {
    net: Net,
    incoming: Incoming,
    outgoing: Outgoing,
    wanted: Wanted,
    shutdown: Shutdown,
    events: Reports,
    /// Largest message that is read, bytes.
    message_limit: usize,
}

enum Input {
    Events,
    Messages(usize),
    Tick,
}

impl Hub {
    pub(super) fn new(
        config: EndpointConfig,
        executor: Arc<dyn Executor>,
        hub: mpsc::WeakUnboundedSender<ToHub>,
    ) -> Self {
        let (report, events) = mpsc::channel(EVENTS);
        Self {
            net: Net::new(&config, report),
            incoming: Incoming::new(&config, executor, hub),
            outgoing: Outgoing::default(),
            wanted: Wanted::default(),
            shutdown: Shutdown::default(),
            events,
            message_limit: config.socket.message.message,
        }
    }

    pub(super) async fn run(mut self, mut messages: mpsc::UnboundedReceiver<ToHub>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut events, mut asked) = (Vec::new(), Vec::new());
        loop {
            let input = tokio::select! {
                _ = self.events.recv_many(&mut events, INPUTS_AT_ONCE) => Input::Events,
                count = messages.recv_many(&mut asked, INPUTS_AT_ONCE) => Input::Messages(count),
                _ = tick.tick() => Input::Tick,
            };
            match input {
                Input::Events => {
                    for report in events.drain(..) {
                        let (id, event) = report.open();
                        self.socket_event(id, event);
                    }
                }
                // The last handle is gone; dropping the sockets' handles closes them.
                Input::Messages(0) => return,
                Input::Messages(_) => asked.drain(..).for_each(|message| self.message(message)),
                Input::Tick => self.tick(),
            }
            if self.shutdown.has_begun() {
                match self.shutdown.step(self.counts(), Instant::now()) {
                    Step::GoOn => {}
                    Step::CloseSockets => self.net.close_all(),
                    Step::Over => return,
                }
            }
        }
    }

    fn message(&mut self, message: ToHub) {
        let Self { net, incoming, outgoing, wanted, .. } = self;
        match message {
            ToHub::Adopt { socket, joined, ended } => self.adopt(*socket, joined, ended),
            ToHub::Retire { socket } => self.retire(socket),
            ToHub::Item { call, frame } => incoming.item(call, frame, net),
            ToHub::Final { call, frame } => incoming.last(call, frame, net),
            ToHub::Call { key, request, sink } => outgoing.open(key, &request, sink, net),
            ToHub::Cancel { call } => outgoing.cancel(call, net),
            ToHub::Infos { reply } => wanted.await_infos(reply, net),
            ToHub::AwaitPeer { reply } => wanted.await_peer(reply, net),
            ToHub::Count { reply } => {
                // The owner may have lost interest.
                let _ = reply.send(self.counts());
            }
            ToHub::ShutDown { limit, reply } => self.shutdown.begin(limit, reply, Instant::now()),
        }
    }

    fn counts(&self) -> Counts {
        Counts { executing: self.incoming.len(), sessions: self.net.peers(), sockets: self.net.sockets() }
    }

    fn adopt(
        &mut self,
        socket: WebSocket,
        joined: Option<oneshot::Sender<SocketId>>,
        ended: oneshot::Sender<CloseReason>,
    ) {
        let id = self.net.adopt(socket, ended);
        if let Some(joined) = joined {
            self.net.tell_joined(id, joined);
        }
        if self.shutdown.has_begun() {
            self.net.close(id);
        }
    }

    /// The owner no longer wants a socket.
    fn retire(&mut self, id: SocketId) {
        self.net.retire(id, Instant::now() + RETIRING_MAX);
        self.incoming.leave(id, &self.net);
        self.close_retired();
    }

    /// Closes the retiring sockets that no answer needs, and those whose time is over.
    fn close_retired(&mut self) {
        for (id, deadline) in self.net.retiring() {
            if !self.incoming.needs(id) || Instant::now() >= deadline {
                self.net.close(id);
            }
        }
    }

    fn socket_event(&mut self, id: SocketId, event: SocketEvent) {
        if !self.net.heard(id) {
            return;
        }
        match event {
            SocketEvent::Frame(envelope) => match self.net.peer_of(id) {
                Some(no) => self.receive(no, id, envelope),
                None => {
                    if let Some((no, parked)) = self.net.shake(id, envelope) {
                        self.socket_joined(no);
                        parked.into_iter().for_each(|envelope| self.receive(no, id, envelope));
                    }
                }
            },
            SocketEvent::Pong => {}
            SocketEvent::Oversize(head) => self.oversize(id, head),
            SocketEvent::Garbage { error, count } => {
                tracing::warn!(socket = %id, %error, count, "a message makes no sense");
                if count >= GARBAGE_MAX {
                    self.net.close(id);
                }
            }
            SocketEvent::Closed(closed) => {
                if let Some(no) = self.net.remove(id, closed.reason) {
                    self.socket_lost(no, id, closed.unsent);
                }
            }
        }
    }

    /// Reads a frame of a peer.
    fn receive(&mut self, no: PeerNo, socket: SocketId, envelope: Envelope) {
        let Self { net, incoming, outgoing, wanted, .. } = self;
        let Some(event) = net.receive(no, &envelope) else { return };
        let reply = match event {
            Event::Call => self.start_call(no, socket, &envelope),
            Event::Cancel(key) => {
                incoming.cancel(key);
                None
            }
            Event::Control(checked) => {
                checked.abandoned.into_iter().for_each(|key| incoming.cancel(key));
                checked.vanished.into_iter().for_each(|key| outgoing.vanished(key, net));
                let infos = checked.wants_connector_infos.then(|| incoming.connector_infos());
                Some(frames::control_response(checked.id, infos))
            }
            Event::HandshakeAgain => Some(net.handshake_again()),
            Event::Reply(frame) => Some(frame),
            Event::AnswerRefused(Some(Last { frame: Some(frame), .. })) => {
                net.answer(no, None, envelope.message_id, frame);
                None
            }
            Event::Answer(key) => {
                outgoing.answered(key, envelope, net);
                None
            }
            Event::NotRun(key) => {
                outgoing.refused(key);
                None
            }
            Event::ConnectorInfos(infos) => {
                wanted.infos_arrived(no, infos, net);
                None
            }
            Event::AnswerRefused(_) | Event::ConfigurationChange | Event::Ignored(_) => None,
        };
        if let Some(reply) = reply {
            // It belongs on this socket (WIRE 4.2); if that has just died, the peer asks again.
            self.net.reply_on(socket, &reply);
        }
    }

    /// Takes a call of a peer; gives the error that refuses it instead.
    fn start_call(&mut self, no: PeerNo, socket: SocketId, envelope: &Envelope) -> Option<Bytes> {
        let id = envelope.message_id;
        if let Some(refusal) = self.incoming.refusal(no, id, &self.net) {
            return Some(refusal);
        }
        if self.shutdown.has_begun() {
            self.shutdown.call_refused(Instant::now());
            return Some(frames::shutting_down(id));
        }
        self.incoming.start(no, socket, envelope, &mut self.net)
    }

    /// A socket has joined: answers that waited for one go out.
    fn socket_joined(&mut self, no: PeerNo) {
        self.net.send_kept(no);
        self.incoming.move_to_living(no, &mut self.net);
        self.wanted.socket_joined(no, &mut self.net);
    }

    /// A socket has ended. What certainly did not arrive is sent again on another one; an answer of which a part may be lost
    /// ends in an error; a last frame that may be lost is sent again, since a peer ignores a second one (WIRE 4.3).
    fn socket_lost(&mut self, no: PeerNo, dead: SocketId, unsent: Vec<Bytes>) {
        let Self { net, incoming, outgoing, .. } = self;
        let Some(left) = net.leave(no, dead) else { return };
        let mut lost = Lost::new(unsent, left.unconfirmed);
        incoming.take_back(no, dead, &mut lost, net);
        incoming.move_to_living(no, net);
        for (id, frame) in lost.take_answers() {
            net.answer(no, None, id, frame);
        }
        for id in lost.take_requests() {
            outgoing.resend(no, id, net);
        }
        for frame in lost.take_cancels() {
            // A peer without sockets has nothing to cancel.
            net.deliver(no, None, &frame);
        }
        if left.was_last {
            outgoing.lose(no, net);
        }
    }

    /// A message that was dropped fails its own call only.
    fn oversize(&mut self, socket: SocketId, head: OversizeHead) {
        let limit = self.message_limit;
        let text = match head.why {
            Overrun::Size => format!(
                "A message of {} bytes is over the limit of {limit} bytes. The call was not run: send less at once",
                head.total
            ),
            Overrun::Room => format!(
                "Overload: the connector server had no room for a message of {} bytes. The call was not run: repeat it",
                head.total
            ),
            Overrun::Pace => {
                format!(
                    "A message of {} bytes came too slowly. The call was not run: check the network, then repeat the call",
                    head.total
                )
            }
        };
        tracing::debug!(socket = %socket, bytes = head.total, limit, why = ?head.why, "a message was dropped");
        let Some(no) = self.net.peer_of(socket) else { return };
        match (head.side, head.message_id) {
            (oversize::Side::Request, Some(id)) => {
                self.net.reply_on(socket, &frames::error(id, exceptions::CONNECTOR, &text));
            }
            (oversize::Side::Response, Some(id)) => self.outgoing.oversize(no, id, head.total, &mut self.net),
            _ => {}
        }
    }

    fn tick(&mut self) {
        self.net.tick();
        self.outgoing.repeat_refused(&mut self.net);
        self.close_retired();
        for no in self.net.forget_lost() {
            self.incoming.forget(no);
        }
    }
}
