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
    world.feed(sockets[0], search_item(id, 1));
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
    assert!(error_of(&got[1]).message.contains("too slowly"), "{got:?}");
    assert!(matches!(world.at_member(0)[0].1.kind, Kind::Cancel));
    world.call(other[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&other).len(), 1);
}

#[test]
fn each_bound_of_what_waits_fails_the_stream_and_leaves_answers_of_one_frame_alone_p13() {
    let bounds = [
        ("call", limits::CALL_BACKLOG_MAX.disk, 0),
        ("session", limits::CALL_BACKLOG_MAX.disk / 2, limits::SESSION_BACKLOG_MAX.disk),
        ("process", limits::CALL_BACKLOG_MAX.disk / 2, limits::PROCESS_BACKLOG_MAX.disk),
    ];
    for (whose, of_socket, elsewhere) in bounds {
        let mut world = World::with_members(1, Policy::Failover);
        let slow = world.caller("slow", 2);
        let other = world.caller("other", 1);
        world.call(slow[0], 1, search());
        let (_, socket, stream) = world.only_request();
        world.call(slow[0], 2, get());
        let (_, _, unary) = world.only_request();
        world.feed(socket, search_item(stream, 1));
        let taken =
            slow.iter().copied().find(|socket| world.io.sent.get(socket).is_some_and(|f| !f.is_empty()));
        let taken = taken.expect("the row went to one of them");
        let free = slow.iter().copied().find(|socket| *socket != taken).unwrap();
        world.at_caller(&slow);
        world.io.spilled.insert(taken, of_socket);
        world.io.spilled.insert(if whose == "session" { free } else { other[0] }, elsewhere);
        world.feed(socket, search_item(stream, 2));
        let got = world.at_caller(&slow);
        assert!(error_of(&got[0]).message.contains("too slowly"), "{whose}: {got:?}");
        world.feed(socket, answer(unary));
        assert!(matches!(world.at_caller(&slow)[0].kind, Kind::Answer(_)), "{whose}");
    }
}

#[test]
fn an_answer_takes_the_socket_that_is_read() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.io.spilled.insert(caller[0], 100 << 20);
    for id in 1..=4 {
        world.call(caller[0], id, get());
        let (_, socket, at_member) = world.only_request();
        world.feed(socket, answer(at_member));
        assert_eq!(world.at_caller(&caller[1..]).len(), 1, "call {id}");
    }
    assert!(world.at_caller(&caller[..1]).is_empty());
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

/// An end that counts one item more than ever comes, with a cookie of this many bytes.
fn early_end(id: i64, bytes: usize) -> bytes::Bytes {
    search_end(id, 2, &"c".repeat(bytes))
}

#[test]
fn a_member_cannot_have_the_router_keep_the_ends_of_streams_whose_items_never_come_p10() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    // One call may keep an end of usual size, and none of 5 MiB.
    for (call, bytes, is_kept) in [(1, 1_000, true), (2, limits::OUT_OF_ORDER_CALL_BYTES_MAX, false)] {
        world.call(caller[0], call, search());
        let (_, socket, id) = world.only_request();
        world.feed(socket, search_item(id, 1));
        world.feed(socket, early_end(id, bytes));
        world.at_member(0);
        let got = world.at_caller(&caller);
        assert_eq!(got.len(), if is_kept { 1 } else { 2 }, "call {call}");
        if let Some(error) = got.get(1) {
            let message = &error_of(error).message;
            assert!(message.contains("may come out of order") && message.contains("4 MiB"), "{message}");
        }
    }
    // All calls together keep no more than the process may, whatever each of them may keep.
    let bytes = limits::OUT_OF_ORDER_CALL_BYTES_MAX / 2;
    let fit = (limits::OUT_OF_ORDER_BYTES_MAX / bytes) as i64;
    for call in 10..10 + 2 * fit {
        world.call(caller[0], call, search());
        let (_, socket, id) = world.only_request();
        world.feed(socket, early_end(id, bytes));
        world.at_member(0);
    }
    let failed = world.at_caller(&caller).len() as i64;
    assert!((fit..=fit + 2).contains(&failed), "{failed} calls failed, of {}", 2 * fit);
    // A call of another member's still keeps an end of usual size.
    world.call(caller[0], 2, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.feed(socket, early_end(id, 1_000));
    world.feed(socket, search_item(id, 2));
    assert_eq!(parts(&world.at_caller(&caller)).len(), 3);
}

#[test]
fn items_far_ahead_of_a_missing_one_are_bounded_for_all_calls_together_p10() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    let ahead = |world: &mut World, call: i64, items: i64| {
        world.call(caller[0], call, search());
        let (_, socket, id) = world.only_request();
        for sequence in 2..2 + items {
            world.feed(socket, search_item(id, sequence));
        }
        world.at_member(0);
        let got = world.at_caller(&caller);
        matches!(got.last().map(|last| &last.kind), Some(Kind::Error(_)))
    };
    assert!(!ahead(&mut world, 1, 1_000));
    // An end of almost all that the process may keep.
    let bytes = limits::OUT_OF_ORDER_CALL_BYTES_MAX - (1 << 10);
    for call in 100..100 + (limits::OUT_OF_ORDER_BYTES_MAX / bytes) as i64 {
        world.call(caller[0], call, search());
        let (_, socket, id) = world.only_request();
        world.feed(socket, early_end(id, bytes - (1 << 10)));
    }
    let few = (limits::OUT_OF_ORDER_TIGHT_BYTES / limits::OUT_OF_ORDER_ITEM_BYTES) as i64;
    assert!(!ahead(&mut world, 2, few), "each call may keep a little");
    assert!(ahead(&mut world, 3, 2_000));
}
