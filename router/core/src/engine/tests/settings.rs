//! What an operator set for a group, at work: deadlines (J06, J08), tests, pings (P6).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::icf::{ApiConfiguration, ClassName};
use rcs_proto::legacy::facade_key;
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::limits;
use crate::settings::{Deadlines, GroupSettings, RouterSettings, Settings};

const SECOND: Duration = Duration::from_secs(1);

fn login() -> OperationRequest {
    OperationRequest { authenticate: Some(AuthenticateOpRequest::default()), ..Default::default() }
}

fn script() -> OperationRequest {
    OperationRequest {
        script_on_connector: Some(ScriptOnConnectorOpRequest::default()),
        ..Default::default()
    }
}

fn of_group(group: GroupSettings) -> Settings {
    Settings { groups: [("g".to_owned(), group)].into(), ..Settings::default() }
}

fn tests_among(world: &mut World, index: usize) -> usize {
    let sent = world.members[index].clone().into_iter().flat_map(|socket| world.taken(socket));
    sent.filter(|envelope| matches!(&envelope.kind, Kind::Operation(head) if head.operation == rcs_proto::operation::Operation::Test))
        .count()
}

#[test]
fn each_kind_of_call_has_the_deadline_of_its_group_and_streams_are_cancelled_p1() {
    let deadlines = Deadlines {
        login: 2 * SECOND,
        read: 3 * SECOND,
        change: 4 * SECOND,
        script: 5 * SECOND,
        stream_idle: 6 * SECOND,
    };
    for (request, seconds, text) in [
        (login(), 2, "failed login"),
        (get(), 3, "It changed nothing"),
        (create(), 4, "Outcome unknown"),
        (script(), 5, "Outcome unknown"),
        (search(), 6, "It changed nothing"),
        (batch(), 6, "Outcome unknown"),
    ] {
        let mut world = World::with_members(1, Policy::Failover);
        world.set(&of_group(GroupSettings { deadlines, ..GroupSettings::default() }));
        let caller = world.caller("idm", 1);
        let is_stream = request.search.is_some() || request.batch.is_some();
        world.call(caller[0], 1, request);
        world.only_request();
        world.pass(Duration::from_secs(seconds) - limits::TICK);
        assert!(world.at_caller(&caller).is_empty(), "{seconds} s");
        world.pass(2 * limits::TICK);
        let got = world.at_caller(&caller);
        assert!(error_of(&got[0]).message.contains(text), "{got:?}");
        let cancels = world.at_member(0).iter().filter(|(_, e)| matches!(e.kind, Kind::Cancel)).count();
        assert_eq!(cancels, usize::from(is_stream));
    }
}

#[test]
fn what_the_callers_configuration_says_goes_before_the_group() {
    let key = facade_key::encode(&ApiConfiguration {
        producer_buffer_size: 0,
        pooling_supported: false,
        pool: None,
        results_handlers: None,
        properties: Vec::new(),
        timeouts_ms: vec![
            (ClassName::plain("AuthenticationApiOp"), 1_000),
            (ClassName::plain("SearchApiOp"), 1_000),
            (ClassName::plain("GetApiOp"), -1),
        ],
        supported_operations: Vec::new(),
    });
    for (request, seconds) in [(login(), 1), (search(), 1), (get(), limits::READ_DEADLINE.as_secs())] {
        let mut world = World::with_members(1, Policy::Failover);
        let caller = world.caller("idm", 1);
        let is_search = request.search.is_some();
        let request = OperationRequest {
            connector_key: Some(messages_key(CONNECTOR)),
            connector_facade_key: key.clone(),
            ..request
        };
        world.feed(caller[0], frames::operation(1, &request));
        world.only_request();
        world.pass(Duration::from_secs(seconds) - limits::TICK);
        assert!(world.at_caller(&caller).is_empty());
        world.pass(2 * limits::TICK);
        assert_eq!(world.at_caller(&caller).len(), 1, "{seconds} s");
        let cancels = world.at_member(0).iter().filter(|(_, e)| matches!(e.kind, Kind::Cancel)).count();
        assert_eq!(cancels, usize::from(is_search));
    }
}

/// Tests of the one member in so many seconds, each answered.
fn tests_in(world: &mut World, seconds: u64) -> usize {
    let mut tests = 0;
    for _ in 0..4 * seconds {
        world.pass(limits::TICK);
        world.answer_probes();
        tests += std::mem::take(&mut world.tests_answered);
    }
    tests
}

#[test]
fn a_member_is_tested_as_often_as_the_keenest_of_its_groups_wants_x02() {
    let every = |seconds: Option<u64>| GroupSettings {
        test_every: seconds.map(Duration::from_secs),
        ..GroupSettings::default()
    };
    for (g, h, expected) in [
        (Some(1), Some(10), 25..=31),
        (Some(10), Some(1), 25..=31),
        (Some(10), None, 2..=4),
        (None, Some(1), 0..=0),
        (None, None, 0..=0),
    ] {
        let mut world = World::with_members_down(1, Policy::Failover);
        let names = ["n0".to_owned()];
        world.set_view(
            &names,
            vec![("g", Policy::Failover, names.to_vec()), ("h", Policy::Failover, names.to_vec())],
        );
        world.set(&Settings {
            groups: [("g".to_owned(), every(g)), ("h".to_owned(), every(h))].into(),
            ..Settings::default()
        });
        world.start(0);
        let caller = world.caller("idm", 1);
        world.call(caller[0], 1, get());
        let (_, socket, id) = world.only_request();
        world.feed(socket, answer(id));
        world.tests_answered = 0;
        let tests = tests_in(&mut world, 30);
        // Only `g` was called, so only its configuration is tested.
        assert!(expected.contains(&tests), "{g:?} {h:?}: {tests}");
    }
}

#[test]
fn without_tests_a_fresh_member_serves_at_once_and_a_failing_one_returns() {
    let off = of_group(GroupSettings { test_every: None, ..GroupSettings::default() });
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let serve = |world: &mut World, id: i64| {
        world.call(caller[0], id, get());
        let (member, socket, id) = world.only_request();
        world.feed(socket, answer(id));
        member
    };
    serve(&mut world, 1);
    world.sick.push(0);
    world.pass(limits::TEST_PROBE_EVERY * (limits::PROBE_FALL + 1));
    assert_eq!(serve(&mut world, 2), 1);
    world.set(&off);
    world.pass(limits::TEST_PROBE_EVERY * 2);
    assert_eq!(serve(&mut world, 3), 0, "nothing is known of it any more");
    world.kill(0);
    world.start(0);
    assert_eq!(serve(&mut world, 4), 0);
    assert_eq!(tests_among(&mut world, 0), 0);
}

#[test]
fn a_frozen_member_is_found_without_pings_and_its_calls_go_on_p6() {
    let mut world = World::with_members_down(2, Policy::Failover);
    world.ping_interval = None;
    let names: Vec<String> = ["n0", "n1"].map(str::to_owned).into();
    world.set_view(&names, vec![("g", Policy::Failover, names.clone())]);
    world.start(0);
    world.start(1);
    let caller = world.caller("idm", 1);
    // Just after it answered a check, which is the worst moment.
    world.pass(limits::CHECK_PROBE_EVERY);
    world.call(caller[0], 1, get());
    assert_eq!(world.only_request().0, 0);
    world.frozen = vec![0];
    world.pass(limits::FROZEN_MEMBER_OUT_MAX);
    let moved = world.at_member(1);
    assert_eq!(moved.len(), 1, "the read went to the other");
    world.feed(moved[0].0, answer(moved[0].1.message_id));
    assert_eq!(world.at_caller(&caller).len(), 1);
    assert_eq!(world.io.closed, world.members[0], "so that they are dialled again");
    assert_eq!(world.pings, 0);
}

#[test]
fn a_member_without_pings_that_sends_a_long_answer_is_alive() {
    let mut world = World::with_members_down(1, Policy::Failover);
    world.ping_interval = None;
    let names = ["n0".to_owned()];
    world.set_view(&names, vec![("g", Policy::Failover, names.to_vec())]);
    world.start(0);
    world.frozen = vec![0];
    let sockets: Vec<SocketId> = world.members[0].clone();
    for _ in 0..30 {
        world.pass(SECOND);
        world.io.moved.entry(sockets[0]).or_default().received += 1;
    }
    assert!(world.io.closed.is_empty());
    world.pass(limits::FROZEN_MEMBER_OUT_MAX);
    assert_eq!(world.io.closed, sockets);
}

#[test]
fn callers_are_pinged_as_the_router_is_set() {
    for (every, expected) in [(None, 0), (Some(10 * SECOND), 6), (Some(30 * SECOND), 2)] {
        let mut world = World::with_members_down(1, Policy::Failover);
        let router = RouterSettings { caller_ping_every: every, ..RouterSettings::default() };
        world.set(&Settings { router, ..Settings::default() });
        world.caller("idm", 1);
        world.pings = 0;
        world.pass(61 * SECOND);
        assert_eq!(world.pings, expected, "{every:?}");
    }
}

#[test]
fn other_settings_disturb_no_member() {
    let mut world = World::with_members(1, Policy::Failover);
    world.set(&of_group(GroupSettings { queue_max: 1, ..GroupSettings::default() }));
    world.pass(limits::DRAIN_TIME + SECOND);
    assert!(world.io.closed.is_empty() && world.io.dials.is_empty());
    assert_eq!(world.engine.view().groups()[0].settings.queue_max, 1);
}
