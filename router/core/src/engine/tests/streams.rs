//! Searches: order, ends, cancels, slow callers (P13; WIRE 5.3, 5.4).

use rcs_proto::envelope::{Kind, Part};

use super::world::*;
use crate::balance::Policy;
use crate::limits;

fn parts(envelopes: &[rcs_proto::envelope::Envelope]) -> Vec<Part> {
    envelopes
        .iter()
        .map(|envelope| match &envelope.kind {
            Kind::Answer(head) => head.part,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn an_end_that_overtakes_its_items_reaches_the_caller_last_and_copies_do_not() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, search());
    let (_, _, id) = world.only_request();
    let sockets = world.members[0].clone();
    world.feed(sockets[0], search_item(id, 1));
    world.feed(sockets[0], search_end(id, 3, ""));
    world.feed(sockets[1], search_item(id, 3));
    world.feed(sockets[0], search_item(id, 3));
    assert!(!world.engine.is_idle());
    world.feed(sockets[1], search_item(id, 2));
    let got: Vec<_> = caller.iter().map(|socket| parts(&world.taken(*socket))).collect();
    let item = |sequence| Part::Item { sequence };
    let whole = vec![item(1), item(3), item(2), Part::End { count: 3, has_result: true }];
    assert!(got.contains(&whole), "all on one socket, the end last: {got:?}");
    assert!(world.engine.is_idle());
}

#[test]
fn a_stream_that_loses_its_member_after_an_item_is_an_error_never_a_replay() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.kill(0);
    let got = world.at_caller(&caller);
    assert_eq!(got.len(), 2);
    assert!(error_of(&got[1]).message.contains("incomplete"), "{got:?}");
    assert!(world.at_member(1).is_empty());
}

#[test]
fn a_stream_that_delivered_nothing_goes_to_another_member() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    world.only_request();
    world.kill(0);
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 1);
    world.feed(socket, search_end(id, 0, ""));
    assert_eq!(parts(&world.at_caller(&caller)), [Part::End { count: 0, has_result: true }]);
}

#[test]
fn a_cancel_follows_its_search_on_the_same_socket_and_late_frames_are_dropped() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(caller[1], rcs_proto::frames::cancel(1));
    let at_member = world.at_member(0);
    assert_eq!((at_member.len(), at_member[0].0, at_member[0].1.message_id), (1, socket, id));
    assert!(matches!(at_member[0].1.kind, Kind::Cancel));
    world.feed(socket, search_item(id, 1));
    world.feed(socket, search_end(id, 1, ""));
    assert!(world.at_caller(&caller).is_empty(), "no answer to a cancel");
    assert!(world.engine.is_idle());
}

#[test]
fn a_cancelled_unary_call_is_still_answered() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.feed(caller[0], rcs_proto::frames::cancel(1));
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
}

#[test]
fn a_caller_that_does_not_read_loses_its_stream_with_a_reason_and_nobody_else_does() {
    let mut world = World::with_members(1, Policy::Failover);
    let slow = world.caller("slow", 1);
    let other = world.caller("other", 1);
    world.call(slow[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.io.backlog.insert(slow[0], limits::CALL_BACKLOG_MAX.memory);
    world.feed(socket, search_item(id, 2));
    let got = world.at_caller(&slow);
    assert_eq!(got.len(), 2);
    assert!(error_of(&got[1]).message.contains("not taken fast enough"), "{got:?}");
    assert!(matches!(world.at_member(0)[0].1.kind, Kind::Cancel));
    world.call(other[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&other).len(), 1);
}

#[test]
fn an_answer_that_makes_no_sense_is_an_error() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 0));
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.contains("incomplete"), "{got:?}");
}
