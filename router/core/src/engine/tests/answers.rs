//! Last frames on their way to callers whose sockets die: none is lost, and none lies (P1, P13).

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;

const CONNECTOR_EXCEPTION: &str = "org.identityconnectors.framework.common.exceptions.ConnectorException";

/// Which of the caller's two sockets frames wait on, and the other one.
fn used(world: &World, caller: &[SocketId]) -> (SocketId, SocketId) {
    let is_used = |socket: &&SocketId| world.io.sent.get(socket).is_some_and(|sent| !sent.is_empty());
    let on = *caller.iter().find(is_used).unwrap();
    (on, *caller.iter().find(|socket| **socket != on).unwrap())
}

/// The end alone would leave a Java caller waiting for the items before it for ever (WIRE 5.3).
#[test]
fn the_end_of_a_stream_whose_items_may_have_died_is_followed_by_an_error_not_by_a_copy() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.feed(socket, search_end(id, 1, ""));
    let (on, other) = used(&world, &caller);
    world.apply(Event::Closed { socket: on, unsent: Vec::new() });
    let got = world.taken(other);
    assert_eq!((got.len(), got[0].message_id), (1, 1));
    assert!(error_of(&got[0]).message.contains("incomplete"), "{got:?}");
}

#[test]
fn however_many_answers_may_have_died_with_a_socket_each_call_hears_of_it() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    let calls = 2_000;
    for call in 1..=calls {
        world.call(caller[0], call, create());
    }
    for (socket, request) in world.at_member(0) {
        world.feed(socket, answer(request.message_id));
    }
    let on_second = world.taken(caller[1]).into_iter().map(|envelope| envelope.message_id);
    let mut told: BTreeSet<i64> = on_second.collect();
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    for envelope in world.taken(caller[1]) {
        told.insert(envelope.message_id);
        if let Kind::Error(error) = envelope.kind {
            assert!(error.message.starts_with("Outcome unknown"), "{}", error.message);
        }
    }
    assert_eq!(told.len() as i64, calls);
}

#[test]
fn a_caller_that_comes_back_hears_of_every_call_that_it_had_open() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    let calls = 1_000;
    for call in 1..=calls {
        world.call(caller[0], call, create());
    }
    let requests = world.at_member(0);
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    let large = Bytes::from(vec![0; 1 << 18]);
    for (socket, request) in requests {
        let get = Some(CreateOpResponse { uid: None });
        let mut frame =
            frames::answer(request.message_id, &OperationResponse { create: get, ..Default::default() });
        // An unknown field of 256 KiB: together they are far more than is kept.
        let mut longer = frame.to_vec();
        longer.extend_from_slice(&[0x7a, 0x80, 0x80, 0x10]);
        longer.extend_from_slice(&large);
        frame = longer.into();
        world.feed(socket, frame);
    }
    let back = world.join_caller("idm", 1);
    let told: BTreeSet<i64> = world.taken(back[0]).into_iter().skip(1).map(|e| e.message_id).collect();
    assert_eq!(told.len() as i64, calls);
}

#[test]
fn configuration_changes_push_no_answer_out() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    let change = OperationRequest {
        connector_facade_key: Bytes::from_static(b"facade"),
        configuration_change: Some(ConfigurationChangeEvent::default()),
        ..Default::default()
    };
    for _ in 0..10_000 {
        world.feed(socket, frames::operation(0, &change));
    }
    world.feed(socket, answer(id));
    let back = world.join_caller("idm", 1);
    assert_eq!(world.taken(back[0]).last().unwrap().message_id, 1);
}

/// An answer that was kept, or sent again, is as good as any other: it may be refused, and its socket may die.
#[test]
fn an_answer_that_was_kept_survives_the_next_loss_too() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 7, create());
    let (_, socket, id) = world.only_request();
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.feed(socket, answer(id));
    for _ in 0..3 {
        let back = world.join_caller("idm", 1);
        assert_eq!(world.taken(back[0]).last().unwrap().message_id, 7);
        let text = "Connection received response before handshake";
        world.feed(back[0], frames::error(7, CONNECTOR_EXCEPTION, text));
        assert_eq!(world.taken(back[0]).last().unwrap().message_id, 7, "refused, so sent again");
        world.apply(Event::Closed { socket: back[0], unsent: Vec::new() });
    }
}

/// P2: what a batch did before its caller's socket died is not known to the caller.
#[test]
fn a_batch_that_lost_results_on_its_way_to_the_caller_is_told_as_unknown() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, batch());
    let (_, socket, id) = world.only_request();
    world.feed(socket, batch_result(id, "0"));
    let (on, other) = used(&world, &caller);
    world.apply(Event::Closed { socket: on, unsent: Vec::new() });
    let got = world.taken(other);
    assert!(error_of(&got[0]).message.starts_with("Outcome unknown"), "{got:?}");
}

/// A refused item is missing for good, and nothing but an error ends its stream.
#[test]
fn a_stream_of_which_an_item_was_refused_is_an_error() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    let text = "Connection received response before handshake";
    world.feed(caller[0], frames::error(1, CONNECTOR_EXCEPTION, text));
    let got = world.at_caller(&caller);
    assert!(error_of(&got[1]).message.contains("incomplete"), "{got:?}");
    assert!(world.engine.is_idle());
}

#[test]
fn a_caller_that_left_twice_is_remembered_from_the_second_time() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.pass(limits::CALLER_KEPT - Duration::from_secs(5));
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.pass(Duration::from_secs(10));
    world.feed(socket, answer(id));
    let back = world.join_caller("idm", 1);
    assert_eq!(world.taken(back[0]).last().unwrap().message_id, 1);
}
