//! Who serves with which bundle set (P5, G11, G12): members that join with another list, drift, flip, or were left behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::icf::{
    ApiConfiguration, ClassName, ConfigurationProperty, ConnectorInfo, ConnectorKey, Value,
};
use rcs_proto::legacy::Wire;
use rcs_proto::session::SocketId;

use super::bundles::require_agent;
use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::balance::Policy;
use crate::bundles::group::NoneLeft;
use crate::engine::{Event, Selector};
use crate::limits;
use crate::settings::Settings;
use crate::view::Mark;

/// Serves a call of this id; answers which member it went to, or none if it got an error.
fn serve(world: &mut World, caller: SocketId, id: i64) -> Option<usize> {
    world.call(caller, id, get());
    let mut served = None;
    for member in 0..world.members.len() {
        for (socket, request) in world.at_member(member) {
            assert_eq!(served.replace(member), None, "one request under way");
            world.feed(socket, answer(request.message_id));
        }
    }
    let answers = world.at_caller(&[caller]);
    assert_eq!((answers.len(), answers[0].message_id), (1, id));
    assert_eq!(served.is_none(), matches!(answers[0].kind, Kind::Error(_)));
    served
}

#[test]
fn a_member_that_joins_with_another_list_never_gets_a_call_g11() {
    let none: Vec<ConnectorInfo> = Vec::new();
    let two = [connector_infos(CONNECTOR), connector_infos("More")]
        .map(|list| Vec::<ConnectorInfo>::decode(&list).unwrap());
    for other in [
        infos_at(CONNECTOR, "1.1"),
        connector_infos("Other"),
        none.encode(),
        two.concat().encode(),
        "nonsense".into(),
    ] {
        for policy in [Policy::RoundRobin, Policy::Failover] {
            let mut world = World::with_members_down(3, policy);
            for member in [1, 2] {
                world.start(member);
            }
            let caller = world.caller("idm", 1)[0];
            world.lists[0] = other.clone();
            world.connect(0);
            for id in 1..200 {
                assert_ne!(serve(&mut world, caller, id).unwrap(), 0);
                // Its list, checks, probes and their results come and go.
                world.pass(Duration::from_millis(150));
            }
            assert_eq!(world.standings(), ["quarantined", "matching", "matching"]);
        }
    }
}

/// The panic threshold is about health: it never takes a member whose bundle set is wrong.
#[test]
fn when_most_members_are_quarantined_the_others_serve_and_no_panic_is_seen_p5() {
    let mut world = World::with_members(4, Policy::RoundRobin);
    let caller = world.caller("idm", 1)[0];
    for member in 1..4 {
        world.lists[member] = infos_at(CONNECTOR, "1.1");
    }
    world.pass(limits::DRIFT_SEEN_MAX);
    assert_eq!(world.standings(), ["matching", "quarantined", "quarantined", "quarantined"]);
    let served: Vec<_> = (1..40).map(|id| serve(&mut world, caller, id)).collect();
    assert_eq!(served, [Some(0); 39]);
    // Its resource is down: it serves on as the only one there is, and callers see its errors.
    world.sick = vec![0];
    world.pass(limits::TEST_PROBE_EVERY * 3);
    assert_eq!(serve(&mut world, caller, 50), Some(0));
    world.kill(0);
    assert_eq!(serve(&mut world, caller, 51), None, "rather no call than one with other connectors");
}

#[test]
fn a_member_that_drifts_is_out_within_the_interval_and_back_within_it_and_no_call_is_lost_g12() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1)[0];
    world.call(caller, 1, get());
    let (holder, socket, held) = world.only_request();
    // Just after a check, which is the worst moment.
    let told = world.lists_told;
    while world.lists_told == told {
        world.pass(limits::TICK);
    }
    world.lists[holder] = infos_at(CONNECTOR, "1.1");
    world.pass(limits::DRIFT_SEEN_MAX);
    for id in 10..30 {
        assert_eq!(serve(&mut world, caller, id), Some(1 - holder));
        world.pass(Duration::from_secs(1));
    }
    let told = world.io.notes.iter().filter(|note| note.contains("standing: Quarantined"));
    assert_eq!(told.count(), 1);
    // What it began it ends.
    world.feed(socket, answer(held));
    let ended = world.at_caller(&[caller]);
    assert!(matches!(ended[0].kind, Kind::Answer(_)) && ended[0].message_id == 1);
    world.lists[holder] = connector_infos(CONNECTOR);
    world.pass(limits::DRIFT_SEEN_MAX);
    assert_eq!(world.standings(), ["matching", "matching"]);
    let served: BTreeSet<_> = (40..50).map(|id| serve(&mut world, caller, id)).collect();
    assert_eq!(served, [Some(0), Some(1)].into());
}

#[test]
fn a_member_that_tells_the_same_is_asked_at_the_rhythm_and_nothing_is_noted() {
    let mut world = World::with_members(2, Policy::Failover);
    let (notes, told) = (world.io.notes.len(), world.lists_told);
    world.pass(Duration::from_mins(10));
    assert_eq!(world.io.notes.len(), notes, "{:?}", world.io.notes);
    let asked = world.lists_told - told;
    assert!((2 * 60..=2 * 67).contains(&asked), "{asked} questions in ten minutes");
    // Whoever is slow to tell has as much time as for a check.
    world.pass(limits::TICK * 4);
    while world.lists_told % 2 == 1 {
        world.pass(limits::TICK);
    }
    world.pass(limits::CHECK_PROBE_EVERY * (limits::DRIFT_CHECKS - 1));
    world.frozen = vec![0];
    let since = world.now;
    while !world.is_asked(0) {
        assert!(world.now.since(since) < limits::CHECK_PROBE_EVERY * 2, "it is asked soon");
        world.pass(limits::TICK);
    }
    world.pass(limits::CHECK_PROBE_EVERY - limits::TICK);
    world.frozen.clear();
    world.answer_probes();
    assert_eq!(world.report_of(0).unfit, None);
    world.pass(limits::CHECK_PROBE_EVERY * 3);
    assert_eq!(world.io.notes.len(), notes, "{:?}", world.io.notes);
}

#[test]
fn a_page_and_a_repetition_do_not_go_back_to_a_member_that_is_quarantined() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    world.call(caller, 1, search());
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 0);
    world.feed(socket, search_end(id, 0, "cookie"));
    world.at_caller(&[caller]);
    // Another call is refused before it ran, and is to be repeated in a moment.
    world.call(caller, 2, create());
    let (_, socket, id) = world.only_request();
    let class = "org.identityconnectors.framework.common.exceptions.ConnectorException";
    world.feed(socket, frames::error(id, class, "Connection received request before handshake"));
    world.lists[0] = infos_at(CONNECTOR, "1.1");
    world.tell_unasked(0);
    assert_eq!(world.standings(), ["quarantined", "matching"]);
    world.pass(limits::RETRY_SAME_WAIT * 2);
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 1, "it was not run, so another may");
    world.feed(socket, answer(id));
    world.at_caller(&[caller]);
    world.call(caller, 3, page("cookie"));
    assert!(world.at_member(0).is_empty() && world.at_member(1).is_empty());
    assert!(error_of(&world.at_caller(&[caller])[0]).message.contains("first page"));
}

#[test]
fn a_call_that_waits_for_a_member_that_is_quarantined_waits_no_longer() {
    let mut world = World::with_members(2, Policy::Failover);
    let mut settings = Settings::default();
    settings.defaults.member_in_flight_max = 1;
    world.set(&settings);
    let caller = world.caller("idm", 1)[0];
    world.call(caller, 1, search());
    let (member, socket, id) = world.only_request();
    world.feed(socket, search_end(id, 0, "cookie"));
    world.at_caller(&[caller]);
    world.call(caller, 2, get());
    world.at_member(member);
    world.call(caller, 3, page("cookie"));
    assert!(world.at_caller(&[caller]).is_empty(), "the member is full");
    world.lists[member] = infos_at(CONNECTOR, "1.1");
    world.tell_unasked(member);
    let ended = world.at_caller(&[caller]);
    assert_eq!((ended.len(), ended[0].message_id), (1, 3));
    assert!(error_of(&ended[0]).message.contains("first page"));
}

#[test]
fn the_last_member_with_the_right_set_is_not_drained_by_mistake_p11() {
    let mut world = World::with_members(2, Policy::Failover);
    world.lists[1] = infos_at(CONNECTOR, "1.1");
    world.tell_unasked(1);
    let judge = |world: &World, member: &str| {
        world.engine.tables.judge_mark("g", member, MarkChange::Drain, LastMember::Kept, world.now)
    };
    assert!(matches!(judge(&world, "n0"), Err(MarkRefusal::LastOne { .. })));
    assert_eq!(judge(&world, "n1"), Ok(Mark::Draining), "it takes no calls anyway");
    world.lists[1] = connector_infos(CONNECTOR);
    world.tell_unasked(1);
    assert_eq!(judge(&world, "n0"), Ok(Mark::Draining));
}

#[test]
fn a_member_of_two_groups_serves_the_one_whose_set_it_has_c12() {
    let mut world = World::with_members_down(3, Policy::Failover);
    let names: Vec<String> = (0..3).map(|n| format!("n{n}")).collect();
    let of = |members: &[usize]| members.iter().map(|n| names[*n].clone()).collect::<Vec<_>>();
    world.set_view(&names, vec![("g", Policy::Failover, of(&[1, 0])), ("h", Policy::Failover, of(&[1, 2]))]);
    world.start(0);
    world.start_with(2, infos_at(CONNECTOR, "1.1"));
    world.pass(limits::FIRST_USE_WAIT);
    world.start(1);
    let in_h = world.engine.view().group_named("h").unwrap().id;
    let caller = world.caller("idm", 1)[0];
    let other = world.caller_by("idm", Selector::Group(in_h), 1)[0];
    assert_eq!((serve(&mut world, caller, 1), serve(&mut world, other, 1)), (Some(1), Some(2)));
    // It moves to the set of the other one.
    world.lists[1] = infos_at(CONNECTOR, "1.1");
    world.tell_unasked(1);
    world.answer_probes();
    assert_eq!((serve(&mut world, caller, 2), serve(&mut world, other, 2)), (Some(0), Some(1)));
    let quarantined = |world: &World, group: usize| {
        let member = world.engine.report().groups[group].members[0].clone();
        (member.up, member.quarantine.is_some())
    };
    assert_eq!((quarantined(&world, 0), quarantined(&world, 1)), ((true, true), (true, false)));
}

#[test]
fn one_that_flips_is_held_and_let_go_by_time() {
    let mut world = World::with_members(2, Policy::Failover);
    for _ in 0..=limits::BUNDLES_FLIPS_FREE {
        for version in ["1.1", "1.0"] {
            world.lists[1] = infos_at(CONNECTOR, version);
            world.tell_unasked(1);
        }
    }
    assert_eq!(world.standings(), ["matching", "held"]);
    assert!(world.report_of(1).quarantine.is_some());
    world.kill(0);
    let caller = world.caller("idm", 1)[0];
    assert_eq!(serve(&mut world, caller, 1), Some(1), "rather one that changed its mind than none");
    world.start(0);
    assert_eq!(world.standings(), ["matching", "held"]);
    world.pass(limits::BUNDLES_HOLD_BASE);
    assert_eq!(world.standings(), ["matching", "matching"]);
}

#[test]
fn an_agent_that_falls_silent_is_noticed_by_time() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    world.reported("n0", b"one");
    world.reported("n1", b"one");
    world.set(&require_agent());
    assert_eq!(world.standings(), ["matching", "matching"]);
    for _ in 0..10 {
        world.pass(limits::AGENT_SILENCE_MAX / 6);
        assert_eq!(world.heard("n0", b"one"), Ok(true));
    }
    assert_eq!(world.standings(), ["matching", "quarantined"]);
    let caller = world.caller("idm", 1)[0];
    assert_eq!([1, 2, 3].map(|id| serve(&mut world, caller, id)), [Some(0); 3]);
}

#[test]
fn the_policy_says_who_serves_when_nobody_is_right() {
    // Both members have the same set, so the member that lost the right set first serves as well.
    for (none_left, served) in [(NoneLeft::KeepLast, Some(0)), (NoneLeft::FailClosed, None)] {
        let mut world = World::with_members(2, Policy::Failover);
        let mut settings = Settings::default();
        settings.defaults.bundles.none_left = none_left;
        world.set(&settings);
        let caller = world.caller("idm", 1)[0];
        for member in 0..2 {
            world.kill(member);
            world.start_with(member, infos_at(CONNECTOR, "1.1"));
        }
        world.pass(Duration::from_secs(2));
        assert_eq!(serve(&mut world, caller, 1), served);
        assert_eq!(world.bundles().alarm, world.engine.report().groups[0].alarm);
        assert!(world.bundles().alarm.is_some());
    }
}

/// A list of some 250 KB: 20 connectors with 40 properties each.
fn large_list(version: &str) -> Bytes {
    let property = |number: i32| ConfigurationProperty {
        order: number,
        confidential: false,
        required: number % 2 == 0,
        name: format!("propertyNumber{number}"),
        help_key: Some(format!("connector.propertyNumber{number}.help")),
        display_key: Some(format!("connector.propertyNumber{number}.display")),
        group_key: Some("connector.group.display".to_owned()),
        class: ClassName::plain("String"),
        value: Value::String(format!("default of property {number}")),
        operations: vec![ClassName::plain("SearchApiOp"), ClassName::plain("CreateApiOp")],
    };
    let info = |number: usize| ConnectorInfo {
        display_name_key: Some(format!("connector{number}.display")),
        category_key: None,
        key: ConnectorKey {
            bundle_name: format!("org.example.bundle{number}"),
            bundle_version: version.to_owned(),
            connector_name: format!("org.example.Connector{number}"),
        },
        messages: None,
        configuration: Some(ApiConfiguration {
            producer_buffer_size: 100,
            pooling_supported: true,
            pool: None,
            results_handlers: None,
            properties: (0..40).map(property).collect(),
            timeouts_ms: Vec::new(),
            supported_operations: vec![ClassName::plain("SearchApiOp")],
        }),
    };
    (0..20).map(info).collect::<Vec<_>>().encode()
}

/// What a check costs, in the task of its socket and on the owner together: the figure is printed, and the bound is far above it.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures, and nothing depends on what")]
fn a_drift_check_of_a_large_list_that_did_not_change_costs_a_comparison() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let list = large_list("1.0");
    world.start_with(0, list.clone());
    assert_eq!(world.standings(), ["matching"]);
    let mut cost = |version: &str, times: usize| {
        world.lists[0] = large_list(version);
        let frame = frames::control_response(1, Some(world.lists[0].clone()));
        let socket = world.members[0][0];
        let check = || {
            let since = Instant::now();
            let frame = world.reader.read(Envelope::parse(frame.clone()).unwrap());
            world.engine.apply(Event::Frame { socket, frame }, world.now, &mut world.io);
            since.elapsed()
        };
        // The shortest: on a busy machine a check may be interrupted for long.
        std::iter::repeat_with(check).take(times).min().expect("at least one")
    };
    let same = cost("1.0", 20);
    let other = cost("1.1", 1);
    eprintln!("a drift check of {} bytes: {same:?} unchanged, {other:?} changed", list.len());
    assert!(list.len() > 200_000);
    // In a release build the factor is several hundred. A busy machine and a debug build leave less of it.
    assert!(same * 2 < other, "{same:?} unchanged, {other:?} changed");
}
