//! Operators' marks (P11): who gets calls, when sockets are closed and opened, and what may not be marked.

use std::time::Duration;

use rcs_proto::frames;

use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::view::Mark;

const A_WHILE: Duration = Duration::from_secs(3);

/// Takes over which of a member's sockets the engine has closed.
fn see_closed(world: &mut World, member: usize) {
    let closed = std::mem::take(&mut world.io.closed);
    world.members[member].retain(|socket| !closed.contains(socket));
}

fn noted(world: &World, what: &str) -> usize {
    world.io.notes.iter().filter(|note| note.starts_with(what)).count()
}

#[test]
fn a_drained_member_finishes_its_calls_and_gets_no_new_ones() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (drained, socket, id) = world.only_request();
    world.mark(&[(drained, Mark::Draining)]);
    for call in 2..=5 {
        world.call(caller[0], call, get());
    }
    assert_eq!((world.at_member(drained).len(), world.at_member(1 - drained).len()), (0, 4));
    world.pass(limits::CHANGE_DEADLINE / 2);
    assert!(world.io.closed.is_empty(), "its call is not done");
    assert_eq!(world.report_of(drained).admin, Administration::Draining);

    world.feed(socket, answer(id));
    assert!(world.at_caller(&caller).iter().any(|envelope| envelope.message_id == 1));
    world.pass(A_WHILE);
    see_closed(&mut world, drained);
    assert!(world.members[drained].is_empty(), "its sockets are closed");
    let report = world.report_of(drained);
    assert_eq!((report.admin, report.sockets, report.up), (Administration::Drained, 0, false));
    assert_eq!((noted(&world, "MemberDrained"), noted(&world, "MemberDown")), (1, 0));
    world.pass(Duration::from_secs(60));
    assert!(world.io.dials.is_empty(), "it is not dialled");
}

#[test]
fn a_member_that_is_taken_back_is_dialled_one_slot_after_the_other_and_tested_first() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    world.mark(&[(0, Mark::Draining)]);
    world.pass(A_WHILE);
    see_closed(&mut world, 0);
    assert_eq!(world.report_of(0).admin, Administration::Drained);

    world.mark(&[]);
    world.pass(Duration::ZERO);
    assert_eq!(world.io.dials.len(), 1);
    world.pass(limits::DIAL_STAGGER);
    assert_eq!(world.io.dials.len(), 2);
    world.sick = vec![0];
    world.start(0);
    assert_eq!(world.report_of(0).unfit, Some("test_failing"), "it is warmed up as a fresh member");
    world.sick.clear();
    world.pass(limits::TEST_PROBE_EVERY * (limits::PROBE_RISE + 1));
    assert!(world.report_of(0).takes_calls());
}

#[test]
fn a_drain_that_is_taken_back_in_time_costs_no_socket() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    world.at_member(0);
    world.mark(&[(0, Mark::Draining)]);
    world.pass(A_WHILE);
    world.mark(&[]);
    world.pass(A_WHILE);
    world.call(caller[0], 2, get());
    assert_eq!(world.at_member(0).len(), 1);
    assert!(world.io.closed.is_empty() && world.io.dials.is_empty());
}

#[test]
fn pages_go_on_while_a_drain_waits_for_them() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_end(id, 0, "page-2"));
    world.mark(&[(0, Mark::Draining)]);
    world.pass(limits::PAGE_GAP / 2);
    world.call(caller[0], 2, page("page-2"));
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 0, "the state behind the cookie is there");
    world.feed(socket, search_end(id, 0, "page-3"));
    world.pass(limits::PAGE_GAP / 2);
    assert!(world.io.closed.is_empty(), "another page may follow");
    world.pass(limits::PAGE_GAP / 2 + A_WHILE);
    see_closed(&mut world, 0);
    assert!(world.members[0].is_empty(), "none did");
}

#[test]
fn subscriptions_of_a_drained_member_end_at_once_with_a_restartable_error() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let request = rcs_proto::messages::OperationRequest {
        connector_event_subscription: Some(Default::default()),
        ..Default::default()
    };
    world.call(caller[0], 1, request);
    world.only_request();
    world.mark(&[(0, Mark::Draining)]);
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).class.ends_with("ConnectionBrokenException"), "{got:?}");
    world.pass(A_WHILE);
    assert_eq!(world.report_of(0).admin, Administration::Drained);
}

/// The rest of the 25 s is for calls.
#[test]
fn the_routers_own_drain_is_not_kept_up_by_subscriptions() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    let request = rcs_proto::messages::OperationRequest {
        connector_event_subscription: Some(Default::default()),
        ..Default::default()
    };
    world.call(caller[0], 1, request);
    world.apply(Event::Drain);
    assert_eq!(world.at_caller(&caller).len(), 1);
    assert!(world.engine.is_idle());
}

#[test]
fn a_disabled_member_has_its_calls_for_the_drain_time_at_most() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    world.call(caller[0], 2, get());
    assert_eq!(world.at_member(0).len(), 2);
    world.mark(&[(0, Mark::Disabled)]);
    world.pass(limits::DRAIN_TIME - limits::TICK);
    assert!(world.at_caller(&caller).is_empty() && world.io.closed.is_empty());
    world.pass(A_WHILE);
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 1));
    assert!(error_of(&got[0]).message.starts_with("Outcome unknown"), "the change");
    assert_eq!(world.at_member(1).len(), 1, "the read");
    see_closed(&mut world, 0);
    assert!(world.members[0].is_empty());
    assert_eq!(world.report_of(0).admin, Administration::Disabled);
}

#[test]
fn the_last_member_that_serves_is_drained_only_by_force() {
    use LastMember::{Kept, Released};
    use MarkChange::{Disable, Drain};
    let mut world = World::with_members_down(2, Policy::Failover);
    let judge = |world: &World, member: &str, last| {
        world.engine.tables.judge_mark("g", member, Drain, last, world.now)
    };
    assert_eq!(judge(&world, "n0", Kept), Ok(Mark::Draining), "it takes no calls anyhow");
    world.refuse(1);
    world.start(0);
    let last = MarkRefusal::LastOne { group: "g".into(), member: "n0".into() };
    assert_eq!(judge(&world, "n0", Kept), Err(last.clone()));
    assert_eq!(judge(&world, "n0", Released), Ok(Mark::Draining));
    world.start(1);
    assert_eq!(judge(&world, "n0", Kept), Ok(Mark::Draining));
    world.mark(&[(1, Mark::Draining)]);
    assert_eq!(
        world.engine.tables.judge_mark("g", "n0", Disable, Kept, world.now),
        Err(last),
        "the other one is leaving"
    );
}

#[test]
fn what_cannot_be_marked_says_why() {
    use MarkChange::{Drain, Enable, Undrain};
    let mut world = World::with_members(2, Policy::Failover);
    world.mark(&[(1, Mark::Disabled)]);
    for (group, member, change, part) in [
        ("x", "n0", Drain, "no group"),
        ("g", "x", Drain, "no member named"),
        ("g", "n1", Drain, "enable it first"),
        ("g", "n1", Undrain, "enable it first"),
    ] {
        let refusal =
            world.engine.tables.judge_mark(group, member, change, LastMember::Kept, world.now).unwrap_err();
        assert!(refusal.to_string().contains(part), "{refusal}");
    }
    assert_eq!(
        world.engine.tables.judge_mark("g", "n1", Enable, LastMember::Kept, world.now),
        Ok(Mark::Enabled)
    );
}

#[test]
fn a_dial_under_way_when_a_member_is_drained_does_not_become_its_socket() {
    let mut world = World::with_members(2, Policy::Failover);
    let lost = world.members[0].remove(0);
    world.apply(Event::Closed { socket: lost, unsent: Vec::new() });
    world.pass(Duration::from_secs(2));
    let (member, slot) = world.io.dials.pop_front().unwrap();
    world.mark(&[(0, Mark::Draining)]);
    world.pass(A_WHILE);
    let late = rcs_proto::session::SocketId(4711);
    world.apply(dialled(member, slot, late));
    assert!(world.io.closed.contains(&late));
    assert_eq!(world.report_of(0).admin, Administration::Drained);
}

/// A call that is sent into a closing socket hangs for 13 minutes at a Java caller (WIRE section 9).
#[test]
fn callers_are_let_go_while_their_threads_wait_for_us() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.apply(Event::Drain);
    world.call(caller[0], 1, get());
    assert_eq!(world.at_caller(&caller).len(), 1, "others still have calls: it is refused at once");
    world.apply(Event::DrainOver);
    world.call(caller[0], 2, get());
    world.call(caller[1], 3, get());
    assert!(world.at_caller(&caller).is_empty(), "kept");
    world.apply(Event::LetGo { callers: 1 });
    assert!(world.io.closed.len() == 1 && world.at_caller(&caller).is_empty() && world.engine.has_callers());
    let closing = world.io.closed[0];
    // It came on the socket that is closing.
    world.call(closing, 4, get());
    world.apply(Event::LetGo { callers: 1 });
    let last = *caller.iter().find(|socket| **socket != closing).unwrap();
    let mut refused: Vec<i64> = world.taken(last).iter().map(|envelope| envelope.message_id).collect();
    refused.sort_unstable();
    assert_eq!((refused, world.taken(closing).len()), (vec![2, 3, 4], 0));
    assert_eq!(world.io.closed, [closing, last]);
    assert!(!world.engine.has_callers());
}

/// It is at no member while it waits to be sent again.
#[test]
fn a_subscription_that_is_to_be_repeated_keeps_no_drain_up() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let request = rcs_proto::messages::OperationRequest {
        connector_event_subscription: Some(Default::default()),
        ..Default::default()
    };
    world.call(caller[0], 1, request);
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 0);
    let class = "org.identityconnectors.framework.common.exceptions.ConnectorException";
    world.feed(socket, frames::error(id, class, "Connection received request before handshake"));
    world.mark(&[(0, Mark::Draining)]);
    world.pass(limits::RETRY_SAME_WAIT + A_WHILE);
    assert_eq!(world.report_of(0).admin, Administration::Drained);
    assert_eq!(world.at_member(1).len(), 1, "the other member takes it");
}
