//! A connector version that callers use keeps a member, unless the operator insists (P5, P11, B03).

use std::time::Duration;

use rcs_proto::frames;
use rcs_proto::session::SocketId;

use super::versions::of;
use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::agreed::sets::{BundleChange, BundleRefusal, PresentRules, ProposedSet};
use crate::balance::Policy;
use crate::bundles::in_use::Lost;
use crate::bundles::range::StandIns;
use crate::engine::*;
use crate::limits::{CONNECTOR_USED_LATELY, UNSERVED_EVERY};

const RULE: &str = "b/[1.0,1.1]";

fn rules(texts: &[&str]) -> StandIns {
    StandIns(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn stand_ins(texts: &[&str], present: PresentRules) -> BundleChange {
    BundleChange::StandIns { rules: rules(texts), present }
}

impl World {
    /// A rolling upgrade from 1.0 to 1.1 of three members; two have moved. `n2` is the last one with 1.0.
    fn two_of_three_moved() -> Self {
        let mut world = Self::with_members(3, Policy::RoundRobin);
        world.move_to(0, "1.1");
        let what = ProposedSet::Of("n0".into());
        world.change(BundleChange::Propose { what, stand_ins: None }).unwrap();
        world.move_to(1, "1.1");
        world
    }

    fn move_to(&mut self, member: usize, version: &str) {
        self.kill(member);
        self.start_with(member, infos_at(CONNECTOR, version));
    }

    /// One call for this version. Returns the error of its answer, if it has one.
    fn call_for(&mut self, caller: SocketId, version: &str) -> Option<String> {
        self.call(caller, 1, of(version, get()));
        for member in 0..self.members.len() {
            for (socket, request) in self.at_member(member) {
                let rcs_proto::envelope::Kind::Operation(head) = &request.kind else { continue };
                let asked = head.connector().unwrap();
                let has = |key: &rcs_proto::icf::ConnectorKey| *key == asked;
                let wire = crate::bundles::wire::WireManifest::read(&self.last_told[member]).unwrap();
                let answer = match wire.connectors().keys().any(has) {
                    true => answer(request.message_id),
                    false => {
                        let text = format!("Connector not found: {asked}");
                        frames::error(request.message_id, "x.ConnectorException", &text)
                    }
                };
                self.feed(socket, answer);
            }
        }
        let got = self.at_caller(&[caller]);
        assert_eq!(got.len(), 1, "one answer");
        match &got[0].kind {
            rcs_proto::envelope::Kind::Error(error) => Some(error.message.clone()),
            _ => None,
        }
    }

    fn drain(&mut self, member: &str, last: LastMember) -> Result<(), MarkRefusal> {
        let (group, member) = ("g".to_owned(), member.to_owned());
        let wish = Wish::Mark { group, member, change: MarkChange::Drain, last };
        match self.ask(|ticket| Event::Operator { ticket, wish }) {
            Answer::Marked(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn notes_of(&self, what: &str) -> Vec<&String> {
        self.io.notes.iter().filter(|note| note.contains(what)).collect()
    }
}

fn lost(refused: &MarkRefusal) -> &Lost {
    match refused {
        MarkRefusal::LastWithVersion { lost, .. } => lost,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_member_with_a_version_in_use_is_not_drained() {
    let mut world = World::two_of_three_moved();
    let (exact, newcomer) = (world.caller("exact", 1)[0], world.caller("newcomer", 1)[0]);
    assert_eq!(world.drain("n2", LastMember::Kept), Ok(()), "nobody has called yet");
    world.agree(crate::agreed::Change::Mark { member: "n2".into(), mark: crate::view::Mark::Enabled });
    world.kill(2);
    world.start(2);
    for (caller, version) in [(exact, "1.0"), (newcomer, "1.1"), (newcomer, "9.9")] {
        world.call_for(caller, version);
    }
    // One of the two members with 1.1 may be taken down, and not the member with 1.0.
    let report = world.bundles();
    assert_eq!((report.serving, report.spare), (3, 1));
    let in_use: Vec<_> =
        report.in_use.iter().map(|row| (&*row.connector.bundle_version, row.callers)).collect();
    assert_eq!(in_use, [("1.0", 1), ("1.1", 1)], "what nobody ever had is not in use");
    assert_eq!(
        (&*report.in_use[0].members, &*report.in_use[0].principals),
        (&["n2".to_owned()][..], &["anonymous".to_owned()][..])
    );
    let refused = world.drain("n2", LastMember::Kept).unwrap_err();
    assert_eq!(lost(&refused).connectors[0].connector.bundle_version, "1.0");
    assert_eq!(lost(&refused).rule.as_deref(), Some(RULE));
    let text = refused.to_string();
    for part in [
        "\"n2\" cannot be taken out now",
        "b/1.0/Rig (1 caller: anonymous)",
        "bundles stand-ins g 'b/[1.0,1.1]'",
        "--force",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(world.drain("n0", LastMember::Kept), Ok(()));
    assert!(world.drain("n1", LastMember::Kept).is_err(), "now the last one with 1.1");
    assert_eq!(world.drain("n2", LastMember::Released), Ok(()), "forced");
}

#[test]
fn a_stand_in_that_is_added_on_the_way_lets_the_upgrade_go_on() {
    let mut world = World::two_of_three_moved();
    let exact = world.caller("exact", 1)[0];
    assert_eq!(world.call_for(exact, "1.0"), None);
    let refused = world.change(BundleChange::Commit).unwrap_err();
    let BundleRefusal::Lost(lost) = &refused else { panic!("{refused:?}") };
    assert_eq!((lost.connectors.len(), lost.rule.as_deref()), (1, Some(RULE)));
    let report = world.change(stand_ins(&[RULE], PresentRules::Kept)).unwrap();
    assert_eq!(report.stand_ins, rules(&[RULE]));
    assert_eq!(world.drain("n2", LastMember::Kept), Ok(()));
    world.pass(Duration::from_secs(40));
    assert_eq!(world.call_for(exact, "1.0"), None, "run as 1.1");
    world.change(BundleChange::Commit).unwrap();
    assert_eq!(world.call_for(exact, "1.0"), None);
    // The rule may not end while its caller needs it, and stays with the next upgrade.
    assert!(matches!(world.change(stand_ins(&[], PresentRules::Replaced)), Err(BundleRefusal::Lost(_))));
    let next =
        BundleChange::Propose { what: ProposedSet::Digest("a".repeat(64).parse().unwrap()), stand_ins: None };
    assert_eq!(world.change(next).unwrap().stand_ins, rules(&[RULE]));
    let report =
        world.change_with("g", stand_ins(&["b/[1.0,2.0)"], PresentRules::Replaced), LastMember::Kept);
    assert_eq!(report.unwrap().stand_ins, rules(&["b/[1.0,2.0)"]));
}

#[test]
fn a_commit_counts_what_the_last_member_took_along() {
    let mut world = World::two_of_three_moved();
    let exact = world.caller("exact", 1)[0];
    world.call_for(exact, "1.0");
    // The member died, without a drain.
    world.move_to(2, "1.1");
    assert!(matches!(world.change(BundleChange::Commit), Err(BundleRefusal::Lost(_))));
    world.change_with("g", BundleChange::Commit, LastMember::Released).unwrap();
}

#[test]
fn abort_and_pin_count_what_callers_use_of_the_new_set() {
    let mut world = World::two_of_three_moved();
    let newcomer = world.caller("newcomer", 1)[0];
    world.call_for(newcomer, "1.1");
    assert!(matches!(world.change(BundleChange::Abort), Err(BundleRefusal::Lost(_))));
    world.change(BundleChange::Commit).unwrap();
    let pin = |world: &mut World, last| {
        world.change_with("g", BundleChange::Pin(ProposedSet::Of("n2".into())), last)
    };
    assert!(matches!(pin(&mut world, LastMember::Kept), Err(BundleRefusal::Lost(_))));
    pin(&mut world, LastMember::Released).unwrap();
}

#[test]
fn callers_that_left_or_did_not_call_lately_do_not_count() {
    let mut world = World::two_of_three_moved();
    let exact = world.caller("exact", 1)[0];
    world.call_for(exact, "1.0");
    assert!(world.drain("n2", LastMember::Kept).is_err());
    world.now = world.now + CONNECTOR_USED_LATELY + Duration::from_secs(1);
    assert_eq!(world.bundles().in_use, []);
    let mut world = World::two_of_three_moved();
    let exact = world.caller("exact", 1)[0];
    world.call_for(exact, "1.0");
    world.apply(Event::Closed { socket: exact, unsent: Vec::new() });
    assert!(world.drain("n2", LastMember::Kept).is_err(), "it may come back in a moment");
    world.pass(crate::limits::CALLER_KEPT + Duration::from_secs(1));
    assert_eq!(world.drain("n2", LastMember::Kept), Ok(()));
}

/// The callers of most IDMs name no group.
#[test]
fn callers_for_whom_the_connector_decides_count_in_each_group_that_has_it() {
    let mut world = World::two_of_three_moved();
    let exact = world.caller_by("exact", Selector::ByConnectorKey, 1)[0];
    assert_eq!(world.call_for(exact, "1.0"), None);
    assert!(world.drain("n2", LastMember::Kept).is_err());
    world.change_with("g", BundleChange::Commit, LastMember::Released).unwrap();
    let text = world.call_for(exact, "1.0").unwrap();
    assert!(text.contains("No group of this router has the connector"), "{text}");
    assert!(text.contains("asks for version 1.0 of b; the members that serve have 1.1."), "{text}");
    world.pass(Duration::from_millis(500));
    let notes = world.notes_of("CallsUnserved");
    assert!(notes.len() == 1 && notes[0].contains("group: None"), "{notes:?}");
}

#[test]
fn calls_for_a_version_that_is_gone_are_told_the_versions_and_the_log_has_a_line_a_minute() {
    let mut world = World::two_of_three_moved();
    let exact = world.caller("exact", 1)[0];
    world.kill(2);
    // The member of the connector is away.
    let text = world.call_for(exact, "1.0").unwrap();
    assert!(text.starts_with("No member of group g is available for this get."), "{text}");
    assert!(text.contains("It asks for version 1.0 of b; the members that serve have 1.1."), "{text}");
    // The member of the connector has moved. The next member is asked, and no third one.
    world.start_with(2, infos_at(CONNECTOR, "1.1"));
    for _ in 0..3 {
        let text = world.call_for(exact, "1.0").unwrap();
        assert!(text.starts_with("Connector not found: b/1.0/Rig. It asks for version 1.0 of b;"), "{text}");
    }
    let explained = world.engine.explained_calls(1)[0];
    let report = world.engine.explanation(explained, world.now).unwrap();
    assert_eq!((report.steps.len(), report.end.map(|(outcome, _)| outcome)), (1, Some("unavailable")));
    world.pass(Duration::from_millis(500));
    let notes = world.notes_of("CallsUnserved");
    assert!(notes.len() == 1 && notes[0].contains("calls: 1,"), "{notes:?}");
    world.pass(UNSERVED_EVERY);
    let notes = world.notes_of("CallsUnserved");
    assert!(notes.len() == 2 && notes[1].contains("calls: 3,"), "{notes:?}");
    world.pass(2 * UNSERVED_EVERY);
    let notes = world.notes_of("CallsUnserved");
    assert!(notes.len() == 3 && notes[2].contains("is_over: true"), "{notes:?}");
}
