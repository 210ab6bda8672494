//! What callers see when members break (P1, P2, P3, G10, X03; WIRE 7 and 9).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::Settings;

const CONNECTOR_EXCEPTION: &str = "org.identityconnectors.framework.common.exceptions.ConnectorException";

#[test]
fn a_read_of_a_lost_member_is_answered_by_another_at_once() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 7, get());
    assert_eq!(world.only_request().0, 0);
    world.kill(0);
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 1);
    world.feed(socket, answer(id));
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 7));
}

#[test]
fn a_change_of_a_lost_member_is_never_sent_again_and_its_caller_is_told() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 7, create());
    let (member, ..) = world.only_request();
    world.kill(member);
    assert!(world.at_member(1 - member).is_empty());
    let got = world.at_caller(&caller);
    let error = error_of(&got[0]);
    assert_eq!((got.len(), got[0].message_id), (1, 7));
    assert_eq!(error.class, CONNECTOR_EXCEPTION, "no class that IDM takes as: try again");
    assert!(error.message.starts_with("Outcome unknown"), "{}", error.message);
    assert!(world.engine.is_idle());
}

#[test]
fn without_a_member_a_call_fails_at_once() {
    let mut world = World::with_members_down(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).class.ends_with("ConnectionFailedException"));
}

/// WIRE 7.1 and 7.9: what arrives while the member stores the handshake is refused and was not run.
#[test]
fn a_call_refused_before_the_handshake_is_sent_again_after_a_moment() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    let text = "Connection received request before handshake";
    world.feed(socket, frames::error(id, CONNECTOR_EXCEPTION, text));
    assert!((0..2).all(|member| world.at_member(member).is_empty()), "not at once");
    world.pass(limits::RETRY_SAME_WAIT);
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 0);
    world.feed(socket, answer(id));
    assert!(matches!(world.at_caller(&caller)[0].kind, Kind::Answer(_)));
}

/// WIRE 7.1: the refusal of our answer to the member carries an id that may be that of a call of ours.
#[test]
fn a_refused_answer_of_ours_ends_no_call() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    let text = "Connection received response before handshake";
    world.feed(socket, frames::error(id, CONNECTOR_EXCEPTION, text));
    assert!(world.at_caller(&caller).is_empty());
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller).len(), 1);
}

#[test]
fn a_member_without_the_connector_passes_the_call_to_one_that_has_it() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let mut refuse = || {
        let (member, socket, id) = world.only_request();
        world.feed(socket, frames::error(id, CONNECTOR_EXCEPTION, "Connector not found: b/1.0/Rig"));
        member
    };
    assert_eq!((refuse(), refuse()), (0, 1));
    let got = world.at_caller(&caller);
    assert_eq!(error_of(&got[0]).message, "Connector not found: b/1.0/Rig", "the members' own error");
}

#[test]
fn a_connectors_own_error_is_the_answer() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, frames::error(id, "x.UnknownUidException", "no such object"));
    let got = world.at_caller(&caller);
    assert_eq!(error_of(&got[0]).class, "x.UnknownUidException");
    assert!(world.at_member(1).is_empty());
}

#[test]
fn when_one_socket_of_a_member_dies_its_reads_go_again_and_its_changes_wait() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, of_get, _) = world.only_request();
    world.call(caller[0], 2, create());
    let (_, of_create, create_id) = world.only_request();
    assert_ne!(of_get, of_create, "calls take turns over the sockets");
    world.apply(Event::Closed { socket: of_get, unsent: Vec::new() });
    world.members[0].retain(|socket| *socket != of_get);
    let (_, again, get_id) = world.only_request();
    assert_eq!(again, of_create);
    world.feed(again, answer(get_id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
    // The member answers on any socket of its session (WIRE 4.2).
    world.feed(of_create, answer(create_id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 2);
}

/// The member answers on any socket of its session (WIRE 4.2), and what is on one when that dies is lost (P1, P3).
#[test]
fn a_read_whose_answer_died_with_another_socket_is_asked_again() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, of_get, _) = world.only_request();
    world.call(caller[0], 2, create());
    let (_, of_create, create_id) = world.only_request();
    let other = *world.members[0].iter().find(|socket| **socket != of_get).expect("two sockets");
    assert_eq!(other, of_create);
    world.members[0].retain(|socket| *socket != other);
    world.apply(Event::Closed { socket: other, unsent: Vec::new() });
    world.pass(limits::ORPHAN_WAIT - Duration::from_secs(1));
    assert!(world.at_caller(&caller).is_empty());
    world.pass(Duration::from_secs(1));
    // That of the change was on the dead socket itself, so that it may not have been sent at all.
    assert!(error_of(&world.at_caller(&caller)[0]).message.starts_with("Outcome unknown"));
    let (_, again, id) = world.only_request();
    assert_eq!(again, of_get);
    world.feed(again, answer(create_id));
    world.feed(again, answer(id));
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 1));
    assert!(world.engine.is_idle());
}

/// P10: sockets that come and go beside a long stream leave nothing behind.
#[test]
fn a_call_is_watched_once_however_many_sockets_die_beside_it() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    for sequence in 1..=100 {
        let other = *world.members[0].iter().find(|other| **other != socket).expect("two sockets");
        world.members[0].retain(|open| *open != other);
        world.apply(Event::Closed { socket: other, unsent: Vec::new() });
        world.pass(Duration::from_secs(1));
        world.connect(0);
        world.pass(Duration::from_millis(500));
        world.answer_probes();
        world.feed(socket, search_item(id, sequence));
        assert!(world.engine.tables.clock.of_orphans() <= 1, "after {sequence} losses");
    }
    world.feed(socket, search_end(id, 100, ""));
    world.answer_pings();
    assert_eq!(world.at_caller(&caller).len(), 101);
    assert!(world.engine.is_idle());
}

/// That its answer is lost looks like that it takes long.
#[test]
fn a_change_is_not_given_up_because_another_socket_died() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    let other = *world.members[0].iter().find(|other| **other != socket).expect("two sockets");
    world.members[0].retain(|socket| *socket != other);
    world.apply(Event::Closed { socket: other, unsent: Vec::new() });
    world.pass(limits::ORPHAN_WAIT * 2);
    assert!(world.at_caller(&caller).is_empty());
    world.feed(socket, answer(id));
    let got = world.at_caller(&caller);
    assert!(matches!(got[0].kind, Kind::Answer(_)));
}

#[test]
fn a_change_whose_socket_died_is_waited_for_and_then_unknown() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 2, create());
    let (_, socket, _) = world.only_request();
    world.apply(Event::Closed { socket, unsent: Vec::new() });
    world.pass(limits::ORPHAN_WAIT - Duration::from_secs(1));
    assert!(world.at_caller(&caller).is_empty());
    world.pass(Duration::from_secs(1));
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.starts_with("Outcome unknown"));
}

#[test]
fn a_silent_member_is_disconnected_and_its_calls_are_answered() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let sockets = world.members[0].clone();
    world.frozen.push(0);
    let mut passed = Duration::ZERO;
    while world.io.closed.is_empty() {
        world.pass(Duration::from_millis(500));
        passed += Duration::from_millis(500);
        assert!(passed <= limits::FROZEN_MEMBER_OUT_MAX, "P6");
    }
    let mut closed: Vec<SocketId> = world.io.closed.clone();
    closed.sort();
    assert_eq!(closed, sockets);
    world.members[0].clear();
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.starts_with("Outcome unknown"));
    world.call(caller[0], 2, get());
    assert_eq!(world.only_request().0, 1);
}

#[test]
fn a_member_that_talks_nonsense_is_disconnected_and_dialled_again() {
    let mut world = World::with_members(1, Policy::Failover);
    let socket = world.members[0][0];
    world.apply(Event::Garbage { socket });
    assert_eq!(world.io.closed, [socket]);
    world.apply(Event::Closed { socket, unsent: Vec::new() });
    world.pass(Duration::from_secs(1));
    assert_eq!(world.io.dials.len(), 1);
    let caller = world.caller("idm", 1);
    world.apply(Event::Garbage { socket: caller[0] });
    assert_eq!(world.io.closed.len(), 1, "a 1.8.0 dialler would never come back (WIRE 7.5)");
}

/// A04: of a member its calls go elsewhere, of a caller they are given up. The other sockets stay.
#[test]
fn sockets_whose_credential_is_revoked_are_closed_and_out_of_use_at_once() {
    let mut world = World::with_members(2, Policy::Failover);
    let (caller, other) = (world.caller("idm", 1), world.caller("other", 1));
    world.call(caller[0], 1, get());
    let (_, first, _) = world.only_request();
    let reason = || "its token is revoked".to_owned();
    for socket in world.members[0].clone() {
        world.apply(Event::Revoked { socket, reason: reason() });
        assert!(world.io.closed.contains(&socket));
    }
    let (member, second, _) = world.only_request();
    assert!(member == 1 && second != first, "the read is retried on the other member");
    world.apply(Event::Revoked { socket: caller[0], reason: reason() });
    assert!(world.io.closed.contains(&caller[0]));
    world.apply(Event::Revoked { socket: caller[0], reason: reason() });
    let told = world.io.notes.iter().filter(|note| note.contains("erDisconnected")).count();
    assert_eq!(told, 0, "whoever revokes tells it, once for all sockets: {:?}", world.io.notes);
    world.call(other[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&other).len(), 1);
}

#[test]
fn a_member_that_comes_back_is_in_use_within_two_seconds() {
    let mut world = World::with_members(1, Policy::Failover);
    world.kill(0);
    let mut failures = 0;
    // It stays away for a minute; each attempt is refused.
    for _ in 0..600 {
        world.pass(Duration::from_millis(100));
        while let Some((member, slot)) = world.io.dials.pop_front() {
            let reason = "connection refused".to_owned();
            failures += 1;
            world.apply(Event::DialFailed { member, slot, failure: DialFailure::Unreachable, reason });
        }
    }
    assert!(failures > 60, "{failures} attempts in a minute");
    let told = world.io.notes.iter().filter(|note| note.starts_with("DialFailed")).count();
    assert_eq!(told, 1, "an absence is told once");
    let back = world.now;
    world.start(0);
    assert!(world.now.since(back) <= Duration::from_millis(2_300), "{:?}", world.now.since(back));
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    world.only_request();
}

#[test]
fn an_answer_over_the_size_limit_fails_its_call_only() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, message_id) = world.only_request();
    world.apply(Event::Oversize {
        socket,
        message_id,
        what: OversizeFrame::Answer,
        bytes: 1 << 30,
        why: OversizeReason::Limit,
    });
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.contains("larger than"));
    world.apply(Event::Oversize {
        socket: caller[0],
        message_id: 9,
        what: OversizeFrame::Request,
        bytes: 1 << 30,
        why: OversizeReason::Limit,
    });
    let got = world.at_caller(&caller);
    assert_eq!(got[0].message_id, 9);
    assert!(error_of(&got[0]).message.contains("was not run"));
    world.apply(Event::Oversize {
        socket: caller[0],
        message_id: 10,
        what: OversizeFrame::Request,
        bytes: 5 << 20,
        why: OversizeReason::Overload,
    });
    let got = world.at_caller(&caller);
    let error = error_of(&got[0]);
    assert!(error.message.starts_with("Overload:") && error.message.contains("5242880 bytes"), "{error:?}");
    assert!(error.class.ends_with("RetryableException"), "{error:?}");
    assert!(world.io.notes.iter().any(|note| note.starts_with("CallRefused")), "{:?}", world.io.notes);
    world.call(caller[0], 2, get());
    world.only_request();
}

#[test]
fn a_change_that_was_still_queued_when_its_member_died_goes_to_another() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (socket, request) = world.at_member(0).remove(0);
    let other = *world.members[0].iter().find(|open| **open != socket).unwrap();
    world.members[0].clear();
    world.apply(Event::Closed { socket: other, unsent: Vec::new() });
    world.apply(Event::Closed { socket, unsent: vec![request.frame().clone()] });
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 1);
    world.feed(socket, answer(id));
    assert!(matches!(world.at_caller(&caller)[0].kind, Kind::Answer(_)));
    assert!(world.engine.is_idle());
    assert!(world.engine.report().groups[0].members.iter().all(|member| member.in_flight == 0));
}

#[test]
fn a_change_that_was_still_queued_on_one_dead_socket_goes_out_on_the_other() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (socket, request) = world.at_member(0).remove(0);
    world.members[0].retain(|open| *open != socket);
    world.apply(Event::Closed { socket, unsent: vec![request.frame().clone()] });
    let (_, again, id) = world.only_request();
    assert_ne!(again, socket);
    world.feed(again, answer(id));
    assert!(matches!(world.at_caller(&caller)[0].kind, Kind::Answer(_)));
}

/// A member that dies with all it can hold: every read is repeated, whatever the budget (P3).
#[test]
fn the_reads_of_a_dead_member_are_all_repeated() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let mut settings = Settings::default();
    settings.defaults.retry_percent = 1;
    world.set(&settings);
    let caller = world.caller("idm", 2);
    for id in 1..=4_000 {
        world.call(caller[0], id, get());
    }
    assert_eq!(world.at_member(0).len(), 2_000);
    let mut held = world.at_member(1);
    world.kill(0);
    let mut answered = 0;
    while !held.is_empty() {
        for (socket, request) in std::mem::take(&mut held) {
            world.feed(socket, answer(request.message_id));
        }
        let got = world.at_caller(&caller);
        let odd = got.iter().find(|envelope| !matches!(envelope.kind, Kind::Answer(_)));
        assert!(odd.is_none(), "{odd:?}");
        answered += got.len();
        held = world.at_member(1);
    }
    assert_eq!(answered, 4_000);
    assert!(world.engine.is_idle());
}

/// A group in which every call is refused everywhere gets its calls, the share of retries and the floor, and no more.
#[test]
fn where_everything_is_refused_the_load_grows_by_the_share_of_retries_alone() {
    const CALLS: usize = 2_000;
    let mut world = World::with_members(4, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    let mut sent = 0;
    for id in 1..=CALLS {
        world.call(caller[0], id as i64, get());
        while let Some((socket, request)) = (0..4).find_map(|member| world.at_member(member).pop()) {
            sent += 1;
            let text = "Connector not found: Rig";
            world.feed(socket, frames::error(request.message_id, CONNECTOR_EXCEPTION, text));
        }
    }
    let got = world.at_caller(&caller);
    assert!(got.len() == CALLS && got.iter().all(|envelope| error_of(envelope).class == CONNECTOR_EXCEPTION));
    let share = CALLS * limits::RETRY_PERCENT as usize / 100 + limits::RETRY_FLOOR as usize;
    assert_eq!(sent, CALLS + share, "and not {}", 4 * CALLS);
}

#[test]
fn a_read_whose_resource_is_out_of_reach_is_tried_at_the_other_members_and_a_change_is_not_g17() {
    const BROKEN: &str = "org.identityconnectors.framework.common.exceptions.ConnectionFailedException";
    let mut world = World::with_members(3, Policy::Failover);
    let caller = world.caller("idm", 1);
    // One member cannot reach it: another answers.
    world.call(caller[0], 1, get());
    let (first, socket, id) = world.only_request();
    world.feed(socket, frames::error(id, BROKEN, "down"));
    let (second, socket, id) = world.only_request();
    assert_ne!(first, second);
    world.feed(socket, answer(id));
    assert!(matches!(world.at_caller(&caller)[0].kind, Kind::Answer(_)));
    // Nobody can: the caller sees what the last of them said.
    world.call(caller[0], 2, search());
    for _ in 0..3 {
        let (member, socket, id) = world.only_request();
        world.feed(socket, frames::error(id, BROKEN, &format!("down at {member}")));
    }
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), error_of(&got[0]).message.as_str()), (1, "down at 2"));
    // A change may have got half way, and what was delivered is not delivered twice.
    for (number, request, items) in [(3, create(), 0), (4, search(), 1)] {
        world.call(caller[0], number, request);
        let (_, socket, id) = world.only_request();
        for item in 0..items {
            world.feed(socket, search_item(id, item + 1));
        }
        world.feed(socket, frames::error(id, BROKEN, "down"));
        let got = world.at_caller(&caller);
        assert_eq!(error_of(got.last().unwrap()).message, "down");
    }
    assert!(world.engine.is_idle());
}
