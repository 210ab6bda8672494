//! Calls that a caller waits for and that nobody holds (P1, WIRE 9).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Ask};

use super::world::{World, answer, create, error_of, get};
use crate::balance::Policy;
use crate::limits::{NOT_HELD_WAIT, TICK};

const SECOND: Duration = Duration::from_secs(1);

/// The errors that came at the caller's socket, by the ids of their calls.
fn unknown(world: &mut World, socket: rcs_proto::session::SocketId) -> Vec<i64> {
    let errors = world.taken(socket).into_iter().filter(|frame| matches!(frame.kind, Kind::Error(_)));
    errors
        .map(|frame| {
            let text = &error_of(&frame).message;
            assert!(text.starts_with("Outcome unknown: the router holds no call"), "{text}");
            frame.message_id
        })
        .collect()
}

#[test]
fn a_call_that_nobody_holds_ends_10_s_after_its_caller_named_it() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 50, get());
    // 40 and 60 were lost before this router began; 70 is still on its way.
    world.feed(caller[0], frames::control_request(90, Ask::Check, &[], &[40, 50, 60, 70, 90]));
    world.pass(5 * SECOND);
    world.call(caller[1], 70, get());
    world.pass(NOT_HELD_WAIT - 5 * SECOND - TICK);
    assert_eq!((unknown(&mut world, caller[0]), unknown(&mut world, caller[1])), (vec![], vec![]));
    world.pass(2 * TICK);
    let mut told = [unknown(&mut world, caller[0]), unknown(&mut world, caller[1])].concat();
    told.sort_unstable();
    assert_eq!(told, [40, 60]);
    let is_it = |note: &&String| note.contains("CallsNotHeld { calls: 2 }");
    assert_eq!(world.io.notes.iter().filter(is_it).count(), 1, "{:?}", world.io.notes);
    world.pass(30 * SECOND);
    assert_eq!((unknown(&mut world, caller[0]), unknown(&mut world, caller[1])), (vec![], vec![]), "once");
}

#[test]
fn a_caller_that_checks_often_hears_it_of_no_call_that_was_answered() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    for round in 1..=20 {
        let id = 100 * round;
        world.call(caller[0], id, get());
        let (_, socket, at_member) = world.only_request();
        world.feed(socket, answer(at_member));
        // The check was written before the answer came.
        world.feed(caller[0], frames::control_request(id + 1, Ask::Check, &[], &[id]));
        world.pass(5 * SECOND);
        assert!(unknown(&mut world, caller[0]).is_empty(), "round {round}");
    }
}

#[test]
fn what_waits_for_a_slow_caller_is_not_taken_for_lost() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 7, get());
    let (_, socket, at_member) = world.only_request();
    world.io.spilled.insert(caller[0], 100 << 20);
    world.feed(socket, answer(at_member));
    assert_eq!(world.taken(caller[0]).len(), 1, "the answer is queued behind much else");
    for check in [90, 91, 92] {
        world.feed(caller[0], frames::control_request(check, Ask::Check, &[], &[7]));
        world.pass(20 * SECOND);
        assert!(unknown(&mut world, caller[0]).is_empty());
    }
    world.io.spilled.clear();
    world.pass(NOT_HELD_WAIT + TICK);
    assert_eq!(unknown(&mut world, caller[0]), [7], "nothing waits any more, and the caller still asks");
}

/// A large request may come so slowly that its caller hears of it first. Nobody may run it then: the caller may have sent it again.
#[test]
fn a_call_that_comes_after_its_caller_was_told_is_not_run() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.feed(caller[0], frames::control_request(90, Ask::Check, &[], &[40, 90]));
    world.pass(NOT_HELD_WAIT + 2 * TICK);
    let told = [unknown(&mut world, caller[0]), unknown(&mut world, caller[1])].concat();
    assert_eq!(told, [40]);
    world.call(caller[1], 40, create());
    assert_eq!(unknown(&mut world, caller[1]), [40]);
    assert!(world.at_member(0).is_empty(), "it is not run");
    world.call(caller[1], 41, create());
    assert_eq!(world.only_request().0, 0, "others are");
}

/// Routers of a cluster show one session id, so the caller's check names calls that run at another router (WIRE 8).
#[test]
fn a_router_of_a_cluster_says_nothing_of_calls_that_others_may_hold() {
    let mut world = World::in_cluster(1, 1, Policy::Failover);
    let caller = world.caller("idm", 1);
    for check in [90, 91, 92] {
        world.feed(caller[0], frames::control_request(check, Ask::Check, &[], &[40, check]));
        world.pass(30 * SECOND);
        assert!(unknown(&mut world, caller[0]).is_empty());
    }
}

#[test]
fn a_question_for_connectors_that_waits_is_no_lost_call() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let caller = world.join_caller("idm", 1);
    world.feed(caller[0], frames::control_request(1, Ask::ConnectorInfo, &[], &[1]));
    world.feed(caller[0], frames::control_request(2, Ask::Check, &[], &[1, 2]));
    world.pass(30 * SECOND);
    assert!(unknown(&mut world, caller[0]).is_empty());
}

/// A framework 1.8.0 gives up the calls of a dead connection within 4 minutes if no session check came in the last 12, and after up to 16
/// minutes if one came (WIRE 9). So callers get none.
#[test]
fn callers_get_no_session_checks() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.taken(caller[0]);
    world.taken(caller[1]);
    for _ in 0..60 {
        world.pass(60 * SECOND);
        world.answer_pings();
        let frames = [world.taken(caller[0]), world.taken(caller[1])].concat();
        assert!(frames.is_empty(), "{frames:?}");
    }
}
