//! Ends without the `result` or the token that a connector sends (P13, WIRE 5.3).

use bytes::Bytes;
use rcs_proto::envelope::{Kind, Part};
use rcs_proto::frames;
use rcs_proto::icf::{OperationOptions, Value};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::limits;
use crate::settings::{GroupSettings, Settings, StreamEnd};

/// The end of a search that a member cut short: it looks like any other, but has no result.
fn cut_end(id: i64, count: i64) -> Bytes {
    let end = SearchOpResponse { sequence: count, ..Default::default() };
    frames::answer(id, &OperationResponse { search: Some(end), ..Default::default() })
}

fn search_for(class: &str) -> OperationRequest {
    let search = SearchOpRequest { object_class: class.into(), ..Default::default() };
    OperationRequest { search: Some(search), ..Default::default() }
}

fn first_page() -> OperationRequest {
    let entries = vec![("PAGE_SIZE".to_owned(), Value::Integer(50))];
    let options = OperationOptions { case_insensitive: false, entries }.encode();
    OperationRequest { search: Some(SearchOpRequest { options, ..Default::default() }), ..Default::default() }
}

/// Lets a search end; answers whether its caller was told an error.
fn fails(
    world: &mut World,
    caller: &[SocketId],
    request: OperationRequest,
    end: fn(i64, i64) -> Bytes,
) -> bool {
    world.call(caller[0], 1, request);
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.feed(socket, end(id, 1));
    assert!(world.engine.is_idle());
    // A cancel of what is over anyway.
    world.members.clone().iter().flatten().for_each(|socket| drop(world.taken(*socket)));
    let got = world.at_caller(caller);
    assert_eq!(got.len(), 2, "an item, and one end: {got:?}");
    match &got[1].kind {
        Kind::Error(error) => {
            assert!(error.class.ends_with(".RetryableException"), "{error:?}");
            assert!(error.message.contains("cut short") && error.message.contains("start the search again"));
            true
        }
        Kind::Answer(head) => {
            assert!(matches!(head.part, Part::End { count: 1, .. }));
            false
        }
        other => panic!("{other:?}"),
    }
}

fn whole_end(id: i64, count: i64) -> Bytes {
    search_end(id, count, "")
}

fn teach(world: &mut World, caller: &[SocketId], request: &OperationRequest) {
    for _ in 0..limits::STREAM_ENDS_LEARNED {
        assert!(!fails(world, caller, request.clone(), whole_end));
    }
}

fn cuts(world: &World, reason: &str) -> usize {
    let is = |note: &&String| note.starts_with("StreamCut") && note.contains(reason);
    world.io.notes.iter().filter(is).count()
}

#[test]
fn an_end_without_the_result_that_its_connector_always_sent_is_an_error() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    teach(&mut world, &caller, &search());
    assert!(fails(&mut world, &caller, search(), cut_end));
    assert!(!fails(&mut world, &caller, search(), whole_end));
    assert_eq!(cuts(&world, "NoResult"), 1);
    // Neither a restart of the members nor another view makes it forget.
    for member in 0..2 {
        world.kill(member);
        world.start(member);
    }
    world.set(&Settings::default());
    let other = world.caller("another idm", 1);
    assert!(fails(&mut world, &other, search(), cut_end));
}

#[test]
fn connectors_that_send_none_or_now_and_then_are_not_judged() {
    for first in [cut_end, whole_end] {
        let mut world = World::with_members(1, Policy::Failover);
        let caller = world.caller("idm", 1);
        fails(&mut world, &caller, search(), first);
        assert!(!fails(&mut world, &caller, search(), cut_end), "too early to tell");
        teach(&mut world, &caller, &search());
        assert!(!fails(&mut world, &caller, search(), cut_end), "it did so before");
        assert_eq!(cuts(&world, ""), 0);
    }
}

#[test]
fn pages_classes_and_configurations_are_learned_apart() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    teach(&mut world, &caller, &first_page());
    teach(&mut world, &caller, &search_for("__ACCOUNT__"));
    for request in [search(), search_for("__GROUP__")] {
        assert!(!fails(&mut world, &caller, request, cut_end));
    }
    let key = Some(messages_key("Other"));
    let other = OperationRequest { connector_key: key, ..search_for("__ACCOUNT__") };
    assert!(!fails(&mut world, &caller, other, cut_end));
    for request in [first_page(), search_for("__ACCOUNT__")] {
        assert!(fails(&mut world, &caller, request, cut_end));
    }
}

#[test]
fn a_group_may_take_ends_as_they_come() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    teach(&mut world, &caller, &search());
    let as_it_came = GroupSettings { stream_end: StreamEnd::AsItCame, ..GroupSettings::default() };
    world.set(&Settings { groups: [("g".to_owned(), as_it_came)].into(), ..Settings::default() });
    assert!(!fails(&mut world, &caller, search(), cut_end));
    assert_eq!(cuts(&world, ""), 0);
    // What was let through says nothing of what is right.
    world.set(&Settings::default());
    assert!(fails(&mut world, &caller, search(), cut_end));
}

#[test]
fn a_cut_answer_of_which_nothing_was_delivered_is_asked_of_another_member() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    teach(&mut world, &caller, &search());
    for other_is_whole in [true, false] {
        world.call(caller[0], 1, search());
        let (first, socket, id) = world.only_request();
        world.feed(socket, cut_end(id, 0));
        let moved = world.at_member(1);
        assert_eq!((first, moved.len()), (0, 1), "not to the caller, but on to the other member");
        world.at_member(0);
        let (socket, id) = (moved[0].0, moved[0].1.message_id);
        world.feed(socket, if other_is_whole { whole_end(id, 0) } else { cut_end(id, 0) });
        let got = world.at_caller(&caller);
        assert_eq!(got.len(), 1);
        match other_is_whole {
            true => assert!(matches!(got[0].kind, Kind::Answer(_)), "{got:?}"),
            false => assert!(error_of(&got[0]).message.contains("cut short"), "{got:?}"),
        }
        world.at_member(1);
    }
    assert_eq!(cuts(&world, "NoResult"), 3);
}

#[test]
fn an_end_counts_once_and_is_judged_when_it_comes_though_items_are_on_their_way() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    // The same end twice, ahead of its items: one lesson, not two.
    for _ in 0..limits::STREAM_ENDS_LEARNED - 1 {
        world.call(caller[0], 1, search());
        let (_, socket, id) = world.only_request();
        world.feed(socket, whole_end(id, 1));
        world.feed(socket, whole_end(id, 1));
        world.feed(socket, search_item(id, 1));
        assert_eq!(world.at_caller(&caller).len(), 2);
    }
    assert!(!fails(&mut world, &caller, search(), whole_end), "the last lesson");
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.feed(socket, cut_end(id, 3));
    let got = world.at_caller(&caller);
    assert!(error_of(&got[1]).message.contains("incomplete"), "{got:?}");
    world.feed(socket, search_item(id, 2));
    assert!(world.at_caller(&caller).is_empty() && world.engine.is_idle());
}

#[test]
fn a_sync_has_a_token_in_place_of_a_result() {
    let sync = || OperationRequest {
        sync: Some(SyncOpRequest { sync: Some(sync_op_request::Sync::default()), ..Default::default() }),
        ..Default::default()
    };
    let end = |id: i64, token: Option<SyncToken>| {
        let sync = Some(sync_op_response::Sync { sync_token: token, ..Default::default() });
        let response = SyncOpResponse { sync, ..Default::default() };
        frames::answer(id, &OperationResponse { sync: Some(response), ..Default::default() })
    };
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    for number in 0..=limits::STREAM_ENDS_LEARNED {
        world.call(caller[0], 1, sync());
        let (_, socket, id) = world.only_request();
        let is_last = number == limits::STREAM_ENDS_LEARNED;
        world.feed(socket, end(id, (!is_last).then(SyncToken::default)));
        let got = world.at_caller(&caller);
        assert_eq!((got.len(), matches!(got[0].kind, Kind::Error(_))), (1, is_last), "{got:?}");
    }
    assert_eq!(cuts(&world, "NoToken"), 1);
}

#[test]
fn the_other_ways_to_lose_a_part_are_told_apart() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.feed(socket, whole_end(id, 3));
    world.pass(limits::ORPHAN_WAIT + limits::TICK);
    assert_eq!(cuts(&world, "MissingItems"), 1, "{:?}", world.io.notes);
    world.at_member(0);
    world.call(caller[0], 2, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.kill(0);
    assert_eq!(cuts(&world, "MemberLost"), 1);
    assert_eq!(cuts(&world, ""), 2);
}
