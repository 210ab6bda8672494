//! The first use of a set, and a change that all members have at once.

use super::*;
use crate::limits::FIRST_USE_WAIT;

fn accepted(group: &GroupSets) -> Option<SetDigest> {
    group.status().accepted.map(|(set, _)| set)
}

#[test]
fn whoever_answers_first_does_not_decide_what_most_have() {
    // The member that differs answers first, in the middle, or last.
    for order in [[B, A, C], [A, B, C], [A, C, B]] {
        let mut group = group(&[A, B, C], BundlePolicy::default());
        let mut told = Vec::new();
        for (step, member) in order.into_iter().enumerate() {
            let version = if member == B { "1.0.0.1" } else { "1.0.0.0" };
            told.extend(group.wire_seen(member, wire(version), at(1 + step as u64 / 2)));
        }
        assert_eq!(accepted(&group), Some(set("1.0.0.0")), "{order:?}");
        assert_eq!(labels(&group), ["matching", "quarantined", "matching"]);
        let first_sight = told.iter().filter(|told| matches!(told, Told::FirstSight { .. })).count();
        // If the third member reports after two that agree, it is reported as a member that differs.
        assert_eq!(first_sight, usize::from(order[2] != B), "{told:?}");
    }
}

#[test]
fn members_that_differ_at_first_sight_are_told_with_what_to_do() {
    let mut group = group(&[A, B, C], BundlePolicy::default());
    group.wire_seen(B, wire("1.0.0.1"), at(1));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    let told = group.wire_seen(C, wire("1.0.0.0"), at(1));
    let text = told.iter().find(|told| matches!(told, Told::FirstSight { .. })).unwrap().to_string();
    let (most, odd) = (set("1.0.0.0").short(), set("1.0.0.1").short());
    for part in [
        format!("{most} of 2 members, {odd} of 1 member."),
        format!("{most} is accepted, and members with another set are quarantined"),
        "bundles pin".to_owned(),
    ] {
        assert!(text.contains(&part), "{text}");
    }
}

#[test]
fn members_that_agree_wait_for_nobody_once_most_have_reported() {
    let mut group = group(&[A, B, C], BundlePolicy::default());
    assert_eq!(group.wire_seen(C, wire("1.0.0.0"), at(1)), []);
    assert_eq!((accepted(&group), group.due()), (None, Some(at(1) + FIRST_USE_WAIT)));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    assert_eq!(labels(&group), ["matching", "unknown", "matching"]);
    assert_eq!(group.due(), None);
}

#[test]
fn a_member_that_cannot_be_reached_or_does_not_answer_holds_the_others_up_for_a_moment_at_most() {
    let mut alone = group(&[A, B], BundlePolicy::default());
    alone.absent(B, at(1));
    alone.wire_seen(A, wire("1.0.0.0"), at(1));
    assert_eq!(labels(&alone), ["matching", "unknown"], "at once");
    // The member's dial fails later.
    let mut later = group(&[A, B], BundlePolicy::default());
    later.wire_seen(A, wire("1.0.0.0"), at(1));
    assert!(!later.may_serve(A));
    later.absent(B, at(2));
    assert!(later.may_serve(A));
    // The member stays silent.
    let mut silent = group(&[A, B], BundlePolicy::default());
    silent.wire_seen(A, wire("1.0.0.0"), at(1));
    assert_eq!(silent.tick(at(1) + FIRST_USE_WAIT - Duration::from_millis(1)), []);
    assert!(!silent.tick(at(1) + FIRST_USE_WAIT).is_empty());
    assert!(silent.may_serve(A));
    // A list that cannot be read is a report as well.
    let mut unread = group(&[A, B], BundlePolicy::default());
    unread.wire_unreadable(B, "odd".to_owned(), at(1));
    unread.wire_seen(A, wire("1.0.0.0"), at(1));
    assert!(unread.may_serve(A));
}

#[test]
fn of_sets_that_equally_many_have_the_first_in_list_order_is_taken_and_all_are_offered() {
    let mut sets = GroupSets::new(BundlePolicy::default());
    sets.members_are(&[A, B], at(0));
    sets.wire_seen(B, wire("1.0.0.1"), at(1));
    assert_eq!(sets.first_uses(), []);
    sets.wire_seen(A, wire("1.0.0.0"), at(1));
    let equals: Vec<SetDigest> = sets.first_uses().into_iter().map(|(set, ..)| set).collect();
    assert_eq!(equals, [set("1.0.0.0"), set("1.0.0.1")]);
}

#[test]
fn a_change_that_all_members_have_at_once_leaves_all_serving_and_an_alarm() {
    for policy in [BundlePolicy::default(), require_agent()] {
        let mut group = group(&[A, B, C], policy);
        for member in [A, B, C] {
            group.wire_seen(member, wire("1.0.0.0"), at(1));
            group.files_seen(member, files("one"), at(1));
        }
        for (step, member) in [A, B, C].into_iter().enumerate() {
            group.wire_seen(member, wire("1.0.0.1"), at(10 + step as u64));
            group.files_seen(member, files("two"), at(10 + step as u64));
        }
        assert_eq!((labels(&group), group.alarm()), (vec!["kept"; 3], Some(Alarm::KeepsLast)));
        // A member that has yet another set is no better than before.
        group.wire_seen(B, wire("1.0.0.2"), at(15));
        assert_eq!(labels(&group), ["kept", "quarantined", "kept"]);
        group.wire_seen(B, wire("1.0.0.1"), at(16));
        // This also holds while the member that changed last is away.
        group.gone(C, at(17));
        assert_eq!(labels(&group), ["kept", "kept", "unknown"]);
        group.wire_seen(C, wire("1.0.0.1"), at(18));
        assert_eq!(labels(&group), ["kept"; 3]);
    }
}
