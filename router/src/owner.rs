//! The one task that owns the engine: it selects what happened next and applies it. Nothing is awaited while the state changes,
//! so no lock exists and no change is ever seen half done.

use std::sync::Arc;

use rcs_core::engine::{Engine, Event, OversizeFrame, Phase};
use rcs_core::limits::DRAIN_TIME;
use rcs_core::view::View;
use rcs_proto::driver::oversize::Side as OversizeSide;
use rcs_proto::driver::socket::SocketEvent;
use rcs_proto::session::SocketId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::control::{Request, Status};
use crate::limits::{CLOSE_WAIT, EVENT_BATCH_MAX};
use crate::world::{Side, World};

/// The owner and all it holds.
pub(crate) struct Owner {
    engine: Engine,
    world: World,
    clock: Clock,
    /// What sockets report.
    events: mpsc::Receiver<(SocketId, SocketEvent)>,
    /// What the rest of the process asks.
    requests: mpsc::Receiver<Request>,
    /// The view in force, for those who judge upgrades.
    published: watch::Sender<Arc<View>>,
    /// Set while draining: when to end at the latest.
    drain_until: Option<Instant>,
}

impl Owner {
    /// An owner with an empty view; the first one comes as a request.
    pub(crate) fn new(
        world: World,
        clock: Clock,
        events: mpsc::Receiver<(SocketId, SocketEvent)>,
        requests: mpsc::Receiver<Request>,
        published: watch::Sender<Arc<View>>,
    ) -> Self {
        let engine = Engine::new([fastrand::u64(..), fastrand::u64(..)], clock.now());
        Self { engine, world, clock, events, requests, published, drain_until: None }
    }

    /// Runs until it has drained.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(EVENT_BATCH_MAX);
        let alarm = sleep_until(Instant::now());
        tokio::pin!(alarm);
        while !self.is_drained() {
            let due = self.next_alarm();
            if alarm.deadline() != due {
                alarm.as_mut().reset(due);
            }
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => self.handle(request),
                _ = self.events.recv_many(&mut batch, EVENT_BATCH_MAX) => {
                    for (socket, event) in batch.drain(..) {
                        self.on_socket_event(socket, event);
                    }
                }
                () = &mut alarm => {}
            }
            // Looked at after every batch: a busy router must not be late for its timers.
            if self.engine.next_wake().is_some_and(|due| due <= self.clock.now()) {
                self.apply(Event::Wake);
            }
        }
        let open = self.engine.report().calls;
        if open > 0 {
            tracing::warn!(calls = open, "the time to drain is over with calls open");
        }
        self.apply(Event::DrainOver);
        self.close_sockets().await;
    }

    fn apply(&mut self, event: Event) {
        self.engine.apply(event, self.clock.now(), &mut self.world);
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Accepted { socket, selector, principal } => {
                if let Some(socket) = self.world.admit(socket) {
                    self.apply(Event::Accepted { socket, selector, principal });
                }
            }
            Request::Dialled { member, slot, outcome: Ok(socket) } => {
                let socket = self.world.open(socket, Side::Upstream);
                self.apply(Event::Dialled { member, slot, socket });
            }
            Request::Dialled { member, slot, outcome: Err(error) } => {
                self.world.count_dial_failure(member);
                let (failure, reason) = (error.failure, error.reason);
                self.apply(Event::DialFailed { member, slot, failure, reason });
            }
            Request::View(view) => {
                self.world.learn_names(&view);
                self.apply(Event::View(Arc::clone(&view)));
                self.published.send_replace(view);
            }
            Request::Drain => {
                self.drain_until.get_or_insert_with(|| Instant::now() + DRAIN_TIME);
                self.apply(Event::Drain);
            }
            // Nobody waits for it any more: its deadline has passed.
            Request::Status(answer) => drop(answer.send(self.status())),
        }
    }

    fn on_socket_event(&mut self, socket: SocketId, event: SocketEvent) {
        let event = match event {
            SocketEvent::Frame(envelope) => {
                self.world.prove(socket);
                Event::Frame { socket, envelope }
            }
            SocketEvent::Pong => Event::Pong { socket },
            SocketEvent::Garbage { .. } => Event::Garbage { socket },
            SocketEvent::Oversize(head) => {
                let what = match head.side {
                    OversizeSide::Request => Some(OversizeFrame::Request),
                    OversizeSide::Response => Some(OversizeFrame::Answer),
                    OversizeSide::Unknown => None,
                };
                match (head.message_id, what) {
                    (Some(message_id), Some(what)) => {
                        let bytes = usize::try_from(head.total).unwrap_or(usize::MAX);
                        Event::Oversize { socket, message_id, what, bytes }
                    }
                    _ => Event::Garbage { socket },
                }
            }
            SocketEvent::Closed(closed) => {
                self.world.forget(socket, closed.reason);
                Event::Closed { socket, unsent: closed.unsent }
            }
        };
        self.apply(event);
    }

    fn status(&self) -> Status {
        let phase = if self.drain_until.is_some() { Phase::Draining } else { Phase::Serving };
        Status { phase, report: self.engine.report() }
    }

    fn next_alarm(&self) -> Instant {
        let wake = self.engine.next_wake().map(|moment| self.clock.instant(moment));
        // A day from now stands for never.
        let never = || Instant::now() + std::time::Duration::from_secs(86_400);
        wake.into_iter().chain(self.drain_until).min().unwrap_or_else(never)
    }

    fn is_drained(&self) -> bool {
        self.drain_until.is_some_and(|until| self.engine.is_idle() || until <= Instant::now())
    }

    /// Writes what is queued and closes everything. What still arrives changes nothing any more: no member is dialled again.
    async fn close_sockets(&mut self) {
        self.world.close_all();
        let all_closed = async {
            while !self.world.is_empty() {
                match self.events.recv().await {
                    Some((socket, SocketEvent::Closed(closed))) => self.world.forget(socket, closed.reason),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        if timeout(CLOSE_WAIT, all_closed).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
    }
}
