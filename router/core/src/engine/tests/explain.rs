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
