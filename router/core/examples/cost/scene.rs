//! An engine whose members are linked and whose callers are connected.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_core::agreed::{At, Author, Change, Document};
use rcs_core::balance::Policy;
use rcs_core::engine::*;
use rcs_core::ids::MemberId;
use rcs_core::settings::Settings;
use rcs_core::view::*;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames::{self, Identity};
use rcs_proto::icf::{ConnectorInfo, ConnectorKey, Secret};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{self, *};
use rcs_proto::session::{Side, SocketId};
use rcs_proto::time::Moment;

/// Effects that go nowhere; frames towards members are kept.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) sent: VecDeque<(SocketId, Bytes)>,
    pub(crate) dials: VecDeque<(MemberId, Slot)>,
    pub(crate) keeps: bool,
}

impl Io for World {
    fn send(&mut self, socket: SocketId, frame: Bytes) {
        if self.keeps {
            self.sent.push_back((socket, frame));
        }
    }
    fn hold(&mut self, _: SocketId, _: Duration) {}
    fn ping(&mut self, _: SocketId) {}
    fn close(&mut self, _: SocketId) {}
    fn backlog(&self, _: SocketId) -> Backlog {
        Backlog::default()
    }
    fn moved(&self, _: SocketId) -> Moved {
        Moved::default()
    }
    fn backlog_total(&self) -> Backlog {
        Backlog::default()
    }
    fn dial(&mut self, member: MemberId, slot: Slot, _: &Endpoint) {
        self.dials.push_back((member, slot));
    }
    fn dial_via(&mut self, _: MemberId, _: u32) {}
    fn present(&mut self, _: &std::collections::BTreeSet<MemberId>) {}
    fn random(&mut self) -> u64 {
        7
    }
    fn publish(&mut self, _: &Arc<View>) {}
    fn note(&mut self, note: Note<'_>) {
        if std::env::var_os("COST_NOTES").is_some() {
            eprintln!("{note:?}");
        }
    }
    fn answer(&mut self, _: Ticket, _: Answer) {}
    fn propose(&mut self, _: Proposal) {}
}

pub(crate) struct Scene {
    pub(crate) engine: Engine,
    pub(crate) world: World,
    /// Read the frames of all sockets of callers, and of members.
    readers: [FrameReader; 2],
    pub(crate) now: Moment,
    pub(crate) callers: Vec<SocketId>,
    pub(crate) next_id: i64,
    pub(crate) next_socket: u64,
}

impl Scene {
    /// Groups of equal size, all members linked, one caller a group with one socket each.
    pub(crate) fn new(members: usize, groups: usize, callers: usize) -> Self {
        let now = Moment::after_start(Duration::from_secs(1_000));
        let engine = Engine::new(Start {
            seed: [1, 2],
            own_seed: [1, 2],
            router: 0,
            now,
            epoch: At(0),
            deciding: Deciding::Alone,
        });
        let mut scene = Self {
            engine,
            world: World { keeps: true, ..World::default() },
            readers: [FrameReader::of_caller(), FrameReader::default()],
            now,
            callers: Vec::new(),
            next_id: 0,
            next_socket: 1 << 32,
        };
        let specs: Vec<MemberSpec> = (0..members).map(|n| spec(&format!("n{n}"))).collect();
        let size = members / groups;
        let group = |n: usize| GroupSpec {
            name: format!("g{n}"),
            policy: Policy::RoundRobin,
            members: (n * size..(n + 1) * size).map(|m| format!("n{m}")).collect(),
        };
        let document = Some(Document { members: specs, groups: (0..groups).map(group).collect() });
        let mut settings = Settings::default();
        settings.router.caller_in_flight_max = 1 << 20;
        settings.defaults.member_in_flight_max = 1 << 20;
        settings.defaults.in_flight_max = 1 << 20;
        let change = Change::Configured { document, settings: Some(Box::new(settings)) };
        scene.apply(Event::Agreed { change, author: Author::Files, at: At(0), ticket: None });
        let mut socket = 0;
        while let Some((member, slot)) = scene.world.dials.pop_front() {
            socket += 1;
            let (id, peer) = (SocketId(socket), Peer::Member { member, by: DialledBy::Us(slot) });
            scene.apply(Event::Opened { socket: id, side: Side::Dialled, peer });
            let identity = Identity { session_id: format!("m{member}"), public_key: Bytes::new() };
            scene.feed(id, frames::handshake_response(&identity));
        }
        scene.pass(Duration::from_millis(500));
        for n in 0..callers {
            socket += 1;
            let group = scene.engine.view().group_named(&format!("g{}", n % groups)).unwrap().id;
            let peer = Peer::Caller {
                selector: Selector::Group(group),
                principal: "idm".into(),
                allowed: Allowed::All,
            };
            scene.apply(Event::Opened { socket: SocketId(socket), side: Side::Accepted, peer });
            let identity = Identity { session_id: format!("c{n}"), public_key: Bytes::new() };
            scene.feed(SocketId(socket), frames::handshake_request(&identity));
            scene.callers.push(SocketId(socket));
        }
        scene.pass(Duration::from_secs(6));
        scene
    }

    pub(crate) fn apply(&mut self, event: Event) {
        self.engine.apply(event, self.now, &mut self.world);
    }

    /// Reads a frame as the reading task of its socket does.
    pub(crate) fn read(&mut self, socket: SocketId, envelope: Envelope) -> Frame {
        // Sockets of members have the lowest numbers.
        let is_callers = self.callers.first().is_some_and(|first| socket >= *first);
        self.readers[usize::from(!is_callers)].read(envelope)
    }

    pub(crate) fn feed(&mut self, socket: SocketId, frame: Bytes) {
        let frame = self.read(socket, Envelope::parse(frame).unwrap());
        self.apply(Event::Frame { socket, frame });
    }

    /// Lets time pass; members answer what they are asked but calls.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.next_wake().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.apply(Event::Wake);
            self.answer_questions();
        }
        self.now = end;
    }

    fn answer_questions(&mut self) {
        for (socket, frame) in std::mem::take(&mut self.world.sent) {
            let envelope = Envelope::parse(frame).unwrap();
            let id = envelope.message_id;
            match &envelope.kind {
                Kind::ControlRequest(request) => {
                    let infos = (!request.info_level.is_empty()).then(infos);
                    self.feed(socket, frames::control_response(id, infos));
                }
                Kind::Operation(head) if head.operation == rcs_proto::operation::Operation::Test => {
                    let answer = OperationResponse { test: Some(TestOpResponse {}), ..Default::default() };
                    self.feed(socket, frames::answer(id, &answer));
                }
                _ => {}
            }
        }
    }

    /// A fresh connection of a caller whose calls choose the group.
    pub(crate) fn accept(&mut self) -> SocketId {
        self.next_socket += 1;
        let socket = SocketId(self.next_socket);
        let peer = Peer::Caller {
            selector: Selector::ByConnectorKey,
            principal: "any".into(),
            allowed: Allowed::All,
        };
        self.apply(Event::Opened { socket, side: Side::Accepted, peer });
        socket
    }

    /// A call that its member keeps.
    pub(crate) fn open(&mut self, caller: usize) {
        self.next_id += 1;
        let frame = get(self.next_id);
        self.feed(self.callers[caller % self.callers.len()], frame);
    }

    /// A call from request to answer.
    pub(crate) fn call(&mut self) {
        self.open(0);
        let (socket, frame) = self.world.sent.pop_back().unwrap();
        let id = Envelope::parse(frame).unwrap().message_id;
        let answer = OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() };
        self.feed(socket, frames::answer(id, &answer));
        self.world.sent.clear();
    }
}

pub(crate) fn get(id: i64) -> Bytes {
    let request = OperationRequest {
        connector_key: Some(messages::ConnectorKey {
            bundle_name: "b".into(),
            bundle_version: "1.0".into(),
            connector_name: "Rig".into(),
        }),
        connector_facade_key: Bytes::from_static(b"facade"),
        get: Some(GetOpRequest::default()),
        ..Default::default()
    };
    frames::operation(id, &request)
}

pub(crate) fn infos() -> Bytes {
    let key =
        ConnectorKey { bundle_name: "b".into(), bundle_version: "1.0".into(), connector_name: "Rig".into() };
    let info = ConnectorInfo {
        display_name_key: None,
        category_key: None,
        key,
        messages: None,
        configuration: None,
    };
    vec![info].encode()
}

fn spec(name: &str) -> MemberSpec {
    MemberSpec {
        name: name.to_owned(),
        link: Link::Dial(Endpoint {
            host: "127.0.0.1".into(),
            port: 8759,
            path: "/openicf".into(),
            transport: Transport::Plain,
            principal: "anonymous".into(),
            key: Secret::new("key".into()),
        }),
        sockets: 2,
        ping_interval: None,
        admin: AdminState::Enabled,
    }
}
