//! Hedges: a read of which nothing came for long, while its member answered calls that were sent later, is sent to a second member as
//! well. The first answer counts (P1, P3, P10).

use std::time::Duration;

use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::messages::{OperationRequest, SyncOpRequest};
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::Settings;
use crate::view::Mark;

const CONNECTOR_EXCEPTION: &str = "org.identityconnectors.framework.common.exceptions.ConnectorException";

const AFTER: Duration = Duration::from_secs(5);
/// The time within which a call that may be hedged is.
const NOTICED: Duration = Duration::from_millis(5_500);

/// A world whose group hedges.
fn world(members: usize, policy: Policy) -> World {
    let mut world = World::with_members(members, policy);
    hedge(&mut world, |_| {});
    world
}

fn hedge(world: &mut World, set: impl FnOnce(&mut Settings)) {
    let mut settings = Settings::default();
    settings.defaults.hedge_after = Some(AFTER);
    set(&mut settings);
    world.set(&settings);
}

/// A request at a member.
#[derive(Clone, Copy, Debug)]
struct At {
    member: usize,
    socket: SocketId,
    id: i64,
}

fn only(world: &mut World) -> At {
    let (member, socket, id) = world.only_request();
    At { member, socket, id }
}

/// A call that its member swallows, while the member answers a call that comes later.
fn swallowed(world: &mut World, caller: &[SocketId], id: i64, request: OperationRequest) -> At {
    world.call(caller[0], id, request);
    let first = only(world);
    prove(world, caller, first.member);
    first
}

/// The member answers calls that are sent now.
fn prove(world: &mut World, caller: &[SocketId], member: usize) {
    for id in 1_000_000.. {
        world.call(caller[0], id, get());
        let at = only(world);
        world.feed(at.socket, answer(at.id));
        assert_eq!(world.at_caller(caller).len(), 1);
        if at.member == member {
            return;
        }
    }
}

/// Members answer the pings behind a stream that had a pause.
fn pongs(world: &mut World) {
    world.pass(limits::TICK);
}

fn cancels(of: &[(SocketId, Envelope)]) -> Vec<i64> {
    let cancels = of.iter().filter(|(_, envelope)| matches!(envelope.kind, Kind::Cancel));
    cancels.map(|(_, envelope)| envelope.message_id).collect()
}

/// The last step of the only call that something is kept of.
fn last_step(world: &World) -> (String, String, Option<String>) {
    let ids = world.engine.explained_calls(10);
    assert_eq!(ids.len(), 1);
    let steps = world.engine.explanation(ids[0], world.now).unwrap().steps;
    let step = steps.last().unwrap();
    (step.fault.clone(), step.verdict.clone(), step.member.clone())
}

fn noted(world: &World, word: &str) -> usize {
    world.io.notes.iter().filter(|note| note.starts_with(word)).count()
}

fn in_flight(world: &World) -> Vec<usize> {
    world.engine.report().groups[0].members.iter().map(|member| member.in_flight).collect()
}

#[test]
fn a_search_that_its_member_swallows_is_asked_of_another_member_and_the_first_answer_counts() {
    let mut world = world(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    let first = swallowed(&mut world, &caller, 1, search());
    world.pass(AFTER - Duration::from_millis(500));
    assert!((0..2).all(|member| world.at_member(member).is_empty()), "not yet");
    world.pass(Duration::from_secs(1));
    let second = only(&mut world);
    assert_ne!(second.member, first.member);
    assert_eq!(in_flight(&world), [1, 1], "it is at both");
    let asked = ("answer_overdue".to_owned(), "hedge".to_owned(), Some(format!("n{}", first.member)));
    assert_eq!(last_step(&world), asked);

    world.feed(second.socket, search_item(second.id, 1));
    assert_eq!(cancels(&world.at_member(first.member)), [first.id], "the loser is cancelled");
    world.feed(first.socket, search_item(first.id, 1));
    world.feed(first.socket, search_end(first.id, 1, ""));
    world.feed(second.socket, search_end(second.id, 1, ""));
    pongs(&mut world);
    let got = world.at_caller(&caller);
    assert_eq!(got.len(), 2, "one row, one end: {got:?}");
    assert!(world.engine.is_idle() && in_flight(&world) == [0, 0]);
    assert_eq!(
        (noted(&world, "CallHedged"), noted(&world, "HedgeWon"), noted(&world, "CallRetried")),
        (1, 1, 0)
    );
}

#[test]
fn a_slow_answer_of_the_first_member_still_counts() {
    let mut world = world(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let first = swallowed(&mut world, &caller, 1, get());
    world.pass(NOTICED);
    let second = only(&mut world);
    world.feed(first.socket, answer(first.id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
    assert!(world.engine.is_idle() && in_flight(&world) == [0, 0]);
    world.feed(second.socket, answer(second.id));
    assert!(world.at_caller(&caller).is_empty(), "the late answer is dropped");
    assert_eq!((noted(&world, "CallHedged"), noted(&world, "HedgeWon")), (1, 0));
}

/// Without the proof nothing says that the call is lost: the member may be slow, and is looked after by health checks.
#[test]
fn a_call_is_not_hedged_while_its_member_answers_nothing_that_came_later() {
    let mut world = world(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    // The answer to a call that was sent before proves nothing.
    world.call(caller[0], 1, get());
    let before = only(&mut world);
    world.call(caller[0], 2, search());
    let search = only(&mut world);
    world.feed(before.socket, answer(before.id));
    assert_eq!(world.at_caller(&caller).len(), 1);
    world.pass(AFTER * 4);
    assert_eq!(noted(&world, "CallHedged"), 0);
    prove(&mut world, &caller, search.member);
    world.pass(limits::HEDGE_LOOK_AGAIN + limits::TICK);
    assert_eq!(only(&mut world).member, 1);
}

#[test]
fn only_reads_without_a_frame_are_hedged_and_nothing_is_where_the_group_does_not_say_so() {
    let sync = OperationRequest { sync: Some(SyncOpRequest::default()), ..OperationRequest::default() };
    let login = OperationRequest { authenticate: Some(Default::default()), ..OperationRequest::default() };
    let script =
        OperationRequest { script_on_connector: Some(Default::default()), ..OperationRequest::default() };
    let subscription = OperationRequest {
        connector_event_subscription: Some(Default::default()),
        ..OperationRequest::default()
    };
    for (request, is_on, hedges) in [
        (get(), true, 1),
        (search(), true, 1),
        (sync, true, 1),
        (get(), false, 0),
        (search(), false, 0),
        (page("cookie"), true, 0),
        (create(), true, 0),
        (login, true, 0),
        (script, true, 0),
        (batch(), true, 0),
        (subscription, true, 0),
    ] {
        let mut world = World::with_members(3, Policy::RoundRobin);
        if is_on {
            hedge(&mut world, |_| {});
        }
        let caller = world.caller("idm", 1);
        swallowed(&mut world, &caller, 1, request.clone());
        world.pass(limits::LOGIN_DEADLINE - Duration::from_secs(1));
        assert_eq!(noted(&world, "CallHedged"), hedges, "{request:?}, {is_on}");
    }
    // A search that has brought a row.
    let mut world = world(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let first = swallowed(&mut world, &caller, 3, search());
    world.feed(first.socket, search_item(first.id, 1));
    world.pass(AFTER * 3);
    assert_eq!(world.at_caller(&caller).iter().filter(|got| got.message_id == 3).count(), 1);
    assert_eq!(noted(&world, "CallHedged"), 0);
}

#[test]
fn a_call_is_hedged_once() {
    let mut world = world(3, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    let first = swallowed(&mut world, &caller, 1, search());
    world.pass(NOTICED);
    let second = only(&mut world);
    for member in [first.member, second.member] {
        prove(&mut world, &caller, member);
    }
    world.pass(AFTER * 4);
    assert_eq!(noted(&world, "CallHedged"), 1);
    world.feed(first.socket, search_end(first.id, 0, ""));
    assert_eq!(world.at_caller(&caller).len(), 1);
    assert!(world.engine.is_idle());
}

/// One of two members is lost, refuses the call or cannot reach its resource: the other goes on, and the caller sees nothing of it.
#[test]
fn when_one_of_two_members_fails_the_call_goes_on_at_the_other() {
    type Fail = fn(&mut World, At);
    let fails: [(&str, Fail); 5] = [
        ("member_lost", |world, at| world.kill(at.member)),
        ("connector_not_found", |world, at| {
            world
                .feed(at.socket, frames::error(at.id, CONNECTOR_EXCEPTION, "Connector not found: b/1.0/Rig"));
        }),
        ("refused_before_handshake", |world, at| {
            let text = "Connection received request before handshake";
            world.feed(at.socket, frames::error(at.id, CONNECTOR_EXCEPTION, text));
        }),
        ("resource_failing", |world, at| {
            world.feed(at.socket, frames::error(at.id, "x.ConnectionFailedException", "resource down"));
        }),
        ("member_shuts_down", |world, at| world.feed(at.socket, frames::shutting_down(at.id))),
    ];
    for (fault, fail) in fails {
        for fails_first in [true, false] {
            let mut world = world(2, Policy::Failover);
            let caller = world.caller("idm", 1);
            let first = swallowed(&mut world, &caller, 1, search());
            world.pass(NOTICED);
            let second = only(&mut world);
            let (lost, left) = if fails_first { (first, second) } else { (second, first) };
            fail(&mut world, lost);
            assert!(world.at_caller(&caller).is_empty(), "{fault}");
            let expected = (fault.to_owned(), "wait".to_owned(), Some(format!("n{}", lost.member)));
            assert_eq!(last_step(&world), expected);
            assert_eq!(in_flight(&world)[lost.member], 0, "{fault}");
            world.feed(left.socket, search_item(left.id, 1));
            world.feed(left.socket, search_end(left.id, 1, ""));
            pongs(&mut world);
            assert_eq!(world.at_caller(&caller).len(), 2, "{fault}");
            assert!(world.engine.is_idle());
        }
    }
}

/// A member answers on any socket of its session (WIRE 4.2), so the loss of one socket is waited out at both members.
#[test]
fn a_hedged_call_survives_the_socket_of_either_request() {
    for is_given_back in [false, true] {
        for fails_first in [true, false] {
            let mut world = world(2, Policy::Failover);
            let caller = world.caller("idm", 1);
            let first = swallowed(&mut world, &caller, 1, search());
            world.pass(NOTICED);
            let second = only(&mut world);
            let (lost, other) = if fails_first { (first, second) } else { (second, first) };
            world.members[lost.member].retain(|socket| *socket != lost.socket);
            let request = is_given_back.then(|| frames::operation(lost.id, &search()));
            world.apply(Event::Closed { socket: lost.socket, unsent: request.into_iter().collect() });
            world.kill(other.member);
            assert!(world.at_caller(&caller).is_empty());
            world.pass(limits::ORPHAN_WAIT + limits::TICK);
            let sent = world.at_member(lost.member);
            let (socket, again) = sent.iter().find(|(_, frame)| !matches!(frame.kind, Kind::Cancel)).unwrap();
            world.feed(*socket, search_end(again.message_id, 0, ""));
            assert_eq!(world.at_caller(&caller).len(), 1, "{is_given_back} {fails_first}");
            assert!(world.engine.is_idle());
        }
    }
}

#[test]
fn when_both_members_are_lost_the_call_is_held_back_as_a_call_that_lost_two() {
    let mut world = world(3, Policy::Failover);
    let caller = world.caller("idm", 1);
    swallowed(&mut world, &caller, 1, get());
    world.pass(NOTICED);
    only(&mut world);
    world.kill(0);
    world.kill(1);
    let third = world.at_member(2);
    assert!(third.is_empty(), "it takes no third member with it: {third:?}");
    world.pass(limits::POISON_PROOF_WAIT + limits::TICK);
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.starts_with("Two members"), "{got:?}");
}

#[test]
fn a_hedged_call_that_ends_ends_at_both_members() {
    type End = fn(&mut World, &[SocketId]);
    let ends: [End; 3] = [
        |world, caller| world.feed(caller[0], frames::cancel(1)),
        |world, _| world.pass(limits::STREAM_IDLE_DEADLINE),
        |world, caller| world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() }),
    ];
    for end in ends {
        let mut world = world(2, Policy::Failover);
        let caller = world.caller("idm", 1);
        let first = swallowed(&mut world, &caller, 1, search());
        world.pass(NOTICED);
        let second = only(&mut world);
        end(&mut world, &caller);
        assert_eq!(cancels(&world.at_member(0)), [first.id]);
        assert_eq!(cancels(&world.at_member(1)), [second.id]);
        assert!(world.engine.is_idle() && in_flight(&world) == [0, 0]);
    }
}

/// A `get` cannot be stopped at its member, and runs on there for nobody. The second member is not waited for.
#[test]
fn a_get_whose_caller_leaves_is_left_at_its_first_member_alone() {
    let mut world = world(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let first = swallowed(&mut world, &caller, 1, get());
    world.pass(NOTICED);
    only(&mut world);
    world.apply(Event::Closed { socket: caller[0], unsent: Vec::new() });
    world.pass(limits::CALLER_KEPT + Duration::from_secs(1));
    assert!(in_flight(&world)[1] == 0);
    world.feed(first.socket, answer(first.id));
    assert!(world.engine.is_idle());
}

/// P10: hedges are retries. Where every read is swallowed, the load grows by the share of retries alone.
#[test]
fn hedges_stay_within_the_retry_budget() {
    const CALLS: usize = 1_000;
    for (percent, hedges) in [(20, limits::RETRY_FLOOR as usize), (0, 0)] {
        let mut world = World::with_members(2, Policy::RoundRobin);
        hedge(&mut world, |settings| settings.defaults.retry_percent = percent);
        let caller = world.caller("idm", 1);
        for id in 1..=CALLS {
            world.call(caller[0], id as i64, get());
        }
        for member in 0..2 {
            world.at_member(member);
        }
        world.pass(limits::RETRY_WINDOW_SECONDS as u32 * Duration::from_secs(1));
        // The last call of each member is answered.
        for member in 0..2 {
            prove(&mut world, &caller, member);
        }
        world.pass(limits::HEDGE_LOOK_AGAIN + limits::TICK);
        assert_eq!(noted(&world, "CallHedged"), hedges, "{percent} %");
    }
}

#[test]
fn a_hedge_goes_to_no_member_that_may_not_have_the_call() {
    type Out = fn(&mut World);
    let outs: [Out; 3] = [
        |world| world.mark(&[(1, Mark::Draining)]),
        |world| world.kill(1),
        // Its only place is taken.
        |world| hedge(world, |settings| settings.defaults.in_flight_max = 1),
    ];
    for out in outs {
        let mut world = world(2, Policy::Failover);
        let caller = world.caller("idm", 1);
        swallowed(&mut world, &caller, 1, search());
        out(&mut world);
        world.pass(AFTER * 3);
        assert_eq!(noted(&world, "CallHedged"), 0);
        assert!(world.at_caller(&caller).is_empty(), "it still waits for its member");
    }
}
