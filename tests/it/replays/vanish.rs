//! Peers that vanish or stand still without a word: half-open TCP, a paused process (etcd #20418 and others).

use std::time::{Duration, Instant};

use rcs_proto::frames;
use rcs_rig::scripted::{FakeIdm, Frame, validate_request};
use rcs_rig::wait::{hold, wait_for, wait_until};

use crate::answers::{create_request, row, search_request, validated};
use crate::fleet::Fleet;
use crate::site::GROUP;

/// A black-holed member is out of use, and its calls are answered, within this (P6).
const FOUND_WITHIN: Duration = Duration::from_secs(10);

/// No segment of ours is acknowledged any more, and none comes. With nothing to do, with a read, a change, and a stream under
/// way: each ends as its kind asks, in time.
#[test]
fn half_open_a_member_that_vanishes_without_a_fin() {
    let mut fleet = Fleet::start(3, "failover", 2);
    let mut idm = fleet.idm(2);
    let read = call(&mut fleet, &mut idm, &validate_request());
    let change = call(&mut fleet, &mut idm, &create_request());
    let stream = call(&mut fleet, &mut idm, &search_request());
    stream.1.socket.send(&frames::answer(stream.1.id(), &row(1)));
    assert!(idm.answer(stream.0).answer().is_some());

    fleet.members[0].vanish();
    let vanished = Instant::now();
    let moved =
        fleet.members[1].inbox.next_within("the read, moved", FOUND_WITHIN, |f| f.operation().is_some());
    moved.socket.send(&frames::answer(moved.id(), &validated()));
    assert!(idm.answer(read.0).answer().is_some());
    let unknown = idm.answer(change.0);
    assert!(unknown.error().is_some_and(|e| e.message.contains("Outcome unknown")), "{unknown:?}");
    assert!(idm.answer(stream.0).error().is_some(), "a short success");
    assert!(!fleet.router.is_up(GROUP, "n1"));
    let found = vanished.elapsed();
    assert!(found < FOUND_WITHIN, "found after {found:?}");
    fleet.members[1].inbox.expect_none("sent again", Duration::ZERO, |f| f.operation().is_some());
    println!("a vanished member with calls was found after {found:?}");
}

#[test]
fn half_open_an_idle_member_that_vanishes_without_a_fin() {
    let fleet = Fleet::start(2, "failover", 2);
    fleet.members[0].vanish();
    let found = wait_until("it is out of use", FOUND_WITHIN, || !fleet.router.is_up(GROUP, "n1"));
    assert!(fleet.router.is_up(GROUP, "n2"));
    println!("a vanished member without calls was found after {found:?}");
}

/// One of two sockets vanishes: the member is not lost, and a change that it carried is answered on the other.
#[test]
fn half_open_one_socket_of_two() {
    let mut fleet = Fleet::start(2, "failover", 2);
    let mut idm = fleet.idm(1);
    let (id, change) = call(&mut fleet, &mut idm, &create_request());
    let sockets = fleet.members[0].await_sockets(2);
    change.socket.black_hole();
    let other = sockets.iter().find(|s| s.number() != change.socket.number()).expect("there are two");
    other.send(&frames::answer(change.id(), &crate::answers::created("u1")));
    assert!(idm.answer(id).answer().is_some());
    let replaced = wait_for("a third socket", FOUND_WITHIN, || {
        let sockets = fleet.members[0].sockets();
        (sockets.len() > 2).then_some(sockets.len())
    });
    assert_eq!(replaced, 3);
    assert!(fleet.router.is_up(GROUP, "n1"));
}

/// The router itself stands still for longer than any probe may take, as after a live migration: when it goes on, late answers
/// lie in its buffers. No member is thrown out for them, no call fails.
#[test]
fn a_paused_router_blames_nobody_for_its_own_absence() {
    let mut fleet = Fleet::start(3, "failover", 2);
    let mut idm = fleet.idm(2);
    let (id, waiting) = call(&mut fleet, &mut idm, &create_request());
    fleet.router.process().freeze();
    let late = idm.call(&validate_request());
    hold("the router stands still", Duration::from_secs(12), || true);
    waiting.socket.send(&frames::answer(waiting.id(), &crate::answers::created("u1")));
    fleet.router.process().thaw();
    assert!(idm.answer(id).answer().is_some());
    let call = fleet.members[0].inbox.operation("the call that came meanwhile");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(late).answer().is_some());
    hold("all members stay up", Duration::from_secs(2), || fleet.up() == 3);
    let log = fleet.router.process();
    assert!(!log.said_on_stderr("member is down") && !log.said_on_stderr("gets no calls"), "{log}");
}

fn call(
    fleet: &mut Fleet,
    idm: &mut FakeIdm,
    request: &rcs_proto::messages::OperationRequest,
) -> (i64, Frame) {
    let id = idm.call(request);
    (id, fleet.members[0].inbox.operation("the call"))
}
