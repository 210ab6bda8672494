//! OPENICF-1706 (starts had to be staggered), -1685 and -1700 ("socket closing soon"), in small; thousands are the drills' work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rcs_proto::frames;
use rcs_proto::messages::{OperationRequest, TestOpRequest};
use rcs_rig::scripted::{FakeIdm, FakeMember, Manners, Socket, request, validate_request};

use crate::answers::{create_request, created, validated};
use crate::fleet::{Fleet, name, path};

const MEMBERS: usize = 8;
const CALLERS: usize = 200;
/// Threads that dial for them.
const DIALLERS: usize = 8;
/// All are back within this (the drill `storm` has 30 s for thousands).
const BACK_WITHIN: Duration = Duration::from_secs(10);
const SEED: u64 = 1706;

/// All members but one, and 200 callers, come back at once. Nobody is refused, and the calls of a caller that was there before
/// go on meanwhile.
#[test]
fn openicf_1706_members_and_callers_reconnect_at_once() {
    let mut fleet = Fleet::start(MEMBERS, "roundrobin", 2);
    let listen = fleet.router.listen();
    let mut steady = fleet.idm(2);
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || {
            let (mut calls, mut worst) = (0, Duration::ZERO);
            while !is_over.load(Ordering::SeqCst) {
                let asked = Instant::now();
                let id = steady.call(&test_request());
                let answer = steady.answer(id);
                assert!(answer.answer().is_some(), "the steady caller's call {calls}: {answer:?}");
                worst = worst.max(asked.elapsed());
                calls += 1;
            }
            (calls, worst)
        })
    };

    let ports: Vec<u16> = fleet.members.iter().skip(1).map(FakeMember::port).collect();
    for member in fleet.members.iter_mut().skip(1) {
        member.die();
    }
    let began = Instant::now();
    let dialling: Vec<_> = (0..DIALLERS)
        .map(|_| {
            thread::spawn(move || {
                let mut idms: Vec<_> =
                    (0..CALLERS / DIALLERS).map(|_| FakeIdm::connect(listen, &path(), 1)).collect();
                for idm in &mut idms {
                    let id = idm.call(&test_request());
                    let answer = idm.answer(id);
                    assert!(answer.answer().is_some(), "a caller that came back: {answer:?}");
                }
                idms
            })
        })
        .collect();
    fleet.members.truncate(1);
    let back = ports.iter().enumerate();
    fleet.members.extend(back.map(|(at, port)| FakeMember::listen_on(&name(at + 1), *port, Manners::Polite)));
    let idms: Vec<FakeIdm> = dialling.into_iter().flat_map(|d| d.join().expect("all are served")).collect();
    fleet.await_up(MEMBERS);
    let took = began.elapsed();
    is_over.store(true, Ordering::SeqCst);
    let (calls, worst) = watching.join().expect("the steady caller is served");
    println!(
        "{} callers and {} members back in {took:?}; steady: {calls} calls, worst {worst:?}",
        idms.len(),
        ports.len()
    );
    assert!(took < BACK_WITHIN, "all were back after {took:?}");
    assert!(calls > 20, "only {calls} steady calls: this proves nothing");
}

/// A member lets its sockets go by turns, each with a Close frame, while calls come in all the time; what it had read by then
/// it answers on another. No call fails, changes included, and none runs twice.
#[test]
fn openicf_1685_1700_sockets_that_close_soon_lose_no_call() {
    const OPEN: usize = 16;
    const CLOSED: usize = 10;
    println!("seed {SEED}");
    let mut fleet = Fleet::start(1, "failover", 3);
    let mut idm = fleet.idm(2);
    let member = fleet.members.remove(0);
    let closed = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let (count, stop) = (Arc::clone(&closed), Arc::clone(&is_over));
    let rotating = thread::spawn(move || answer_and_rotate(member, &count, &stop));
    let (mut begun, mut done) = (0, 0);
    let mut rng = Rng::with_seed(SEED);
    while done < begun || closed.load(Ordering::SeqCst) < CLOSED {
        while begun - done < OPEN && closed.load(Ordering::SeqCst) < CLOSED {
            idm.call_on(rng.usize(..2), &if begun % 2 == 0 { validate_request() } else { create_request() });
            begun += 1;
        }
        let answer = idm.inbox.next("an answer", |f| f.answer().is_some() || f.error().is_some());
        assert!(answer.answer().is_some(), "call {} of {begun}: {answer:?}", answer.id());
        done += 1;
    }
    is_over.store(true, Ordering::SeqCst);
    let (ran, creates) = rotating.join().expect("the member answers to the end");
    println!(
        "{begun} calls, {ran} of them at the member, over {} closed sockets",
        closed.load(Ordering::SeqCst)
    );
    assert_eq!(creates, begun / 2, "creates that ran");
}

/// Answers each call on a socket of its choice; closes the one that it has had longest, every 50 ms, while it has two.
/// Returns the calls that ran, and the creates of them.
fn answer_and_rotate(mut member: FakeMember, closed: &AtomicUsize, is_over: &AtomicBool) -> (usize, usize) {
    let mut rng = Rng::with_seed(SEED + 1);
    // Sockets on which the router has spoken since the handshake: those are ready.
    let (mut ready, mut closing) = (BTreeSet::new(), BTreeSet::new());
    let (mut ran, mut creates) = (0, 0);
    let mut rotated = Instant::now();
    while !is_over.load(Ordering::SeqCst) {
        let heard = member.inbox.find(Duration::from_millis(5), |f| f.handshake().is_none());
        if let Some(frame) = &heard {
            ready.insert(frame.socket.number());
        }
        let sockets = member.sockets();
        let open: Vec<&Arc<Socket>> = sockets
            .iter()
            .filter(|s| ready.contains(&s.number()) && !closing.contains(&s.number()) && !s.is_closed())
            .collect();
        if let Some(call) = heard.filter(|f| f.operation().is_some()) {
            let is_create = call.operation().is_some_and(|o| o.create.is_some());
            let answer = if is_create { created("u1") } else { validated() };
            open[rng.usize(..open.len())].send(&frames::answer(call.id(), &answer));
            ran += 1;
            creates += usize::from(is_create);
        }
        if open.len() >= 2 && rotated.elapsed() > Duration::from_millis(50) {
            open[0].send_close();
            closing.insert(open[0].number());
            closed.fetch_add(1, Ordering::SeqCst);
            rotated = Instant::now();
        }
    }
    (ran, creates)
}

/// Scripted members answer it by themselves.
fn test_request() -> OperationRequest {
    OperationRequest { test: Some(TestOpRequest {}), ..request() }
}
