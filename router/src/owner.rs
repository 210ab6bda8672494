//! The one task that owns the engine: it selects what happened next and applies it. Nothing is awaited while the state changes,
//! so no lock exists and no change is ever seen half done.

use std::collections::HashMap;
use std::sync::Arc;

use rcs_core::agreed::{Agreed, At, Author, Change};
use rcs_core::engine::{
    Allowed, Answer, Deciding, DialledBy, Engine, Event, Frame, Io as _, OversizeFrame, OversizeReason, Peer,
    Phase, Proposal, Selector, Start, Ticket, Wish,
};
use rcs_core::limits::{DRAIN_TIME, SOCKET_BACKLOG_LOW};
use rcs_proto::driver::WebSocket;
use rcs_proto::driver::oversize::{Overrun, Side as OversizeSide};
use rcs_proto::driver::socket::{Report, Reports, SocketEvent};
use rcs_proto::session::Side;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval, interval_at, sleep_until, timeout_at};

use crate::access::{LeaseId, Revoked};
use crate::clock::{Clock, wall};
use crate::cluster::Cluster;
use crate::control::{Ask, Configuration, Decided, Origin, Request, Status};
use crate::effects::{Dialled, Effects};
use crate::handover::Arrived;
use crate::limits::{CLOSE_BATCHES, CLOSE_EVERY, CLOSE_WAIT, EVENT_BATCH_MAX, FAREWELL_WAIT, PARTED_FOR_MAX};

/// The owner of the engine, with the queues and effects around the engine.
pub(crate) struct Owner {
    engine: Engine,
    effects: Effects,
    clock: Clock,
    /// Reports of sockets.
    events: Reports<Frame>,
    /// Requests of the rest of the process.
    requests: mpsc::Receiver<Request>,
    /// Where the engine's answers go, by ticket, and who asked.
    asking: HashMap<Ticket, Asking>,
    /// The cluster that decides what the engine proposes; none for a router that decides alone.
    cluster: Option<Cluster>,
    last_ticket: u64,
    /// Set while the router drains: the latest moment at which it ends.
    drain_until: Option<Instant>,
    /// Whether the callers were handed over to a later process.
    has_parted: bool,
}

/// Who waits for an answer of the engine.
struct Asking {
    answer: oneshot::Sender<Answer>,
    origin: Option<Origin>,
}

impl Owner {
    /// An owner of an empty engine. `seed` is what the session ids come from that callers are shown by a router that stands alone.
    pub(crate) fn new(
        effects: Effects,
        clock: Clock,
        events: Reports<Frame>,
        requests: mpsc::Receiver<Request>,
        (cluster, seed): (Option<Cluster>, [u64; 2]),
    ) -> Self {
        let own_seed = [fastrand::u64(..), fastrand::u64(..)];
        let (now, epoch) = (clock.now(), epoch(clock));
        let start = match &cluster {
            None => Start { seed, own_seed, router: 0, now, epoch, deciding: Deciding::Alone },
            Some(cluster) => {
                let (seed, router) = (cluster.seed(), cluster.number_in_ids());
                Start { seed, own_seed, router, now, epoch, deciding: Deciding::Together }
            }
        };
        let (asking, last_ticket) = (HashMap::new(), 0);
        let engine = Engine::new(start);
        Self {
            engine,
            effects,
            clock,
            events,
            requests,
            asking,
            cluster,
            last_ticket,
            drain_until: None,
            has_parted: false,
        }
    }

    /// Puts what an earlier process had agreed in force.
    pub(crate) fn restore(&mut self, agreed: Agreed) {
        self.apply(Event::Restored(Box::new(agreed)));
    }

    /// Puts what the operator's files say in force.
    pub(crate) fn configure(&mut self, configuration: Configuration) {
        let Configuration { document, settings } = configuration;
        let document = Some(document.as_ref().clone());
        self.apply(Event::Agreed {
            change: Change::Configured { document, settings },
            author: Author::Files,
            at: wall(),
            ticket: None,
        });
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
            // In random order: neither new connections nor frames of open sockets may keep the other waiting.
            tokio::select! {
                Some(request) = self.requests.recv() => self.handle(request),
                _ = self.events.recv_many(&mut batch, EVENT_BATCH_MAX) => {
                    for report in batch.drain(..) {
                        self.on_report(report);
                    }
                }
                () = &mut alarm => {}
            }
            if self.has_parted && self.drain_until.is_none() && self.events.is_empty() {
                // All that was read before the handover is taken in. New calls go to the later process.
                self.drain_until = Some(Instant::now() + PARTED_FOR_MAX);
                self.apply(Event::Drain);
            }
            // Looked at after every batch: a busy router must not be late for its timers.
            if self.engine.next_wake().is_some_and(|due| due <= self.clock.now()) {
                self.apply(Event::Wake);
            }
        }
        let open = self.engine.report().calls;
        if open > 0 {
            tracing::warn!(
                calls = open,
                "the time to drain is over; calls that are still open are ended with an error"
            );
        }
        self.apply(Event::DrainOver);
        self.let_callers_go(&mut batch).await;
        self.close_sockets().await;
    }

    /// Lets the callers go, a few at a time, so that no call goes into a closing socket.
    async fn let_callers_go(&mut self, batch: &mut Vec<Report<Frame>>) {
        let callers = self.engine.connected_callers().div_ceil(CLOSE_BATCHES).max(1);
        let mut ticks = interval_at(Instant::now() + FAREWELL_WAIT, CLOSE_EVERY);
        while self.engine.has_callers() {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.apply(Event::LetGo { callers }),
                Some(request) = self.requests.recv() => self.handle(request),
                _ = self.events.recv_many(batch, EVENT_BATCH_MAX) => {
                    for report in batch.drain(..) {
                        self.on_report(report);
                    }
                }
            }
        }
    }

    fn apply(&mut self, event: Event) {
        self.engine.apply(event, self.clock.now(), &mut self.effects);
        for proposal in self.effects.take_proposals() {
            self.propose(proposal);
        }
        for (ticket, answer) in self.effects.take_answers() {
            // If nobody waits for the answer any more, the change was made all the same.
            if let Some(asking) = self.asking.remove(&ticket) {
                drop(asking.answer.send(answer));
            }
        }
    }

    /// Hands a proposal of the engine to the cluster. What becomes of it comes back as a request.
    fn propose(&mut self, proposal: Proposal) {
        let Some(cluster) = &self.cluster else {
            // An engine that decides alone proposes nothing. If it does, nobody may wait for the answer in vain.
            tracing::error!(author = ?proposal.author, "a change was proposed to a cluster, but this router has none: please report this");
            if let Some(ticket) = proposal.ticket {
                let reason = "this router belongs to no cluster. Restart the router".to_owned();
                self.engine.apply(Event::NotAgreed { ticket, reason }, self.clock.now(), &mut self.effects);
            }
            return;
        };
        let asking = proposal.ticket.and_then(|ticket| self.asking.get(&ticket));
        let origin = asking.and_then(|asking| asking.origin.clone()).unwrap_or_else(|| cluster.origin());
        cluster.submit(proposal, origin);
    }

    fn ask(&mut self, ask: Ask, answer: oneshot::Sender<Answer>) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let before = self.engine.agreed().revision();
        let (wished, origin) = match &ask {
            Ask::Operator(wish, origin) => (Some(wish.clone()), Some(origin.clone())),
            Ask::Agent(..) => (None, None),
        };
        self.asking.insert(ticket, Asking { answer, origin });
        self.apply(match ask {
            Ask::Operator(wish, _) => Event::Operator { ticket, wish },
            Ask::Agent(member, says) => Event::Agent { ticket, member, says },
        });
        if self.engine.agreed().revision() != before {
            log_change(wished.as_ref());
        }
    }

    /// Closes the connections of these leases. They are told in one line of the log: a peer has many.
    fn revoke(&mut self, leases: &[LeaseId], reason: &str) {
        let sockets: Vec<_> = leases.iter().filter_map(|lease| self.effects.socket_of(*lease)).collect();
        tracing::warn!(
            connections = leases.len(),
            reason,
            "connections are closed whose token or certificate does not count any more"
        );
        for socket in sockets {
            self.apply(Event::Revoked { socket, reason: reason.to_owned() });
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Accepted { lease: Some(lease), .. } | Request::Joined { lease: Some(lease), .. }
                if lease.is_over() =>
            {
                // The token was revoked while its connection was on the way. The connection ends here.
            }
            Request::Accepted { socket, unproven, selector, principal, allowed, presented, lease } => {
                let way_in = format!("{selector:?} {principal}").into();
                let socket = self.effects.admit(socket, unproven, way_in, presented);
                self.effects.lend(socket, lease);
                let peer = Peer::Caller { selector, principal, allowed };
                self.apply(Event::Opened { socket, side: Side::Accepted, peer });
            }
            Request::Joined { socket, unproven, member, origin, presented, lease } => {
                let socket = self.effects.join(socket, unproven, presented);
                self.effects.lend(socket, lease);
                let peer = Peer::Member { member, by: DialledBy::Member(Arc::new(origin)) };
                self.apply(Event::Opened { socket, side: Side::Accepted, peer });
            }
            Request::Revoked(revoked) => {
                for Revoked { leases, reason } in revoked {
                    self.revoke(&leases, &reason);
                }
            }
            Request::Reached { socket, idm, group, joined, ended } => {
                self.reached(socket, &idm, group.as_deref(), Dialled { joined, ended });
            }
            Request::Forwarding { socket, selector, router } => {
                let principal: Arc<str> = format!("router {router}").into();
                let socket = self.effects.forward(socket, format!("{selector:?} {principal}").into());
                let peer = Peer::Caller { selector, principal, allowed: Allowed::All };
                self.apply(Event::Opened { socket, side: Side::Accepted, peer });
            }
            Request::Movable(answer) => drop(answer.send(self.effects.movable())),
            Request::MovedCallers(answer) => {
                // What callers sent before they stood still is in the queue by now. What members send meanwhile may wait, and must: it may
                // come as fast as it is taken in.
                for _ in 0..self.events.len() {
                    if let Ok(report) = self.events.try_recv() {
                        self.on_report(report);
                    }
                }
                drop(answer.send(self.engine.moved_callers()));
            }
            Request::Parted => self.has_parted = true,
            Request::CallsOfSockets(answer) => drop(answer.send(self.engine.calls_of_sockets())),
            Request::Agreed(answer) => drop(answer.send(Box::new(self.engine.agreed().clone()))),
            Request::Arrived(arrived) => self.arrived(arrived),
            Request::EarlierHas(open) => {
                for (number, open) in open {
                    if let Some(socket) = self.effects.socket_from(number) {
                        self.apply(Event::EarlierHas { socket, open });
                    }
                }
            }
            Request::EarlierDied => self.apply(Event::EarlierGone { is_done: false }),
            Request::EarlierGone { is_done } => {
                self.effects.earlier_is_gone();
                self.apply(Event::EarlierGone { is_done });
            }
            Request::Elsewhere(routers) => self.apply(Event::Elsewhere(routers)),
            Request::DialledVia { member, router, outcome: Ok(socket) } => {
                let socket = self.effects.open(socket);
                let peer = Peer::Member { member, by: DialledBy::Router(router) };
                self.apply(Event::Opened { socket, side: Side::Dialled, peer });
            }
            Request::DialledVia { member, outcome: Err(reason), .. } => {
                self.effects.count_dial_failure(member);
                self.apply(Event::WayFailed { member, reason });
            }
            Request::Retire(socket) => self.apply(Event::Retire { socket }),
            Request::Dialled { member, slot, outcome: Ok(socket) } => {
                let socket = self.effects.open(socket);
                let peer = Peer::Member { member, by: DialledBy::Us(slot) };
                self.apply(Event::Opened { socket, side: Side::Dialled, peer });
            }
            Request::Dialled { member, slot, outcome: Err(error) } => {
                self.effects.count_dial_failure(member);
                let (failure, reason) = (error.failure, error.reason);
                self.apply(Event::DialFailed { member, slot, failure, reason });
            }
            Request::Configure(configuration) => self.configure(configuration),
            Request::Decided(Decided { change, author, at, ticket, .. }) => {
                log_decision(&change, author);
                self.apply(Event::Agreed { change, author, at, ticket });
            }
            Request::Included(ticket) => self.apply(Event::Included { ticket }),
            Request::NotAgreed { ticket, reason } => self.apply(Event::NotAgreed { ticket, reason }),
            Request::Restored(agreed, done) => {
                tracing::info!(revision = agreed.revision(), "what the cluster has decided is in force");
                self.apply(Event::Restored(agreed));
                if let Some(done) = done {
                    // If nobody waits any more, the cluster's part has ended.
                    let _ = done.send(());
                }
            }
            Request::Quarantined(answer) => {
                drop(answer.send(self.engine.quarantined(self.clock.now())));
            }
            Request::Explain(id, answer) => {
                drop(answer.send(self.engine.explanation(id, self.clock.now())));
            }
            Request::Explained(filter, answer) => {
                drop(answer.send(self.engine.explanations(&filter, self.clock.now())));
            }
            Request::OpenCalls(filter, answer) => {
                drop(answer.send(self.engine.open_calls(&filter, self.clock.now())));
            }
            Request::Callers(answer) => drop(answer.send(self.engine.callers())),
            Request::Bundles(group, answer) => {
                drop(answer.send(self.engine.bundles(&group, self.clock.now())));
            }
            Request::Ask(ask, answer) => self.ask(ask, answer),
            Request::Drain => {
                let until = Instant::now() + DRAIN_TIME;
                // A process that has handed over drains already, and has more time until it is told to end.
                self.drain_until = Some(self.drain_until.map_or(until, |before| before.min(until)));
                self.apply(Event::Drain);
            }
            // If nobody waits for the answer any more, its deadline has passed.
            Request::Status(answer) => drop(answer.send(self.status())),
        }
    }

    /// Takes in the sockets of a caller that come from an earlier process.
    fn arrived(&mut self, arrived: Arrived) {
        let Arrived { caller, sockets, passing } = arrived;
        let group = caller.group.as_deref().and_then(|name| self.engine.view().group_named(name));
        let selector = group.map_or(Selector::ByConnectorKey, |group| Selector::Group(group.id));
        let way_in: Arc<str> = format!("{selector:?} {}", caller.principal).into();
        let session = caller.session.as_ref().map(|session| session.id.as_str());
        let opened: Vec<_> = sockets
            .into_iter()
            .map(|socket| self.effects.arrive(socket, Arc::clone(&way_in), session, passing.clone()))
            .collect();
        self.apply(Event::Moved { caller: Box::new(caller), sockets: opened });
    }

    /// Takes in the socket of an IDM that the router dialled. The socket is closed at once if the router is draining, or if the group has left
    /// the document meanwhile.
    fn reached(&mut self, socket: WebSocket, idm: &Arc<str>, group: Option<&str>, dialled: Dialled) {
        let selector = match group {
            None => Some(Selector::ByConnectorKey),
            Some(name) => self.engine.view().group_named(name).map(|group| Selector::Group(group.id)),
        };
        let Some(selector) = selector.filter(|_| self.drain_until.is_none()) else { return };
        let way_in = format!("dialled {selector:?} {idm}").into();
        let socket = self.effects.reach(socket, dialled, way_in);
        let peer = Peer::Caller { selector, principal: Arc::clone(idm), allowed: Allowed::All };
        self.apply(Event::Opened { socket, side: Side::Dialled, peer });
    }

    fn on_report(&mut self, report: Report<Frame>) {
        let (socket, event) = report.open();
        let event = match event {
            SocketEvent::Frame(frame) => {
                self.effects.prove(socket);
                Event::Frame { socket, frame }
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
                        let why = match head.why {
                            Overrun::Size => OversizeReason::Limit,
                            Overrun::Room | Overrun::Pace => OversizeReason::Overload,
                        };
                        Event::Oversize { socket, message_id, what, bytes, why }
                    }
                    _ => Event::Garbage { socket },
                }
            }
            SocketEvent::Closed(closed) => {
                self.effects.forget(socket, closed.reason);
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
        // Without a next moment: a day from now, which stands for never.
        let never = || Instant::now() + std::time::Duration::from_secs(86_400);
        wake.into_iter().chain(self.drain_until).min().unwrap_or_else(never)
    }

    fn is_drained(&self) -> bool {
        self.drain_until.is_some_and(|until| {
            let waiting = self.effects.backlog_total();
            // When the end of an answer is sent, its rows may still wait for a slow caller.
            let is_delivered = waiting.memory + waiting.disk <= SOCKET_BACKLOG_LOW;
            self.engine.is_idle() && is_delivered || until <= Instant::now()
        })
    }

    /// Writes what is queued and closes all sockets, a few at a time: their peers must not all look for another router in one moment.
    /// Slow callers have the rest of the time to drain to read their answers. Frames that still arrive are ignored, and no member is
    /// dialled again.
    async fn close_sockets(&mut self) {
        let at_least = Instant::now() + CLOSE_WAIT;
        let until = self.drain_until.map_or(at_least, |until| until.max(at_least));
        let mut open = self.effects.open_sockets();
        let batch = open.len().div_ceil(CLOSE_BATCHES).max(1);
        let mut ticks = interval(CLOSE_EVERY);
        let all_closed = async {
            while !self.effects.is_empty() {
                tokio::select! {
                    _ = ticks.tick(), if !open.is_empty() => {
                        open.drain(..batch.min(open.len())).for_each(|socket| self.effects.close(socket));
                    }
                    report = self.events.recv() => match report.map(Report::open) {
                        Some((socket, SocketEvent::Closed(closed))) => self.effects.forget(socket, closed.reason),
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        };
        if timeout_at(until, all_closed).await.is_err() {
            tracing::warn!("some connections did not close in time; they are cut");
        }
    }
}

fn log_change(wished: Option<&Wish>) {
    match wished {
        Some(Wish::Mark { group, member, change, .. }) => {
            tracing::info!(%group, %member, change = change.label(), "an operator's mark; it is kept in memory");
        }
        Some(Wish::Bundles { group, change, .. }) => {
            let change = change.label();
            tracing::info!(%group, change, "an operator's change of bundle sets; it is kept in memory");
        }
        // The bundle sets have log lines of their own about decisions that follow from agents' reports. So has a configuration that is
        // released.
        Some(Wish::Release(_)) | None => {}
    }
}

/// In a cluster every router logs what was decided, wherever it was asked for.
fn log_decision(change: &Change, author: Author) {
    match change {
        Change::Configured { document, .. } => {
            let members = document.as_ref().map(|document| document.members.len());
            tracing::info!(?author, members, "the cluster decided on members, groups or settings");
        }
        Change::Mark { member, mark } => {
            tracing::info!(?author, %member, ?mark, "the cluster decided on a mark")
        }
        Change::Sets { group, .. } => tracing::info!(?author, %group, "the cluster decided on bundle sets"),
    }
}

/// What the operators' clock showed when this process's clock began.
fn epoch(clock: Clock) -> At {
    let since_start = u64::try_from(clock.now().since_start().as_millis()).unwrap_or(u64::MAX);
    At(wall().0.saturating_sub(since_start))
}
