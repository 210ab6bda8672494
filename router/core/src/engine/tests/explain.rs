//! What can be asked about calls that were refused, repeated or failed (P16).

use std::time::Duration;

use rcs_proto::frames;
use rcs_proto::messages::{CreateOpRequest, OperationRequest};

use super::world::*;
use crate::agreed::At;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::verdict::Outcome;
use crate::view::Mark;

/// The only call that something is kept of.
fn only(world: &World) -> CallReport {
    let ids = world.engine.explained_calls(10);
    assert_eq!(ids.len(), 1);
    world.engine.explanation(ids[0], world.now).unwrap()
}

fn members(step: &StepReport) -> Vec<(&str, &str)> {
    step.members.iter().map(|(name, state)| (name.as_str(), *state)).collect()
}

#[test]
fn a_call_that_succeeds_leaves_nothing() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert!(world.engine.explained_calls(10).is_empty());
}

#[test]
fn a_repeated_call_tells_which_members_there_were_and_how_it_ended() {
    let mut world = World::with_members(4, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.mark(&[(1, Mark::Draining)]);
    world.kill(2);
    world.call(caller[0], 1, get());
    world.pass(Duration::from_millis(20));
    world.kill(0);
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 3);
    world.feed(socket, answer(id));

    let call = only(&world);
    assert_eq!((call.operation, call.group.as_deref()), ("get", Some("g")));
    assert_eq!(call.end.map(|(outcome, _)| outcome), Some("ok"));
    let [step] = &call.steps[..] else { panic!("one fault: {call:?}") };
    assert_eq!((step.member.as_deref(), step.stage.as_deref()), (Some("n0"), Some("maybe_sent")));
    assert_eq!((step.fault.as_str(), step.verdict.as_str()), ("member_lost", "retry_elsewhere"));
    assert_eq!(step.after, Duration::from_millis(20));
    assert_eq!(members(step), [("n0", "has_it"), ("n1", "draining"), ("n2", "down"), ("n3", "free")]);
}

#[test]
fn an_error_of_the_routers_own_names_the_call() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    world.at_member(0);
    world.kill(0);
    let call = only(&world);
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.ends_with(&format!("(call {})", call.id)), "{got:?}");
    assert_eq!(call.end.map(|(outcome, _)| outcome), Some("unknown"));
    assert_eq!(call.steps.last().map(|step| step.verdict.as_str()), Some("answer outcome_unknown"));
    assert!(
        world
            .io
            .notes
            .iter()
            .any(|note| note.contains("CallEnded") && note.contains(&format!("{:?}", call.id)))
    );
}

#[test]
fn a_refused_call_tells_why() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.apply(Event::Drain);
    world.call(caller[0], 1, get());
    let call = only(&world);
    assert!(error_of(&world.at_caller(&caller)[0]).message.ends_with(&format!("(call {})", call.id)));
    let step = &call.steps[0];
    assert_eq!(
        (step.fault.as_str(), step.verdict.as_str(), members(step)),
        ("draining", "refuse", vec![("n0", "free")])
    );
}

/// P10
#[test]
fn only_the_latest_are_kept() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    let calls = limits::EXPLAINED_CALLS_MAX as i64 + 10;
    for call in 1..=calls {
        world.call(caller[0], call, get());
    }
    let kept = world.engine.explained_calls(usize::MAX);
    assert_eq!(kept.len(), limits::EXPLAINED_CALLS_MAX);
    assert!(world.engine.explanation("1".parse().unwrap(), world.now).is_none());
    assert!(world.engine.explanation(kept[0], world.now).is_some());
}

/// Nobody is called `free` that could not have had the call: by the group's limit, because failover waits for the first member,
/// because a member's calls rest, or because another member holds the page.
#[test]
fn no_member_is_called_free_that_could_not_have_the_call() {
    let cases: [(Policy, usize, usize, [&str; 2]); 3] = [
        (Policy::RoundRobin, 1, 64, ["group_full", "group_full"]),
        (Policy::Failover, 64, 1, ["full", "not_first"]),
        (Policy::RoundRobin, 64, 1, ["full", "full"]),
    ];
    for (policy, group, member, expected) in cases {
        let mut world = World::with_members(2, policy);
        let mut settings = crate::settings::Settings::default();
        settings.defaults.in_flight_max = group;
        settings.defaults.member_in_flight_max = member;
        settings.defaults.queue_max = 0;
        world.set(&settings);
        let caller = world.caller("idm", 1);
        for call in 1..=3 {
            world.call(caller[0], call, get());
        }
        let latest = world.engine.explained_calls(1)[0];
        let report = world.engine.explanation(latest, world.now).unwrap();
        let step = &report.steps[0];
        assert_eq!(step.fault, "queue_full", "{policy:?}");
        let states: Vec<&str> = members(step).into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, expected, "{policy:?}, {group} in the group, {member} at a member");
    }
}

#[test]
fn pages_are_nobody_elses() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (at, socket, id) = world.only_request();
    world.feed(socket, search_end(id, 0, "cookie"));
    world.call(caller[0], 2, page("cookie"));
    assert_eq!(world.only_request().0, at);
    world.kill(at);
    let states =
        members(&only(&world).steps[0]).into_iter().map(|(_, state)| state.to_owned()).collect::<Vec<_>>();
    let elsewhere = states.iter().filter(|state| *state == "page_elsewhere").count();
    assert_eq!((elsewhere, states[at].as_str()), (2, "has_it"), "{states:?}");
}

fn for_class(request: OperationRequest) -> OperationRequest {
    let create = CreateOpRequest { object_class: "__ACCOUNT__".into(), ..Default::default() };
    OperationRequest { create: request.create.map(|_| create), ..request }
}

/// An explanation says who asked, for which connector and object class, when, and what the caller was told.
#[test]
fn an_explanation_says_who_asked_what_and_what_the_answer_was() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    let at = At(1_700_000_000_000).after(world.now);
    world.call(caller[0], 1, for_class(create()));
    world.at_member(0);
    world.kill(0);
    let call = only(&world);
    assert_eq!((call.caller.as_deref(), call.member.as_deref()), (Some("anonymous"), Some("n0")));
    assert_eq!(call.connector.as_deref(), Some("b/1.0/Rig"));
    assert_eq!((call.object_class.as_deref(), call.at), (Some("__ACCOUNT__"), at));
    let (class, sentence) = call.error.clone().unwrap();
    assert!(class.ends_with("Exception"), "{class}");
    assert!(sentence.is_some_and(|sentence| sentence.contains("Outcome unknown")), "{call:?}");

    let notes: Vec<&String> =
        world.io.notes.iter().filter(|note| note.starts_with("OutcomeUnknown")).collect();
    let [note] = notes[..] else { panic!("{:?}", world.io.notes) };
    for part in ["anonymous", "b/1.0/Rig", "__ACCOUNT__", "Create", "Outcome unknown", &format!("{at:?}")] {
        assert!(note.contains(part), "{part}: {note}");
    }
}

/// P9: the class of a connector's exception is kept, its text is not.
#[test]
fn of_a_connectors_own_error_the_class_is_kept_and_the_text_is_not() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, frames::error(id, "x\r\nforged.ConnectionFailedException", "secret text"));
    let call = only(&world);
    let (class, sentence) = call.error.clone().unwrap();
    assert_eq!((class.as_str(), sentence), ("x\\u{d}\\u{a}forged.ConnectionFailedException", None));
    assert!(!format!("{call:?}").contains("secret text"));
}

#[test]
fn a_refused_call_says_who_asked_what_too() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.apply(Event::Drain);
    world.call(caller[0], 1, for_class(create()));
    let call = only(&world);
    assert_eq!(
        (call.caller.as_deref(), call.object_class.as_deref()),
        (Some("anonymous"), Some("__ACCOUNT__"))
    );
    assert!(call.error.is_some(), "{call:?}");
}

#[test]
fn calls_are_listed_as_they_are_asked_for() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    world.at_member(0);
    world.kill(0);
    world.pass(Duration::from_secs(10));
    let later = At(1_700_000_000_000).after(world.now);
    for id in 2..5 {
        world.call(caller[0], id, get());
    }
    let all = CallFilter { limit: 100, ..CallFilter::default() };
    let outcomes = |world: &World, filter: CallFilter| -> Vec<&'static str> {
        let calls = world.engine.explanations(&filter, world.now);
        calls.into_iter().map(|call| call.end.unwrap().0).collect()
    };
    assert_eq!(outcomes(&world, all.clone()), ["unavailable", "unavailable", "unavailable", "unknown"]);
    for (filter, count) in [
        (CallFilter { limit: 2, ..all.clone() }, 2),
        (CallFilter { outcome: Some(Outcome::Unknown), ..all.clone() }, 1),
        (CallFilter { after: Some(later), ..all.clone() }, 3),
        (CallFilter { group: Some("g".into()), ..all.clone() }, 4),
        (CallFilter { group: Some("other".into()), ..all.clone() }, 0),
        (CallFilter { member: Some("n0".into()), ..all.clone() }, 1),
        (CallFilter { member: Some("n9".into()), ..all.clone() }, 0),
        (CallFilter { caller: Some("anonymous".into()), ..all.clone() }, 4),
        (CallFilter { caller: Some("another".into()), ..all.clone() }, 0),
    ] {
        assert_eq!(outcomes(&world, filter.clone()).len(), count, "{filter:?}");
    }
}

#[test]
fn calls_in_flight_are_listed_the_oldest_first_with_their_age() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    for id in 1..=3 {
        world.call(caller[0], id, for_class(create()));
        world.pass(Duration::from_millis(100));
    }
    let open = |limit| world.engine.open_calls(&CallFilter { limit, ..CallFilter::default() }, world.now);
    let ages: Vec<u128> = open(2).iter().map(|call| call.ago.as_millis()).collect();
    assert_eq!(ages, [300, 200]);
    let first = open(9).swap_remove(0);
    assert_eq!((first.member.as_deref(), first.stage.as_deref()), (Some("n0"), Some("maybe_sent")));
    assert_eq!((first.object_class.as_deref(), first.end), (Some("__ACCOUNT__"), None));
    assert_eq!(open(9).len(), 3);
}
