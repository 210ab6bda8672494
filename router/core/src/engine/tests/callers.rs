//! What happens when callers lose sockets, leave, or come back (WIRE 4.2, 7.5, 11.6).

use std::time::Duration;

use rcs_proto::envelope::Kind;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;

#[test]
fn an_answer_whose_socket_died_goes_out_on_another_of_the_session() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.feed(socket, answer(id));
    assert_eq!(world.taken(caller[1])[0].message_id, 1);
}

#[test]
fn a_last_frame_that_may_have_died_with_its_socket_is_sent_once_more() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    let on =
        *caller.iter().find(|socket| !world.io.sent.get(socket).is_none_or(|sent| sent.is_empty())).unwrap();
    let other = *caller.iter().find(|socket| **socket != on).unwrap();
    world.apply(Event::Closed { socket: on, unsent: Vec::new() });
    assert_eq!(world.taken(other)[0].message_id, 1);
}

#[test]
fn a_stream_whose_socket_died_with_items_on_it_is_an_error() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    let on = *caller.iter().find(|socket| world.io.sent.contains_key(socket)).unwrap();
    let other = *caller.iter().find(|socket| **socket != on).unwrap();
    world.apply(Event::Closed { socket: on, unsent: Vec::new() });
    let got = world.taken(other);
    assert!(error_of(&got[0]).message.contains("incomplete"), "{got:?}");
    assert!(matches!(world.at_member(0)[0].1.kind, Kind::Cancel));
}

#[test]
fn when_a_caller_is_gone_its_searches_are_cancelled_and_its_changes_finish() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    world.call(caller[0], 2, create());
    let requests = world.at_member(0);
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    let cancels = world.at_member(0);
    assert_eq!((cancels.len(), cancels[0].1.message_id), (1, requests[0].1.message_id));
    // It comes back within the time it is remembered: the answer waits for it.
    world.feed(requests[1].0, answer(requests[1].1.message_id));
    let back = world.join_caller("idm", 1);
    let got = world.taken(back[0]);
    assert!(matches!(got[0].kind, Kind::HandshakeResponse(_)));
    assert_eq!(got[1].message_id, 2);
    assert!(world.engine.is_idle());
}

#[test]
fn a_caller_that_stays_away_is_forgotten() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.pass(limits::CALLER_KEPT + Duration::from_secs(1));
    assert_eq!(world.engine.report().callers, 0);
    assert!(!world.engine.is_idle(), "the change runs on");
    world.feed(socket, answer(id));
    assert!(world.engine.is_idle());
}

#[test]
fn callers_with_other_credentials_or_another_way_in_are_other_sessions() {
    let mut world = World::with_members(1, Policy::Failover);
    world.caller("same id", 1);
    world.caller_by("same id", Selector::ByConnectorKey, 1);
    assert_eq!(world.engine.report().callers, 2);
}

#[test]
fn an_end_that_was_queued_for_long_on_a_dead_socket_is_still_owed() {
    for (request, last, owed) in [
        (create(), answer as fn(i64) -> bytes::Bytes, "the answer"),
        (search(), |id| search_end(id, 1, ""), "an error: the item before it may be lost"),
    ] {
        let mut world = World::with_members(1, Policy::Failover);
        let caller = world.caller("idm", 2);
        world.call(caller[1], 7, request.clone());
        let (_, socket, id) = world.only_request();
        if request.search.is_some() {
            world.feed(socket, search_item(id, 1));
        }
        world.feed(socket, last(id));
        let on = *caller.iter().find(|socket| world.io.sent.contains_key(socket)).unwrap();
        let unsent = world.taken(on).iter().map(|envelope| envelope.frame().clone()).collect();
        // Too long ago for the session to remember it by itself.
        world.pass(Duration::from_secs(30));
        world.apply(Event::Closed { socket: on, unsent });
        let got = world.at_caller(&caller);
        assert_eq!((got.len(), got[0].message_id), (1, 7), "{owed}");
        assert_eq!(matches!(got[0].kind, Kind::Error(_)), request.search.is_some(), "{owed}");
    }
}

#[test]
fn when_all_places_are_taken_the_caller_that_left_first_is_forgotten() {
    let mut world = World::with_members(1, Policy::Failover);
    let all: Vec<_> = (0..limits::DOWNSTREAM_SESSIONS_MAX)
        .map(|number| world.join_caller(&format!("idm{number}"), 1)[0])
        .collect();
    let refused = world.join_caller("one too many", 1)[0];
    assert!(world.io.closed.contains(&refused), "everybody is still there");
    for leaver in [7, 3] {
        world.pass(Duration::from_secs(1));
        world.apply(Event::Closed { socket: all[leaver], unsent: Vec::new() });
    }
    world.join_caller("new", 1);
    assert_eq!(world.engine.report().callers, limits::DOWNSTREAM_SESSIONS_MAX);
    // The one that left later is remembered: it comes back to its own place, and takes nobody else's.
    let back = world.join_caller("idm3", 1)[0];
    let again = world.join_caller("idm7", 1)[0];
    assert_eq!((world.io.closed.contains(&back), world.io.closed.contains(&again)), (false, true));
}
