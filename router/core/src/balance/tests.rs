use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{MemberId, MemberSet};

const NONE: MemberSet = MemberSet::new();

fn ids(range: std::ops::Range<u32>) -> Vec<MemberId> {
    range.map(MemberId).collect()
}

fn set(members: &[u32]) -> MemberSet {
    members.iter().copied().map(MemberId).collect()
}

fn run(picker: &Picker, cursor: &mut Cursor, calls: usize) -> Vec<u32> {
    (0..calls)
        .map(|_| match picker.pick(cursor, &NONE) {
            Pick::Member(m) => m.0,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn names_are_those_of_the_document_g01() {
    assert_eq!(Policy::from_name("failover"), Some(Policy::Failover));
    assert_eq!(Policy::from_name("roundrobin"), Some(Policy::RoundRobin));
    assert_eq!(Policy::from_name("roundRobin"), Some(Policy::RoundRobin));
    assert_eq!(Policy::from_name("random"), None);
    assert_eq!(Policy::default(), Policy::Failover);
}

#[test]
fn failover_takes_the_first_available_in_list_order_and_goes_back_g02_g03() {
    let list = [MemberId(2), MemberId(0), MemberId(1)];
    let cursor = &mut Cursor::default();
    assert_eq!(run(&Policy::Failover.picker(&list, &set(&[0, 1, 2])), cursor, 3), [2, 2, 2]);
    assert_eq!(run(&Policy::Failover.picker(&list, &set(&[0, 1])), cursor, 2), [0, 0]);
    assert_eq!(run(&Policy::Failover.picker(&list, &set(&[0, 1, 2])), cursor, 1), [2]);
}

#[test]
fn round_robin_goes_round_in_list_order_g05() {
    let list = [MemberId(2), MemberId(0), MemberId(1)];
    let picker = Policy::RoundRobin.picker(&list, &set(&[0, 1, 2]));
    assert_eq!(run(&picker, &mut Cursor::default(), 7), [2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn round_robin_skips_the_dead_without_favouring_its_neighbour_g06() {
    let cursor = &mut Cursor::default();
    let all = ids(0..3);
    run(&Policy::RoundRobin.picker(&all, &set(&[0, 1, 2])), cursor, 2);
    assert_eq!(run(&Policy::RoundRobin.picker(&all, &set(&[0, 1])), cursor, 4), [0, 1, 0, 1]);
    assert_eq!(
        run(&Policy::RoundRobin.picker(&all, &set(&[0, 1, 2])), cursor, 6),
        [2, 0, 1, 2, 0, 1],
        "no burst"
    );
}

#[test]
fn a_retry_goes_elsewhere_and_leaves_the_turn_to_the_next_call() {
    let picker = Policy::RoundRobin.picker(&ids(0..3), &set(&[0, 1, 2]));
    let cursor = &mut Cursor::default();
    assert_eq!(picker.pick(cursor, &set(&[0])), Pick::Member(MemberId(1)));
    assert_eq!(run(&picker, cursor, 3), [0, 2, 1]);
}

#[test]
fn a_full_member_is_waited_for_in_list_order_and_passed_over_in_turn_p4() {
    let all = set(&[0, 1, 2]);
    let but_first = |m: MemberId| m != MemberId(0);
    let list = Policy::Failover.picker(&ids(0..3), &all);
    let cursor = &mut Cursor::default();
    assert_eq!(list.pick_free(cursor, &NONE, but_first), Pick::NoPlace);
    assert_eq!(list.pick_free(cursor, &set(&[0]), but_first), Pick::Member(MemberId(1)), "a retry");
    let turns = Policy::RoundRobin.picker(&ids(0..3), &all);
    let cursor = &mut Cursor::default();
    assert_eq!(turns.pick_free(cursor, &NONE, but_first), Pick::Member(MemberId(1)));
    assert_eq!(turns.pick_free(cursor, &NONE, |_| true), Pick::Member(MemberId(0)), "it kept its turn");
    assert_eq!(turns.pick_free(cursor, &NONE, |_| false), Pick::NoPlace);
    assert_eq!(turns.pick_free(cursor, &all, |_| false), Pick::AllTried);
}

#[test]
fn an_empty_group_and_a_tired_call_differ_g15() {
    let cursor = &mut Cursor::default();
    for policy in Policy::ALL {
        assert_eq!(policy.picker(&ids(0..3), &NONE).pick(cursor, &NONE), Pick::NoneAvailable);
        assert_eq!(policy.picker(&ids(0..3), &set(&[0, 2])).pick(cursor, &set(&[0, 1, 2])), Pick::AllTried);
    }
    assert_eq!(cursor, &Cursor::default(), "a refusal takes no turn");
}

/// One step of a group's life.
#[derive(Clone, Debug)]
enum Step {
    Calls(usize),
    Available(Vec<bool>),
    /// The document lists the members in another order.
    Reorder(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..20usize).prop_map(Step::Calls),
        prop::collection::vec(any::<bool>(), 8).prop_map(Step::Available),
        (0..8usize).prop_map(Step::Reorder),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    /// P4: whatever comes, goes and moves, members that stay available never differ by more than one call.
    #[test]
    fn members_that_stay_are_within_one_call_of_each_other_p4(steps in steps(), stay in 2..8u32) {
        let mut list = ids(0..8);
        let mut cursor = Cursor::default();
        let mut available: MemberSet = ids(0..8).into_iter().collect();
        let mut counts: BTreeMap<u32, i64> = (0..8).map(|m| (m, 0)).collect();
        for step in steps {
            match step {
                Step::Calls(n) => {
                    let picker = Policy::RoundRobin.picker(&list, &available);
                    for m in run(&picker, &mut cursor, n) {
                        *counts.get_mut(&m).unwrap() += 1;
                        let stayed: Vec<i64> = counts.range(0..stay).map(|(_, c)| *c).collect();
                        let spread = stayed.iter().max().unwrap() - stayed.iter().min().unwrap();
                        prop_assert!(spread <= 1, "counts {counts:?} after picking {m}");
                    }
                }
                Step::Available(flags) => {
                    available = (0..8).filter(|m| *m < stay || flags[*m as usize]).map(MemberId).collect();
                }
                Step::Reorder(n) => list.rotate_left(n),
            }
        }
    }

    /// Failover is the first of the list that may be used, whatever was picked before.
    #[test]
    fn failover_is_first_available_p4(
        flags in prop::collection::vec(any::<bool>(), 8),
        tried in prop::collection::vec(any::<bool>(), 8),
    ) {
        let available: MemberSet = (0..8).filter(|m| flags[*m as usize]).map(MemberId).collect();
        let exclude: MemberSet = (0..8).filter(|m| tried[*m as usize]).map(MemberId).collect();
        let picked = Policy::Failover.picker(&ids(0..8), &available).pick(&mut Cursor::default(), &exclude);
        let expected = (0..8).find(|m| flags[*m as usize] && !tried[*m as usize]).map(MemberId);
        match picked {
            Pick::Member(m) => prop_assert_eq!(Some(m), expected),
            Pick::AllTried => prop_assert!(expected.is_none() && !available.is_empty()),
            Pick::NoneAvailable => prop_assert!(available.is_empty()),
            Pick::NoPlace => prop_assert!(false, "every member has a place"),
        }
    }
}

#[test]
fn the_cursor_does_not_grow_with_members_that_left() {
    let mut cursor = Cursor::default();
    for m in 0..10_000 {
        let picker = Policy::RoundRobin.picker(&[MemberId(m), MemberId(m + 1)], &set(&[m, m + 1]));
        run(&picker, &mut cursor, 2);
    }
    assert!(format!("{cursor:?}").len() < 10_000);
}
