//! Who is late: members that are late by seconds, the last member of a group, and a router that stood still itself (P3, P6).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::{Ejection, Settings};
use crate::view::Mark;

const SECOND: Duration = Duration::from_secs(1);
/// How often the callers of these tests call.
const BEAT: Duration = Duration::from_millis(500);

/// The errors among what a caller got, and how many answers it got.
fn answers(world: &mut World, caller: &[SocketId]) -> (Vec<String>, usize) {
    let got = world.at_caller(caller);
    let errors = got.iter().filter(|frame| matches!(frame.kind, Kind::Error(_)));
    let errors: Vec<String> = errors.map(|frame| error_of(frame).message.clone()).collect();
    let answered = got.len() - errors.len();
    (errors, answered)
}

/// A member answers the calls that it has got.
fn serve(world: &mut World, member: usize) -> usize {
    let calls = world.at_member(member);
    let calls = calls.into_iter().filter(|(_, frame)| matches!(frame.kind, Kind::Operation(_)));
    calls.map(|(socket, call)| world.feed(socket, answer(call.message_id))).count()
}

/// A member answers all pings and probes that it has got by now.
fn catch_up(world: &mut World, member: usize) {
    let frozen =
        std::mem::replace(&mut world.frozen, (0..world.members.len()).filter(|n| *n != member).collect());
    for socket in world.members[member].clone() {
        world.apply(Event::Pong { socket });
    }
    world.answer_probes();
    world.frozen = frozen;
}

/// What ails one of two members, and how late its answers to pings and health checks are.
struct Ailment {
    name: &'static str,
    begin: fn(&mut World, usize),
    late: Duration,
}

fn flap(world: &mut World, ill: usize) {
    for _ in 0..5 {
        world.kill(ill);
        world.start(ill);
    }
}

fn fail_calls(world: &mut World, ill: usize) {
    let caller = world.caller("another idm", 1);
    for id in 0..3 * i64::from(limits::EJECTION_FAILURES) {
        world.call(caller[0], id, create());
        serve(world, 1 - ill);
        for (socket, call) in world.at_member(ill) {
            world.feed(socket, frames::error(call.message_id, "x.ConnectionFailedException", "no"));
        }
    }
}

fn too_slow(world: &mut World, ill: usize) {
    let id = world.engine.view().member_named(&format!("n{ill}")).unwrap().id;
    let bounds =
        Ejection { base: Duration::from_mins(5), cap: Duration::from_mins(5), ..Ejection::default() };
    world.engine.tables.members.too_slow(id, &bounds, world.now);
    world.pass(limits::TICK);
}

fn ailments() -> Vec<Ailment> {
    let at_once = limits::TICK;
    let ailment = |name, late, begin| Ailment { name, begin, late };
    vec![
        ailment("well", at_once, |_, _| {}),
        ailment("held down", at_once, flap),
        ailment("late by 4 s", 4 * SECOND, |_, _| {}),
        ailment("late by 9 s", 9 * SECOND, |_, _| {}),
        ailment("late by 14 s", 14 * SECOND, |_, _| {}),
        ailment("held down, late by 4 s", 4 * SECOND, flap),
        ailment("held down, late by 9 s", 9 * SECOND, flap),
        ailment("its test hangs", at_once, |world, ill| world.hangs_in_tests = vec![ill]),
        ailment("warming up", at_once, |world, ill| {
            world.hangs_in_tests = vec![ill];
            world.kill(ill);
            world.start(ill);
        }),
        ailment("warming up after flaps, late by 4 s", 4 * SECOND, |world, ill| {
            world.hangs_in_tests = vec![ill];
            flap(world, ill);
        }),
        ailment("its resource is down", at_once, |world, ill| {
            world.sick = vec![ill];
            world.pass(limits::TEST_PROBE_EVERY * 4);
        }),
        ailment("both resources are down", at_once, |world, _| {
            world.sick = vec![0, 1];
            world.pass(limits::TEST_PROBE_EVERY * 4);
        }),
        ailment("held down, its resource is down, late by 9 s", 9 * SECOND, |world, ill| {
            world.sick = vec![ill];
            flap(world, ill);
        }),
        ailment("ejected", at_once, fail_calls),
        ailment("slow", at_once, too_slow),
        ailment("slow, late by 9 s", 9 * SECOND, too_slow),
    ]
}

/// One of two members freezes, and something ails the other one. Reads go to the other: the last member that can be reached is better than
/// none, whatever its health checks say. No read is refused, and none waits longer than the frozen member may be waited for.
#[test]
fn reads_go_to_the_last_member_that_can_be_reached_whatever_ails_it() {
    for pings in [Some(limits::PING_INTERVAL), None] {
        for policy in [Policy::RoundRobin, Policy::Failover] {
            for ill in [0, 1] {
                ailments()
                    .iter()
                    .for_each(|ailment| one_is_frozen_and_one_is_ill(pings, policy, ill, ailment));
            }
        }
    }
}

fn one_is_frozen_and_one_is_ill(pings: Option<Duration>, policy: Policy, ill: usize, ailment: &Ailment) {
    let what = format!("n{ill} is {}, {policy}, pings {pings:?}", ailment.name);
    let mut world = World::with_members_down(2, policy);
    world.ping_interval = pings;
    let names = ["n0".to_owned(), "n1".to_owned()];
    world.set_view_at(9_999, &names, vec![("g", policy, names.to_vec())]);
    world.start(0);
    world.start(1);
    let caller = world.caller("idm", 1);
    // A configuration is in use, so that members are tested.
    for id in 0..4 {
        world.call(caller[0], 900 + id, get());
        serve(&mut world, 0);
        serve(&mut world, 1);
    }
    world.at_caller(&caller);
    (ailment.begin)(&mut world, ill);
    world.frozen = vec![0, 1];
    let (mut asked, mut answered, mut caught_up) = (0, 0, world.now);
    while asked < 80 {
        asked += 1;
        world.call(caller[0], asked, get());
        world.pass(BEAT);
        if world.now.since(caught_up) >= ailment.late {
            catch_up(&mut world, ill);
            caught_up = world.now;
        }
        serve(&mut world, ill);
        let (errors, got) = answers(&mut world, &caller);
        assert!(errors.is_empty(), "{what}, read {asked}: {errors:?}");
        answered += got as i64;
    }
    assert_eq!(answered, asked, "{what}: every read was answered");
    assert_eq!((world.report_of(1 - ill).sockets, world.report_of(ill).sockets), (0, 2), "{what}");
}

/// A member that comes and goes is lost with a call, and the other member freezes before anything was answered. Both losses together make the
/// configuration of all calls look as if it ended members. Members have answered calls with it before, so it is not refused: the member that
/// is back gets the reads.
#[test]
fn reads_go_to_a_member_that_just_flapped_while_the_other_one_is_frozen_and_cut_off() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    flap(&mut world, 1);
    world.pass(limits::HOLD_DOWN_CAP);
    for id in 0..4 {
        world.call(caller[0], id, get());
        for member in 0..2 {
            serve(&mut world, member);
        }
    }
    for id in 4..6 {
        world.call(caller[0], id, create());
    }
    assert_eq!((world.at_member(0).len(), world.at_member(1).len()), (1, 1));
    world.at_caller(&caller);
    world.kill(1);
    world.frozen = vec![0];
    world.start(1);
    assert_eq!(world.report_of(1).unfit, Some("held_down"));
    let unknown = answers(&mut world, &caller).0;
    assert!(unknown.len() == 1 && unknown[0].starts_with("Outcome unknown"), "{unknown:?}");
    let (mut asked, mut answered) = (100, 100);
    while asked < 140 {
        asked += 1;
        world.call(caller[0], asked, get());
        world.pass(BEAT);
        serve(&mut world, 1);
        let (errors, got) = answers(&mut world, &caller);
        // The change that was at the frozen member.
        let errors: Vec<String> =
            errors.into_iter().filter(|error| !error.starts_with("Outcome unknown")).collect();
        assert!(errors.is_empty(), "read {asked}: {errors:?}");
        answered += got as i64;
    }
    assert_eq!((answered, world.report_of(0).sockets), (asked, 0));
    assert!(world.engine.quarantined(world.now).is_empty());
}

/// An operator's wish counts for more than an answer.
#[test]
fn a_drained_member_gets_no_reads_even_if_it_is_the_last_one() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    world.mark(&[(1, Mark::Draining)]);
    world.frozen = vec![0];
    for id in 0..60 {
        world.call(caller[0], id, get());
        world.pass(BEAT);
        assert_eq!(serve(&mut world, 1), 0);
    }
    let (errors, answered) = answers(&mut world, &caller);
    assert!(answered == 0 && errors.iter().all(|error| error.contains("No member of group g is available")));
}

/// A world in which three members were used, and nothing is wrong.
fn in_use() -> (World, Vec<SocketId>) {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    for id in 0..6 {
        world.call(caller[0], id, get());
        for member in 0..3 {
            serve(&mut world, member);
        }
    }
    world.pass(7 * SECOND);
    assert_eq!(world.at_caller(&caller).len(), 6);
    world.io.notes.clear();
    (world, caller)
}

/// The router stands still, and what came meanwhile is read after it has woken up.
fn stand_still(world: &mut World, time: Duration) {
    world.now = world.now + time;
    world.apply(Event::Wake);
}

/// The sockets' tasks have read what members sent while the router stood still.
fn read_on(world: &mut World) {
    for socket in world.members.clone().into_iter().flatten() {
        world.apply(Event::Pong { socket });
    }
    world.answer_probes();
}

/// Whatever was under way when the router stood still, and however often it does: no member is judged for it.
#[test]
fn a_router_that_stood_still_judges_no_member() {
    let mut tested_meanwhile = 0;
    for offset in 0..40 {
        for time in [2, 6, 20] {
            let (mut world, caller) = in_use();
            // Members answer nothing for a moment, so pings, checks and tests are under way when the router stops.
            world.frozen = vec![0, 1, 2];
            world.pass(Duration::from_millis(130 * offset));
            tested_meanwhile += usize::from(world.tests_answered > 0);
            for round in 0..4 {
                stand_still(&mut world, Duration::from_secs(time));
                world.frozen.clear();
                read_on(&mut world);
                world.pass(SECOND);
                let odd = world.io.notes.iter().find(|note| note.starts_with("Member"));
                assert_eq!(odd, None, "offset {offset}, {time} s, round {round}");
                assert!(world.io.closed.is_empty());
            }
            assert!(world.io.notes.iter().all(|note| note.starts_with("StoodStill")), "{:?}", world.io.notes);
            world.call(caller[0], 99, get());
            assert_eq!((0..3).map(|member| serve(&mut world, member)).sum::<usize>(), 1);
        }
    }
    assert!(tested_meanwhile > 0);
}

/// Calls that wait for a place are not refused for the time in which the router did not give places away.
#[test]
fn a_call_that_waits_for_a_place_gets_the_place_that_became_free_while_the_router_stood_still() {
    let (mut world, caller) = in_use();
    let mut settings = Settings::default();
    settings.defaults.in_flight_max = 1;
    settings.defaults.deadlines.read = Duration::from_mins(5);
    world.set(&settings);
    world.call(caller[0], 50, get());
    world.call(caller[0], 51, get());
    stand_still(&mut world, limits::QUEUE_WAIT + SECOND);
    // Serving the first call gives its place to the second one.
    assert_eq!((0..3).chain(0..3).map(|member| serve(&mut world, member)).sum::<usize>(), 2);
    assert_eq!(answers(&mut world, &caller), (vec![], 2));
}

/// A router that is late all the time still finds a member that froze, in twice the number of ticks.
#[test]
fn a_router_that_is_always_late_still_finds_a_frozen_member() {
    let (mut world, _caller) = in_use();
    world.frozen = vec![0];
    let mut wakes = 0;
    while world.report_of(0).sockets > 0 {
        wakes += 1;
        assert!(wakes < 20, "{:?}", world.report_of(0));
        world.now = world.now + 3 * SECOND;
        world.apply(Event::Wake);
        for member in [1, 2] {
            catch_up(&mut world, member);
        }
        world.io.pinged.clear();
    }
    assert_eq!((world.report_of(1).sockets, world.report_of(2).sockets), (2, 2));
}

/// The caller's clock goes on while the router stands still.
#[test]
fn a_deadline_that_passed_in_a_standstill_has_passed() {
    let (mut world, caller) = in_use();
    world.call(caller[0], 50, get());
    stand_still(&mut world, limits::READ_DEADLINE);
    world.pass(limits::STANDSTILL_GRACE);
    let (errors, _) = answers(&mut world, &caller);
    assert!(errors[0].starts_with("Timeout"), "{errors:?}");
}
