//! Operators, documents, agents and peers at once: whatever they do in whatever order, every table is settled after each event,
//! and a router that ends owes nobody an answer.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Identity};
use rcs_proto::icf::Secret;
use rcs_proto::messages::*;
use rcs_proto::operation::Operation;
use rcs_proto::session::{Side, SocketId};

use super::bundles::files;
use super::parts::by_member;
use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange};
use crate::agreed::sets::{BundleChange, PresentRules, ProposedSet};
use crate::agreed::{Change, Document};
use crate::balance::Policy;
use crate::bundles::group::{BundlePolicy as SetsPolicy, NoneLeft, Reports};
use crate::bundles::range::StandIns;
use crate::engine::*;
use crate::settings::{GroupSettings, RouterSettings, Settings};
use crate::view::*;

const MEMBERS: usize = 3;
const CALLERS: usize = 2;

/// A member that dials the router in some documents.
const IN_CLIENT_MODE: usize = 2;

struct Chaos {
    world: World,
    callers: Vec<Vec<SocketId>>,
    calls: i64,
    /// Requests that members hold: member, socket, id, operation.
    held: Vec<(usize, SocketId, i64, Operation)>,
    /// Sockets that are gone.
    gone: Vec<SocketId>,
}

fn document(way: u8) -> Document {
    let link = |number: usize| {
        if number == IN_CLIENT_MODE && way & 1 != 0 {
            return Link::Accept;
        }
        Link::Dial(Endpoint {
            host: "127.0.0.1".into(),
            port: if number == 1 && way & 2 != 0 { 9000 } else { 8759 },
            path: "/openicf".into(),
            transport: Transport::Plain,
            principal: "anonymous".into(),
            key: Secret::new("key".into()),
        })
    };
    let listed = (0..MEMBERS).filter(|number| *number != 0 || way & 4 == 0);
    let members: Vec<MemberSpec> = listed
        .map(|number| MemberSpec {
            name: format!("n{number}"),
            link: link(number),
            sockets: if number == 1 && way & 64 != 0 { 1 } else { 2 },
            ping_interval: (way & 8 == 0).then_some(crate::limits::PING_INTERVAL),
            admin: if number == 1 && way & 128 != 0 { AdminState::Disabled } else { AdminState::Enabled },
        })
        .collect();
    let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
    let policy = if way & 1 == 0 { Policy::RoundRobin } else { Policy::Failover };
    let mut groups = Vec::new();
    if way & 16 == 0 {
        groups.push(GroupSpec { name: "g".into(), policy, members: names.clone() });
    }
    if way & 32 != 0 {
        groups.push(GroupSpec { name: "h".into(), policy, members: names.into_iter().take(1).collect() });
    }
    Document { members, groups }
}

fn settings(way: u8) -> Settings {
    let bundles = SetsPolicy {
        reports: if way & 1 != 0 { Reports::RequireAgent } else { Reports::WireOnly },
        none_left: if way & 2 != 0 { NoneLeft::FailClosed } else { NoneLeft::KeepLast },
        ..SetsPolicy::default()
    };
    let usual = GroupSettings::default();
    let is_small = way & 4 != 0;
    let group = GroupSettings {
        bundles,
        in_flight_max: if is_small { 2 } else { usual.in_flight_max },
        member_in_flight_max: if is_small { 1 } else { usual.member_in_flight_max },
        queue_max: if way & 8 != 0 { 2 } else { usual.queue_max },
        test_every: if way & 16 != 0 { None } else { usual.test_every },
        hedge_after: (way & 24 == 0).then_some(Duration::from_secs(2)),
        ..usual
    };
    let router = RouterSettings {
        socket_ttl: (way & 32 != 0).then_some(Duration::from_secs(10)),
        caller_ping_every: (way & 64 != 0).then_some(Duration::from_secs(5)),
        caller_in_flight_max: if way & 128 != 0 { 3 } else { 1000 },
        ..RouterSettings::default()
    };
    let hosts = (way & 2 != 0).then(|| (format!("n{IN_CLIENT_MODE}"), 2)).into_iter().collect();
    Settings { router, groups: [("g".to_owned(), group)].into(), hosts, ..Settings::default() }
}

impl Chaos {
    fn new() -> Self {
        let world = World::with_members(MEMBERS, Policy::RoundRobin);
        let mut chaos =
            Self { world, callers: vec![Vec::new(); CALLERS], calls: 0, held: Vec::new(), gone: Vec::new() };
        for caller in 0..CALLERS {
            chaos.join(caller);
        }
        chaos
    }

    fn join(&mut self, caller: usize) {
        if let Some(group) = self.world.engine.view().group_named("g").map(|group| group.id) {
            let socket = self.world.join_by(&format!("idm{caller}"), Selector::Group(group));
            self.callers[caller].push(socket);
        }
    }

    fn call(&mut self, caller: usize, what: u8) {
        let Some(socket) = pick(&self.callers[caller], what >> 4) else { return };
        let request = match what % 8 {
            0 => create(),
            1 => search(),
            2 => page("cookie"),
            3 => OperationRequest {
                connector_event_subscription: Some(Default::default()),
                ..Default::default()
            },
            4 => OperationRequest { authenticate: Some(Default::default()), ..Default::default() },
            5 => batch(),
            _ => get(),
        };
        // Sometimes under an id that is in use.
        self.calls += i64::from(what < 240);
        self.world.call(socket, self.calls, request);
    }

    fn look(&mut self) {
        for member in 0..MEMBERS {
            for (socket, envelope) in self.world.at_member(member) {
                match &envelope.kind {
                    Kind::Operation(head) => {
                        self.held.push((member, socket, envelope.message_id, head.operation))
                    }
                    Kind::Cancel => self.held.retain(|held| held.2 != envelope.message_id),
                    _ => {}
                }
            }
        }
    }

    fn answer(&mut self, nth: u8, how: u8) {
        self.look();
        let Some((member, socket, id, operation)) = pick(&self.held, nth) else { return };
        let socket =
            if how & 32 != 0 { pick(&self.world.members[member], how).unwrap_or(socket) } else { socket };
        let mut ends = true;
        let frame = match (how % 8, operation) {
            (0, _) => frames::error(
                id,
                "org.identityconnectors.framework.common.exceptions.ConnectorException",
                "Connection received request before handshake",
            ),
            (1, _) => frames::error(id, "x.ConnectionFailedException", "resource down"),
            (2, _) => frames::error(id, "x.ConnectorException", "Connector not found: b/1.0/C"),
            (3, Operation::Search) | (4, Operation::Search) => {
                ends = false;
                search_item(id, i64::from(how >> 6) + 1)
            }
            (5, Operation::Search) => search_end(id, i64::from(how >> 6), "cookie"),
            (_, Operation::Search) => search_end(id, 0, "cookie"),
            (_, Operation::Batch) => {
                ends = false;
                batch_result(id, "t")
            }
            (3, Operation::ConnectorEventSubscription) | (4, Operation::ConnectorEventSubscription) => {
                ends = how & 16 != 0;
                let event = ConnectorEventSubscriptionOpResponse { completed: ends, ..Default::default() };
                frames::answer(
                    id,
                    &OperationResponse { connector_event_subscription: Some(event), ..Default::default() },
                )
            }
            _ => answer(id),
        };
        if ends && how & 64 == 0 {
            self.held.retain(|held| held.2 != id);
        }
        self.world.feed(socket, frame);
    }

    fn close(&mut self, socket: SocketId, gives_back: bool) {
        for member in &mut self.world.members {
            member.retain(|of_member| *of_member != socket);
        }
        for caller in &mut self.callers {
            caller.retain(|of_caller| *of_caller != socket);
        }
        let queued: Vec<Bytes> = self.world.io.sent.remove(&socket).unwrap_or_default().into();
        let unsent = if gives_back { queued } else { Vec::new() };
        self.gone.push(socket);
        self.world.apply(Event::Closed { socket, unsent });
    }

    fn peers_close(&mut self) {
        for socket in std::mem::take(&mut self.world.io.closed) {
            self.close(socket, false);
        }
    }

    fn any_socket(&self, nth: u8) -> Option<SocketId> {
        let all: Vec<SocketId> =
            self.world.members.iter().chain(&self.callers).flatten().chain(&self.gone).copied().collect();
        pick(&all, nth)
    }

    fn step(&mut self, kind: u8, a: u8, b: u8) {
        let member = usize::from(a) % MEMBERS;
        let name = format!("n{member}");
        let id = self.world.engine.view().member_named(&name).map(|member| member.id);
        match kind % 32 {
            0..=5 => self.call(usize::from(a) % CALLERS, b),
            6..=11 => self.answer(a, b),
            12 => {
                for socket in self.world.members[member].clone() {
                    self.close(socket, b & 1 != 0);
                }
            }
            13 => {
                if let Some(socket) = self.any_socket(b) {
                    self.close(socket, a & 1 != 0);
                }
            }
            14 => self.join(usize::from(a) % CALLERS),
            15 | 16 => {
                if id.is_some() {
                    self.world.connect_to(member, &format!("process {member} {}", b % 2));
                }
                self.world.answer_probes();
            }
            17 => {
                let change = match b % 4 {
                    0 => MarkChange::Drain,
                    1 => MarkChange::Undrain,
                    2 => MarkChange::Disable,
                    _ => MarkChange::Enable,
                };
                let last = if b & 4 == 0 { LastMember::Released } else { LastMember::Kept };
                let wish = Wish::Mark { group: "g".into(), member: name, change, last };
                self.world.ask(|ticket| Event::Operator { ticket, wish });
            }
            18 => self.world.agree(Change::Configured { document: Some(document(b)), settings: None }),
            19 => self.world.agree(Change::Configured { document: Some(document(0)), settings: None }),
            20 => self.world.set(&settings(b)),
            21 | 22 => self.world.pass(Duration::from_millis(u64::from(b) * 20)),
            23 => self.world.pass(Duration::from_secs(u64::from(b))),
            24 => {
                if let Some((member, slot)) = self.world.io.dials.pop_front() {
                    let failure = if b & 1 == 0 { DialFailure::WrongKey } else { DialFailure::Unreachable };
                    self.world.apply(Event::DialFailed { member, slot, failure, reason: "no".into() });
                }
            }
            25 => {
                let says = match b % 3 {
                    0 => AgentSays::Files(files(b"one")),
                    1 => AgentSays::Files(files(b"two")),
                    _ => AgentSays::StillThere(files(b"one").digest()),
                };
                self.world.ask(|ticket| Event::Agent { ticket, member: name, says });
            }
            26 => {
                let present = if b & 32 == 0 { PresentRules::Kept } else { PresentRules::Replaced };
                let change = match b % 6 {
                    5 => BundleChange::StandIns {
                        rules: StandIns(vec!["b/[1.0,2.0)".parse().unwrap()]),
                        present,
                    },
                    0 => BundleChange::Commit,
                    1 => BundleChange::Abort,
                    2 => BundleChange::Pin(ProposedSet::Of(name)),
                    _ => BundleChange::Propose { what: ProposedSet::Of(name), stand_ins: None },
                };
                let group = if b & 64 == 0 { "g" } else { "h" }.to_owned();
                let last = if b & 128 == 0 { LastMember::Kept } else { LastMember::Released };
                let wish = Wish::Bundles { group, change, last };
                self.world.ask(|ticket| Event::Operator { ticket, wish });
            }
            27 => {
                let Some(id) = id else { return };
                let socket = self.world.socket();
                let peer = Peer::Member { member: id, by: by_member() };
                self.world.apply(Event::Opened { socket, side: Side::Accepted, peer });
                if b & 3 != 0 {
                    let identity = Identity {
                        session_id: format!("process {member} {}", b % 2),
                        public_key: Bytes::new(),
                    };
                    self.world.feed(socket, frames::handshake_request(&identity));
                }
                self.world.members[member].push(socket);
            }
            28 => {
                let Some(socket) = self.any_socket(a) else { return };
                match b % 6 {
                    0 => self.world.apply(Event::Garbage { socket }),
                    5 => self.world.apply(Event::Revoked { socket, reason: "revoked".to_owned() }),
                    1 => self.world.apply(Event::Oversize {
                        socket,
                        message_id: self.held.first().map_or(1, |held| held.2),
                        what: if b & 16 == 0 { OversizeFrame::Request } else { OversizeFrame::Answer },
                        bytes: 1 << 30,
                        why: if b & 32 == 0 { OversizeReason::Limit } else { OversizeReason::Overload },
                    }),
                    2 => self
                        .world
                        .feed(socket, frames::control_request(77, rcs_proto::frames::Ask::Check, &[], &[])),
                    3 => self.world.feed(socket, frames::cancel(self.calls)),
                    _ => self.world.feed(
                        socket,
                        frames::error(
                            self.calls,
                            "org.identityconnectors.framework.common.exceptions.ConnectorException",
                            "Connection received response before handshake",
                        ),
                    ),
                }
            }
            29 => self.peers_close(),
            30 => {
                let versions = ["1.0", "1.1"];
                self.world.lists[member] = match b % 4 {
                    3 => Bytes::from_static(b"unreadable"),
                    other => infos_at(CONNECTOR, versions[usize::from(other) % 2]),
                };
            }
            _ => self.world.frozen = if b & 1 == 0 { vec![member] } else { Vec::new() },
        }
    }

    /// All is well again, and stays so: every member takes calls after a while, on all its sockets.
    fn recover(mut self) {
        self.world.frozen.clear();
        self.world.lists = vec![infos_at(CONNECTOR, "1.0"); MEMBERS];
        self.world
            .agree(Change::Configured { document: Some(document(0)), settings: Some(Box::new(settings(0))) });
        self.world.mark(&[]);
        for second in 0..1_500 {
            self.peers_close();
            for member in 0..MEMBERS {
                self.world.connect_to(member, &format!("process {member} 0"));
            }
            self.world.answer_probes();
            self.look();
            self.world.pass(Duration::from_secs(1));
            if second == 700 {
                let _ = self.world.change(BundleChange::Abort);
                let _ = self.world.change(BundleChange::Pin(ProposedSet::Of("n0".into())));
            }
        }
        for member in 0..MEMBERS {
            let report = self.world.report_of(member);
            assert!(report.takes_calls() && self.world.members[member].len() >= 2, "{report:?}");
        }
        self.join(0);
        let socket = *self.callers[0].last().unwrap();
        self.world.pass(Duration::from_secs(1));
        self.look();
        self.held.clear();
        self.world.call(socket, 1_000_000, get());
        self.look();
        assert_eq!(self.held.len(), 1, "a call goes to a member");
    }

    /// The router ends: nobody is owed an answer then, and no caller is left.
    fn end(mut self) {
        self.world.apply(Event::Drain);
        self.world.pass(Duration::from_secs(5));
        self.world.apply(Event::DrainOver);
        assert!(self.world.engine.is_idle(), "calls are left");
        for _ in 0..3 {
            self.world.apply(Event::LetGo { callers: CALLERS });
        }
        assert!(!self.world.engine.has_callers(), "callers are left");
        self.peers_close();
        self.world.pass(Duration::from_secs(200));
        assert!(self.world.engine.is_idle());
        self.world.assert_replays();
    }
}

fn pick<T: Clone>(of: &[T], nth: u8) -> Option<T> {
    of.get(usize::from(nth) % of.len().max(1)).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Each one takes long: half an hour of the world goes by.
        cases: (ProptestConfig::default().cases / 16).max(1),
        max_shrink_iters: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_operators_and_peers_do_every_table_is_settled(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..200),
    ) {
        let mut chaos = Chaos::new();
        for (kind, a, b) in steps {
            chaos.step(kind, a, b);
        }
        chaos.end();
    }

    #[test]
    fn whatever_happened_members_serve_again_when_all_is_well(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..100),
    ) {
        let mut chaos = Chaos::new();
        for (kind, a, b) in steps {
            chaos.step(kind, a, b);
        }
        chaos.recover();
    }
}
