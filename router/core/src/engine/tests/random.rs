//! Whatever happens in whatever order: every call gets exactly one final frame, its own, no change is sent twice (P1, P2), and no
//! call begins at a member whose bundle set is not its group's (P5), or that lacks the version that is asked for (B03).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rcs_proto::envelope::{BatchPart, Envelope, Kind, Part};
use rcs_proto::frames;
use rcs_proto::messages::*;
use rcs_proto::operation::Operation;
use rcs_proto::session::SocketId;

use super::toy_log::{LogStep, log_step};
use super::versions::of;
use super::world::*;
use crate::agreed::marks::LastMember;
use crate::agreed::sets::{BundleChange, PresentRules, ProposedSet};
use crate::balance::Policy;
use crate::bundles::group::NoneLeft;
use crate::bundles::range::StandIns;
use crate::engine::calls::Call;
use crate::engine::steps::Found;
use crate::engine::*;
use crate::settings::Settings;

const MEMBERS: usize = 3;
const CALLERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// A caller calls for this version of the connector.
    Call(usize, Operation, &'static str),
    /// A caller cancels one of its calls.
    Cancel(usize, usize),
    /// The member with this index goes on with one of its requests, wholly or in part.
    Answer(usize, usize, bool),
    /// The frame of its answer is too large.
    Oversize(usize, usize),
    Kill(usize),
    /// All its sockets die, and its process goes on: the same session comes back, with its calls.
    Outage(usize),
    Restart(usize),
    /// One socket of the member dies.
    Cut(usize),
    /// The operator moves all members to another port.
    Move,
    /// One socket of a caller dies and another joins.
    Rotate(usize),
    /// All sockets of a caller die, and one joins after a while.
    Leave(usize, u64),
    Pass(u64),
    /// A member has this version of its connector from now on, and tells it when it is asked next.
    Install(usize, &'static str),
    /// It is asked at this very moment.
    Tell(usize),
    /// The operator moves the group to the set that the member has, or ends that.
    Change(BundleChange),
    /// In a cluster, something happens in the log.
    Log(LogStep),
}

fn step() -> impl Strategy<Value = Step> {
    use Operation as Op;
    let operation = prop_oneof![
        3 => Just(Op::Get),
        3 => Just(Op::Create),
        3 => Just(Op::Search),
        1 => Just(Op::Batch),
        1 => Just(Op::ConnectorEventSubscription),
    ];
    let (member, caller, nth) = (0..MEMBERS, 0..CALLERS, 0..8usize);
    prop_oneof![
        8 => (caller.clone(), operation, version())
            .prop_map(|(caller, operation, version)| Step::Call(caller, operation, version)),
        1 => (caller.clone(), nth.clone()).prop_map(|(caller, nth)| Step::Cancel(caller, nth)),
        9 => (member.clone(), nth.clone(), any::<bool>()).prop_map(|(m, nth, whole)| Step::Answer(m, nth, whole)),
        1 => (member.clone(), nth).prop_map(|(member, nth)| Step::Oversize(member, nth)),
        1 => member.clone().prop_map(Step::Kill),
        2 => member.clone().prop_map(Step::Outage),
        2 => member.clone().prop_map(Step::Restart),
        2 => member.clone().prop_map(Step::Cut),
        1 => Just(Step::Move),
        1 => caller.clone().prop_map(Step::Rotate),
        1 => (caller, 0..20_000u64).prop_map(|(caller, ms)| Step::Leave(caller, ms)),
        2 => (1..6_000u64).prop_map(Step::Pass),
        2 => (member.clone(), prop_oneof![Just("1.0"), Just("1.1")]).prop_map(|(m, version)| Step::Install(m, version)),
        2 => member.clone().prop_map(Step::Tell),
        1 => member.prop_flat_map(change).prop_map(Step::Change),
        5 => log_step().prop_map(Step::Log),
    ]
}

fn version() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just("1.0"), 3 => Just("1.1"), 1 => Just("7.0")]
}

/// The versions that may stand for each other.
fn rule() -> StandIns {
    StandIns(vec!["b/[1.0,2.0)".parse().unwrap()])
}

fn change(member: usize) -> impl Strategy<Value = BundleChange> {
    let of = ProposedSet::Of(format!("n{member}"));
    let propose = |stand_ins| Just(BundleChange::Propose { what: of.clone(), stand_ins });
    prop_oneof![
        2 => propose(None),
        2 => propose(Some(rule())),
        1 => Just(BundleChange::Commit),
        1 => Just(BundleChange::Abort),
        1 => Just(BundleChange::Pin(of.clone())),
        1 => Just(BundleChange::StandIns { rules: rule(), present: PresentRules::Kept }),
    ]
}

/// A request that a member holds.
#[derive(Clone)]
struct Held {
    id: i64,
    operation: Operation,
    /// The number of the call, as its request tells it.
    call: i64,
    parts: i64,
}

struct Play {
    world: World,
    callers: Vec<Vec<SocketId>>,
    calls: i64,
    /// The caller of each call, and what it asked.
    asked: HashMap<i64, (usize, Operation)>,
    cancelled: HashSet<i64>,
    held: Vec<Vec<Held>>,
    finals: HashMap<i64, usize>,
    /// Calls that change something and reached a member.
    changes: BTreeSet<i64>,
    /// Copies of last frames may follow when the socket of the first dies: callers drop them (WIRE 4.3).
    rotated: [bool; CALLERS],
    port: u16,
    settings: Settings,
    deciding: Deciding,
    /// Changes that the operator asked for in a cluster.
    tickets: u64,
}

/// Limits that are reached all the time.
fn settings() -> impl Strategy<Value = Settings> {
    (1..6usize, 1..4usize, 1..6usize, 0..5usize, 0..2_000u64, any::<(bool, bool, bool)>()).prop_map(
        |(caller, member, group, queue, wait, (closes, stands_in, hedges))| {
            let mut settings = Settings::default();
            if closes {
                settings.defaults.bundles.none_left = NoneLeft::FailClosed;
            }
            if stands_in {
                settings.defaults.stand_ins = rule();
            }
            settings.defaults.hedge_after = hedges.then_some(Duration::from_secs(1));
            settings.router.caller_in_flight_max = caller;
            settings.defaults.member_in_flight_max = member;
            settings.defaults.in_flight_max = group;
            settings.defaults.queue_max = queue;
            settings.defaults.queue_wait = Duration::from_millis(wait);
            settings
        },
    )
}

/// The usual limits, with hedges.
fn hedging() -> Settings {
    let mut settings = Settings::default();
    settings.defaults.hedge_after = Some(Duration::from_secs(1));
    settings
}

fn request(operation: Operation, call: i64) -> OperationRequest {
    let object_class = call.to_string();
    let mut request = OperationRequest::default();
    match operation {
        Operation::Get => request.get = Some(GetOpRequest { object_class, ..Default::default() }),
        Operation::Create => request.create = Some(CreateOpRequest { object_class, ..Default::default() }),
        Operation::Search => request.search = Some(SearchOpRequest { object_class, ..Default::default() }),
        Operation::Batch => {
            request.batch = Some(BatchOpRequest { batch_token: vec![object_class], ..Default::default() });
        }
        _ => {
            let subscription = ConnectorEventSubscriptionOpRequest { object_class, ..Default::default() };
            request.connector_event_subscription = Some(subscription);
        }
    }
    request
}

/// The number of the call in a request.
fn number(frame: &Envelope) -> i64 {
    let Kind::Operation(head) = &frame.kind else { panic!("{frame:?}") };
    // The first string of each body: tag, length, text; the batch's token is the third field and comes first all the same.
    let text = &head.body[2..2 + usize::from(head.body[1])];
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// Part `n` of the answer, or its end after so many parts. Each says for which call it is.
fn part(held: &Held, ends: bool) -> Vec<Bytes> {
    let answer = |response| frames::answer(held.id, &response);
    let uid = Some(Uid { value: held.call.to_string(), ..Default::default() });
    let none = OperationResponse::default;
    match held.operation {
        Operation::Get => {
            let connector_object = held.call.to_string().into();
            vec![answer(OperationResponse { get: Some(GetOpResponse { connector_object }), ..none() })]
        }
        Operation::Create => {
            vec![answer(OperationResponse { create: Some(CreateOpResponse { uid }), ..none() })]
        }
        Operation::Search if ends => vec![search_end(held.id, held.parts, "")],
        Operation::Search => vec![search_item(held.id, held.parts + 1)],
        Operation::Batch => {
            let result = |result| answer(OperationResponse { batch: Some(result), ..none() });
            let token = BatchOpResult { returns_results: false, ..Default::default() };
            let complete = BatchOpResult { complete: true, ..Default::default() };
            match ends {
                true => vec![result(complete), result(token)],
                false => vec![batch_result(held.id, &held.parts.to_string())],
            }
        }
        _ => {
            let event = ConnectorEventSubscriptionOpResponse { completed: ends, ..Default::default() };
            vec![answer(OperationResponse { connector_event_subscription: Some(event), ..none() })]
        }
    }
}

impl Play {
    fn look(&mut self) {
        for member in 0..MEMBERS {
            for (_, envelope) in self.world.at_member(member) {
                if let Kind::Operation(head) = &envelope.kind {
                    let (id, operation, call) = (envelope.message_id, head.operation, number(&envelope));
                    if matches!(operation, Operation::Create | Operation::Batch) {
                        assert!(self.changes.insert(call), "call {call} was sent twice");
                    }
                    self.held[member].push(Held { id, operation, call, parts: 0 });
                } else if let Kind::Cancel = envelope.kind {
                    self.held[member].retain(|held| {
                        held.id != envelope.message_id
                            || matches!(held.operation, Operation::Get | Operation::Create)
                    });
                }
            }
        }
        for caller in 0..CALLERS {
            let sockets = self.callers[caller].clone();
            for envelope in self.world.at_caller(&sockets) {
                self.got(caller, &envelope);
            }
        }
    }

    fn got(&mut self, caller: usize, envelope: &Envelope) {
        let call = envelope.message_id;
        let is_final = match &envelope.kind {
            Kind::Error(_) => true,
            Kind::Answer(head) => {
                let of = self.asked[&call];
                // From its first result on, a batch may end without a last frame: its caller ends it by itself (WIRE 5.6).
                if let Part::Batch(BatchPart::Result { .. }) = head.part {
                    self.cancelled.insert(call);
                }
                assert_eq!((caller, head.operation), of, "an answer to call {call}");
                if head.part == Part::Only {
                    let text = call.to_string();
                    let body = head.body.windows(text.len()).any(|window| window == text.as_bytes());
                    assert!(body, "call {call} got the answer of another: {:?}", head.body);
                }
                matches!(
                    head.part,
                    Part::Only
                        | Part::End { .. }
                        | Part::Event { completed: true }
                        | Part::Batch(BatchPart::Token { .. })
                )
            }
            _ => false,
        };
        if is_final {
            *self.finals.entry(call).or_default() += 1;
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Call(caller, operation, version) => {
                self.calls += 1;
                self.asked.insert(self.calls, (caller, operation));
                let sockets = &self.callers[caller];
                let socket = sockets[self.calls as usize % sockets.len()];
                self.world.call(socket, self.calls, of(version, request(operation, self.calls)));
            }
            Step::Cancel(caller, nth) => {
                let own = (1..=self.calls).filter(|call| self.asked[call].0 == caller);
                let Some(call) = own.filter(|call| !self.finals.contains_key(call)).nth(nth) else { return };
                if !matches!(self.asked[&call].1, Operation::Get | Operation::Create) {
                    self.cancelled.insert(call);
                }
                self.world.feed(self.callers[caller][0], frames::cancel(call));
            }
            Step::Answer(member, nth, ends) => self.answer(member, nth, ends),
            Step::Oversize(member, nth) => {
                let Some((socket, at)) = self.pick(member, nth) else { return };
                let message_id = self.held[member].remove(at).id;
                let what = OversizeFrame::Answer;
                self.world.apply(Event::Oversize {
                    socket,
                    message_id,
                    what,
                    bytes: 1 << 30,
                    why: OversizeReason::Limit,
                });
            }
            Step::Kill(member) => {
                self.held[member].clear();
                self.world.kill(member);
            }
            Step::Outage(member) => {
                self.world.kill(member);
                self.look();
                self.world.come_back(member);
            }
            Step::Restart(member) if self.world.members[member].is_empty() => self.world.start(member),
            Step::Restart(_) => {}
            Step::Cut(member) if self.world.members[member].len() > 1 => {
                let socket = self.world.members[member].remove(0);
                self.world.apply(Event::Closed { socket, unsent: Vec::new() });
            }
            Step::Cut(_) => {}
            Step::Move => {
                self.port += 1;
                let names: Vec<String> = (0..MEMBERS).map(|n| format!("n{n}")).collect();
                self.world.set_view_at(self.port, &names, vec![("g", Policy::RoundRobin, names.clone())]);
                self.world.set(&self.settings.clone());
                self.world.pass(crate::limits::DRAIN_TIME + Duration::from_secs(1));
                // Its old sockets were closed.
                self.look();
                self.world.members.iter_mut().for_each(Vec::clear);
                self.held.iter_mut().for_each(Vec::clear);
            }
            Step::Rotate(caller) => {
                self.rotated[caller] = true;
                let joined = self.world.join_caller(&format!("idm{caller}"), 1);
                self.callers[caller].push(joined[0]);
                self.look();
                let socket = self.callers[caller].remove(0);
                self.world.apply(Event::Closed { socket, unsent: Vec::new() });
            }
            Step::Leave(caller, ms) => {
                self.rotated[caller] = true;
                for socket in std::mem::take(&mut self.callers[caller]) {
                    self.world.apply(Event::Closed { socket, unsent: Vec::new() });
                }
                // What can be cancelled is, when nobody is there to take it (WIRE 11.6).
                for (call, (of, operation)) in &self.asked {
                    if *of == caller && !matches!(operation, Operation::Get | Operation::Create) {
                        self.cancelled.insert(*call);
                    }
                }
                self.look();
                self.world.pass(Duration::from_millis(ms));
                self.callers[caller] = self.world.join_caller(&format!("idm{caller}"), 2);
            }
            Step::Pass(ms) => self.world.pass(Duration::from_millis(ms)),
            Step::Install(member, version) => self.world.lists[member] = infos_at(CONNECTOR, version),
            Step::Tell(member) => self.world.tell_unasked(member),
            Step::Change(change) if self.deciding == Deciding::Together => {
                self.tickets += 1;
                self.world.wishes_set(Ticket(self.tickets), change);
            }
            Step::Log(step) if self.deciding == Deciding::Together => self.world.log(step),
            Step::Log(_) => {}
            // What the state of the group forbids is refused, and changes nothing.
            Step::Change(change) => drop(self.world.change_with("g", change, LastMember::Released)),
        }
        self.look();
        self.count();
    }

    /// What is in flight is within the limits, and nobody waits for a place that is free.
    fn count(&mut self) {
        let tables = &mut self.world.engine.tables;
        let waiting: Vec<_> =
            tables.calls.iter().filter(|(_, call)| call.is_waiting()).map(|(key, _)| key).collect();
        let takes_place = |call: &&Call| call.route.is_some() && !call.operation.is_subscription();
        let calls = tables.calls.iter().map(|(_, call)| call).filter(takes_place);
        let there: Vec<_> = calls.flat_map(Call::routes).collect();
        assert!(there.len() <= self.settings.defaults.in_flight_max, "{} calls at members", there.len());
        for (id, member) in tables.members.iter() {
            assert!(member.busy() <= self.settings.defaults.member_in_flight_max, "calls at {id}");
        }
        for key in waiting {
            let found = tables.find_place(key, None);
            assert!(
                !matches!(found, Some(Found::Place(_))),
                "a call waits for a place that is free: {found:?}"
            );
        }
    }

    /// One of a member's requests, and a socket for its answer.
    fn pick(&self, member: usize, nth: usize) -> Option<(SocketId, usize)> {
        let sockets = &self.world.members[member];
        let held = self.held[member].len();
        (held > 0 && !sockets.is_empty()).then(|| (sockets[nth % sockets.len()], nth % held))
    }

    fn answer(&mut self, member: usize, nth: usize, ends: bool) {
        let Some((socket, at)) = self.pick(member, nth) else { return };
        let held = &mut self.held[member][at];
        let frames = part(held, ends);
        held.parts += 1;
        if ends || matches!(held.operation, Operation::Get | Operation::Create) {
            self.held[member].remove(at);
        }
        for frame in frames {
            self.world.feed(socket, frame);
        }
    }

    /// Every member dies, and time passes: nothing may be left.
    fn end(&mut self) {
        for member in 0..MEMBERS {
            self.run(Step::Kill(member));
        }
        self.run(Step::Pass(20_000));
        assert!(self.world.engine.is_idle(), "calls are left");
        assert_eq!(self.world.engine.tables.calls.request_bytes(), 0, "requests are kept for nobody");
        let report = self.world.engine.report();
        let members = report.groups.iter().flat_map(|group| &group.members);
        assert_eq!(members.map(|member| member.in_flight).sum::<usize>(), 0, "calls in flight");
        assert_eq!(report.groups.iter().map(|group| group.queued).sum::<usize>(), 0, "calls wait");
        for call in 1..=self.calls {
            let finals = self.finals.get(&call).copied().unwrap_or(0);
            let (caller, _) = self.asked[&call];
            match self.cancelled.contains(&call) {
                // A cancel has no answer, and may cross one.
                true => {
                    assert!(finals <= 1 || self.rotated[caller], "cancelled call {call}: {finals} finals")
                }
                false => assert!(
                    finals == 1 || finals > 1 && self.rotated[caller],
                    "call {call}: {finals} finals, {:?}",
                    self.asked[&call]
                ),
            }
        }
        for caller in 0..CALLERS {
            for socket in std::mem::take(&mut self.callers[caller]) {
                self.world.apply(Event::Closed { socket, unsent: Vec::new() });
            }
        }
        self.world.pass(crate::limits::CALLER_KEPT + Duration::from_secs(1));
        let tables = &self.world.engine.tables;
        assert!(tables.callers.is_empty(), "callers are left");
        assert!(tables.members.has_no_sessions() && tables.sockets.is_empty(), "sockets are left");
        if self.deciding == Deciding::Together {
            self.world.log_takes_all();
            self.world.assert_answered_once(self.tickets);
        }
        self.world.assert_replays();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_gets_its_own_answer_once_and_no_change_is_sent_twice(
        steps in proptest::collection::vec(step(), 1..80),
        policy in prop_oneof![Just(Policy::Failover), Just(Policy::RoundRobin)],
        settings in prop_oneof![Just(Settings::default()), Just(hedging()), settings()],
        deciding in prop_oneof![Just(Deciding::Alone), Just(Deciding::Together)],
        is_agreed in any::<bool>(),
    ) {
        let mut world = match deciding {
            Deciding::Alone => World::with_members(MEMBERS, policy),
            Deciding::Together => World::in_cluster(1, MEMBERS, policy),
        };
        if deciding == Deciding::Together {
            (0..MEMBERS).for_each(|member| world.start(member));
        }
        if is_agreed {
            world.log_takes_all();
        }
        world.watches_sets = true;
        world.set(&settings);
        let callers = (0..CALLERS).map(|caller| world.caller(&format!("idm{caller}"), 2)).collect();
        let mut play = Play {
            world,
            callers,
            calls: 0,
            asked: HashMap::new(),
            cancelled: HashSet::new(),
            held: vec![Vec::new(); MEMBERS],
            finals: HashMap::new(),
            changes: BTreeSet::new(),
            rotated: [false; CALLERS],
            port: 9_000,
            settings,
            deciding,
            tickets: 0,
        };
        for step in steps {
            play.run(step);
        }
        play.end();
    }
}
