//! Members in client mode that are connected to one router of a cluster only, and are used through all of them.

mod killed;
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rcs_proto::frames;
use rcs_proto::messages::{
    ConnectorObject, CreateOpRequest, CreateOpResponse, OperationRequest, OperationResponse, SearchOpRequest,
    SearchOpResponse, SearchResult,
};
use rcs_rig::metrics::http_get;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeClient, FakeIdm, Frame, request, validate_request};
use rcs_rig::wait::wait_until;
use serde_json::Value;

use crate::cluster::{Cluster, free_addresses};
use crate::support::{PATIENCE, scratch};

const NAMES: [&str; 3] = ["c1", "c2", "c3"];
/// Rows of a stream that must come in order.
const ROWS: i64 = 2_000;
/// Calls that are under way around the kill of a router.
const LOAD: usize = 400;
/// Calls of each kind whose latency is printed.
const TIMED: usize = 200;

/// Three routers, and a member at each of them.
struct Site {
    cluster: Cluster,
    members: Vec<FakeClient>,
    /// How many processes of members were started.
    started: usize,
}

impl Site {
    fn start() -> Self {
        Self::behind(|addresses| addresses.to_vec())
    }

    /// The same with routers that reach each other at these addresses.
    fn behind(reached: impl FnOnce(&[SocketAddr]) -> Vec<SocketAddr>) -> Self {
        let folder = scratch();
        let mut provider = Provider::new();
        for name in NAMES {
            provider = provider.client(name);
        }
        let provider = provider.group("g", "roundrobin", &NAMES).write(folder.path());
        let mut cluster = Cluster::behind(free_addresses(3), reached, folder, provider);
        cluster.start_all();
        let mut site = Self { cluster, members: Vec::new(), started: 0 };
        for (place, name) in NAMES.iter().enumerate() {
            let member = site.process(name, place);
            site.members.push(member);
        }
        for place in 0..3 {
            for (member, name) in NAMES.iter().enumerate() {
                site.await_way(place, name, (member != place).then_some(member + 1));
            }
        }
        site
    }

    /// A process of this member that is connected to the router at this place.
    fn process(&mut self, name: &str, place: usize) -> FakeClient {
        self.started += 1;
        let session = format!("process-{name}-{}", self.started);
        FakeClient::new(self.cluster.router(place).listen, name, &session).connect(1)
    }

    fn row(&self, place: usize, name: &str) -> Value {
        let (_, body) = http_get(self.cluster.router(place).admin, "/v1/members");
        let rows: Vec<Value> = serde_json::from_str(&body).unwrap_or_default();
        rows.into_iter().find(|row| row["name"] == name && row["group"] == "g").unwrap_or_default()
    }

    /// Waits until the router at this place uses the member through this router, or directly.
    #[track_caller]
    fn await_way(&self, place: usize, name: &str, via: Option<usize>) {
        let via = via.map_or(Value::Null, |router| router.into());
        let mut row = Value::Null;
        let reached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("the member serves", PATIENCE, || {
                row = self.row(place, name);
                row["state"] == "serving" && row["via"] == via
            });
        }));
        assert!(reached.is_ok(), "router {} uses {name} via {via}: {row}", place + 1);
    }

    fn idm(&self, place: usize) -> FakeIdm {
        let idm = self.cluster.router(place).idm("g");
        idm.handshake();
        idm
    }

    /// The member that gets the operation which is under way, and the operation.
    #[track_caller]
    fn taken(&mut self, what: &str) -> (usize, Frame) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            for (number, member) in self.members.iter_mut().enumerate() {
                if let Some(frame) = member.inbox.find(Duration::from_millis(1), |f| f.operation().is_some())
                {
                    return (number, frame);
                }
            }
        }
        panic!("no member got {what}");
    }

    /// Makes calls until one is at the member with this number; the others are answered.
    #[track_caller]
    fn call_at(&mut self, idm: &mut FakeIdm, number: usize, wanted: &OperationRequest) -> (i64, Frame) {
        for _ in 0..NAMES.len() {
            let id = idm.call(wanted);
            let (member, frame) = self.taken("the call");
            if member == number {
                return (id, frame);
            }
            answer(&frame);
            if wanted.search.is_some() {
                frame.socket.send(&row(frame.id(), 0, true));
            }
            assert!(idm.answer(id).error().is_none());
        }
        panic!("{} got no turn", NAMES[number]);
    }

    #[track_caller]
    fn nobody_has(&mut self, what: &str) {
        for member in &mut self.members {
            member.inbox.expect_none(what, Duration::from_millis(100), |f| f.operation().is_some());
        }
    }
}

fn create() -> OperationRequest {
    OperationRequest { create: Some(CreateOpRequest::default()), ..request() }
}

fn search() -> OperationRequest {
    OperationRequest { search: Some(SearchOpRequest::default()), ..request() }
}

fn answer(call: &Frame) {
    let asked = call.operation().expect("an operation");
    if asked.search.is_some() {
        return;
    }
    let done = OperationResponse {
        validate: asked.validate.as_ref().map(|_| Default::default()),
        create: asked.create.as_ref().map(|_| CreateOpResponse::default()),
        ..Default::default()
    };
    call.socket.send(&frames::answer(call.id(), &done));
}

/// A row of a search, or its end after so many rows.
fn row(id: i64, sequence: i64, is_end: bool) -> bytes::Bytes {
    let part = SearchOpResponse {
        sequence,
        result: is_end.then(SearchResult::default),
        connector_object: (!is_end).then(ConnectorObject::default),
    };
    frames::answer(id, &OperationResponse { search: Some(part), ..Default::default() })
}

#[test]
fn members_of_other_routers_take_exact_turns_and_calls_of_all_kinds_are_as_direct_ones() {
    let mut site = Site::start();
    let mut idms: Vec<FakeIdm> = (0..3).map(|place| site.idm(place)).collect();
    for (place, idm) in idms.iter_mut().enumerate() {
        let mut turns = Vec::new();
        for call in 0..9 {
            let asked = if call % 2 == 0 { validate_request() } else { create() };
            let id = idm.call(&asked);
            let (member, frame) = site.taken("its turn");
            answer(&frame);
            assert!(idm.answer(id).answer().is_some());
            turns.push(member);
        }
        let rounds: Vec<&[usize]> = turns.chunks(3).collect();
        assert!(rounds.iter().all(|round| *round == rounds[0]), "router {}: {turns:?}", place + 1);
        let mut round = rounds[0].to_vec();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2], "router {}: {turns:?}", place + 1);
    }
    let shown = site.cluster.ask(0, "member list -o wide").stdout;
    println!("{shown}");
    assert!(shown.lines().any(|line| line.contains("c2") && line.contains("client via router 2")), "{shown}");

    // A stream of many rows, through another router, in order and whole.
    let idm = &mut idms[0];
    let (id, frame) = site.call_at(idm, 1, &search());
    for sequence in 1..=ROWS {
        frame.socket.send(&row(frame.id(), sequence, false));
    }
    frame.socket.send(&row(frame.id(), ROWS, true));
    for sequence in 1..=ROWS {
        let part = idm.answer(id);
        let part = part.answer().and_then(|answer| answer.search.clone()).expect("a row");
        assert_eq!((part.sequence, part.connector_object.is_some()), (sequence, true));
    }
    let end = idm.answer(id);
    assert!(end.answer().and_then(|answer| answer.search.clone()).is_some_and(|end| end.result.is_some()));

    // A cancel reaches the member.
    let (id, frame) = site.call_at(idm, 1, &search());
    idm.socket(0).send(&frames::cancel(id));
    let cancelled = frame.id();
    site.members[1].inbox.next("the cancel", |f| f.is_cancel() && f.id() == cancelled);

    // Latency, for the reader: the turns are known, so nothing is looked for.
    let mut round = Vec::new();
    for _ in 0..NAMES.len() {
        let id = idm.call(&validate_request());
        let (member, frame) = site.taken("a turn");
        answer(&frame);
        idm.answer(id);
        round.push(member);
    }
    let mut times = [Vec::new(), Vec::new()];
    for call in 0..TIMED * NAMES.len() {
        let member = round[call % NAMES.len()];
        let began = Instant::now();
        let id = idm.call(&validate_request());
        answer(&site.members[member].inbox.operation("a timed call"));
        idm.answer(id);
        times[usize::from(member != 0)].push(began.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let [direct, via] = &mut times;
    println!("p50 of {} calls: direct {:?}, via {:?}", via.len(), median(direct), median(via));
}

/// A router is killed while calls are at its member: of each call the caller learns the truth, and the member is used where it goes.
#[test]
fn when_the_far_router_is_killed_no_change_runs_twice_and_no_read_fails() {
    let mut site = Site::start();
    let mut idm = site.idm(0);
    let (answered, frame) = site.call_at(&mut idm, 1, &create());
    answer(&frame);
    assert!(idm.answer(answered).answer().is_some());
    let (change, _) = site.call_at(&mut idm, 1, &create());
    let (read, _) = site.call_at(&mut idm, 1, &validate_request());
    let (stream, frame) = site.call_at(&mut idm, 1, &search());
    for sequence in 1..=3 {
        frame.socket.send(&row(frame.id(), sequence, false));
    }
    for _ in 1..=3 {
        assert!(idm.answer(stream).answer().is_some());
    }
    site.cluster.kill(1);
    // The read is repeated, and nothing else is.
    let (member, frame) = site.taken("the read");
    assert!(member != 1 && frame.operation().is_some_and(|asked| asked.validate.is_some()), "{frame:?}");
    answer(&frame);
    assert!(idm.answer(read).answer().is_some());
    let told = idm.answer(change);
    assert!(told.error().is_some_and(|error| error.message.contains("Outcome unknown")), "{told:?}");
    let told = idm.answer(stream);
    assert!(told.error().is_some(), "{told:?}");
    site.nobody_has("nothing is repeated that may have run");
    idm.inbox.expect_none("the answered call has one answer", Duration::ZERO, |f| f.answers(answered));
    // Changes go on while the router is missed: each runs once.
    for _ in 0..4 {
        let id = idm.call(&create());
        let (member, frame) = site.taken("a change");
        assert_ne!(member, 1);
        answer(&frame);
        assert!(idm.answer(id).answer().is_some());
    }
    site.nobody_has("each change ran once");
    // The member dials another router, and is used through that one.
    site.members[1] = site.process("c2", 2);
    site.await_way(0, "c2", Some(3));
    let (id, frame) = site.call_at(&mut idm, 1, &create());
    answer(&frame);
    assert!(idm.answer(id).answer().is_some());
}

#[test]
fn a_member_that_moves_takes_its_new_calls_along_and_leaves_no_call_behind() {
    let mut site = Site::start();
    let mut idm = site.idm(0);
    let (change, before) = site.call_at(&mut idm, 1, &create());
    // Another process of the member takes its place, at this router: what is at the first one goes on.
    let old =
        std::mem::replace(&mut site.members[1], FakeClient::new(site.cluster.router(0).listen, "c2", "next"));
    site.members[1].dial();
    site.await_way(0, "c2", None);
    site.await_way(2, "c2", Some(1));
    let (id, frame) = site.call_at(&mut idm, 1, &create());
    answer(&frame);
    assert!(idm.answer(id).answer().is_some());
    answer(&before);
    assert!(idm.answer(change).answer().is_some(), "the call at the old place has its answer");
    old.die();
    site.await_way(1, "c2", Some(1));
    // A member that dies directly behind the far router: what was sent is lost, and the way goes.
    let mut far = site.idm(2);
    let (change, _) = site.call_at(&mut far, 1, &create());
    let (read, _) = site.call_at(&mut far, 1, &validate_request());
    site.members[1].die();
    let (member, frame) = site.taken("the read");
    assert_ne!(member, 1);
    answer(&frame);
    assert!(far.answer(read).answer().is_some());
    let told = far.answer(change);
    assert!(told.error().is_some_and(|error| error.message.contains("Outcome unknown")), "{told:?}");
    wait_until("the member is down everywhere", PATIENCE, || {
        (0..3).all(|place| site.row(place, "c2")["state"] == "down")
    });
    site.nobody_has("nothing runs twice");
}

/// The far router ends in order, under calls: none fails.
#[test]
fn a_far_router_that_drains_costs_no_call() {
    let mut site = Site::start();
    let mut idm = site.idm(0);
    let (change, frame) = site.call_at(&mut idm, 1, &create());
    site.cluster.router(1).process.signal(rustix::process::Signal::TERM);
    wait_until("the member gets no new calls through the router", PATIENCE, || {
        site.row(0, "c2")["state"] != "serving"
    });
    for _ in 0..6 {
        let id = idm.call(&create());
        let (member, frame) = site.taken("a change");
        assert_ne!(member, 1);
        answer(&frame);
        assert!(idm.answer(id).answer().is_some());
    }
    answer(&frame);
    assert!(idm.answer(change).answer().is_some(), "the call that was under way has its answer");
}

/// A member that answers by itself, if it may, and writes down each change that it runs.
fn answering(
    mut member: FakeClient,
    may_answer: bool,
    stop: Arc<AtomicBool>,
    got: Arc<AtomicUsize>,
) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut ran = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let found = member.inbox.find(Duration::from_millis(10), |f| f.operation().is_some());
            let Some(frame) = found else { continue };
            got.fetch_add(1, Ordering::Relaxed);
            if let Some(create) = frame.operation().and_then(|asked| asked.create.as_ref()) {
                ran.push(create.object_class.clone());
            }
            if may_answer {
                answer(&frame);
            }
        }
        ran
    })
}

/// The same under load: calls are under way, queued and unsent when the router dies.
#[test]
fn under_load_a_killed_router_costs_no_read_and_no_change_runs_twice() {
    let mut site = Site::start();
    let mut idm = site.idm(0);
    let stop = Arc::new(AtomicBool::new(false));
    let held = Arc::new(AtomicUsize::new(0));
    let mut members = Vec::new();
    for (number, member) in site.members.drain(..).enumerate() {
        // The member behind the router that dies runs its calls, and answers none.
        let count = if number == 1 { Arc::clone(&held) } else { Arc::default() };
        members.push(answering(member, number != 1, Arc::clone(&stop), count));
    }
    let mut calls = Vec::new();
    for call in 0..LOAD {
        if call == LOAD / 2 {
            wait_until("the member has calls", PATIENCE, || held.load(Ordering::Relaxed) >= LOAD / 8);
            site.cluster.kill(1);
        }
        let change = format!("change {call}");
        let asked = match call % 2 {
            0 => validate_request(),
            _ => OperationRequest {
                create: Some(CreateOpRequest { object_class: change.clone(), ..Default::default() }),
                ..request()
            },
        };
        calls.push((idm.call(&asked), (call % 2 == 1).then_some(change)));
    }
    let mut unknown = 0;
    let mut answered = Vec::new();
    for (id, change) in calls {
        let told = idm.answer(id);
        match (told.error(), change) {
            (None, Some(change)) => answered.push(change),
            (None, None) => {}
            (Some(error), Some(_)) => {
                assert!(error.message.contains("Outcome unknown"), "{told:?}");
                unknown += 1;
            }
            (Some(_), None) => panic!("a read failed: {told:?}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut ran: Vec<String> = members.into_iter().flat_map(|member| member.join().unwrap()).collect();
    ran.sort();
    let all = ran.len();
    ran.dedup();
    println!("{all} changes ran, {} were answered, {unknown} are unknown", answered.len());
    assert_eq!(ran.len(), all, "no change ran twice");
    assert!(unknown > 0, "changes were under way when the router died");
    assert!(answered.iter().all(|change| ran.binary_search(change).is_ok()), "what was answered was run");
}
