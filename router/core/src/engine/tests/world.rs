//! The world around the engine: members that answer what the test says, callers, and a clock that the test moves.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, ErrorHead, Kind};
use rcs_proto::frames::{self, Identity};
use rcs_proto::icf::{ConnectorInfo, ConnectorKey, OperationOptions, Secret, Value};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::*;
use rcs_proto::operation::Operation;
use rcs_proto::session::{Side, SocketId};
use rcs_proto::time::Moment;

pub(in crate::engine) use super::recorder::Recorder;
use crate::agreed::{At, Author, Change, Document};
use crate::balance::Policy;
use crate::engine::*;
use crate::ids::MemberId;
use crate::settings::Settings;
use crate::view::*;

pub(super) struct World {
    pub(super) start: Start,
    pub(super) engine: Engine,
    pub(super) io: Recorder,
    pub(super) now: Moment,
    /// Reads the frames of all sockets.
    pub(super) reader: FrameReader,
    next_socket: u64,
    /// Open sockets of each member, by its index.
    pub(super) members: Vec<Vec<SocketId>>,
    /// Members that answer no ping and no probe.
    pub(super) frozen: Vec<usize>,
    /// Members whose connectors answer no `test`.
    pub(super) hangs_in_tests: Vec<usize>,
    /// Members whose resource is down.
    pub(super) sick: Vec<usize>,
    /// `test`s that were answered, and pings that were sent.
    pub(super) tests_answered: usize,
    pub(super) pings: usize,
    /// What the document says of its members' pings.
    pub(super) ping_interval: Option<Duration>,
    /// Counts the starts of each member: a restarted one is another session.
    pub(super) starts: Vec<u32>,
    /// What each member tells of its connectors whenever it is asked.
    pub(super) lists: Vec<Bytes>,
    /// What each one told last.
    pub(super) last_told: Vec<Bytes>,
    /// Whether each event is followed by a look at the calls that began in it, and those that were looked at.
    pub(super) watches_sets: bool,
    pub(super) begun: HashSet<(MemberId, i64)>,
    /// How many such questions were answered.
    pub(super) lists_told: usize,
    /// Every event, with its moment.
    pub(super) recorded: Vec<(Moment, Event)>,
}

pub(super) const CONNECTOR: &str = "Rig";

pub(in crate::engine) fn connector_infos(name: &str) -> Bytes {
    infos_at(name, "1.0")
}

/// What a member tells that has this connector at this version of its bundle.
pub(super) fn infos_at(name: &str, version: &str) -> Bytes {
    let key =
        ConnectorKey { bundle_name: "b".into(), bundle_version: version.into(), connector_name: name.into() };
    let info = ConnectorInfo {
        display_name_key: None,
        category_key: None,
        key,
        messages: None,
        configuration: None,
    };
    vec![info].encode()
}

impl World {
    /// A group `g` of so many members with two sockets each, all up.
    pub(super) fn with_members(count: usize, policy: Policy) -> Self {
        let mut world = Self::with_members_down(count, policy);
        for member in 0..count {
            world.start(member);
        }
        world
    }

    /// The same, with no member up yet.
    pub(super) fn with_members_down(count: usize, policy: Policy) -> Self {
        let now = Moment::after_start(Duration::from_secs(1_000));
        Self::starting(start_at(now), count, policy)
    }

    /// The same, with an engine that begins like this.
    pub(super) fn starting(start: Start, count: usize, policy: Policy) -> Self {
        let now = start.now;
        let mut world = Self {
            start,
            engine: Engine::new(start),
            io: Recorder::default(),
            now,
            reader: FrameReader::default(),
            next_socket: 0,
            members: vec![Vec::new(); count],
            frozen: Vec::new(),
            hangs_in_tests: Vec::new(),
            sick: Vec::new(),
            tests_answered: 0,
            pings: 0,
            ping_interval: Some(crate::limits::PING_INTERVAL),
            starts: vec![0; count],
            lists: vec![connector_infos(CONNECTOR); count],
            last_told: vec![Bytes::new(); count],
            watches_sets: false,
            begun: HashSet::new(),
            lists_told: 0,
            recorded: Vec::new(),
        };
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        world.set_view(&names, vec![("g", policy, names.clone())]);
        world
    }

    pub(super) fn set_view(&mut self, members: &[String], groups: Vec<(&str, Policy, Vec<String>)>) {
        self.set_view_at(8759, members, groups);
    }

    /// The same, with the members at another port.
    pub(super) fn set_view_at(
        &mut self,
        port: u16,
        members: &[String],
        groups: Vec<(&str, Policy, Vec<String>)>,
    ) {
        let members = members.iter().map(|name| MemberSpec {
            name: name.clone(),
            link: Link::Dial(Endpoint {
                host: "127.0.0.1".into(),
                port,
                path: "/openicf".into(),
                transport: Transport::Plain,
                principal: "anonymous".into(),
                key: Secret::new("key".into()),
            }),
            sockets: 2,
            ping_interval: self.ping_interval,
            admin: AdminState::Enabled,
        });
        let groups = groups.into_iter().map(|(name, policy, members)| GroupSpec {
            name: name.into(),
            policy,
            members,
        });
        let document = Some(Document { members: members.collect(), groups: groups.collect() });
        self.agree(Change::Configured { document, settings: None });
    }

    /// Something is decided outside.
    pub(super) fn agree(&mut self, change: Change) {
        let at = self.at();
        self.apply(Event::Agreed { change, author: Author::Files, at, ticket: None });
    }

    /// An operator, or an agent, asks.
    pub(super) fn ask(&mut self, event: impl FnOnce(Ticket) -> Event) -> Answer {
        let ticket = Ticket(self.io.answers.len() as u64 + 7);
        self.apply(event(ticket));
        let (of, answer) = self.io.answers.last().cloned().expect("an answer within the event");
        assert_eq!(of, ticket);
        answer
    }

    /// What is decided, with other settings.
    pub(super) fn set(&mut self, settings: &Settings) {
        self.agree(Change::Configured { document: None, settings: Some(Box::new(settings.clone())) });
    }

    /// These marks are set, and no others.
    pub(super) fn mark(&mut self, marked: &[(usize, Mark)]) {
        let names: Vec<String> =
            self.engine.view().members().iter().map(|member| member.spec.name.clone()).collect();
        for name in names {
            let marked = marked.iter().find(|(member, _)| format!("n{member}") == name);
            let mark = marked.map_or(Mark::Enabled, |(_, mark)| *mark);
            self.agree(Change::Mark { member: name, mark });
        }
    }

    /// What is reported of a member of the first group.
    pub(super) fn report_of(&self, index: usize) -> MemberReport {
        self.engine.report().groups[0].members[index].clone()
    }

    pub(super) fn apply(&mut self, event: Event) {
        self.recorded.push((self.now, event.clone()));
        self.engine.apply(event, self.now, &mut self.io);
        self.watch_sets();
        self.assert_settled();
    }

    /// Lets time pass, with every timer on its moment.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.next_wake().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.apply(Event::Wake);
            self.answer_pings();
            self.answer_probes();
        }
        self.now = end;
    }

    /// Members answer pings.
    pub(super) fn answer_pings(&mut self) {
        for socket in std::mem::take(&mut self.io.pinged) {
            self.pings += 1;
            let frozen = self.frozen.iter().any(|member| self.members[*member].contains(&socket));
            if !frozen {
                self.apply(Event::Pong { socket });
            }
        }
    }

    /// Members answer session checks, and `test` if their resource lives.
    pub(super) fn answer_probes(&mut self) {
        for index in 0..self.members.len() {
            let hangs = self.hangs_in_tests.contains(&index);
            if !self.frozen.contains(&index) {
                self.answer_what(index, |envelope| is_probe(envelope) && !(hangs && is_test(envelope)));
            }
        }
    }

    /// A member answers what of these probes has reached it.
    fn answer_what(&mut self, index: usize, which: impl Fn(&Envelope) -> bool) {
        for socket in self.members[index].clone() {
            let waiting = self.io.sent.remove(&socket).unwrap_or_default();
            let parsed = waiting.into_iter().map(|frame| Envelope::parse(frame).unwrap());
            let (probes, others): (Vec<_>, Vec<_>) = parsed.partition(&which);
            let kept = others.iter().map(|envelope| envelope.frame().clone());
            self.io.sent.entry(socket).or_default().extend(kept);
            for probe in probes {
                self.tests_answered += usize::from(matches!(probe.kind, Kind::Operation(_)));
                if is_question(&probe) {
                    self.lists_told += 1;
                    self.last_told[index] = self.lists[index].clone();
                }
                let answer = self.probe_answer(index, &probe);
                self.feed(socket, answer);
            }
        }
    }

    fn probe_answer(&self, index: usize, probe: &Envelope) -> Bytes {
        let id = probe.message_id;
        match probe.kind {
            Kind::ControlRequest(ref request) if request.info_level.is_empty() => {
                frames::control_response(id, None)
            }
            Kind::ControlRequest(_) => frames::control_response(id, Some(self.lists[index].clone())),
            _ if self.sick.contains(&index) => {
                frames::error(id, "x.ConnectionFailedException", "resource down")
            }
            _ => {
                frames::answer(id, &OperationResponse { test: Some(TestOpResponse {}), ..Default::default() })
            }
        }
    }

    pub(super) fn socket(&mut self) -> SocketId {
        self.next_socket += 1;
        SocketId(self.next_socket)
    }

    pub(super) fn feed(&mut self, socket: SocketId, frame: Bytes) {
        let frame = self.reader.read(Envelope::parse(frame).unwrap());
        self.apply(Event::Frame { socket, frame });
    }

    /// The frames sent on a socket since the last look.
    pub(super) fn taken(&mut self, socket: SocketId) -> Vec<Envelope> {
        let frames = self.io.sent.remove(&socket).unwrap_or_default();
        frames.into_iter().map(|frame| Envelope::parse(frame).unwrap()).collect()
    }

    /// Starts a member: its slots connect, its connectors are told.
    pub(super) fn start(&mut self, index: usize) {
        self.start_with(index, self.lists[index].clone());
    }

    pub(super) fn start_with(&mut self, index: usize, infos: Bytes) {
        self.starts[index] += 1;
        self.lists[index] = infos;
        self.come_back(index);
    }

    /// All sockets of a member were lost, and its process was not: the slots connect to the same session.
    pub(super) fn come_back(&mut self, index: usize) {
        self.pass(Duration::from_secs(2));
        self.connect_and_tell(index, self.lists[index].clone());
    }

    /// The slots connect at once, and the connectors are told.
    pub(super) fn connect_and_tell(&mut self, index: usize, infos: Bytes) {
        self.lists[index] = infos;
        self.connect(index);
        self.tell(index);
    }

    /// A member answers the question for its connectors, be it frozen in all else.
    pub(super) fn tell(&mut self, index: usize) {
        let told = self.lists_told;
        self.pass(Duration::from_millis(250));
        self.answer_what(index, is_question);
        self.answer_probes();
        assert!(self.lists_told > told, "a member is asked for its connectors");
    }

    /// Whether a question for its connectors waits for a member.
    pub(super) fn is_asked(&self, index: usize) -> bool {
        let waiting = self.members[index].iter().filter_map(|socket| self.io.sent.get(socket)).flatten();
        waiting.map(|frame| Envelope::parse(frame.clone()).unwrap()).any(|envelope| is_question(&envelope))
    }

    /// Answers the dials of a member, and shakes hands.
    pub(super) fn connect(&mut self, index: usize) {
        self.connect_to(index, &format!("member {index} start {}", self.starts[index]));
    }

    /// The same, with whichever server answers at the member's address.
    pub(super) fn connect_to(&mut self, index: usize, session_id: &str) {
        let id = self.engine.view().member_named(&format!("n{index}")).unwrap().id;
        // A dial to where the member was is closed, and another one follows.
        while let Some(at) = self.io.dials.iter().position(|(member, _)| *member == id) {
            let (member, slot) = self.io.dials.remove(at).expect("found just now");
            let socket = self.socket();
            self.apply(dialled(member, slot, socket));
            let Some(first) = self.taken(socket).pop() else { continue };
            assert!(matches!(first.kind, Kind::HandshakeRequest(_)));
            let identity = Identity { session_id: session_id.into(), public_key: Bytes::new() };
            self.feed(socket, frames::handshake_response(&identity));
            self.members[index].push(socket);
        }
    }

    /// All sockets of a member end, as with kill -9.
    pub(super) fn kill(&mut self, index: usize) {
        for socket in std::mem::take(&mut self.members[index]) {
            self.apply(Event::Closed { socket, unsent: Vec::new() });
        }
    }

    /// A caller with so many sockets on the way in of the group.
    pub(super) fn caller(&mut self, name: &str, sockets: usize) -> Vec<SocketId> {
        let group = self.engine.view().group_named("g").unwrap().id;
        self.caller_by(name, Selector::Group(group), sockets)
    }

    pub(super) fn caller_by(&mut self, name: &str, selector: Selector, sockets: usize) -> Vec<SocketId> {
        let opened: Vec<SocketId> = (0..sockets).map(|_| self.join_by(name, selector)).collect();
        for reply in self.at_caller(&opened) {
            assert!(matches!(reply.kind, Kind::HandshakeResponse(_)));
        }
        self.pass(Duration::from_millis(250));
        opened
    }

    /// A caller's sockets join, and what they are sent is not looked at yet.
    pub(super) fn join_caller(&mut self, name: &str, sockets: usize) -> Vec<SocketId> {
        let group = self.engine.view().group_named("g").unwrap().id;
        (0..sockets).map(|_| self.join_by(name, Selector::Group(group))).collect()
    }

    pub(super) fn join_by(&mut self, name: &str, selector: Selector) -> SocketId {
        self.join_as("anonymous", Allowed::All, name, selector)
    }

    /// A socket of a caller with this principal and these rights joins the session `name`.
    pub(super) fn join_as(
        &mut self,
        principal: &str,
        allowed: Allowed,
        name: &str,
        selector: Selector,
    ) -> SocketId {
        let socket = self.socket();
        let peer = Peer::Caller { selector, principal: principal.into(), allowed };
        self.apply(Event::Opened { socket, side: Side::Accepted, peer });
        let identity = Identity { session_id: name.into(), public_key: Bytes::new() };
        self.feed(socket, frames::handshake_request(&identity));
        socket
    }

    /// Dials a caller that is configured as `dialled`; returns the socket with our handshake, which is not answered yet.
    pub(super) fn dial_caller(&mut self, selector: Selector) -> (SocketId, Envelope) {
        let socket = self.socket();
        let peer = Peer::Caller { selector, principal: "dialled".into(), allowed: Allowed::All };
        self.apply(Event::Opened { socket, side: Side::Dialled, peer });
        let first = self.at_caller(&[socket]).remove(0);
        (socket, first)
    }

    /// Dials so many sockets to a caller of the group `g`, which shows this session id.
    pub(super) fn dialled_caller(&mut self, name: &str, sockets: usize) -> Vec<SocketId> {
        let group = self.engine.view().group_named("g").unwrap().id;
        let dial = |world: &mut Self| {
            let (socket, _) = world.dial_caller(Selector::Group(group));
            let identity = Identity { session_id: name.into(), public_key: Bytes::new() };
            world.feed(socket, frames::handshake_response(&identity));
            socket
        };
        let opened = (0..sockets).map(|_| dial(self)).collect();
        self.pass(Duration::from_millis(250));
        opened
    }

    pub(super) fn call(&mut self, socket: SocketId, id: i64, request: OperationRequest) {
        let connector_key = messages_key(CONNECTOR);
        let request = OperationRequest {
            connector_key: request.connector_key.clone().or(Some(connector_key)),
            connector_facade_key: Bytes::from_static(b"facade"),
            ..request
        };
        self.feed(socket, frames::operation(id, &request));
    }

    /// The requests and cancels that reached a member since the last look: socket, id, frame.
    pub(super) fn at_member(&mut self, index: usize) -> Vec<(SocketId, Envelope)> {
        let mut all = Vec::new();
        for socket in self.members[index].clone() {
            for envelope in self.taken(socket) {
                if is_probe(&envelope) {
                    // Left for `answer_probes`.
                    self.io.sent.entry(socket).or_default().push_back(envelope.frame().clone());
                } else {
                    all.push((socket, envelope));
                }
            }
        }
        all
    }

    /// Where the one request that is under way arrived: member, socket, id.
    pub(super) fn only_request(&mut self) -> (usize, SocketId, i64) {
        let mut found = Vec::new();
        for index in 0..self.members.len() {
            for (socket, envelope) in self.at_member(index) {
                found.push((index, socket, envelope.message_id));
            }
        }
        assert_eq!(found.len(), 1, "one request under way");
        found[0]
    }

    /// What a caller got on all its sockets.
    pub(super) fn at_caller(&mut self, sockets: &[SocketId]) -> Vec<Envelope> {
        let all = sockets.iter().flat_map(|socket| self.taken(*socket));
        all.filter(|envelope| !is_probe(envelope)).collect()
    }
}

/// What every engine of these tests begins with.
pub(super) fn start_at(now: Moment) -> Start {
    Start {
        seed: [1, 2],
        own_seed: [1, 2],
        router: 0,
        now,
        epoch: At(1_700_000_000_000),
        deciding: Deciding::Alone,
    }
}

/// A socket that we dialled for a member's slot.
pub(super) fn dialled(member: MemberId, slot: Slot, socket: SocketId) -> Event {
    Event::Opened { socket, side: Side::Dialled, peer: Peer::Member { member, by: DialledBy::Us(slot) } }
}

/// A question for connectors.
fn is_question(envelope: &Envelope) -> bool {
    matches!(&envelope.kind, Kind::ControlRequest(request) if !request.info_level.is_empty())
}

fn is_test(envelope: &Envelope) -> bool {
    matches!(&envelope.kind, Kind::Operation(head) if head.operation == Operation::Test)
}

/// A session check, with or without a question, or a `test`: the tests themselves send none.
fn is_probe(envelope: &Envelope) -> bool {
    match &envelope.kind {
        Kind::ControlRequest(_) => true,
        Kind::Operation(head) => head.operation == Operation::Test,
        _ => false,
    }
}

pub(super) fn messages_key(name: &str) -> rcs_proto::messages::ConnectorKey {
    rcs_proto::messages::ConnectorKey {
        bundle_name: "b".into(),
        bundle_version: "1.0".into(),
        connector_name: name.into(),
    }
}

pub(super) fn get() -> OperationRequest {
    OperationRequest { get: Some(GetOpRequest::default()), ..Default::default() }
}

pub(super) fn create() -> OperationRequest {
    OperationRequest { create: Some(CreateOpRequest::default()), ..Default::default() }
}

pub(super) fn search() -> OperationRequest {
    OperationRequest { search: Some(SearchOpRequest::default()), ..Default::default() }
}

/// A search for the page behind this cookie.
pub(super) fn page(cookie: &str) -> OperationRequest {
    let cookie = Value::String(cookie.into());
    let options =
        OperationOptions { case_insensitive: false, entries: vec![("PAGED_RESULTS_COOKIE".into(), cookie)] };
    let search = SearchOpRequest { options: options.encode(), ..Default::default() };
    OperationRequest { search: Some(search), ..Default::default() }
}

/// The answer to any unary request.
pub(super) fn answer(id: i64) -> Bytes {
    frames::answer(id, &OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() })
}

pub(super) fn search_item(id: i64, sequence: i64) -> Bytes {
    let object = Some(rcs_proto::messages::ConnectorObject::default());
    let item = SearchOpResponse { sequence, result: None, connector_object: object };
    frames::answer(id, &OperationResponse { search: Some(item), ..Default::default() })
}

pub(super) fn search_end(id: i64, count: i64, cookie: &str) -> Bytes {
    let result = SearchResult { paged_results_cookie: cookie.into(), ..Default::default() };
    let end = SearchOpResponse { sequence: count, result: Some(result), connector_object: None };
    frames::answer(id, &OperationResponse { search: Some(end), ..Default::default() })
}

pub(super) fn batch() -> OperationRequest {
    OperationRequest { batch: Some(BatchOpRequest::default()), ..Default::default() }
}

pub(super) fn batch_result(id: i64, task: &str) -> Bytes {
    let result = BatchOpResult { task_id: task.into(), uid: Some(Uid::default()), ..Default::default() };
    frames::answer(id, &OperationResponse { batch: Some(result), ..Default::default() })
}

/// The error in a frame.
pub(super) fn error_of(envelope: &Envelope) -> &ErrorHead {
    match &envelope.kind {
        Kind::Error(error) => error,
        other => panic!("an error was expected, not {other:?}"),
    }
}
