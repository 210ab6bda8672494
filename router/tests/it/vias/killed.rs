//! The far router is killed with SIGKILL at points spread over the life of a way and of a call. At each of them no change runs twice, no read
//! fails, and every call ends. A relay stops the bytes between the routers, and scripted members those between router and member, so that each
//! point is met exactly.
//!
//! While the way is made: (1) nothing of the dial has reached the far router; (2) TLS is half done; (3) TLS is done, and the answer to the
//! upgrade is under way; (4) the upgrade is done, and the handshake is under way. While a call is made: (5) the request is sent, and nothing of
//! it has reached the far router; (6) half of the request has; (7) all of it has, unread; (8) the far router sent it on, unread; (9) the member
//! runs it; (10) half of the answer has reached the far router; (11) nothing of the answer has reached the near router; (12) half of it has.
//! In a stream: (13) before the first row; (14) between rows; (15) behind the last row; (16) while the end is under way; (17) while a cancel is
//! under way. What was never sent, or never left the near router, is in the engine's tests (router/core/src/engine/tests/vias.rs).

use std::collections::BTreeMap;
use std::time::Duration;

use rcs_proto::frames;
use rcs_proto::messages::{
    CreateOpRequest, CreateOpResponse, GetOpRequest, GetOpResponse, OperationRequest, OperationResponse,
    SearchOpResponse, SearchResult, Uid,
};
use rcs_rig::scripted::{FakeIdm, Frame, request};
use rcs_rig::wait::wait_until;

use super::relay::{Gate, LARGE, Relay, To};
use super::{Site, row, search};
use crate::support::PATIENCE;

/// The place of the router that is killed, and of its member.
const FAR: usize = 1;
/// Routers that use the member of the far router.
const NEAR: usize = 2;
/// Calls of each kind around a kill that meets none of them.
const AROUND: usize = 4;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Change,
    Read,
}

/// Three routers with a member each, a relay before the far one, and an IDM at the first.
struct Stage {
    site: Site,
    relay: Relay,
    idm: FakeIdm,
    /// Calls that the member of the far router has, in order.
    at_far: Vec<Frame>,
    /// How often each change has reached a member.
    ran: BTreeMap<String, usize>,
    changes: usize,
}

impl Stage {
    fn start() -> Self {
        let mut relay = None;
        let site = Site::behind(|addresses| {
            let before_far = Relay::start(addresses[FAR]);
            let mut reached = addresses.to_vec();
            reached[FAR] = before_far.address();
            relay = Some(before_far);
            reached
        });
        let idm = site.idm(0);
        let relay = relay.expect("the relay was started");
        Self { site, relay, idm, at_far: Vec::new(), ran: BTreeMap::new(), changes: 0 }
    }

    /// Takes in what has reached members. The members of routers that live answer it.
    fn look(&mut self) {
        for (number, member) in self.site.members.iter_mut().enumerate() {
            while let Some(frame) = member.inbox.find(Duration::ZERO, |f| f.operation().is_some()) {
                if let Some(create) = frame.operation().and_then(|asked| asked.create.as_ref()) {
                    *self.ran.entry(name(&create.object_class).to_owned()).or_default() += 1;
                }
                match number {
                    FAR => self.at_far.push(frame),
                    _ => answer(&frame, 0),
                }
            }
        }
    }

    /// Makes a call; gives its id, and its name if it is a change.
    fn call(&mut self, kind: Kind) -> (i64, Option<String>) {
        let long = "x".repeat(2 * LARGE);
        match kind {
            Kind::Read => {
                let get = GetOpRequest { object_class: long, ..Default::default() };
                (self.idm.call(&OperationRequest { get: Some(get), ..request() }), None)
            }
            Kind::Change => {
                self.changes += 1;
                let name = format!("change {}", self.changes);
                let create = CreateOpRequest { object_class: format!("{name}/{long}"), ..Default::default() };
                (self.idm.call(&OperationRequest { create: Some(create), ..request() }), Some(name))
            }
        }
    }

    /// Makes calls, which are answered, until one is at the point that `is_met` describes.
    #[track_caller]
    fn call_until(&mut self, kind: Kind, is_met: impl Fn(&Self) -> bool) -> (i64, Option<String>) {
        for _ in 0..4 {
            let (id, change) = self.call(kind);
            let mut answered = None;
            wait_until("the call is at its point, or answered", PATIENCE, || {
                self.look();
                answered = answered.take().or_else(|| self.idm.inbox.find(Duration::ZERO, |f| f.answers(id)));
                answered.is_some() || is_met(self)
            });
            let Some(answered) = answered else { return (id, change) };
            self.judge(&answered, change.as_deref());
        }
        panic!("the member of the far router got no turn");
    }

    /// Waits for the end of a call, and judges it.
    #[track_caller]
    fn end(&mut self, (id, change): (i64, Option<String>)) -> Frame {
        let mut told = None;
        wait_until("the call ends", PATIENCE, || {
            self.look();
            told = self.idm.inbox.find(Duration::ZERO, |f| f.answers(id));
            told.is_some()
        });
        let told = told.expect("it was waited for");
        self.judge(&told, change.as_deref());
        told
    }

    #[track_caller]
    fn judge(&self, told: &Frame, change: Option<&str>) {
        let Some(change) = change else {
            assert!(told.answer().is_some(), "a read failed: {told:?}");
            return;
        };
        let times = self.ran.get(change).copied().unwrap_or(0);
        match told.error() {
            None => assert_eq!(times, 1, "{change} was answered"),
            Some(error) => {
                assert!(error.message.contains("Outcome unknown"), "{told:?}");
                assert!(times <= 1, "{change} ran {times} times");
            }
        }
    }

    /// Kills the far router, and everything that is under way from and to it.
    fn kill(&mut self) {
        self.site.cluster.kill(FAR);
        self.relay.cut(Gate::Open, Gate::Open);
        self.site.members[FAR].die();
    }

    /// The far router is started again, and its member dials it. No change may have reached members twice.
    fn restore(&mut self) {
        self.look();
        let twice: Vec<_> = self.ran.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        self.at_far.clear();
        let peers = self.site.cluster.peers();
        self.site.cluster.start(FAR, &["--peers", &peers]);
        self.site.cluster.router(FAR).await_alive();
        self.site.members[FAR] = self.site.process("c2", FAR);
        for place in 0..=NEAR {
            self.site.await_way(place, "c2", (place != FAR).then_some(FAR + 1));
        }
    }

    /// Calls of both kinds are all served, whether or not the far router lives.
    #[track_caller]
    fn calls_are_served(&mut self) {
        for _ in 0..AROUND {
            for kind in [Kind::Read, Kind::Change] {
                let call = self.call(kind);
                assert!(self.end(call).answer().is_some(), "no member was lost with it");
            }
        }
    }
}

/// The name of a change, which stands before its padding.
fn name(object_class: &str) -> &str {
    object_class.split('/').next().unwrap_or(object_class)
}

/// Answers a call, with so many bytes at least.
fn answer(call: &Frame, bytes: usize) {
    call.socket.send(&answered(call, bytes));
}

fn answered(call: &Frame, bytes: usize) -> bytes::Bytes {
    let asked = call.operation().expect("an operation");
    let long = "x".repeat(bytes);
    let uid = Some(Uid { value: long.clone(), ..Default::default() });
    let done = OperationResponse {
        create: asked.create.as_ref().map(|_| CreateOpResponse { uid }),
        get: asked.get.as_ref().map(|_| GetOpResponse { connector_object: long.into_bytes().into() }),
        ..Default::default()
    };
    match &asked.search {
        Some(_) => row(call.id(), 0, true),
        None => frames::answer(call.id(), &done),
    }
}

#[test]
fn killed_while_the_way_is_made() {
    let mut stage = Stage::start();
    for (point, to_far, to_near) in [
        ("nothing of the dial has reached the far router", Gate::Shut, Gate::Open),
        ("TLS is half done", Gate::Open, Gate::Shut),
        ("the answer to the upgrade is under way", Gate::Open, Gate::ShutOnceProved),
        ("the handshake is under way", Gate::Open, Gate::ShutOnceProved),
    ] {
        println!("killed while {point}");
        let held = stage.relay.held();
        stage.relay.cut(to_far, to_near);
        wait_until("both routers dial again", PATIENCE, || stage.relay.held() >= held + NEAR);
        if point.contains("handshake") {
            stage.relay.set(To::Far, Gate::Shut);
            stage.relay.set(To::Near, Gate::Open);
            wait_until("both are at the handshake", PATIENCE, || stage.relay.held() >= held + 2 * NEAR);
        }
        stage.calls_are_served();
        stage.kill();
        stage.calls_are_served();
        assert!(stage.at_far.is_empty(), "{:?}", stage.at_far);
        stage.restore();
    }
}

#[test]
fn killed_while_a_request_is_under_way() {
    let mut stage = Stage::start();
    for kind in [Kind::Change, Kind::Read] {
        for gate in [Gate::BeforeLarge, Gate::InLarge] {
            println!("{kind:?}, killed while the request is at {gate:?}");
            let held = stage.relay.held();
            stage.relay.set(To::Far, gate);
            let call = stage.call_until(kind, |stage| stage.relay.held() > held);
            stage.kill();
            stage.end(call);
            assert!(stage.at_far.is_empty(), "{:?}", stage.at_far);
            stage.restore();
        }
        println!("{kind:?}, killed while the request waits unread at the far router");
        let large = stage.relay.large();
        stage.site.cluster.router(FAR).process.freeze();
        let call = stage.call_until(kind, |stage| stage.relay.large() > large);
        stage.kill();
        stage.end(call);
        assert!(stage.at_far.is_empty(), "{:?}", stage.at_far);
        stage.restore();

        println!("{kind:?}, killed while the request waits unread at the member");
        stage.site.members[FAR].socket(0).stall();
        let call = stage.call_until(kind, |stage| stage.site.row(FAR, "c2")["in_flight"] == 1);
        stage.kill();
        stage.end(call);
        stage.restore();
    }
}

#[test]
fn killed_while_an_answer_is_under_way() {
    let mut stage = Stage::start();
    for kind in [Kind::Change, Kind::Read] {
        println!("{kind:?}, killed while the member runs the call");
        let call = stage.call_until(kind, |stage| !stage.at_far.is_empty());
        stage.kill();
        stage.end(call);
        stage.restore();

        println!("{kind:?}, killed behind half of the answer");
        let call = stage.call_until(kind, |stage| !stage.at_far.is_empty());
        let frame = &stage.at_far[0];
        frame.socket.send_part(&answered(frame, 2 * LARGE), LARGE);
        stage.kill();
        stage.end(call);
        stage.restore();

        for gate in [Gate::BeforeLarge, Gate::InLarge] {
            println!("{kind:?}, killed while the answer is at {gate:?}");
            let call = stage.call_until(kind, |stage| !stage.at_far.is_empty());
            let held = stage.relay.held();
            stage.relay.set(To::Near, gate);
            answer(&stage.at_far[0], 2 * LARGE);
            wait_until("the answer is under way", PATIENCE, || stage.relay.held() > held);
            stage.kill();
            stage.end(call);
            stage.restore();
        }
    }
}

/// How far a stream came before the far router is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Come {
    Nothing,
    Rows,
    AllRows,
    EndUnderWay,
    Cancelled,
}

#[test]
fn killed_in_a_stream() {
    const ROWS: i64 = 3;
    let mut stage = Stage::start();
    for come in [Come::Nothing, Come::Rows, Come::AllRows, Come::EndUnderWay, Come::Cancelled] {
        println!("killed in a stream of which had come: {come:?}");
        let id = search_at_far(&mut stage);
        let frame = stage.at_far[0].clone();
        let rows = if come == Come::Nothing { 0 } else { ROWS };
        for sequence in 1..=rows {
            frame.socket.send(&row(frame.id(), sequence, false));
            let part = stage.idm.answer(id);
            assert!(part.answer().is_some(), "{part:?}");
        }
        match come {
            Come::EndUnderWay => {
                let held = stage.relay.held();
                stage.relay.set(To::Near, Gate::BeforeLarge);
                frame.socket.send(&large_end(frame.id(), ROWS));
                wait_until("the end is under way", PATIENCE, || stage.relay.held() > held);
            }
            Come::Cancelled => {
                stage.site.cluster.router(FAR).process.freeze();
                stage.idm.socket(0).send(&frames::cancel(id));
                wait_until("the near router has sent the cancel", PATIENCE, || {
                    stage.site.row(0, "c2")["in_flight"] == 0
                });
            }
            Come::Nothing | Come::Rows | Come::AllRows => {}
        }
        stage.kill();
        match come {
            Come::Cancelled => {
                stage.calls_are_served();
                stage.idm.inbox.expect_none("a cancelled call has no end", Duration::ZERO, |f| {
                    f.answers(id) && f.answer().is_some()
                });
            }
            // Nothing had been delivered: the search is made again, by another member, to its end.
            Come::Nothing => {
                let told = stage.end((id, None));
                let part = told.answer().and_then(|answer| answer.search.as_ref());
                assert!(part.is_some_and(|part| part.result.is_some()), "{told:?}");
            }
            _ => {
                let told = stage.idm.answer(id);
                assert!(told.error().is_some(), "a cut stream must not look whole: {told:?}");
                stage.look();
                assert_eq!(stage.at_far.len(), 1, "no stream is begun again behind rows");
            }
        }
        stage.calls_are_served();
        stage.restore();
    }
}

/// Makes searches, which end at once at the other members, until one is at the member of the far router.
#[track_caller]
fn search_at_far(stage: &mut Stage) -> i64 {
    for _ in 0..4 {
        let id = stage.idm.call(&search());
        let mut ended = false;
        wait_until("the search is at a member", PATIENCE, || {
            stage.look();
            ended |= stage.idm.inbox.find(Duration::ZERO, |f| f.answers(id)).is_some();
            ended || !stage.at_far.is_empty()
        });
        if !ended {
            return id;
        }
    }
    panic!("the member of the far router got no turn");
}

/// The end of a search with a cookie that makes its record large.
fn large_end(id: i64, sequence: i64) -> bytes::Bytes {
    let result = SearchResult { paged_results_cookie: "x".repeat(2 * LARGE), ..Default::default() };
    let part = SearchOpResponse { sequence, result: Some(result), connector_object: None };
    frames::answer(id, &OperationResponse { search: Some(part), ..Default::default() })
}
