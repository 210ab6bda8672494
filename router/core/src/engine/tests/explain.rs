//! What can be asked about calls that were refused, repeated or failed (P16).

use std::time::Duration;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
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
