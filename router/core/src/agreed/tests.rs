use proptest::prelude::*;

use super::sets::{Content, GroupDecision};
use super::*;
use crate::balance::Policy;
use crate::bundles::digest::Digest;
use crate::bundles::group::{Origin, SetDigest};
use crate::engine::tests::parts::member;

/// Servers a, b and c; a and b are the group `g`, c is a group of its own.
fn document() -> Document {
    let members = ["a", "b", "c"].map(member).into();
    let names = vec!["a".to_owned(), "b".to_owned()];
    Document {
        members,
        groups: vec![GroupSpec { name: "g".into(), policy: Policy::Failover, members: names }],
    }
}

fn set(number: u8) -> SetDigest {
    SetDigest { wire: Digest::of(&[number]), files: None }
}

fn configured(document: Document) -> Change {
    Change::Configured { document: Some(document), settings: None }
}

fn of(group: &str, change: SetsChange) -> Change {
    Change::Sets { group: group.into(), change }
}

fn first(number: u8) -> SetsChange {
    SetsChange::AcceptFirst { set: set(number), content: Content::Some }
}

fn agreed() -> Agreed {
    let mut agreed = Agreed::default();
    assert_eq!(agreed.apply(configured(document()), Author::Files, At(1)), Ok(Done::Changed));
    agreed
}

fn accepted(agreed: &Agreed, group: &str) -> Option<(SetDigest, Origin)> {
    agreed.decision(group).accepted().map(|accepted| (accepted.set, accepted.origin))
}

#[test]
fn a_change_that_says_what_is_so_already_changes_nothing_and_a_refused_one_neither() {
    let mut agreed = agreed();
    let before = agreed.clone();
    assert_eq!(agreed.apply(configured(document()), Author::Files, At(2)), Ok(Done::Unchanged));
    let enabled = Change::Mark { member: "a".into(), mark: Mark::Enabled };
    assert_eq!(agreed.apply(enabled, Author::Operator, At(2)), Ok(Done::Unchanged));
    let mut twice = document();
    twice.members.push(member("a"));
    for (change, refusal) in [
        (configured(twice), Refusal::Document(vec![ViewError::TwoMembers("a".into())])),
        (Change::Mark { member: "z".into(), mark: Mark::Draining }, Refusal::NoMember("z".into())),
        (of("z", first(1)), Refusal::NoGroup("z".into())),
        (of("g", SetsChange::Commit), Refusal::Sets(Refused::NothingProposed)),
    ] {
        assert_eq!(agreed.apply(change, Author::Operator, At(2)), Err(refusal));
    }
    assert_eq!(agreed, before);
    assert_eq!((agreed.revision(), agreed.last()), (1, Some(Stamp { author: Author::Files, at: At(1) })));
}

#[test]
fn the_first_set_that_is_proposed_wins_and_an_empty_one_gives_way_once() {
    let mut agreed = agreed();
    let empty = SetsChange::AcceptFirst { set: set(0), content: Content::Empty };
    agreed.apply(of("g", empty.clone()), Author::Router, At(2)).unwrap();
    assert!(agreed.apply(of("g", empty), Author::Router, At(2)).is_err());
    agreed.apply(of("g", first(1)), Author::Router, At(3)).unwrap();
    let late = agreed.apply(of("g", first(2)), Author::Router, At(4));
    assert_eq!(late, Err(Refusal::Sets(Refused::AlreadyAccepted)));
    assert_eq!(accepted(&agreed, "g"), Some((set(1), Origin::FirstUse)));
}

#[test]
fn only_a_group_of_one_that_keeps_its_last_follows_its_member() {
    let mut agreed = agreed();
    let follow = |number| SetsChange::Follow { set: set(number), content: Content::Some };
    for group in ["g", "c"] {
        agreed.apply(of(group, first(1)), Author::Router, At(2)).unwrap();
    }
    assert!(agreed.apply(of("g", follow(2)), Author::Router, At(3)).is_err());
    agreed.apply(of("c", follow(2)), Author::Router, At(3)).unwrap();
    assert_eq!(accepted(&agreed, "c"), Some((set(2), Origin::Followed)));
    let mut settings = Settings::default();
    settings.defaults.bundles.none_left = NoneLeft::FailClosed;
    let change = Change::Configured { document: None, settings: Some(Box::new(settings)) };
    agreed.apply(change, Author::Files, At(4)).unwrap();
    assert!(agreed.apply(of("c", follow(3)), Author::Router, At(5)).is_err());
}

#[test]
fn a_pin_of_the_settings_is_carried_out_when_it_is_another_one() {
    let mut agreed = agreed();
    let mut pin = |number: Option<u8>| {
        let mut settings = Settings::default();
        settings.defaults.pinned = number.map(set);
        // Something else must differ, too, for the change to be one.
        settings.router.accepts_per_second += agreed.revision() as u32;
        let change = Change::Configured { document: None, settings: Some(Box::new(settings)) };
        agreed.apply(change, Author::Files, At(2)).unwrap();
        let before = accepted(&agreed, "g");
        drop(agreed.apply(
            of("g", SetsChange::Propose { set: set(9), stand_ins: None }),
            Author::Operator,
            At(3),
        ));
        drop(agreed.apply(of("g", SetsChange::Commit), Author::Operator, At(3)));
        (before, accepted(&agreed, "g"))
    };
    let committed = Some((set(9), Origin::Committed));
    assert_eq!(pin(Some(1)), (Some((set(1), Origin::Pinned)), committed));
    assert_eq!(pin(Some(1)), (committed, committed), "the same pin is no wish of now");
    assert_eq!(pin(None), (committed, committed));
    assert_eq!(pin(Some(1)).0, Some((set(1), Origin::Pinned)));
}

#[test]
fn what_leaves_the_document_takes_its_marks_and_decisions_with_it() {
    let mut agreed = agreed();
    agreed.apply(Change::Mark { member: "b".into(), mark: Mark::Draining }, Author::Operator, At(2)).unwrap();
    agreed.apply(of("c", first(1)), Author::Router, At(2)).unwrap();
    let (mut book, without) = (NameBook::new(), Document { members: vec![member("a")], groups: Vec::new() });
    assert_eq!(agreed.view(&mut book).unwrap().member_named("b").unwrap().mark, Mark::Draining);
    agreed.apply(configured(without), Author::Files, At(3)).unwrap();
    agreed.apply(configured(document()), Author::Files, At(4)).unwrap();
    let view = agreed.view(&mut book).unwrap();
    assert_eq!(view.member_named("b").unwrap().mark, Mark::Enabled);
    assert_eq!(agreed.decision("c"), &GroupDecision::nothing());
}

fn any_change() -> impl Strategy<Value = Change> {
    let group = prop_oneof![Just("g"), Just("c"), Just("a")];
    let content = prop_oneof![Just(Content::Some), Just(Content::Empty)];
    let with_files = |number: u8| SetDigest { files: Some(Digest::of(&[number])), ..set(number) };
    let sets = prop_oneof![
        (0..3u8, content.clone()).prop_map(|(n, content)| SetsChange::AcceptFirst { set: set(n), content }),
        (0..3u8, content).prop_map(|(n, content)| SetsChange::Follow { set: set(n), content }),
        (0..3u8).prop_map(move |n| SetsChange::LearnFiles { set: with_files(n) }),
        (0..3u8).prop_map(|n| SetsChange::Propose { set: set(n), stand_ins: None }),
        Just(SetsChange::Commit),
        Just(SetsChange::Abort),
        (0..3u8).prop_map(|n| SetsChange::Pin { set: set(n) }),
    ];
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("z")];
    let mark = prop_oneof![Just(Mark::Enabled), Just(Mark::Draining), Just(Mark::Disabled)];
    let documents = prop_oneof![
        Just(document()),
        Just(Document { members: vec![member("a")], groups: Vec::new() }),
        Just(Document::default()),
    ];
    prop_oneof![
        8 => (group, sets).prop_map(|(group, change)| of(group, change)),
        3 => (name, mark).prop_map(|(name, mark)| Change::Mark { member: name.into(), mark }),
        1 => documents.prop_map(configured),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Two routers that apply the same changes agree on every outcome, and a refused change leaves no trace.
    #[test]
    fn the_same_changes_make_the_same_value_everywhere(changes in proptest::collection::vec(any_change(), 1..60)) {
        let (mut one, mut two) = (agreed(), agreed());
        for (at, change) in changes.into_iter().enumerate() {
            let (before, at) = (one.clone(), At(at as u64));
            let outcome = one.apply(change.clone(), Author::Router, at);
            prop_assert_eq!(&outcome, &two.apply(change.clone(), Author::Router, at));
            prop_assert_eq!(&one, &two);
            match outcome {
                Ok(Done::Changed) => prop_assert_eq!(one.revision(), before.revision() + 1),
                Ok(Done::Unchanged) | Err(_) => prop_assert_eq!(&one, &before),
            }
            // Whatever is agreed can be followed.
            prop_assert!(one.view(&mut NameBook::new()).is_ok());
        }
    }
}
