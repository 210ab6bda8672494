//! The state of each member in its group, since when and why; and the notes about a group without a member.

use std::time::Duration;

use rcs_proto::frames::{self, Ask};

use super::world::*;
use crate::agreed::At;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::state::MemberState;
use crate::view::Mark;

/// The state of a member and the reason.
fn state(world: &World, member: usize) -> (MemberState, Option<String>) {
    let report = world.report_of(member);
    (report.state, report.reason)
}

fn is(world: &World, member: usize, state_is: MemberState, reason: &str) {
    let (state, why) = state(world, member);
    let why = why.unwrap_or_default();
    assert!(state == state_is && why.contains(reason), "{state} {why:?}, not {state_is} {reason:?}");
}

/// Lets each dial that waits fail in this way.
fn fail_dials(world: &mut World, failure: DialFailure, reason: &str) {
    while let Some((member, slot)) = world.io.dials.pop_front() {
        world.apply(Event::DialFailed { member, slot, failure, reason: reason.into() });
    }
}

fn notes<'a>(world: &'a World, kind: &str) -> Vec<&'a String> {
    world.io.notes.iter().filter(|note| note.starts_with(kind)).collect()
}

#[test]
fn a_member_that_cannot_be_reached_is_down_and_says_why() {
    for failure in [
        DialFailure::NameNotResolved,
        DialFailure::ConnectionRefused,
        DialFailure::TimedOut,
        DialFailure::WrongKey,
        DialFailure::TlsFailed,
    ] {
        let mut world = World::with_members_down(1, Policy::Failover);
        is(&world, 0, MemberState::Down, "not reached yet");
        fail_dials(&mut world, failure, "127.0.0.1:8759: a sentence");
        is(&world, 0, MemberState::Down, failure.label());
        let report = world.report_of(0);
        let error = report.error.unwrap();
        assert_eq!((error.label, error.text.as_str()), (failure.label(), "127.0.0.1:8759: a sentence"));
        assert_eq!(report.address.as_deref(), Some("127.0.0.1:8759"));
    }
}

#[test]
fn an_error_of_long_ago_is_no_reason_and_is_kept() {
    let mut world = World::with_members_down(2, Policy::Failover);
    fail_dials(&mut world, DialFailure::WrongKey, "the key");
    world.pass(limits::REFUSED_CREDENTIALS_WAIT);
    world.start(0);
    assert_eq!(state(&world, 0), (MemberState::Serving, None));
    assert_eq!(world.report_of(0).error.unwrap().label, DialFailure::WrongKey.label());
    world.kill(0);
    is(&world, 0, MemberState::Down, "connection lost");
}

#[test]
fn each_state_has_its_reason() {
    let mut world = World::with_members(3, Policy::Failover);
    assert_eq!(state(&world, 0), (MemberState::Serving, None));
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.mark(&[(0, Mark::Draining)]);
    is(&world, 0, MemberState::Draining, "by an operator; its last calls");
    world.feed(socket, answer(id));
    world.pass(Duration::from_secs(2));
    is(&world, 0, MemberState::Drained, "by an operator");
    world.mark(&[(0, Mark::Disabled)]);
    is(&world, 0, MemberState::Disabled, "by an operator");

    // The member has another bundle set than the group.
    world.kill(1);
    world.start_with(1, infos_at(CONNECTOR, "2.0"));
    is(&world, 1, MemberState::Quarantined, "bundle set differs: bundles diff g");
    assert!(world.report_of(1).set.is_some());
    world.kill(1);
    is(&world, 1, MemberState::Down, "connection lost");

    world.call(caller[0], 2, get());
    let request = world.at_member(2).pop().unwrap();
    world.feed(request.0, frames::shutting_down(request.1.message_id));
    is(&world, 2, MemberState::Unfit, "it said that it shuts down");
}

#[test]
fn a_member_that_comes_and_goes_or_fails_is_held_down_or_ejected_until_a_moment() {
    let mut world = World::with_members(3, Policy::Failover);
    for _ in 0..4 {
        world.kill(0);
        world.start(0);
    }
    let report = world.report_of(0);
    assert_eq!(report.state, MemberState::HeldDown, "{report:?}");
    assert!(report.until.is_some_and(|until| until > report.since), "{report:?}");

    let caller = world.caller("idm", 1);
    for id in 0..20 {
        world.call(caller[0], id, create());
        for (socket, request) in world.at_member(1) {
            world.feed(socket, frames::error(request.message_id, "x.ConnectionFailedException", "down"));
        }
        world.at_member(2);
    }
    is(&world, 1, MemberState::Ejected, "its calls failed in a row");
    assert!(world.report_of(1).until.is_some());
}

#[test]
fn a_fresh_member_is_warming_until_its_connectors_are_tested() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    world.kill(1);
    world.frozen = vec![1];
    world.start(1);
    is(&world, 1, MemberState::Warming, "its connectors are tested first");
}

#[test]
fn since_is_the_moment_of_the_last_change_of_the_state() {
    let mut world = World::with_members(2, Policy::Failover);
    let since = world.report_of(0).since;
    world.pass(Duration::from_secs(60));
    assert_eq!(world.report_of(0).since, since, "nothing changed");
    world.kill(0);
    let down = world.report_of(0).since;
    assert_eq!(down, At(1_700_000_000_000).after(world.now));
    world.pass(Duration::from_secs(1));
    fail_dials(&mut world, DialFailure::ConnectionRefused, "refused");
    assert_eq!(world.report_of(0).since, down, "the reason changed, the state did not");
}

#[test]
fn a_group_that_loses_its_last_member_is_noted_once_and_so_is_its_return() {
    let mut world = World::with_members(2, Policy::Failover);
    let supply = |world: &World| world.engine.report().groups[0].supply;
    assert_eq!(supply(&world), GroupSupply::Served);
    world.mark(&[(0, Mark::Draining)]);
    assert_eq!(notes(&world, "GroupOut").len(), 0, "one serves");
    world.kill(1);
    let [note] = notes(&world, "GroupOut")[..] else { panic!("{:?}", world.io.notes) };
    assert!(note.contains("Draining") && note.contains("Down"), "what its members do instead: {note}");
    assert!(matches!(supply(&world), GroupSupply::OutSince(_)));
    world.pass(Duration::from_secs(5));
    world.start(1);
    assert_eq!((notes(&world, "GroupOut").len(), notes(&world, "GroupBack").len()), (1, 1));
    assert_eq!(supply(&world), GroupSupply::Served);
}

#[test]
fn callers_that_wait_for_a_list_are_noted_once_a_minute_until_a_member_comes() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.feed(caller[0], frames::control_request(1, Ask::ConnectorInfo, &[], &[]));
    let report = world.engine.report();
    assert_eq!((report.groups[0].supply, report.groups[0].callers_waiting), (GroupSupply::NeverServed, 1));
    world.pass(limits::LIST_WAIT_TOLD_AFTER - limits::TICK * 2);
    assert_eq!(notes(&world, "CallersWaitForList").len(), 0, "a router that has just started");
    world.pass(limits::TICK * 4);
    let [note] = notes(&world, "CallersWaitForList")[..] else { panic!("{:?}", world.io.notes) };
    assert!(note.contains("callers: 1"), "{note}");
    world.pass(limits::LIST_WAIT_TOLD_EVERY + limits::TICK * 2);
    assert_eq!(notes(&world, "CallersWaitForList").len(), 2);
    world.start(0);
    world.pass(limits::LIST_WAIT_TOLD_EVERY * 2);
    assert_eq!(notes(&world, "CallersWaitForList").len(), 2, "the caller has its list");
    assert_eq!(world.engine.report().groups[0].callers_waiting, 0);
}
