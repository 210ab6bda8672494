//! The group's decisions, case by case; `random` tries to break its invariants.

mod alone;
mod first;
mod random;

use std::time::Duration;

use rcs_proto::icf::ConnectorInfo;
use rcs_proto::manifest::{Content, FileEntry, Root};

use self::alone::Alone;
use super::*;
use crate::bundles::digest::Digest;
use crate::bundles::samples::{info, rig_at};
use crate::limits::{BUNDLES_HOLD_BASE, BUNDLES_STABLE_AFTER};

const A: MemberId = MemberId(1);
const B: MemberId = MemberId(2);
const C: MemberId = MemberId(3);

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn wire_of(infos: &[ConnectorInfo]) -> Arc<WireManifest> {
    Arc::new(WireManifest::of(infos).unwrap())
}

/// The rig connector at a version.
fn wire(version: &str) -> Arc<WireManifest> {
    wire_of(&rig_at(version))
}

/// A library folder with one script of this content.
fn files(script: &str) -> Arc<FileManifest> {
    let content = Content::File { sha256: Digest::of(script.as_bytes()), bytes: script.len() as u64 };
    let entry = FileEntry {
        root: Root::Lib,
        path: "tools/script.groovy".to_owned(),
        content,
        bundle: None,
        link: None,
    };
    Arc::new(FileManifest::of(vec![entry]).unwrap())
}

fn set(version: &str) -> SetDigest {
    SetDigest { wire: *wire(version).digest(), files: None }
}

fn group(members: &[MemberId], policy: BundlePolicy) -> Alone {
    let mut group = Alone::new(policy);
    assert_eq!(group.members_are(members, at(0)), []);
    group
}

fn require_agent() -> BundlePolicy {
    BundlePolicy { reports: Reports::RequireAgent, ..BundlePolicy::default() }
}

fn fail_closed() -> BundlePolicy {
    BundlePolicy { none_left: NoneLeft::FailClosed, ..BundlePolicy::default() }
}

/// The members' standings in order, by their words.
fn labels(group: &GroupSets) -> Vec<&'static str> {
    group.status().members.iter().map(|member| member.standing.label()).collect()
}

fn lines(told: &[Told]) -> Vec<String> {
    let named = |told: &Told| match told {
        Told::Member { member, standing } => format!("{} {standing}", member.0),
        other => other.to_string(),
    };
    told.iter().map(named).collect()
}

#[test]
fn the_first_set_is_taken_and_said_so_and_equal_ones_are_not_told_g11() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.absent(B, at(0));
    let told = group.wire_seen(A, wire("1.0.0.0"), at(1));
    assert_eq!(told, [Told::Accepted { set: set("1.0.0.0"), origin: Origin::FirstUse, from: Some(A) }]);
    let line = format!("bundles.pinned = \"{}\"", set("1.0.0.0"));
    assert!(told[0].to_string().contains(&line), "{}", told[0]);
    assert_eq!(group.wire_seen(B, wire("1.0.0.0"), at(2)), []);
    assert_eq!(group.wire_seen(B, wire("1.0.0.0"), at(3)), []);
    assert_eq!(labels(&group), ["matching", "matching"]);
}

#[test]
fn a_member_that_drifts_is_out_at_once_told_once_and_back_as_soon_as_it_matches_g12() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    group.wire_seen(B, wire("1.0.0.0"), at(1));
    let said = lines(&group.wire_seen(B, wire("1.0.0.1"), at(10)));
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("2 is quarantined: its bundle set "), "{said:?}");
    assert!(
        said[0].contains("changed connector rig.connector/rig.RigConnector 1.0.0.0 -> 1.0.0.1"),
        "{said:?}"
    );
    assert!(!group.may_serve(B) && group.may_serve(A));
    assert_eq!(group.status().members[1].difference().unwrap().len(), 1);
    for check in 11..20 {
        assert_eq!(group.wire_seen(B, wire("1.0.0.1"), at(check)), []);
        assert_eq!(group.wire_seen(A, wire("1.0.0.0"), at(check)), []);
    }
    // A lost link is no reason to tell it again.
    assert_eq!(group.gone(B, at(20)), []);
    assert_eq!(group.wire_seen(B, wire("1.0.0.1"), at(21)), []);
    let said = group.wire_seen(B, wire("1.0.0.0"), at(22));
    assert_eq!(said, [Told::Member { member: B, standing: BundleStanding::Matching }]);
    assert!(group.may_serve(B));
}

#[test]
fn a_member_that_joins_with_another_set_never_serves() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.absent(B, at(0));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    for other in [
        wire_of(&[]),
        wire("1.0.0.1"),
        wire_of(&[rig_at("1.0.0.0").remove(0), info("more", "1.0.0.0")]),
        wire_of(&[info("other", "1.0.0.0")]),
    ] {
        assert!(!group.may_serve(B), "before it told anything");
        group.wire_seen(B, other, at(2));
        assert!(!group.may_serve(B));
        assert_eq!(labels(&group), ["matching", "quarantined"]);
        group.gone(B, at(3));
    }
}

#[test]
fn a_changed_script_is_seen_where_agents_are_required_and_only_there_w06() {
    for (policy, label) in [(require_agent(), "quarantined"), (BundlePolicy::default(), "matching")] {
        let mut group = group(&[A, B], policy);
        for member in [A, B] {
            group.files_seen(member, files("one"), at(1));
            group.wire_seen(member, wire("1.0.0.0"), at(1));
        }
        assert_eq!(labels(&group), ["matching", "matching"]);
        let said = lines(&group.files_seen(B, files("two"), at(2)));
        assert_eq!(labels(&group), ["matching", label]);
        if label == "quarantined" {
            assert!(said[0].contains("changed file lib/tools/script.groovy"), "{said:?}");
            group.files_seen(B, files("one"), at(3));
            assert_eq!(labels(&group), ["matching", "matching"]);
        }
    }
}

#[test]
fn a_member_without_a_report_does_not_serve_where_one_is_required() {
    let mut group = group(&[A, B, C], require_agent());
    for member in [B, C] {
        group.absent(member, at(0));
    }
    let said = lines(&group.wire_seen(A, wire("1.0.0.0"), at(1)));
    assert!(said[0].contains("requires an agent's report"), "{said:?}");
    assert_eq!((group.alarm(), group.serving().len()), (Some(Alarm::NoneServes), 0));
    group.files_seen(A, files("one"), at(2));
    assert_eq!((group.alarm(), labels(&group)[0]), (None, "matching"));
    group.wire_seen(B, wire("1.0.0.0"), at(3));
    assert_eq!(group.standing(B), Some(&BundleStanding::Quarantined(Cause::MissingAgentReport)));
    // Other connectors differ with and without a report.
    group.wire_seen(C, wire("1.0.0.1"), at(3));
    assert_eq!(group.standing(C).unwrap().cause().unwrap().label(), "differs");
}

#[test]
fn an_agent_that_falls_silent_takes_its_member_out_and_heartbeats_keep_it() {
    let mut group = group(&[A, B], require_agent());
    for member in [A, B] {
        group.wire_seen(member, wire("1.0.0.0"), at(1));
        group.files_seen(member, files("one"), at(1));
    }
    assert!(group.agent_heard(A, &files("one").digest(), at(50)));
    assert!(!group.agent_heard(A, &files("two").digest(), at(50)), "an unknown digest must be sent whole");
    assert!(!group.agent_heard(C, &files("one").digest(), at(50)));
    assert_eq!(group.due(), Some(at(1) + AGENT_SILENCE_MAX));
    assert_eq!(group.tick(at(60)), []);
    let told = group.tick(at(61));
    assert_eq!(
        told,
        [Told::Member { member: B, standing: BundleStanding::Quarantined(Cause::MissingAgentReport) }]
    );
    // The last one is kept, with an alarm; and put right when its agent is back.
    group.tick(at(200));
    assert_eq!((labels(&group), group.alarm()), (vec!["kept", "quarantined"], Some(Alarm::KeepsLast)));
    assert!(!group.agent_heard(A, &files("one").digest(), at(201)), "it was forgotten");
    group.files_seen(A, files("one"), at(201));
    assert_eq!((labels(&group), group.alarm()), (vec!["matching", "quarantined"], None));
}

#[test]
fn a_pinned_digest_decides_before_any_member_is_known() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.pin(set("1.0.0.1"), at(0));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    assert!(group.standing(A).unwrap().to_string().contains("no member ever had the group's set"));
    assert_eq!((group.alarm(), group.serving().len()), (Some(Alarm::NoneServes), 0));
    // As soon as one has it, the other's difference can be read.
    group.wire_seen(B, wire("1.0.0.1"), at(2));
    assert_eq!((group.alarm(), labels(&group)), (None, vec!["quarantined", "matching"]));
    assert!(group.standing(A).unwrap().to_string().contains("1.0.0.1 -> 1.0.0.0"));
    assert_eq!(group.pin(set("1.0.0.1"), at(3)), []);
    // Of a set that was pinned by its connectors alone, the files are those of the first member that has them.
    group.policy_is(require_agent(), at(4));
    let told = group.files_seen(B, files("one"), at(5));
    assert!(matches!(told[0], Told::Accepted { origin: Origin::Pinned, from: Some(B), .. }), "{told:?}");
    assert!(group.may_serve(B));
}

#[test]
fn three_members_move_to_the_next_set_one_after_the_other() {
    let mut group = group(&[A, B, C], BundlePolicy::default());
    for member in [A, B, C] {
        group.wire_seen(member, wire("1.0.0.0"), at(1));
    }
    assert_eq!(group.status().spare, 2);
    assert_eq!(
        group.propose(Proposal::Set(set("1.0.0.1")), at(2)).unwrap(),
        [Told::Proposed(set("1.0.0.1"))]
    );
    assert_eq!(group.propose(Proposal::Of(A), at(2)), Err(Refused::AlreadyProposed));
    assert_eq!(group.commit(at(2)), Err(Refused::TooFew { left: 0, wanted: 1 }));
    assert_eq!(group.shown().next, None, "nobody serves it yet");
    for (step, (member, expected)) in [
        (A, ["matching_next", "matching", "matching"]),
        (B, ["matching_next", "matching_next", "matching"]),
        (C, ["matching_next", "matching_next", "matching_next"]),
    ]
    .into_iter()
    .enumerate()
    {
        let now = at(10 + 10 * step as u64);
        group.gone(member, now);
        assert_eq!(group.serving().len(), 2, "the others serve");
        let told = group.wire_seen(member, wire("1.0.0.1"), now);
        assert_eq!(told, [Told::Member { member, standing: BundleStanding::MatchingNext }]);
        assert_eq!(labels(&group), expected);
        assert_eq!(group.shown().next, Some(set("1.0.0.1").wire));
    }
    assert_eq!(group.abort(at(50)), Err(Refused::TooFew { left: 0, wanted: 1 }), "nobody has the old one");
    let told = group.commit(at(60)).unwrap();
    assert_eq!(told[0], Told::Accepted { set: set("1.0.0.1"), origin: Origin::Committed, from: None });
    assert_eq!((labels(&group), group.status().next), (vec!["matching"; 3], None));
    assert_eq!(group.commit(at(61)), Err(Refused::NothingProposed));
    assert_eq!(group.abort(at(61)), Err(Refused::NothingProposed));
}

#[test]
fn commit_and_abort_leave_only_members_of_one_set() {
    for (commits, expected) in [
        (true, ["matching", "quarantined", "quarantined"]),
        (false, ["quarantined", "matching", "quarantined"]),
    ] {
        let mut group = group(&[A, B, C], BundlePolicy::default());
        for member in [A, C] {
            group.absent(member, at(0));
        }
        for (member, version) in [(B, "1.0.0.0"), (A, "1.0.0.1"), (C, "9.0.0.0")] {
            group.wire_seen(member, wire(version), at(1));
        }
        group.propose(Proposal::Of(A), at(2)).unwrap();
        assert_eq!(labels(&group), ["matching_next", "matching", "quarantined"]);
        if commits { group.commit(at(3)) } else { group.abort(at(3)) }.unwrap();
        assert_eq!(labels(&group), expected);
    }
}

#[test]
fn a_proposal_that_leaves_too_few_is_refused_with_the_numbers() {
    let wanting = |serving_min| BundlePolicy { serving_min, ..BundlePolicy::default() };
    for (members, serving_min, left) in
        [(1, 1, Some(0)), (1, 0, None), (2, 1, None), (2, 2, Some(1)), (3, 2, None), (3, 3, Some(2))]
    {
        let members: Vec<MemberId> = (0..members).map(MemberId).collect();
        let mut group = group(&members, wanting(serving_min));
        for member in &members {
            group.wire_seen(*member, wire("1.0.0.0"), at(1));
        }
        let got = group.propose(Proposal::Set(set("1.0.0.1")), at(2)).map(|told| told.len());
        let expected = left.map_or(Ok(1), |left| Err(Refused::TooFew { left, wanted: serving_min }));
        assert_eq!(got, expected, "{} members, {serving_min} wanted", members.len());
    }
    let mut empty = group(&[A], BundlePolicy::default());
    assert_eq!(empty.propose(Proposal::Set(set("1.0.0.1")), at(1)), Err(Refused::NothingAccepted));
    let mut pair = group(&[A, B], BundlePolicy::default());
    pair.absent(B, at(0));
    pair.wire_seen(A, wire("1.0.0.0"), at(1));
    assert_eq!(pair.propose(Proposal::Of(A), at(1)), Err(Refused::SameSet));
    assert_eq!(pair.propose(Proposal::Of(B), at(1)), Err(Refused::NoManifest));
}

#[test]
fn when_every_member_differs_the_policy_decides() {
    for (policy, expected, alarm) in [
        (BundlePolicy::default(), ["quarantined", "kept"], Alarm::KeepsLast),
        (fail_closed(), ["quarantined", "quarantined"], Alarm::NoneServes),
    ] {
        let mut group = group(&[A, B], policy);
        for member in [A, B] {
            group.wire_seen(member, wire("1.0.0.0"), at(1));
        }
        group.wire_seen(A, wire("1.0.0.2"), at(2));
        assert_eq!(group.alarm(), None);
        let told = group.wire_seen(B, wire("1.0.0.1"), at(3));
        assert_eq!(labels(&group), expected);
        assert!(told.contains(&Told::Alarm(alarm)), "{told:?}");
        // It dies and comes back as it was: of the members there is nothing new to tell.
        let told = [group.gone(B, at(4)), group.wire_seen(B, wire("1.0.0.1"), at(5))].concat();
        assert!(told.iter().all(|told| matches!(told, Told::Alarm(_))), "{told:?}");
        assert_eq!((labels(&group), group.alarm()), (expected.to_vec(), Some(alarm)));
        // One with the right set ends it.
        let told = group.wire_seen(A, wire("1.0.0.0"), at(6));
        assert_eq!(labels(&group), ["matching", "quarantined"]);
        assert!(told.contains(&Told::AlarmOver(alarm)), "{told:?}");
    }
}

#[test]
fn those_that_served_and_are_away_are_remembered_until_they_come_back_beside_a_right_one() {
    let mut group = group(&[A, B], BundlePolicy::default());
    for member in [A, B] {
        group.wire_seen(member, wire("1.0.0.0"), at(1));
    }
    // Both die, the one that comes back first has changed: it serves, for nobody else can.
    group.gone(A, at(2));
    group.gone(B, at(2));
    group.wire_seen(A, wire("1.0.0.1"), at(3));
    assert_eq!((labels(&group), group.alarm()), (vec!["kept", "unknown"], Some(Alarm::KeepsLast)));
    group.wire_seen(B, wire("1.0.0.0"), at(4));
    assert_eq!((labels(&group), group.alarm()), (vec!["quarantined", "matching"], None));
    // From now on it is one that differs, also while the right one is away.
    group.gone(B, at(5));
    assert_eq!((labels(&group), group.alarm()), (vec!["quarantined", "unknown"], Some(Alarm::NoneServes)));
}

#[test]
fn members_that_nobody_can_read_serve_until_one_can_be_read_unless_the_group_fails_closed() {
    for (policy, expected, alarm) in [
        (BundlePolicy::default(), "kept", Alarm::KeepsLast),
        (fail_closed(), "quarantined", Alarm::NoneServes),
    ] {
        let mut group = group(&[A, B], policy);
        group.wire_unreadable(A, "what a frame".to_owned(), at(1));
        assert_eq!((labels(&group), group.alarm()), (vec![expected, "unknown"], Some(alarm)));
        group.wire_seen(B, wire("1.0.0.0"), at(2));
        assert_eq!((labels(&group), group.alarm()), (vec!["quarantined", "matching"], None));
        group.gone(B, at(3));
        assert_eq!(labels(&group), ["quarantined", "unknown"]);
    }
}

#[test]
fn what_members_have_can_be_accepted_to_end_an_alarm() {
    let mut group = group(&[A, B], BundlePolicy::default());
    for (version, now) in [("1.0.0.0", 1), ("1.0.0.1", 2)] {
        group.wire_seen(A, wire(version), at(now));
        group.wire_seen(B, wire(version), at(now));
    }
    assert_eq!(group.alarm(), Some(Alarm::KeepsLast));
    group.pin(set("1.0.0.1"), at(3));
    assert_eq!((labels(&group), group.alarm()), (vec!["matching", "matching"], None));
}

#[test]
fn a_member_that_flips_is_held_for_a_growing_time() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    group.wire_seen(B, wire("1.0.0.0"), at(1));
    let mut now = at(10);
    let mut holds = Vec::new();
    for _ in 0..9 {
        now = now + Duration::from_secs(1);
        group.wire_seen(B, wire("1.0.0.1"), now);
        assert!(!group.may_serve(B));
        now = now + Duration::from_secs(1);
        group.wire_seen(B, wire("1.0.0.0"), now);
        match group.standing(B).unwrap() {
            BundleStanding::Held { until } => {
                let until = *until;
                holds.push(until.since(now).as_secs());
                assert_eq!(group.due(), Some(until));
                assert_eq!(group.tick(until - Duration::from_millis(1)), []);
                let told = group.tick(until);
                assert_eq!(told, [Told::Member { member: B, standing: BundleStanding::Matching }]);
                now = until;
            }
            standing => {
                assert_eq!(*standing, BundleStanding::Matching);
                holds.push(0);
            }
        }
    }
    assert_eq!(holds, [0, 0, 15, 30, 60, 120, 240, 480, 600]);
    assert_eq!(BUNDLES_HOLD_BASE.as_secs(), 15);
    // It stays for long enough: the next return is at once again.
    now = now + BUNDLES_STABLE_AFTER;
    group.wire_seen(B, wire("1.0.0.1"), now);
    group.wire_seen(B, wire("1.0.0.0"), now);
    assert!(group.may_serve(B));
}

#[test]
fn a_held_member_serves_rather_than_one_with_a_wrong_set() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.absent(B, at(0));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    for now in 0..4 {
        group.wire_seen(B, wire("1.0.0.0"), at(2 + 2 * now));
        group.wire_seen(B, wire("1.0.0.1"), at(3 + 2 * now));
    }
    group.wire_seen(B, wire("1.0.0.0"), at(20));
    assert_eq!(labels(&group), ["matching", "held"]);
    group.wire_seen(A, wire("1.0.0.1"), at(21));
    assert_eq!(labels(&group), ["quarantined", "matching"]);
}

#[test]
fn what_the_operator_changes_is_not_held_against_members() {
    let mut group = group(&[A, B], BundlePolicy::default());
    for member in [A, B] {
        group.wire_seen(member, wire("1.0.0.0"), at(1));
    }
    for round in 0..10 {
        group.pin(set("9.9.9.9"), at(2 + round));
        group.pin(set("1.0.0.0"), at(2 + round));
        group.policy_is(require_agent(), at(2 + round));
        group.policy_is(BundlePolicy::default(), at(2 + round));
    }
    assert_eq!(labels(&group), ["matching", "matching"]);
}

#[test]
fn a_group_of_one_follows_its_member_unless_the_operator_says_otherwise() {
    let mut follows = group(&[A], BundlePolicy::default());
    follows.wire_seen(A, wire("1.0.0.0"), at(1));
    let told = follows.wire_seen(A, wire("1.0.0.1"), at(2));
    assert_eq!(told, [Told::Accepted { set: set("1.0.0.1"), origin: Origin::Followed, from: Some(A) }]);
    assert_eq!(labels(&follows), ["matching"]);
    follows.pin(set("1.0.0.1"), at(3));
    follows.wire_seen(A, wire("1.0.0.2"), at(4));
    assert_eq!((labels(&follows), follows.alarm()), (vec!["kept"], Some(Alarm::KeepsLast)));
    let mut closed = group(&[A], fail_closed());
    closed.wire_seen(A, wire("1.0.0.0"), at(1));
    closed.wire_seen(A, wire("1.0.0.1"), at(2));
    assert_eq!(labels(&closed), ["quarantined"]);
}

#[test]
fn a_member_without_connectors_does_not_decide_what_the_others_need() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.absent(B, at(0));
    group.wire_seen(A, wire_of(&[]), at(1));
    assert_eq!(labels(&group), ["matching", "unknown"]);
    group.wire_seen(B, wire("1.0.0.0"), at(2));
    assert_eq!(labels(&group), ["quarantined", "matching"]);
    assert_eq!(group.status().accepted, Some((set("1.0.0.0"), Origin::FirstUse)));
}

#[test]
fn what_cannot_be_read_is_quarantined_with_its_reason() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.absent(B, at(0));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    let said = lines(&group.wire_unreadable(B, "a \u{1b}[31mlist".to_owned(), at(2)));
    assert_eq!(said, ["2 is quarantined: its list of connectors cannot be used: a \\u{1b}[31mlist"]);
    assert_eq!(group.wire_unreadable(B, "a \u{1b}[31mlist".to_owned(), at(3)), []);
    group.wire_seen(B, wire("1.0.0.0"), at(4));
    assert_eq!(labels(&group), ["matching", "matching"]);
}

#[test]
fn servers_of_other_products_or_versions_are_shown_b09() {
    let server = |product: &str, version: &str| Server {
        product: product.to_owned(),
        version: Some(version.to_owned()),
    };
    let mut group = group(&[A, B], BundlePolicy::default());
    assert_eq!(group.server_is(A, server("java", "1.5.20.21"), at(1)), []);
    let said = lines(&group.server_is(B, server("java", "1.5.20.8"), at(1)));
    assert_eq!(said, ["the group has different servers: java 1.5.20.21, java 1.5.20.8"]);
    assert_eq!(group.server_is(B, server("java", "1.5.20.8"), at(2)), []);
    let said = lines(&group.server_is(B, server("rcs-node", "0.1.0"), at(3)));
    assert!(said[0].ends_with("; only their connectors are compared, not their files"), "{said:?}");
    group.policy_is(require_agent(), at(4));
    let said = lines(&group.server_is(B, server("rcs-node", "0.2.0"), at(5)));
    assert!(said[0].ends_with("so set bundles.reports = \"wire_only\" for this group"), "{said:?}");
    assert_eq!(group.status().servers.len(), 2);
}

#[test]
fn members_that_leave_the_group_are_forgotten() {
    let mut group = group(&[A, B], BundlePolicy::default());
    group.absent(B, at(0));
    group.wire_seen(A, wire("1.0.0.0"), at(1));
    group.members_are(&[B], at(2));
    assert_eq!((group.standing(A), group.serving().len()), (None, 0));
    assert_eq!(group.wire_seen(A, wire("1.0.0.0"), at(3)), []);
    group.members_are(&[B, A], at(4));
    assert_eq!(labels(&group), ["unknown", "unknown"]);
}

#[test]
fn equal_manifests_are_kept_once() {
    let mut group = group(&[A, B], require_agent());
    for member in [A, B] {
        group.wire_seen(member, wire("1.0.0.0"), at(1));
        group.files_seen(member, files("one"), at(1));
    }
    let manifests: Vec<_> = group.members.values().map(|record| &record.manifest).collect();
    let same = |get: fn(&super::super::diff::Manifest) -> *const u8| get(manifests[0]) == get(manifests[1]);
    assert!(same(|manifest| Arc::as_ptr(manifest.wire.as_ref().unwrap()).cast()));
    assert!(same(|manifest| Arc::as_ptr(manifest.files.as_ref().unwrap()).cast()));
}

#[test]
fn a_sets_name_is_read_as_it_is_written() {
    let both = SetDigest { files: Some(files("one").digest()), ..set("1.0.0.0") };
    for set in [set("1.0.0.0"), both] {
        assert_eq!(set.to_string().parse(), Ok(set));
    }
    for bad in ["", "+", "ab+cd", &format!("{}+", set("1.0.0.0"))] {
        assert!(bad.parse::<SetDigest>().is_err(), "{bad}");
    }
}
