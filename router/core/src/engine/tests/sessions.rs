//! What becomes of calls when a member's sockets and sessions come, go and overlap (WIRE 4.2, 4.3, section 8).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::session::{Side, SocketId};

use super::parts::by_member;
use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;

const CONNECTOR_EXCEPTION: &str = "org.identityconnectors.framework.common.exceptions.ConnectorException";

fn in_flight(world: &World) -> usize {
    let report = world.engine.report();
    report.groups.iter().flat_map(|group| &group.members).map(|member| member.in_flight).sum()
}

/// The member finishes its calls and sends their answers on whatever joins under the same sessionIds (WIRE 4.2).
#[test]
fn the_answer_of_a_call_from_before_an_outage_never_answers_a_later_call() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, _, before) = world.only_request();
    world.kill(0);
    world.come_back(0);
    assert_eq!(world.at_caller(&caller).len(), 1, "outcome unknown");
    world.call(caller[0], 2, create());
    let (_, socket, after) = world.only_request();
    assert_ne!(before, after);
    world.feed(socket, answer(before));
    assert!(world.at_caller(&caller).is_empty(), "that was the answer of call 1");
    world.feed(socket, answer(after));
    assert_eq!(world.at_caller(&caller)[0].message_id, 2);
}

/// The same, where the operator changed the member in between.
#[test]
fn ids_go_on_counting_when_a_member_is_taken_on_anew() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, _, before) = world.only_request();
    world.kill(0);
    world.set_view(&[], vec![]);
    world.pass(Duration::from_secs(1));
    world.set_view(&["n0".into()], vec![("g", Policy::Failover, vec!["n0".into()])]);
    world.come_back(0);
    world.at_caller(&caller);
    world.call(caller[0], 2, create());
    assert_ne!(before, world.only_request().2);
}

/// A balancer in front of two servers: one member, two sessions.
#[test]
fn two_servers_at_one_address_keep_one_session_each() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let dials: Vec<_> = world.io.dials.drain(..).collect();
    for (dial, server) in dials.iter().zip(["A", "B"]) {
        world.io.dials.push_back(*dial);
        world.connect_to(0, server);
    }
    let tell = |world: &mut World, socket| {
        world.pass(Duration::from_millis(250));
        for envelope in world.taken(socket) {
            if let Kind::ControlRequest(_) = envelope.kind {
                let infos = Some(connector_infos(CONNECTOR));
                world.feed(socket, frames::control_response(envelope.message_id, infos));
            }
        }
    };
    let (a, b) = (world.members[0][0], world.members[0][1]);
    tell(&mut world, b);
    tell(&mut world, a);
    let caller = world.caller("idm", 1);
    // B goes; its slot is answered by A, which told its connectors long ago.
    world.members[0].retain(|socket| *socket != b);
    world.apply(Event::Closed { socket: b, unsent: Vec::new() });
    world.pass(Duration::from_secs(2));
    world.connect_to(0, "A");
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    assert!(world.at_caller(&caller).is_empty());
    // One session: the answer may come on either socket.
    let other = *world.members[0].iter().find(|other| **other != socket).unwrap();
    world.feed(other, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
}

#[test]
fn a_call_cancelled_while_it_waits_to_be_repeated_leaves_nothing_behind() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    let text = "Connection received request before handshake";
    world.feed(socket, frames::error(id, CONNECTOR_EXCEPTION, text));
    world.feed(caller[0], frames::cancel(1));
    assert!(world.engine.is_idle());
    world.pass(limits::RETRY_SAME_WAIT);
    assert_eq!(in_flight(&world), 0);
}

/// What is queued behind a close is never written.
#[test]
fn a_call_is_not_sent_on_a_socket_that_is_being_closed() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    let broken = world.members[0][0];
    world.apply(Event::Garbage { socket: broken });
    for call in 1..=4 {
        world.call(caller[0], call, create());
    }
    let requests = world.at_member(0);
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|(socket, _)| *socket != broken));
}

/// A script may fail with any text: only the framework's own errors say that a call was not run.
#[test]
fn a_connectors_error_that_reads_like_the_frameworks_is_the_answer() {
    for (class, text) in [
        ("x.ScriptException", "Connector not found: b/1.0/Rig"),
        ("x.ScriptException", "Connection received request before handshake"),
        (CONNECTOR_EXCEPTION, "Request has been registered with id: 1"),
        ("java.lang.IllegalStateException", "Request has been registered with id: 4711"),
    ] {
        let mut world = World::with_members(2, Policy::Failover);
        let caller = world.caller("idm", 1);
        world.call(caller[0], 1, create());
        let (_, socket, id) = world.only_request();
        world.feed(socket, frames::error(id, class, text));
        world.pass(Duration::from_secs(1));
        assert!((0..2).all(|member| world.at_member(member).is_empty()), "{class}: {text}");
        assert_eq!(world.at_caller(&caller).len(), 1, "{class}: {text}");
    }
}

#[test]
fn an_answer_to_another_operation_is_an_error_and_leaves_no_call_open() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    for (call, request) in [(1, get()), (2, create()), (3, search())] {
        world.call(caller[0], call, request);
        let (_, socket, id) = world.only_request();
        let nonsense = match call {
            3 => answer(id),
            _ => search_item(id, 1),
        };
        world.feed(socket, nonsense);
        let got = world.at_caller(&caller);
        assert_eq!((got.len(), got[0].message_id), (1, call));
        error_of(&got[0]);
    }
    assert!(world.engine.is_idle());
}

#[test]
fn a_member_that_changes_while_it_is_down_is_dialled_once_a_slot() {
    let mut world = World::with_members_down(1, Policy::Failover);
    for round in 0..4 {
        // Its dials fail, and new ones are due when the operator moves it.
        while let Some((member, slot)) = world.io.dials.pop_front() {
            let reason = "connection refused".to_owned();
            world.apply(Event::DialFailed { member, slot, failure: DialFailure::Unreachable, reason });
        }
        world.set_view_at(9000 + round, &["n0".into()], vec![("g", Policy::Failover, vec!["n0".into()])]);
    }
    world.pass(Duration::from_secs(3));
    assert_eq!(world.io.dials.len(), 2, "{:?}", world.io.dials);
}

#[test]
fn a_dial_that_was_under_way_when_a_member_moved_does_not_become_its_socket() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let (member, slot) = world.io.dials.pop_front().unwrap();
    world.io.dials.clear();
    world.set_view_at(9000, &["n0".into()], vec![("g", Policy::Failover, vec!["n0".into()])]);
    world.pass(Duration::from_secs(1));
    let socket = rcs_proto::session::SocketId(4711);
    world.apply(dialled(member, slot, socket));
    assert!(world.io.closed.contains(&socket), "it leads to the old address");
    assert!(world.io.dials.contains(&(member, slot)));
}

/// Its items prove that the member has the call, and a hole would show at its end (WIRE 5.3).
#[test]
fn a_stream_that_goes_on_after_its_socket_died_is_not_cut_short() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.members[0].retain(|other| *other != socket);
    world.apply(Event::Closed { socket, unsent: Vec::new() });
    let other = world.members[0][0];
    let seconds = limits::ORPHAN_WAIT.as_secs() as i64;
    for second in 0..2 * seconds {
        world.pass(Duration::from_secs(1));
        world.feed(other, search_item(id, second + 2));
    }
    world.feed(other, search_end(id, 2 * seconds + 1, ""));
    let got = world.at_caller(&caller);
    assert!(got.iter().all(|envelope| matches!(envelope.kind, Kind::Answer(_))), "{:?}", got.last());
    assert!(world.engine.is_idle());
}

/// P1: the wait is counted from the last item, or a caller that gives up after 30 s never hears of it.
#[test]
fn a_stream_whose_end_died_with_a_socket_is_given_up_a_while_after_its_last_item() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    world.feed(socket, search_item(id, 1));
    world.members[0].retain(|other| *other != socket);
    world.apply(Event::Closed { socket, unsent: Vec::new() });
    let other = world.members[0][0];
    world.pass(Duration::from_secs(1));
    world.feed(other, search_item(id, 3));
    assert_eq!(world.at_caller(&caller).len(), 2);
    world.pass(limits::ORPHAN_WAIT - Duration::from_millis(1));
    assert!(world.at_caller(&caller).is_empty());
    world.pass(Duration::from_millis(1));
    assert!(error_of(&world.at_caller(&caller)[0]).message.contains("cut short"));
}

/// P3: its end overtook the items, so nothing was delivered yet.
#[test]
fn a_stream_of_which_only_the_end_came_is_repeated() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (member, socket, id) = world.only_request();
    world.feed(socket, search_end(id, 2, ""));
    world.kill(member);
    let (other, socket, id) = world.only_request();
    assert_ne!(member, other);
    world.feed(socket, search_item(id, 1));
    world.feed(socket, search_end(id, 1, ""));
    assert_eq!(world.at_caller(&caller).len(), 2);
    assert!(world.engine.is_idle());
}

/// P1: Kubernetes kills us after the grace period; no caller may be left waiting for what was still open.
#[test]
fn calls_that_outlast_the_drain_are_answered() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    world.call(caller[0], 2, search());
    let requests = world.at_member(0);
    world.apply(Event::Drain);
    world.pass(limits::DRAIN_TIME);
    world.apply(Event::DrainOver);
    let got = world.at_caller(&caller);
    assert_eq!(got.len(), 2, "{got:?}");
    let of = |id| error_of(got.iter().find(|envelope| envelope.message_id == id).unwrap());
    assert!(of(1).message.starts_with("Outcome unknown"), "{}", of(1).message);
    assert!(of(2).class.ends_with("RetryableException"));
    let cancels = world.at_member(0);
    assert_eq!((cancels.len(), cancels[0].1.message_id), (1, requests[1].1.message_id));
    assert!(world.engine.is_idle());
}

/// Several servers may answer at one address, and a server in client mode dials no further socket while it has some.
#[test]
fn when_the_server_that_joined_last_is_gone_the_one_before_gets_calls_again() {
    let mut world = World::with_members(1, Policy::Failover);
    let before = world.members[0].clone();
    world.apply(Event::Closed { socket: before[0], unsent: Vec::new() });
    world.members[0].remove(0);
    world.pass(Duration::from_secs(2));
    world.connect_to(0, "another server");
    world.tell(0);
    let last = world.members[0].pop().unwrap();
    world.apply(Event::Closed { socket: last, unsent: Vec::new() });
    world.tell(0);
    assert_eq!(world.members[0], before[1..]);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, _) = world.only_request();
    assert_eq!(socket, before[1]);
}

#[test]
fn a_member_that_dials_has_so_many_sockets_at_most() {
    let mut world = World::with_members(1, Policy::Failover);
    let member = world.engine.view().members()[0].id;
    let free = limits::SOCKETS_PER_DIALLING_MEMBER_MAX - world.members[0].len();
    for number in 0..free + 3 {
        let (socket, peer) = (SocketId(9_000 + number as u64), Peer::Member { member, by: by_member() });
        world.apply(Event::Opened { socket, side: Side::Accepted, peer });
        assert_eq!(world.io.closed.contains(&socket), number >= free, "socket {number}");
    }
    assert!(
        world.io.notes.iter().any(|note| note.contains("one more socket than the 64")),
        "{:?}",
        world.io.notes
    );
}
