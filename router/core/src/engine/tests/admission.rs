//! Places, queues and refusals (P10, J06 to J08).

use std::time::Duration;

use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::Settings;

const RETRYABLE: &str = "org.identityconnectors.framework.common.exceptions.RetryableException";

fn world(count: usize, policy: Policy, change: impl FnOnce(&mut Settings)) -> World {
    let mut world = World::with_members(count, policy);
    let mut settings = Settings::default();
    change(&mut settings);
    world.set(&settings);
    world
}

fn login() -> OperationRequest {
    OperationRequest { authenticate: Some(AuthenticateOpRequest::default()), ..Default::default() }
}

/// The requests that arrived at a member since the last look, in order: socket and id.
fn arrived(world: &mut World, member: usize) -> Vec<(SocketId, i64)> {
    world.at_member(member).into_iter().map(|(socket, request)| (socket, request.message_id)).collect()
}

/// Answers one request; answers which call it was.
fn finish(world: &mut World, request: (SocketId, i64), callers: &[SocketId]) -> i64 {
    world.feed(request.0, answer(request.1));
    let got = world.at_caller(callers);
    assert_eq!(got.len(), 1, "{got:?}");
    got[0].message_id
}

fn refusal(got: &[Envelope], id: i64) -> String {
    let refused = got.iter().find(|envelope| envelope.message_id == id).expect("an answer");
    let error = error_of(refused);
    assert_eq!(error.class, RETRYABLE, "IDM may repeat it by itself");
    error.message.clone()
}

fn queued(world: &World) -> usize {
    world.engine.report().groups[0].queued
}

#[test]
fn a_member_gets_no_more_than_its_places_and_each_answer_lets_the_next_call_in() {
    let mut world = world(1, Policy::Failover, |s| s.defaults.member_in_flight_max = 2);
    let caller = world.caller("idm", 1);
    for id in 1..=4 {
        world.call(caller[0], id, create());
    }
    let first = arrived(&mut world, 0);
    assert_eq!((first.len(), queued(&world)), (2, 2));
    assert_eq!(finish(&mut world, first[0], &caller), 1);
    let second = arrived(&mut world, 0);
    assert_eq!((second.len(), queued(&world)), (1, 1), "at once");
    assert_eq!(finish(&mut world, second[0], &caller), 3);
    assert_eq!(finish(&mut world, first[1], &caller), 2);
    let last = arrived(&mut world, 0);
    assert_eq!(finish(&mut world, last[0], &caller), 4);
    assert!(world.engine.is_idle());
}

#[test]
fn a_group_has_places_of_its_own_and_members_count_those_of_all_their_groups() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let names: Vec<String> = vec!["n0".into(), "n1".into()];
    let first = vec!["n0".to_owned()];
    world.set_view(&names, vec![("g", Policy::RoundRobin, names.clone()), ("h", Policy::Failover, first)]);
    let mut settings = Settings::default();
    settings.defaults.in_flight_max = 3;
    settings.defaults.member_in_flight_max = 2;
    world.set(&settings);
    let g = world.caller("idm", 1);
    let h = Selector::Group(world.engine.view().group_named("h").unwrap().id);
    let h = world.caller_by("idm", h, 1);
    for id in 1..=2 {
        world.call(h[0], id, get());
    }
    for id in 1..=2 {
        world.call(g[0], id, get());
    }
    // n0 is full with calls of h: those of g all go to n1.
    assert_eq!((arrived(&mut world, 0).len(), arrived(&mut world, 1).len(), queued(&world)), (2, 2, 0));
    settings.defaults.in_flight_max = 1;
    settings.defaults.member_in_flight_max = 100;
    world.set(&settings);
    world.call(g[0], 3, get());
    assert_eq!(queued(&world), 1, "the group is full");
}

#[test]
fn failover_waits_for_a_full_first_member_and_round_robin_passes_it_over_p4() {
    for (policy, at_first, at_second) in [(Policy::Failover, 1, 0), (Policy::RoundRobin, 1, 1)] {
        let mut world = world(2, policy, |s| s.defaults.member_in_flight_max = 1);
        let caller = world.caller("idm", 1);
        for id in 1..=3 {
            world.call(caller[0], id, get());
        }
        let seen = (arrived(&mut world, 0).len(), arrived(&mut world, 1).len(), queued(&world));
        assert_eq!(seen, (at_first, at_second, 3 - at_first - at_second), "{policy}");
    }
}

#[test]
fn the_flood_of_one_caller_does_not_starve_another() {
    let mut world = world(1, Policy::Failover, |s| s.defaults.member_in_flight_max = 1);
    let flood = world.caller("flood", 1);
    let quiet = world.caller("quiet", 1);
    for id in 1..=50 {
        world.call(flood[0], id, get());
    }
    world.call(quiet[0], 100, get());
    let both = [flood[0], quiet[0]];
    let order: Vec<i64> = (0..4)
        .map(|_| {
            let request = arrived(&mut world, 0)[0];
            finish(&mut world, request, &both)
        })
        .collect();
    assert_eq!(order, [1, 2, 100, 3]);
}

#[test]
fn a_login_goes_before_all_that_waits_j06() {
    let mut world = world(1, Policy::Failover, |s| {
        s.defaults.member_in_flight_max = 1;
        s.defaults.queue_max = 2;
    });
    let caller = world.caller("idm", 1);
    for id in 1..=3 {
        world.call(caller[0], id, get());
    }
    world.call(caller[0], 4, login());
    assert_eq!(queued(&world), 3, "a full queue keeps no login out");
    let first = arrived(&mut world, 0)[0];
    finish(&mut world, first, &caller);
    let next = world.at_member(0);
    let Kind::Operation(head) = &next[0].1.kind else { panic!("{next:?}") };
    assert_eq!(head.operation, rcs_proto::operation::Operation::Authenticate);
}

#[test]
fn a_full_queue_and_a_long_wait_are_clear_errors_that_may_be_repeated() {
    let mut world = world(1, Policy::Failover, |s| {
        s.defaults.member_in_flight_max = 1;
        s.defaults.queue_max = 1;
        s.defaults.queue_wait = Duration::from_secs(2);
    });
    let caller = world.caller("idm", 1);
    for id in 1..=3 {
        world.call(caller[0], id, create());
    }
    let full = refusal(&world.at_caller(&caller), 3);
    assert!(full.contains("no member of group g has a free place"), "{full}");
    assert!(full.contains("create was not run"), "{full}");
    world.pass(Duration::from_secs(2) + limits::TICK);
    let late = refusal(&world.at_caller(&caller), 2);
    assert!(late.contains("had a free place for this create in time. It was not run"), "{late}");
    assert_eq!((queued(&world), arrived(&mut world, 0).len()), (0, 1));
    let refused: Vec<_> = world.io.notes.iter().filter(|note| note.starts_with("CallRefused")).collect();
    assert!(refused.len() == 2 && refused[0].contains("QueueFull") && refused[1].contains("QueueTimeout"));
}

#[test]
fn a_caller_over_its_own_limit_is_refused_at_once() {
    let mut world = world(1, Policy::Failover, |s| s.router.caller_in_flight_max = 2);
    let (one, other) = (world.caller("one", 1), world.caller("other", 1));
    let events = ConnectorEventSubscriptionOpRequest::default();
    let subscribe = OperationRequest { connector_event_subscription: Some(events), ..Default::default() };
    world.call(one[0], 9, subscribe);
    for id in 1..=3 {
        world.call(one[0], id, get());
    }
    let text = refusal(&world.at_caller(&one), 3);
    assert!(text.contains("this caller has as many calls open"), "{text}");
    world.call(other[0], 1, get());
    assert_eq!(arrived(&mut world, 0).len(), 4, "a subscription takes no place, and the other has its own");
}

#[test]
fn what_nobody_waits_for_any_more_leaves_the_queue() {
    let mut world = world(1, Policy::Failover, |s| s.defaults.member_in_flight_max = 1);
    let (keeper, caller) = (world.caller("keeper", 1), world.caller("idm", 1));
    world.call(keeper[0], 1, get());
    world.call(caller[0], 1, search());
    world.call(caller[0], 2, search());
    world.feed(caller[0], rcs_proto::frames::cancel(1));
    assert_eq!(queued(&world), 1, "cancelled");
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    assert_eq!(queued(&world), 0, "its caller is gone");
    world.call(keeper[0], 2, get());
    world.pass(limits::QUEUE_WAIT + limits::TICK);
    assert_eq!(queued(&world), 0, "it took too long");
    let first = arrived(&mut world, 0)[0];
    assert_eq!(
        first.1,
        arrived(&mut world, 0).first().map_or(first.1, |later| later.1),
        "nothing else was sent"
    );
    world.feed(first.0, answer(first.1));
    assert!(world.engine.is_idle());
}

#[test]
fn a_call_that_waits_is_told_at_once_when_there_is_nobody_left_g15() {
    let mut world = world(2, Policy::Failover, |s| s.defaults.in_flight_max = 1);
    let caller = world.caller("idm", 1);
    for id in 1..=2 {
        world.call(caller[0], id, create());
    }
    world.kill(1);
    assert_eq!(queued(&world), 1, "one is left");
    world.kill(0);
    let got = world.at_caller(&caller);
    let error = error_of(got.iter().find(|envelope| envelope.message_id == 2).unwrap());
    assert!(error.class.ends_with("ConnectionFailedException"), "{error:?}");
    assert!(world.engine.is_idle());
}

#[test]
fn a_call_that_lost_its_member_has_room_in_a_full_queue_and_goes_first() {
    let mut world = world(2, Policy::RoundRobin, |s| {
        s.defaults.member_in_flight_max = 1;
        s.defaults.queue_max = 1;
    });
    let caller = world.caller("idm", 1);
    for id in 1..=3 {
        world.call(caller[0], id, get());
    }
    world.kill(0);
    assert_eq!((queued(&world), world.at_caller(&caller).len()), (2, 0), "call 1 again, and call 3");
    let order: Vec<i64> = (0..3)
        .map(|_| {
            let request = arrived(&mut world, 1)[0];
            finish(&mut world, request, &caller)
        })
        .collect();
    assert_eq!(order, [2, 1, 3]);
    assert!(world.engine.is_idle());
}

#[test]
fn a_page_waits_for_the_member_that_holds_its_state_and_holds_up_nobody() {
    let mut world = world(2, Policy::RoundRobin, |s| s.defaults.member_in_flight_max = 1);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (member, socket, id) = world.only_request();
    world.feed(socket, search_end(id, 0, "cookie"));
    world.at_caller(&caller);
    // The other member takes the next call, then its own is busy as well.
    world.call(caller[0], 2, get());
    world.call(caller[0], 3, get());
    let busy = [arrived(&mut world, 0), arrived(&mut world, 1)];
    world.call(caller[0], 4, page("cookie"));
    world.call(caller[0], 5, get());
    assert_eq!(queued(&world), 2);
    let other = 1 - member;
    finish(&mut world, busy[other][0], &caller);
    assert_eq!(arrived(&mut world, other).len(), 1, "the call behind the page");
    finish(&mut world, busy[member][0], &caller);
    assert_eq!(arrived(&mut world, member).len(), 1, "the page");
}

#[test]
fn a_group_that_leaves_the_document_answers_what_waits_in_it() {
    let mut world = world(1, Policy::Failover, |s| s.defaults.in_flight_max = 1);
    let caller = world.caller("idm", 1);
    for id in 1..=2 {
        world.call(caller[0], id, get());
    }
    let names = vec!["n0".to_owned()];
    world.set_view(&names, vec![("other", Policy::Failover, names.clone())]);
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 2));
    assert!(error_of(&got[0]).class.ends_with("ConnectionFailedException"));
}

#[test]
fn more_places_let_waiting_calls_in_at_once() {
    let mut world = world(1, Policy::Failover, |s| s.defaults.member_in_flight_max = 1);
    let caller = world.caller("idm", 1);
    for id in 1..=5 {
        world.call(caller[0], id, get());
    }
    assert_eq!(arrived(&mut world, 0).len(), 1);
    let mut more = Settings::default();
    more.defaults.member_in_flight_max = 4;
    world.set(&more);
    assert_eq!((arrived(&mut world, 0).len(), queued(&world)), (3, 1));
}

#[test]
fn at_the_end_of_the_drain_what_waits_is_answered() {
    let mut world = world(1, Policy::Failover, |s| s.defaults.member_in_flight_max = 1);
    let caller = world.caller("idm", 1);
    for id in 1..=3 {
        world.call(caller[0], id, create());
    }
    world.apply(Event::Drain);
    let first = arrived(&mut world, 0)[0];
    finish(&mut world, first, &caller);
    assert_eq!(arrived(&mut world, 0).len(), 1, "what was taken before is still served");
    world.apply(Event::DrainOver);
    let got = world.at_caller(&caller);
    assert_eq!(got.len(), 2);
    assert!(refusal(&got, 3).contains("shutting down"));
    assert!(world.engine.is_idle());
}

#[test]
fn requests_that_are_kept_have_a_bound_in_bytes_and_one_caller_cannot_take_it_all_p10() {
    let mut world = World::with_members(1, Policy::Failover);
    let large = bytes::Bytes::from(vec![0; limits::FRAME_BYTES_MAX / 2]);
    let request = OperationRequest {
        create: Some(CreateOpRequest { create_attributes: large, ..Default::default() }),
        ..Default::default()
    };
    let (mut taken, mut refusals) = (Vec::new(), Vec::new());
    for caller in 0..6 {
        let caller = world.caller(&format!("idm{caller}"), 1);
        for id in 0..20 {
            world.call(caller[0], id, request.clone());
            let Some(request) = arrived(&mut world, 0).pop() else { break };
            taken.push(request);
        }
        let got = world.at_caller(&caller);
        refusals.push(error_of(got.last().unwrap()).message.clone());
    }
    assert_eq!(taken.len(), 15, "all but the one over the bound");
    assert!(refusals[0].contains("this caller has"), "{refusals:?}");
    assert!(refusals.last().unwrap().contains("the router holds"), "{refusals:?}");
    for (socket, id) in taken {
        world.feed(socket, answer(id));
    }
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, request);
    assert_eq!(arrived(&mut world, 0).len(), 1, "there is room again");
}
