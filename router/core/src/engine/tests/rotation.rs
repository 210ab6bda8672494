//! Old sockets are replaced without a failed call (M07, P11), and whose sockets may be (WIRE 7.5).

use std::time::Duration;

use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::{RouterSettings, Settings};

const TTL: Duration = Duration::from_secs(60);

fn with_ttl(members: usize) -> World {
    let mut world = World::with_members(members, Policy::Failover);
    set_ttl(&mut world);
    world
}

fn set_ttl(world: &mut World) {
    let router = RouterSettings { socket_ttl: Some(TTL), ..RouterSettings::default() };
    world.set(&Settings { router, ..Settings::default() });
}

/// The peers of the sockets that the engine closed close their ends as well.
fn peers_close(world: &mut World) -> Vec<SocketId> {
    let closed = std::mem::take(&mut world.io.closed);
    for socket in &closed {
        for member in &mut world.members {
            member.retain(|of_member| of_member != socket);
        }
        world.apply(Event::Closed { socket: *socket, unsent: Vec::new() });
    }
    closed
}

fn rotated(world: &World) -> usize {
    world.io.notes.iter().filter(|note| note.starts_with("SocketRotated")).count()
}

#[test]
fn a_members_sockets_turn_one_after_the_other_and_the_new_one_is_opened_first() {
    let mut world = with_ttl(1);
    let old = world.members[0].clone();
    world.pass(TTL);
    assert_eq!(world.io.dials.len(), 1, "one at a time");
    assert!(world.io.closed.is_empty(), "the new one is not there yet");
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::TICK * 2);
    let first = peers_close(&mut world);
    assert_eq!(first.len(), 1);
    assert!(old.contains(&first[0]));
    world.pass(limits::TICK * 4);
    assert_eq!(world.io.dials.len(), 1, "the other one's turn, and no dial for the place that is taken");
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::TICK * 2);
    peers_close(&mut world);
    assert!(world.members[0].len() == 2 && old.iter().all(|socket| !world.members[0].contains(socket)));
    assert_eq!(rotated(&world), 2);
    world.pass(TTL / 2);
    assert!(world.io.dials.is_empty(), "the fresh ones are young");
    assert!(world.report_of(0).up && world.report_of(0).sockets == 2);
}

/// A member answers on any of its sockets (WIRE 4.2): none is closed while it holds a call, and none is sent meanwhile.
#[test]
fn an_old_socket_is_closed_in_a_moment_without_calls() {
    let mut world = with_ttl(1);
    let caller = world.caller("idm", 1);
    world.pass(TTL / 2);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.pass(TTL / 2);
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::ROTATION_QUIET + limits::TICK);
    // Its calls wait for a moment, and not for longer.
    world.call(caller[0], 2, create());
    assert!(world.at_member(0).is_empty());
    world.pass(limits::ROTATION_REST + limits::TICK);
    let (_, other, later) = world.only_request();
    assert!(world.io.closed.is_empty(), "it holds a call");
    world.pass(limits::ROTATION_AGAIN);
    world.feed(other, answer(later));
    world.feed(socket, answer(id));
    world.pass(limits::TICK);
    let retired = world.io.closed.clone();
    assert_eq!(retired.len(), 1);
    world.call(caller[0], 3, create());
    assert!(world.at_member(0).is_empty(), "the answer could come on the closing socket");
    peers_close(&mut world);
    let (_, socket, id) = world.only_request();
    assert!(!retired.contains(&socket));
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller).len(), 3);
    assert!(world.engine.is_idle());
}

#[test]
fn a_member_that_always_holds_a_call_keeps_its_old_socket_and_gets_calls() {
    let mut world = with_ttl(1);
    let caller = world.caller("idm", 1);
    world.pass(TTL / 2);
    world.call(caller[0], 1, create());
    world.only_request();
    world.pass(TTL / 2);
    world.connect(0);
    for call in 2..=30 {
        world.pass(Duration::from_secs(1));
        world.call(caller[0], call, create());
    }
    world.pass(limits::ROTATION_REST + limits::TICK);
    assert_eq!(world.at_member(0).len(), 29);
    assert!(world.io.closed.is_empty() && world.at_caller(&caller).is_empty());
}

#[test]
fn a_member_that_closes_late_gets_calls_all_the_same() {
    let mut world = with_ttl(1);
    let caller = world.caller("idm", 1);
    world.pass(TTL);
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::TICK * 2);
    assert_eq!(world.io.closed.len(), 1);
    world.call(caller[0], 1, get());
    world.pass(limits::ROTATION_CLOSE);
    world.only_request();
}

#[test]
fn a_member_that_takes_no_new_socket_keeps_its_old_one() {
    let mut world = with_ttl(1);
    world.pass(TTL);
    let (member, slot) = world.io.dials.pop_front().unwrap();
    let failure = DialFailure::Unreachable;
    world.apply(Event::DialFailed { member, slot, failure, reason: "connection refused".into() });
    world.pass(Duration::from_secs(5));
    assert!(world.io.closed.is_empty() && world.report_of(0).sockets == 2);
    assert_eq!(world.io.dials.len(), 1, "it is tried again");
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::TICK * 2);
    assert_eq!(world.io.closed.len(), 1);
}

#[test]
fn without_a_ttl_and_at_a_drained_member_nothing_turns() {
    let mut world = World::with_members(2, Policy::Failover);
    world.pass(TTL * 100);
    assert!(world.io.dials.is_empty() && world.io.closed.is_empty());
    let mut world = with_ttl(2);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    world.mark(&[(0, crate::view::Mark::Draining)]);
    set_ttl(&mut world);
    world.pass(TTL - Duration::from_secs(1));
    let drained = world.engine.view().member_named("n0").unwrap().id;
    assert_eq!(world.report_of(0).admin, Administration::Draining);
    assert!(world.io.dials.iter().all(|(member, _)| *member != drained) && !world.io.dials.is_empty());
}

fn redials(world: &World) -> Redials {
    world.engine.callers()[0].redials
}

/// WIRE 7.5: a 1.8.0 dialler never dials again.
#[test]
fn only_a_caller_that_was_seen_to_come_back_loses_an_old_socket_and_never_the_last() {
    let mut world = with_ttl(1);
    let caller = world.caller("idm", 2);
    world.pass(TTL * 2);
    let _ = peers_close(&mut world);
    assert_eq!(redials(&world), Redials::Unknown);
    let is_open = |world: &World| world.engine.callers()[0].sockets;
    assert_eq!(is_open(&world), 2);

    // It loses one, and has another in its place soon.
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    let back = world.caller("idm", 1)[0];
    assert_eq!(redials(&world), Redials::Yes);
    world.pass(TTL + Duration::from_secs(1));
    let closed: Vec<SocketId> =
        world.io.closed.iter().copied().filter(|id| [caller[1], back].contains(id)).collect();
    assert_eq!(closed.len(), 1, "one at a time, and not the last");
    world.apply(Event::Closed { socket: closed[0], unsent: Vec::new() });
    world.pass(limits::CALLER_KEPT + Duration::from_secs(1));
    assert_eq!(redials(&world), Redials::No, "this time it did not");
    world.pass(TTL * 2);
    assert_eq!(is_open(&world), 1);
}

#[test]
fn a_callers_socket_with_an_open_answer_stays() {
    let mut world = with_ttl(1);
    let caller = world.caller("idm", 2);
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    let back = world.caller("idm", 1)[0];
    // Both carry a stream of which a part was delivered.
    for call in 1..=2 {
        world.call(caller[1], call, search());
        let (_, socket, id) = world.only_request();
        world.feed(socket, search_item(id, 1));
    }
    world.pass(TTL + limits::ROTATION_MAX * 2);
    assert!(!world.io.closed.contains(&back) && !world.io.closed.contains(&caller[1]));
    assert_eq!(world.engine.callers()[0].calls, 2);
}

#[test]
fn a_replacement_that_was_refused_is_tried_again() {
    let mut world = with_ttl(1);
    world.pass(TTL);
    let (member, slot) = world.io.dials.pop_front().unwrap();
    let failure = DialFailure::WrongKey;
    world.apply(Event::DialFailed { member, slot, failure, reason: "401".into() });
    world.pass(limits::REFUSED_CREDENTIALS_WAIT + limits::TICK);
    assert_eq!(world.io.dials.len(), 1, "once the credentials may be right again");
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::TICK * 2);
    assert_eq!(world.io.closed.len(), 1);
}

/// The fresh sockets died before the old one could be closed.
#[test]
fn the_only_socket_of_a_member_stays_however_old_it_is() {
    let mut world = with_ttl(1);
    let caller = world.caller("idm", 1);
    world.pass(TTL);
    let [old, other] = world.members[0][..] else { panic!("two sockets") };
    let (member, slot) = world.io.dials[0];
    assert_eq!(world.engine.view().member(member).unwrap().spec.name, "n0");
    let (old, other) = if slot == Slot(0) { (old, other) } else { (other, old) };
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.connect(0);
    world.pass(limits::HOLD_OFF + limits::TICK * 2);
    for dead in world.members[0].clone() {
        if dead != old {
            world.apply(Event::Closed { socket: dead, unsent: Vec::new() });
        }
    }
    world.members[0] = vec![old];
    let _ = (other, socket);
    world.feed(old, answer(id));
    world.pass(limits::TICK * 2);
    assert!(world.io.closed.is_empty(), "it is the only one");
    world.call(caller[0], 2, get());
    world.only_request();
}
