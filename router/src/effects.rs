//! Carries the engine's effects out: writes to sockets, dials, and turns notes into logs and metrics.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_core::engine::{
    Answer, Backlog, Frame, FrameReader, Io, Moved, Note, Proposal, Slot, Ticket, TurnedAway,
};
use rcs_core::ids::MemberId;
use rcs_core::limits::FRAME_BYTES_MAX;
use rcs_core::view::{Endpoint, View};
use rcs_proto::driver::WebSocket;
use rcs_proto::driver::caller::{Among, Callers};
use rcs_proto::driver::framing::Limits;
use rcs_proto::driver::inflow::Inflow;
use rcs_proto::driver::limits as driver;
use rcs_proto::driver::listen::Unproven;
use rcs_proto::driver::relay::Relay;
use rcs_proto::driver::socket::{self, CloseReason, Events, Reading, SendError, SocketConfig, SocketHandle};
use rcs_proto::driver::spill::Spill;
use rcs_proto::session::SocketId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::access::{Lease, LeaseId};
use crate::cluster::Cluster;
use crate::handover::ArrivedSocket;
use crate::limits::DRIVER_BACKLOG_BYTES_MAX;
use crate::metrics::Recorder;
use crate::names::{Names, Side};
use crate::sightings::{self, Sightings};
use crate::strangers::{Goodbye, Presented, Strangers};
use crate::unknown::{self, Unknowns};
use crate::upstream::Dialler;

/// Everything outside the engine that the engine acts on.
pub(crate) struct Effects {
    sockets: HashMap<SocketId, Open>,
    /// Callers' sockets from which no frame has come yet.
    unproven: HashMap<SocketId, Unproven>,
    /// What sockets presented that this router accepted.
    presented: HashMap<SocketId, Presented>,
    /// Logs peers that were turned away.
    strangers: Strangers,
    /// The leases of sockets that a token or certificate let in.
    leases: HashMap<SocketId, Lease>,
    /// The same the other way round.
    leased: HashMap<LeaseId, SocketId>,
    /// Who waits for the first frame on a socket of an IDM that this router dialled.
    joining: HashMap<SocketId, oneshot::Sender<SocketId>>,
    /// Who waits for the end of such a socket.
    ending: HashMap<SocketId, oneshot::Sender<CloseReason>>,
    /// The ways to an earlier process, by the socket that came from there.
    relays: HashMap<SocketId, Relay>,
    /// These sockets by the numbers that they had there.
    from_earlier: HashMap<u64, SocketId>,
    last_socket: u64,
    events: Events<Frame>,
    /// Where rows go that slow callers have not read.
    spill: Arc<Spill>,
    inflows: Inflows,
    /// What each caller's sockets take together.
    callers: Arc<Callers>,
    dialler: Dialler,
    recorder: Recorder,
    names: Names,
    /// The view in force, by which upgrades of sockets are judged.
    published: watch::Sender<Arc<View>>,
    answers: Vec<(Ticket, Answer)>,
    /// What the engine wants to have agreed by the routers of a cluster.
    proposals: Vec<Proposal>,
    /// The list for calls with an unknown outcome.
    unknowns: Unknowns,
    /// What operators see in the event stream.
    sightings: Sightings,
    /// The other routers; none for a router that stands alone.
    cluster: Option<Cluster>,
}

/// Room for large messages on their way in. Callers and members have separate rooms, so that callers' requests take nothing from answers.
struct Inflows {
    callers: Arc<Inflow>,
    members: Arc<Inflow>,
}

/// Who waits for news of a socket of an IDM that this router dialled.
pub(crate) struct Dialled {
    /// Told once a frame has come from the IDM.
    pub(crate) joined: oneshot::Sender<SocketId>,
    /// Told when and why the socket ended.
    pub(crate) ended: oneshot::Sender<CloseReason>,
}

/// How large a message may be, in either direction.
const MESSAGES: Limits = Limits { message: FRAME_BYTES_MAX, hard: driver::MESSAGE_BYTES_HARD };

struct Open {
    handle: SocketHandle,
    side: Side,
}

impl Effects {
    /// Effects without an open socket. Sockets that are opened report to `events`.
    pub(crate) fn new(
        events: Events<Frame>,
        spill: Arc<Spill>,
        dialler: Dialler,
        recorder: Recorder,
        published: watch::Sender<Arc<View>>,
        (unknowns, sightings): (Unknowns, Sightings),
        cluster: Option<Cluster>,
    ) -> Self {
        Self {
            sockets: HashMap::new(),
            unproven: HashMap::new(),
            presented: HashMap::new(),
            strangers: Strangers::start(),
            leases: HashMap::new(),
            leased: HashMap::new(),
            joining: HashMap::new(),
            ending: HashMap::new(),
            relays: HashMap::new(),
            from_earlier: HashMap::new(),
            last_socket: 0,
            events,
            spill,
            inflows: Inflows {
                callers: Inflow::of_callers(driver::INFLOW_BYTES),
                members: Inflow::of(driver::INFLOW_BYTES),
            },
            callers: Arc::default(),
            dialler,
            recorder,
            names: Names::default(),
            published,
            answers: Vec::new(),
            proposals: Vec::new(),
            unknowns,
            sightings,
            cluster,
        }
    }

    /// Opens the socket of a caller on this way in. It keeps its place among the unproven ones until a frame comes from it.
    pub(crate) fn admit(
        &mut self,
        socket: WebSocket,
        unproven: Unproven,
        way_in: Arc<str>,
        presented: Presented,
    ) -> SocketId {
        let among = Among { callers: Arc::clone(&self.callers), way_in };
        let id = self.start(socket, Side::Downstream, Some(among));
        self.unproven.insert(id, unproven);
        self.presented.insert(id, presented);
        id
    }

    /// Opens the socket of a member in client mode. It keeps its place among the unproven ones until a frame comes from it.
    pub(crate) fn join(&mut self, socket: WebSocket, unproven: Unproven, presented: Presented) -> SocketId {
        let id = self.start(socket, Side::Upstream, None);
        self.unproven.insert(id, unproven);
        self.presented.insert(id, presented);
        id
    }

    /// Opens the socket of an IDM on this way in that this router dialled.
    pub(crate) fn reach(&mut self, socket: WebSocket, dialled: Dialled, way_in: Arc<str>) -> SocketId {
        let among = Among { callers: Arc::clone(&self.callers), way_in };
        let id = self.start(socket, Side::Downstream, Some(among));
        let Dialled { joined, ended } = dialled;
        self.joining.insert(id, joined);
        self.ending.insert(id, ended);
        id
    }

    /// Opens the socket of another router that uses a member through this one.
    pub(crate) fn forward(&mut self, socket: WebSocket, way_in: Arc<str>) -> SocketId {
        let among = Among { callers: Arc::clone(&self.callers), way_in };
        self.start(socket, Side::Downstream, Some(among))
    }

    /// Opens the socket of a member that this router dialled.
    pub(crate) fn open(&mut self, socket: WebSocket) -> SocketId {
        self.start(socket, Side::Upstream, None)
    }

    /// Opens the socket of a caller on this way in that comes from an earlier process. `session` is the session id that the caller showed
    /// there. `passing` is dropped once everything that the earlier process wrote to the caller is passed on.
    pub(crate) fn arrive(
        &mut self,
        arrived: ArrivedSocket,
        way_in: Arc<str>,
        session: Option<&str>,
        passing: mpsc::Sender<()>,
    ) -> SocketId {
        let ArrivedSocket { number, socket, back, surplus } = arrived;
        let among = Among { callers: Arc::clone(&self.callers), way_in };
        let id = self.start_greeted(socket, Side::Downstream, Some(among), session);
        if let Some(open) = self.sockets.get(&id) {
            let relay = Relay::start(back, surplus, MESSAGES, open.handle.clone(), passing);
            self.relays.insert(id, relay);
            self.from_earlier.insert(number, id);
        }
        id
    }

    /// The socket that had this number in the earlier process.
    pub(crate) fn socket_from(&self, number: u64) -> Option<SocketId> {
        self.from_earlier.get(&number).copied()
    }

    /// The earlier process is gone.
    pub(crate) fn earlier_is_gone(&mut self) {
        self.relays = HashMap::new();
        self.from_earlier = HashMap::new();
    }

    /// The sockets that can be handed over to a later process. A socket whose token may be revoked stays with its lease.
    pub(crate) fn movable(&self) -> Vec<(SocketId, SocketHandle)> {
        let is_movable = |(id, open): &(&SocketId, &Open)| {
            open.side == Side::Downstream && open.handle.is_movable() && !self.leases.contains_key(*id)
        };
        let movable = self.sockets.iter().filter(is_movable);
        movable.map(|(id, open)| (*id, open.handle.clone())).collect()
    }

    /// Starts the tasks that serve a socket.
    fn start(&mut self, socket: WebSocket, side: Side, among: Option<Among>) -> SocketId {
        self.start_greeted(socket, side, among, None)
    }

    /// The same for a socket whose peer has shown this session id already.
    fn start_greeted(
        &mut self,
        socket: WebSocket,
        side: Side,
        among: Option<Among>,
        session: Option<&str>,
    ) -> SocketId {
        self.last_socket += 1;
        let id = SocketId(self.last_socket);
        let (inflow, reading) = match side {
            Side::Downstream => (&self.inflows.callers, Reading::Patient),
            Side::Upstream => (&self.inflows.members, Reading::Steady),
        };
        let config = SocketConfig {
            message: MESSAGES,
            backlog_bytes: DRIVER_BACKLOG_BYTES_MAX,
            spill: Arc::clone(&self.spill),
            inflow: Arc::clone(inflow),
            among,
            reading,
            greeting_bytes: driver::GREETING_BYTES,
            greeted: session.map(str::to_owned),
        };
        let mut reader = match side {
            Side::Downstream => FrameReader::of_caller(),
            Side::Upstream => FrameReader::default(),
        };
        let read = move |envelope| reader.read(envelope);
        let handle = socket::spawn_reading(id, socket, &config, self.events.clone(), read);
        self.sockets.insert(id, Open { handle, side });
        self.recorder.socket_opened(side);
        id
    }

    /// A frame came from the socket.
    pub(crate) fn prove(&mut self, id: SocketId) {
        if !self.unproven.is_empty() {
            self.unproven.remove(&id);
        }
        if !self.joining.is_empty()
            && let Some(joined) = self.joining.remove(&id)
        {
            // If nobody waits any more, the IDM is not dialled any more.
            let _ = joined.send(id);
        }
    }

    /// Keeps the lease of a socket until the socket has ended.
    pub(crate) fn lend(&mut self, id: SocketId, lease: Option<Lease>) {
        if let Some(lease) = lease {
            self.leased.insert(lease.id(), id);
            self.leases.insert(id, lease);
        }
    }

    /// The socket of a lease, if the socket is open.
    pub(crate) fn socket_of(&self, lease: LeaseId) -> Option<SocketId> {
        self.leased.get(&lease).copied()
    }

    /// The socket has ended.
    pub(crate) fn forget(&mut self, id: SocketId, reason: CloseReason) {
        self.unproven.remove(&id);
        self.presented.remove(&id);
        if let Some(lease) = self.leases.remove(&id) {
            self.leased.remove(&lease.id());
        }
        self.joining.remove(&id);
        self.relays.remove(&id);
        if let Some(ended) = self.ending.remove(&id) {
            let _ = ended.send(reason);
        }
        if let Some(open) = self.sockets.remove(&id) {
            self.recorder.socket_closed(open.side);
            tracing::debug!(socket = %id, side = ?open.side, %reason, "a connection closed");
        }
    }

    /// Every open socket, in no order.
    pub(crate) fn open_sockets(&self) -> Vec<SocketId> {
        self.sockets.keys().copied().collect()
    }

    /// Whether no socket is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Takes out the engine's answers to agents and operators.
    pub(crate) fn take_answers(&mut self) -> Vec<(Ticket, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// Takes out what the engine wants to have agreed by the routers of a cluster.
    pub(crate) fn take_proposals(&mut self) -> Vec<Proposal> {
        std::mem::take(&mut self.proposals)
    }

    /// Counts a dial that failed; the engine notes only the first of its kind.
    pub(crate) fn count_dial_failure(&mut self, member: MemberId) {
        self.recorder.dial_failed(member, &self.names);
    }

    fn queue(&self, id: SocketId, what: impl FnOnce(&SocketHandle) -> Result<(), SendError>) {
        let Some(open) = self.sockets.get(&id) else { return };
        // The end of a closed socket is reported by its task. A full socket would lose the frame in silence, so it is ended.
        if what(&open.handle) == Err(SendError::Full) {
            tracing::warn!(socket = %id, side = ?open.side, "a connection is closed: its peer has not read for too long, and its backlog is full");
            open.handle.abort();
        }
    }
}

impl Io for Effects {
    fn send(&mut self, socket: SocketId, frame: Bytes) {
        self.queue(socket, |handle| handle.send(frame));
    }

    fn reply(&mut self, socket: SocketId, frame: Bytes) {
        self.queue(socket, |handle| handle.reply(frame));
    }

    fn hand_back(&mut self, socket: SocketId, message: &Bytes) -> bool {
        self.relays.get(&socket).is_some_and(|relay| relay.hand_back(message.clone()))
    }

    fn hold(&mut self, socket: SocketId, pause: Duration) {
        self.queue(socket, |handle| handle.hold(Instant::now() + pause));
    }

    fn ping(&mut self, socket: SocketId) {
        // A ping that does not fit into the queue counts like a ping without a pong.
        if let Some(open) = self.sockets.get(&socket) {
            let _ = open.handle.ping();
        }
    }

    fn close(&mut self, socket: SocketId) {
        if let Some(open) = self.sockets.get(&socket) {
            open.handle.close();
        }
    }

    fn turn_away(&mut self, socket: SocketId, why: TurnedAway) {
        self.recorder.turned_away(why);
        let (open, presented) = (self.sockets.get(&socket), self.presented.get(&socket));
        match (open, presented) {
            (Some(open), Some(presented)) => {
                let Goodbye { code, reason } = presented.goodbye(why);
                open.handle.close_saying(code, &reason);
                self.strangers.note(presented.clone(), why);
            }
            (Some(open), None) => open.handle.close(),
            (None, _) => {}
        }
    }

    fn backlog(&self, socket: SocketId) -> Backlog {
        let Some(open) = self.sockets.get(&socket) else { return Backlog::default() };
        let disk = open.handle.spilled_bytes();
        Backlog { memory: open.handle.backlog_bytes().saturating_sub(disk), disk }
    }

    fn moved(&self, socket: SocketId) -> Moved {
        let moved = self.sockets.get(&socket).map(|open| open.handle.moved()).unwrap_or_default();
        Moved { received: moved.received, written: moved.written }
    }

    fn backlog_total(&self) -> Backlog {
        let waiting = self.spill.waiting();
        Backlog { memory: waiting.memory, disk: usize::try_from(waiting.disk).unwrap_or(usize::MAX) }
    }

    fn dial(&mut self, member: MemberId, slot: Slot, endpoint: &Endpoint) {
        self.dialler.start(member, &self.names.member(member), slot, endpoint);
    }

    fn dial_via(&mut self, member: MemberId, router: u32) {
        let way = self.cluster.as_ref().and_then(|cluster| cluster.way_to(router));
        self.dialler.start_via(member, &self.names.member(member), router, way);
    }

    fn present(&mut self, members: &BTreeSet<MemberId>) {
        if let Some(cluster) = &self.cluster {
            cluster.present(members.iter().map(|member| self.names.member(*member).to_string()).collect());
        }
    }

    fn random(&mut self) -> u64 {
        fastrand::u64(..)
    }

    fn publish(&mut self, view: &Arc<View>) {
        if !self.published.borrow().differs_in_marks_only(view) {
            self.names.learn(view);
            self.recorder.learn(view, &self.names);
        }
        self.published.send_replace(Arc::clone(view));
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.answers.push((ticket, answer));
    }

    fn propose(&mut self, proposal: Proposal) {
        self.proposals.push(proposal);
    }

    fn note(&mut self, note: Note<'_>) {
        self.recorder.record(&note, &self.names);
        crate::logging::log(&note, &self.names);
        if let Some(entry) = unknown::entry(&note, &self.names) {
            self.unknowns.record(entry);
        }
        if let Some((kind, seen)) = sightings::seen(&note, &self.names) {
            self.sightings.add(kind, seen);
        }
    }
}
