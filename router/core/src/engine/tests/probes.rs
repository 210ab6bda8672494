//! Probes, deadlines and what they do to rotation (G17, P1, P6, X02).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::{GroupSettings, Settings};

fn served_by(world: &mut World, caller: SocketIds<'_>, id: i64) -> usize {
    world.call(caller[0], id, get());
    let (member, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    member
}

type SocketIds<'a> = &'a [rcs_proto::session::SocketId];

fn noted(world: &World, word: &str) -> usize {
    world.io.notes.iter().filter(|note| note.starts_with(word)).count()
}

#[test]
fn a_dead_resource_behind_a_live_member_takes_it_out_and_its_return_brings_it_back() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    assert_eq!(served_by(&mut world, &caller, 1), 0);
    world.sick.push(0);
    world.pass(limits::TEST_PROBE_EVERY * (limits::PROBE_FALL + 1));
    assert_eq!(served_by(&mut world, &caller, 2), 1);
    assert_eq!(world.engine.report().groups[0].members[0].unfit, Some("test_failing"));
    world.sick.clear();
    world.pass(limits::TEST_PROBE_EVERY * (limits::PROBE_RISE + 1));
    assert_eq!(served_by(&mut world, &caller, 3), 0);
    assert_eq!((noted(&world, "MemberUnfit"), noted(&world, "MemberDown")), (1, 0));
}

#[test]
fn when_every_resource_is_down_all_members_serve_and_callers_see_their_own_errors() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    served_by(&mut world, &caller, 1);
    world.sick.extend([0, 1]);
    world.pass(limits::TEST_PROBE_EVERY * 4);
    let first = served_by(&mut world, &caller, 2);
    assert_ne!(served_by(&mut world, &caller, 3), first);
}

#[test]
fn a_framework_that_answers_no_check_gets_no_calls_though_its_sockets_live() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let start = world.now;
    // Its sockets answer pings, nothing else.
    while world.engine.report().groups[0].members[0].unfit.is_none() {
        for _ in 0..2 {
            world.frozen = vec![0];
            world.pass(limits::PING_INTERVAL / 2);
            for socket in world.members[0].clone() {
                world.apply(Event::Pong { socket });
            }
        }
        assert!(world.now.since(start) < Duration::from_secs(20), "{:?}", world.io.notes);
    }
    assert!(world.now.since(start) <= limits::FROZEN_MEMBER_OUT_MAX);
    assert_eq!(served_by(&mut world, &caller, 1), 1);
    assert!(world.io.closed.is_empty());
}

#[test]
fn a_returning_member_is_tested_before_it_gets_traffic() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    served_by(&mut world, &caller, 1);
    world.kill(0);
    world.frozen = vec![0];
    world.start(0);
    assert_eq!(served_by(&mut world, &caller, 2), 1, "its test is under way");
    world.frozen.clear();
    world.answer_probes();
    assert_eq!(served_by(&mut world, &caller, 3), 0);
    // One whose resource is down stays out from the start.
    world.kill(0);
    world.sick = vec![0];
    world.start(0);
    assert_eq!(served_by(&mut world, &caller, 4), 1);
}

#[test]
fn a_flapping_member_is_told_once_per_hold_down_and_nobody_notices() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    for flap in 0..60 {
        world.kill(0);
        world.pass(Duration::from_millis(700));
        served_by(&mut world, &caller, 2 * flap + 1);
        world.start(0);
        world.pass(Duration::from_millis(700));
        served_by(&mut world, &caller, 2 * flap + 2);
    }
    // Lost twice, back once, and held down from then on.
    let told = ["MemberDown", "MemberUp", "MemberUnfit"]
        .map(|note| noted(&world, note) - usize::from(note == "MemberUp") * 2);
    assert_eq!(told, [2, 1, 1], "{:?}", world.io.notes);
    world.pass(limits::HOLD_DOWN_CAP);
    assert_eq!(served_by(&mut world, &caller, 999), 0, "it serves again once it stays");
}

#[test]
fn a_member_whose_calls_fail_in_a_row_is_ejected_for_a_while_and_business_errors_are_no_failure() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let fail = |world: &mut World, id: i64, class: &str| {
        world.call(caller[0], id, create());
        let (member, socket, at_member) = world.only_request();
        world.feed(socket, frames::error(at_member, class, "no"));
        member
    };
    for id in 0..20 {
        assert_eq!(fail(&mut world, id, "a.b.UnknownUidException"), 0);
    }
    for id in 20..20 + i64::from(limits::EJECTION_FAILURES) {
        assert_eq!(fail(&mut world, id, "a.b.ConnectionFailedException"), 0);
    }
    assert_eq!(fail(&mut world, 90, "a.b.UnknownUidException"), 1);
    world.pass(limits::EJECTION_BASE + limits::TICK);
    assert_eq!(fail(&mut world, 91, "a.b.UnknownUidException"), 0);
}

#[test]
fn a_call_without_an_answer_ends_with_its_deadline() {
    for (request, deadline, text) in [
        (get(), limits::READ_DEADLINE, "It changed nothing"),
        (create(), limits::CHANGE_DEADLINE, "Outcome unknown"),
        (search(), limits::STREAM_IDLE_DEADLINE, "It changed nothing"),
    ] {
        let mut world = World::with_members(1, Policy::Failover);
        let caller = world.caller("idm", 1);
        world.call(caller[0], 1, request.clone());
        let (_, socket, id) = world.only_request();
        world.pass(deadline - Duration::from_secs(1));
        assert!(world.at_caller(&caller).is_empty());
        world.pass(Duration::from_secs(1) + limits::TICK);
        let got = world.at_caller(&caller);
        assert!(error_of(&got[0]).message.contains(text), "{got:?}");
        let cancelled = world.at_member(0).iter().any(|(_, envelope)| matches!(envelope.kind, Kind::Cancel));
        assert_eq!(cancelled, request.search.is_some());
        world.feed(socket, answer(id));
        assert!(world.at_caller(&caller).is_empty(), "a late answer is dropped");
    }
}

#[test]
fn a_search_that_goes_on_has_no_deadline() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (_, socket, id) = world.only_request();
    for item in 1..10 {
        world.pass(limits::STREAM_IDLE_DEADLINE - Duration::from_secs(1));
        world.feed(socket, search_item(id, item));
    }
    world.feed(socket, search_end(id, 9, ""));
    world.answer_pings();
    assert_eq!(world.at_caller(&caller).len(), 10);
}

#[test]
fn a_member_in_the_middle_of_a_long_message_is_alive_and_a_full_kernel_is_no_sign_of_life() {
    for (backlog, received, written, alive) in
        [(0, 1, 0, true), (1, 0, 1, true), (0, 0, 1, false), (1, 0, 0, false)]
    {
        let mut world = World::with_members(1, Policy::Failover);
        world.frozen = vec![0];
        let sockets = world.members[0].clone();
        for _ in 0..20 {
            world.pass(limits::PING_INTERVAL / 2);
            for socket in &sockets {
                world.io.backlog.insert(*socket, backlog);
                let moved = world.io.moved.entry(*socket).or_default();
                *moved = Moved { received: moved.received + received, written: moved.written + written };
            }
        }
        assert_eq!(world.io.closed.is_empty(), alive, "{:?}", (backlog, received, written));
    }
}

/// Three members, one of which answers in half a second while the others take 5 ms: out as slow, back after its time, and out
/// for longer when it is still slow.
#[test]
fn a_member_that_is_far_slower_than_the_others_is_left_out_for_a_while() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let caller = world.caller("idm", 2);
    let mut id = 0;
    // One call to each member in turn, for so long; answers the calls that each got.
    let mut serve = |world: &mut World, time: Duration| {
        let (mut counts, end) = ([0; 3], world.now + time);
        while world.now < end {
            for _ in 0..3 {
                id += 1;
                world.call(caller[0], id, get());
            }
            let mut slow = Vec::new();
            world.pass(Duration::from_millis(5));
            for (member, count) in counts.iter_mut().enumerate() {
                for (socket, request) in world.at_member(member) {
                    *count += 1;
                    match member {
                        2 => slow.push((socket, request.message_id)),
                        _ => world.feed(socket, answer(request.message_id)),
                    }
                }
            }
            world.pass(Duration::from_millis(495));
            for (socket, id) in slow {
                world.feed(socket, answer(id));
            }
        }
        assert!(world.at_caller(&caller).iter().all(|got| matches!(got.kind, Kind::Answer(_))));
        counts
    };
    serve(&mut world, limits::OUTLIER_WINDOW * 3);
    let unfit = |world: &World| world.engine.report().groups[0].members[2].unfit;
    assert_eq!(unfit(&world), Some("slow"));
    assert!(world.io.notes.iter().any(|note| note.starts_with("MemberUnfit") && note.contains("Slow")));
    let out = serve(&mut world, Duration::from_secs(2));
    assert!(out[2] == 0 && out[0] > 0, "{out:?}");
    serve(&mut world, limits::EJECTION_BASE - Duration::from_secs(2));
    assert_eq!(unfit(&world), None, "it gets another chance");
    let tried = serve(&mut world, limits::OUTLIER_WINDOW * 3);
    assert!(tried[2] > 0 && unfit(&world) == Some("slow"), "{tried:?}");
    serve(&mut world, limits::EJECTION_BASE);
    assert_eq!(unfit(&world), Some("slow"), "for longer this time");
}

#[test]
fn a_member_that_says_that_it_shuts_down_gets_no_more_calls_and_none_fails() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    for (id, request) in [(1, create()), (2, get())] {
        world.call(caller[0], id, request);
    }
    for (socket, request) in world.at_member(0) {
        world.feed(socket, frames::shutting_down(request.message_id));
    }
    for (socket, request) in world.at_member(1) {
        world.feed(socket, answer(request.message_id));
    }
    let got = world.at_caller(&caller);
    assert_eq!(got.iter().filter(|envelope| matches!(envelope.kind, Kind::Answer(_))).count(), 2, "{got:?}");
    assert_eq!(served_by(&mut world, &caller, 3), 1);
    assert_eq!(world.engine.report().groups[0].members[0].unfit, Some("shutting_down"));
    // It is another server when it comes back. A connector that says the same is not believed.
    world.kill(0);
    world.start(0);
    assert_eq!(served_by(&mut world, &caller, 4), 0);
    world.call(caller[0], 5, create());
    let (_, socket, id) = world.only_request();
    world.feed(
        socket,
        frames::error(id, "a.ConnectionFailedException", "The connector server is shutting down"),
    );
    let got = world.at_caller(&caller);
    assert!(matches!(got.iter().find(|envelope| envelope.message_id == 5).unwrap().kind, Kind::Error(_)));
}

/// Another server took the place of the one that was tested, and there is nothing to test any more.
#[test]
fn a_warm_up_ends_with_its_session() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    world.kill(0);
    world.frozen = vec![0];
    world.start(0);
    assert_eq!(world.report_of(0).unfit, Some("warming_up"));
    let groups = [("g".to_owned(), GroupSettings { test_every: None, ..GroupSettings::default() })];
    world.set(&Settings { groups: groups.into(), ..Settings::default() });
    let lost = world.members[0].remove(0);
    world.apply(Event::Closed { socket: lost, unsent: Vec::new() });
    world.pass(Duration::from_secs(2));
    world.connect_to(0, "another server");
    world.frozen.clear();
    world.tell(0);
    world.pass(limits::WARM_UP_MAX * 4);
    assert!(world.report_of(0).takes_calls(), "{:?}", world.report_of(0));
}

/// The reads of a group, which are ended as refused.
fn refused(world: &mut World, caller: SocketIds<'_>) -> usize {
    let got = world.at_caller(caller);
    got.iter().filter(|envelope| matches!(envelope.kind, Kind::Error(_))).count()
}

/// P3: the last member that can be reached gets calls, whatever its health is.
#[test]
fn with_one_member_frozen_and_the_other_just_flapped_reads_go_to_the_other() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    for _ in 0..5 {
        world.kill(1);
        world.start(1);
    }
    assert_eq!(world.report_of(1).unfit, Some("held_down"));
    world.frozen = vec![0];
    // Long enough for the frozen member to be cut off.
    for id in 0..40 {
        world.call(caller[0], id, get());
        world.pass(Duration::from_millis(500));
        for (socket, request) in world.at_member(1) {
            if matches!(request.kind, Kind::Operation(_)) {
                world.feed(socket, answer(request.message_id));
            }
        }
        assert_eq!(refused(&mut world, &caller), 0, "read {id}");
    }
    assert_eq!(world.report_of(1).sockets, 2);
}

/// The last member is late by seconds with pongs and session checks. It is not cut off at once, because no other member answers, and is
/// still cut off in the end.
#[test]
fn the_last_member_that_can_be_reached_may_be_late_with_its_answers() {
    for pings in [Some(limits::PING_INTERVAL), None] {
        let mut world = World::with_members_down(2, Policy::RoundRobin);
        world.ping_interval = pings;
        let names = ["n0".to_owned(), "n1".to_owned()];
        world.set_view_at(9_999, &names, vec![("g", Policy::RoundRobin, names.to_vec())]);
        world.start(0);
        world.start(1);
        let caller = world.caller("idm", 1);
        world.kill(0);
        world.frozen = vec![1];
        world.pass(Duration::from_secs(12));
        assert_eq!(world.report_of(1).sockets, 2, "{pings:?}");
        world.call(caller[0], 1, get());
        assert_eq!(refused(&mut world, &caller), 0);
        assert_eq!(world.only_request().0, 1);
        world.pass(Duration::from_secs(12));
        assert_eq!(world.report_of(1).sockets, 0, "{pings:?}: not for good");
    }
}

/// A silent member is cut off in time if another one answers (P6).
#[test]
fn a_silent_member_is_cut_off_in_time_while_another_answers() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    world.frozen = vec![1];
    world.pass(limits::FROZEN_MEMBER_OUT_MAX);
    assert_eq!((world.report_of(0).sockets, world.report_of(1).sockets), (2, 0));
}
