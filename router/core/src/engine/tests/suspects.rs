//! Calls that two members were lost with (P3).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;

/// A read that is at no member any more: the two it was at were lost.
fn suspect(members: usize) -> (World, Vec<SocketId>, [usize; 2]) {
    let mut world = World::with_members(members, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let lost = [0, 1].map(|_| {
        let (member, ..) = world.only_request();
        world.kill(member);
        member
    });
    (world, caller, lost)
}

/// Where the read is now, beside questions for connectors.
fn reads(world: &mut World, members: usize) -> Vec<(usize, SocketId, i64)> {
    let frames = (0..members).flat_map(|member| {
        let frames = world.at_member(member).into_iter();
        frames.map(move |(socket, frame)| (member, socket, frame)).collect::<Vec<_>>()
    });
    let reads = frames.filter(|(.., frame)| matches!(frame.kind, Kind::Operation(_)));
    reads.map(|(member, socket, frame)| (member, socket, frame.message_id)).collect()
}

fn is_with_nobody(world: &mut World, members: usize) -> bool {
    reads(world, members).is_empty()
}

#[test]
fn a_poison_call_takes_two_members_with_it_and_no_third() {
    let (mut world, caller, lost) = suspect(4);
    // Their processes are started again: others.
    for member in lost {
        world.starts[member] += 1;
        world.pass(Duration::from_millis(100));
        world.connect(member);
    }
    assert!(world.at_caller(&caller).is_empty());
    world.pass(limits::POISON_PROOF_WAIT);
    let got = world.at_caller(&caller);
    let text = &error_of(&got[0]).message;
    assert!(text.contains("not sent to another") && text.contains("the last one member n1"), "{text}");
    assert!(is_with_nobody(&mut world, 4));
    assert!(world.engine.is_idle());
}

/// A switch that fails takes connections, and no processes.
#[test]
fn a_read_that_a_network_lost_with_two_members_goes_to_a_third() {
    let (mut world, caller, lost) = suspect(3);
    world.pass(Duration::from_millis(100));
    assert!(is_with_nobody(&mut world, 3) && world.at_caller(&caller).is_empty());
    world.connect(lost[0]);
    world.pass(limits::TICK);
    let (third, socket, id) = reads(&mut world, 3)[0];
    assert!(!lost.contains(&third));
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
    assert!(world.engine.is_idle());
}

#[test]
fn a_read_that_a_network_lost_with_all_members_goes_to_the_first_that_is_back() {
    let (mut world, caller, lost) = suspect(2);
    world.pass(Duration::from_millis(100));
    world.connect_and_tell(lost[1], connector_infos(CONNECTOR));
    world.pass(limits::TICK);
    let (member, socket, id) = reads(&mut world, 2)[0];
    assert_eq!(member, lost[1]);
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
}

#[test]
fn a_suspect_is_forgotten_with_its_caller() {
    let (mut world, caller, _) = suspect(3);
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.pass(limits::CALLER_KEPT + limits::TICK);
    assert!(is_with_nobody(&mut world, 3));
    assert!(world.engine.is_idle());
}

/// A process that aborts closes its sockets one by one: the call moves to the last of them and never leaves the router there.
#[test]
fn a_poison_call_is_found_when_its_members_lose_their_sockets_one_after_the_other() {
    let mut world = World::with_members(4, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    for _ in 0..2 {
        let (member, first, _) = world.only_request();
        world.apply(Event::Closed { socket: first, unsent: Vec::new() });
        let again: Vec<_> = world.at_member(member);
        let (second, request) = again.last().expect("it is sent again, behind a cancel at most");
        let (second, unsent) = (*second, vec![request.frame().clone()]);
        assert_ne!(first, second);
        world.apply(Event::Closed { socket: second, unsent });
    }
    world.pass(limits::POISON_PROOF_WAIT);
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.contains("not sent to another"), "{got:?}");
    assert!((0..4).all(|member| world.at_member(member).is_empty()));
}
