//! Bundle sets (P5, G11, G12): members that tell another set than their group's get no call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Identity};
use rcs_proto::manifest::{Content, Digest, FileEntry, FileManifest, Root};
use rcs_proto::session::{Side, SocketId};

use super::parts::by_member;
use super::world::*;
use crate::agreed::marks::LastMember;
use crate::agreed::sets::{BundleChange, BundleRefusal, ProposedSet};
use crate::balance::Policy;
use crate::bundles::group::{self, BundleStanding, Origin, Refused, Reports, SetDigest};
use crate::bundles::wire::WireManifest;
use crate::engine::*;
use crate::ids::MemberId;
use crate::settings::Settings;
use crate::view::NotListed;

pub(super) fn set(version: &str) -> SetDigest {
    let wire = WireManifest::read(&infos_at(CONNECTOR, version)).unwrap();
    SetDigest { wire: *wire.digest(), files: None }
}

pub(super) fn files(bytes: &[u8]) -> Arc<FileManifest> {
    let content = Content::File { sha256: Digest::of(bytes), bytes: bytes.len() as u64 };
    let entry =
        FileEntry { root: Root::Lib, path: "script.groovy".to_owned(), content, bundle: None, link: None };
    Arc::new(FileManifest::of(vec![entry]).unwrap())
}

impl World {
    pub(super) fn bundles(&self) -> BundlesReport {
        self.engine.bundles("g", self.now).unwrap()
    }

    /// How the members of the group stand, by their words.
    pub(super) fn standings(&self) -> Vec<&'static str> {
        self.bundles().members.iter().map(|member| member.standing.label()).collect()
    }

    pub(super) fn change(&mut self, change: BundleChange) -> Result<BundlesReport, BundleRefusal> {
        self.change_in("g", change)
    }

    pub(super) fn change_in(
        &mut self,
        group: &str,
        change: BundleChange,
    ) -> Result<BundlesReport, BundleRefusal> {
        self.change_with(group, change, LastMember::Kept)
    }

    pub(super) fn change_with(
        &mut self,
        group: &str,
        change: BundleChange,
        last: LastMember,
    ) -> Result<BundlesReport, BundleRefusal> {
        let wish = Wish::Bundles { group: group.to_owned(), change, last };
        match self.ask(|ticket| Event::Operator { ticket, wish }) {
            Answer::Bundles(outcome) => outcome.map(|()| self.engine.bundles(group, self.now).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Lets the dials of a member fail that are under way.
    pub(super) fn refuse(&mut self, index: usize) {
        let id = self.engine.view().member_named(&format!("n{index}")).unwrap().id;
        while let Some(at) = self.io.dials.iter().position(|(member, _)| *member == id) {
            let (member, slot) = self.io.dials.remove(at).unwrap();
            let failure = DialFailure::ConnectionRefused;
            self.apply(Event::DialFailed { member, slot, failure, reason: "refused".into() });
        }
    }

    /// An agent says that a member's files are still these; whether they are known.
    pub(super) fn heard(&mut self, member: &str, bytes: &[u8]) -> Result<bool, UnknownMember> {
        let says = AgentSays::StillThere(files(bytes).digest());
        match self.ask(|ticket| Event::Agent { ticket, member: member.into(), says }) {
            Answer::Agent(known) => known,
            other => panic!("{other:?}"),
        }
    }

    /// A member tells its connectors at this very moment, as if the answer had been under way.
    pub(super) fn tell_unasked(&mut self, index: usize) {
        let Some(socket) = self.members[index].first().copied() else { return };
        let list = self.lists[index].clone();
        self.last_told[index] = list.clone();
        self.feed(socket, frames::control_response(1, Some(list)));
    }

    /// Each call that began since the last look began at a member that may serve, and whose last list says so too, and that has
    /// its connector.
    pub(super) fn watch_sets(&mut self) {
        if !self.watches_sets {
            return;
        }
        let calls = self.engine.tables.calls.iter().map(|(_, call)| call);
        for (call, route) in calls.flat_map(|call| call.routes().map(move |route| (call, route))) {
            if !self.begun.insert((route.member(), route.id())) {
                continue;
            }
            let sets = self.engine.tables.groups.sets(call.group).unwrap();
            let standing = sets.standing(route.member()).unwrap();
            assert!(standing.serves(), "a call began at {}: it {standing}", route.member());
            let index = self.members_index(route.member());
            let told = *WireManifest::read(&self.last_told[index]).unwrap().digest();
            let (accepted, next) = (sets.status().accepted.unwrap().0.wire, sets.status().next);
            let is_right = told == accepted || next.is_some_and(|next| next.wire == told);
            assert!(is_right || standing.label() == "kept", "a call began at {}: {standing}", route.member());
            self.watch_version(call, route);
        }
    }

    fn members_index(&self, member: MemberId) -> usize {
        let name = &self.engine.view().member(member).unwrap().spec.name;
        name.trim_start_matches('n').parse().unwrap()
    }

    pub(super) fn reported(&mut self, member: &str, bytes: &[u8]) {
        let says = AgentSays::Files(files(bytes));
        let answer = self.ask(|ticket| Event::Agent { ticket, member: member.into(), says });
        assert_eq!(answer, Answer::Agent(Ok(true)));
    }
}

fn propose(what: ProposedSet) -> BundleChange {
    BundleChange::Propose { what, stand_ins: None }
}

pub(super) fn require_agent() -> Settings {
    let mut settings = Settings::default();
    settings.defaults.bundles.reports = Reports::RequireAgent;
    settings
}

#[test]
fn the_set_of_the_first_member_is_accepted_and_others_are_compared_with_it() {
    let mut world = World::with_members_down(3, Policy::Failover);
    assert_eq!(world.bundles().accepted, None);
    assert_eq!(world.standings(), ["unknown"; 3]);
    world.start_with(1, infos_at(CONNECTOR, "1.0"));
    assert_eq!(world.standings(), ["unknown"; 3], "the others may report in a moment");
    world.pass(crate::limits::FIRST_USE_WAIT);
    world.start_with(0, infos_at(CONNECTOR, "1.1"));
    let report = world.bundles();
    assert_eq!(report.accepted, Some((set("1.0"), Origin::FirstUse)));
    assert_eq!((report.serving, report.spare, report.is_pinned()), (1, 0, false));
    assert_eq!(world.standings(), ["quarantined", "matching", "unknown"]);
    assert_eq!(report.members[0].name, "n0");
    assert_eq!(report.members[0].found, Some(set("1.1")));
    let difference = report.members[0].difference().unwrap().to_string();
    assert!(difference.contains("changed connector b/Rig 1.0 -> 1.1"), "{difference}");
    assert!(world.report_of(0).quarantine.unwrap().starts_with("is quarantined: its bundle set "));
    assert!(!world.report_of(0).takes_calls() && world.report_of(1).takes_calls());
    let noted = |what: &str| world.io.notes.iter().filter(|note| note.contains(what)).count();
    assert_eq!((noted("told: Accepted"), noted("standing: Quarantined")), (1, 1));
}

#[test]
fn a_list_that_cannot_be_read_is_no_set() {
    let mut world = World::with_members(2, Policy::Failover);
    world.kill(1);
    world.start_with(1, bytes::Bytes::from_static(b"nonsense"));
    assert_eq!(world.standings(), ["matching", "quarantined"]);
    assert!(world.report_of(1).quarantine.unwrap().contains("cannot be used"));
}

/// As before there were bundle sets: better a list that we cannot read than no service.
#[test]
fn a_group_of_which_no_list_can_be_read_serves_and_shows_it_as_it_is() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    world.feed(caller, frames::control_request(1, frames::Ask::ConnectorInfo, &[], &[1]));
    world.start_with(0, bytes::Bytes::from_static(b"nonsense"));
    assert_eq!(world.standings(), ["kept"]);
    assert_eq!(world.bundles().alarm, Some(group::Alarm::KeepsLast));
    let shown = world.taken(caller);
    let Kind::ControlResponse(response) = &shown[0].kind else { panic!("{shown:?}") };
    assert_eq!(&response.connector_infos[..], b"nonsense");
    world.call(caller, 2, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert!(matches!(world.at_caller(&[caller])[0].kind, Kind::Answer(_)));
}

#[test]
fn what_a_member_told_counts_while_it_is_connected() {
    let mut world = World::with_members(2, Policy::Failover);
    world.kill(0);
    assert_eq!(world.standings(), ["unknown", "matching"]);
    assert_eq!((world.bundles().serving, world.bundles().accepted.unwrap().0), (1, set("1.0")));
    world.start(0);
    assert_eq!(world.standings(), ["matching", "matching"]);
}

#[test]
fn a_server_that_takes_the_place_of_another_one_is_judged_by_what_it_tells() {
    let mut world = World::with_members(2, Policy::Failover);
    // One of the two sockets leads to another server now.
    let socket = world.members[0].remove(0);
    world.apply(Event::Closed { socket, unsent: Vec::new() });
    world.pass(Duration::from_secs(1));
    world.connect_to(0, "another server");
    assert_eq!(world.standings(), ["unknown", "matching"]);
    world.tell(0);
    assert_eq!(world.standings(), ["matching", "matching"]);
    // The first one again: it is what it was, and asked whether it still is.
    world.lists[0] = infos_at(CONNECTOR, "1.1");
    let member = world.engine.view().member_named("n0").unwrap().id;
    let (socket, peer) = (SocketId(900), Peer::Member { member, by: by_member() });
    world.apply(Event::Opened { socket, side: Side::Accepted, peer });
    let identity = Identity { session_id: "member 0 start 1".into(), public_key: Bytes::new() };
    world.feed(socket, frames::handshake_request(&identity));
    world.members[0].push(socket);
    assert_eq!(world.standings(), ["matching", "matching"]);
    world.tell(0);
    assert_eq!(world.standings(), ["quarantined", "matching"]);
}

#[test]
fn an_upgrade_is_proposed_and_committed_by_names() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    assert_eq!(
        world.change(propose(ProposedSet::Of("n7".into()))),
        Err(NotListed::NoMember { group: "g".into(), member: "n7".into() }.into())
    );
    let same = world.change(propose(ProposedSet::Of("n1".into())));
    assert_eq!(same, Err(BundleRefusal::Refused(Refused::SameSet)));
    let report = world.change(propose(ProposedSet::Digest(set("1.1")))).unwrap();
    assert_eq!((report.next, report.serving, report.spare), (Some(set("1.1")), 3, 2));
    let nobody = BundleRefusal::Refused(Refused::TooFew { left: 0, wanted: 1 });
    assert_eq!(world.change(BundleChange::Commit), Err(nobody));
    world.kill(0);
    world.start_with(0, infos_at(CONNECTOR, "1.1"));
    assert_eq!(world.bundles().members[0].standing, BundleStanding::MatchingNext);
    world.change(BundleChange::Abort).unwrap();
    assert_eq!(world.standings(), ["quarantined", "matching", "matching"]);
    world.change(propose(ProposedSet::Of("n0".into()))).unwrap();
    for member in 1..3 {
        world.kill(member);
        world.start_with(member, infos_at(CONNECTOR, "1.1"));
    }
    assert_eq!(world.standings(), ["matching_next"; 3]);
    let report = world.change(BundleChange::Commit).unwrap();
    assert_eq!((report.accepted, report.next), (Some((set("1.1"), Origin::Committed)), None));
    assert_eq!(world.standings(), ["matching"; 3]);
    let nowhere = world.change_in("h", BundleChange::Commit);
    assert_eq!(nowhere, Err(NotListed::NoGroup("h".into()).into()));
}

#[test]
fn what_members_have_is_pinned_by_an_operator_or_by_the_settings() {
    let mut world = World::with_members(2, Policy::Failover);
    world.kill(1);
    world.start_with(1, infos_at(CONNECTOR, "1.1"));
    let report = world.change(BundleChange::Pin(ProposedSet::Of("n1".into()))).unwrap();
    assert_eq!((report.accepted, report.is_pinned()), (Some((set("1.1"), Origin::Pinned)), true));
    assert_eq!(world.standings(), ["quarantined", "matching"]);
    let mut settings = Settings::default();
    settings.defaults.pinned = Some(set("1.0"));
    world.set(&settings);
    assert_eq!(world.standings(), ["matching", "quarantined"]);
    assert_eq!(world.bundles().pinned_by_settings, Some(set("1.0")));
    // Settings that say the same again do not undo what an operator did since.
    world.change(BundleChange::Pin(ProposedSet::Digest(set("1.1")))).unwrap();
    world.set(&settings);
    assert_eq!(world.standings(), ["quarantined", "matching"]);
}

#[test]
fn reports_of_agents_count_where_they_are_required_w06() {
    let mut world = World::with_members(2, Policy::Failover);
    world.set(&require_agent());
    assert_eq!(world.standings(), ["kept", "kept"], "so far nobody has an agent");
    world.reported("n0", b"one");
    world.reported("n1", b"two");
    assert_eq!(world.standings(), ["matching", "quarantined"]);
    assert!(world.bundles().members[1].difference().unwrap().to_string().contains("lib/script.groovy"));
    world.reported("n1", b"one");
    assert_eq!(world.standings(), ["matching", "matching"]);
    // They outlive the link.
    world.kill(1);
    world.start(1);
    assert_eq!(world.standings(), ["matching", "matching"]);
    assert_eq!(world.heard("n1", b"one"), Ok(true));
    assert_eq!(world.heard("n1", b"two"), Ok(false));
    assert_eq!(world.heard("n7", b"one"), Err(UnknownMember("n7".into())));
}

#[test]
fn a_group_that_is_new_knows_what_its_members_have_told() {
    let mut world = World::with_members(2, Policy::Failover);
    world.reported("n0", b"one");
    let names: Vec<String> = ["n0", "n1"].map(str::to_owned).into();
    world.set_view(
        &names,
        vec![("g", Policy::Failover, names.clone()), ("h", Policy::Failover, names.clone())],
    );
    let report = world.engine.bundles("h", world.now).unwrap();
    assert_eq!(report.accepted.unwrap().0, set("1.0"));
    assert_eq!(report.serving, 2);
    assert!(report.members[0].found.unwrap().files.is_some());
    // A heartbeat is known if every group of the member knows it.
    assert_eq!(world.heard("n0", b"one"), Ok(true));
}

#[test]
fn the_policy_and_its_alarm_are_shown() {
    let mut world = World::with_members(2, Policy::Failover);
    for member in 0..2 {
        world.kill(member);
        world.start_with(member, infos_at(CONNECTOR, "1.1"));
    }
    assert_eq!(world.standings(), ["kept", "kept"], "both have the same set");
    assert_eq!(world.bundles().alarm, Some(group::Alarm::KeepsLast));
    assert_eq!(world.engine.report().groups[0].alarm, Some(group::Alarm::KeepsLast));
    let mut settings = Settings::default();
    settings.defaults.bundles.none_left = group::NoneLeft::FailClosed;
    world.set(&settings);
    assert_eq!(world.standings(), ["quarantined", "quarantined"]);
    assert_eq!(world.bundles().alarm, Some(group::Alarm::NoneServes));
}

/// P5: a member that is moved to another address has told nothing there, so that no group takes it for one with the right set.
#[test]
fn what_a_member_told_at_its_old_address_counts_no_more() {
    let mut world = World::with_members(2, Policy::Failover);
    assert_eq!(world.standings(), ["matching"; 2]);
    let names: Vec<String> = (0..2).map(|n| format!("n{n}")).collect();
    world.set_view_at(9_000, &names, vec![("g", Policy::Failover, names.clone())]);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.standings(), ["unknown"; 2]);
    let down = world.io.notes.iter().filter(|note| note.contains("MemberDown")).count();
    assert_eq!(down, 2, "{:?}", world.io.notes);
}

/// The view stays as it was while the document cannot be followed.
#[test]
fn a_group_that_only_the_old_view_has_cannot_be_changed() {
    let mut world = World::with_members(1, Policy::Failover);
    for number in 0..crate::limits::NAMES_EVER_MAX {
        let _ = world.engine.tables.book.group(&format!("used {number}"));
    }
    world.set_view(&["n0".to_owned()], vec![("other", Policy::Failover, vec!["n0".to_owned()])]);
    assert!(world.io.notes.iter().any(|note| note.starts_with("ViewNotFollowed")));
    let change = BundleChange::Pin(ProposedSet::Digest(set("2.0")));
    let refused = world.change(change).unwrap_err();
    assert_eq!(refused, BundleRefusal::NotListed(NotListed::NoGroup("g".to_owned())));
}

/// The group does not wait for a member that refuses the connection, or that is drained. If two sets have one member each, callers decide.
#[test]
fn the_first_use_waits_for_members_that_may_report_and_asks_what_callers_use() {
    let mut world = World::with_members_down(2, Policy::Failover);
    world.refuse(1);
    world.start(0);
    assert_eq!(world.standings(), ["matching", "unknown"]);
    let mut world = World::with_members_down(2, Policy::Failover);
    world.mark(&[(1, crate::view::Mark::Draining)]);
    world.start(0);
    assert_eq!(world.standings(), ["matching", "unknown"]);
    for (asked, expected) in [("1.1", ["quarantined", "matching"]), ("1.0", ["matching", "quarantined"])] {
        let mut world = World::with_members_down(2, Policy::Failover);
        let caller = world.caller("idm", 1);
        world.call(caller[0], 1, super::versions::of(asked, get()));
        world.start_with(0, infos_at(CONNECTOR, "1.0"));
        world.start_with(1, infos_at(CONNECTOR, "1.1"));
        assert_eq!(world.standings(), expected, "{asked}");
        let told = world.io.notes.iter().filter(|note| note.contains("told: FirstSight")).count();
        assert_eq!(told, 1, "{:?}", world.io.notes);
    }
}
