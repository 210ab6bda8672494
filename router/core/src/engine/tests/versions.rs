//! Calls by the version of their connector (B03 to B05), while the members of a group differ.

use std::time::Duration;

use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::agreed::sets::{BundleChange, ProposedSet};
use crate::balance::Policy;
use crate::bundles::group::SetDigest;
use crate::bundles::range::StandIns;
use crate::bundles::wire::WireManifest;
use crate::engine::calls::Call;
use crate::engine::members::Route;
use crate::limits;
use crate::settings::Settings;

const NO_MEMBER: &str = "org.identityconnectors.framework.common.exceptions.ConnectionFailedException";

fn set(version: &str) -> SetDigest {
    let wire = WireManifest::read(&infos_at(CONNECTOR, version)).unwrap();
    SetDigest { wire: *wire.digest(), files: None }
}

fn stand_ins(rule: &str) -> Option<StandIns> {
    Some(StandIns(vec![rule.parse().unwrap()]))
}

/// A request for the connector in this version.
pub(super) fn of(version: &str, request: OperationRequest) -> OperationRequest {
    let key = ConnectorKey { bundle_version: version.into(), ..messages_key(CONNECTOR) };
    OperationRequest { connector_key: Some(key), ..request }
}

/// The connectors in a list.
fn connectors_in(list: &bytes::Bytes) -> Vec<rcs_proto::icf::ConnectorKey> {
    WireManifest::read(list).map_or(Vec::new(), |wire| wire.connectors().keys().cloned().collect())
}

fn version_in(request: &Envelope) -> String {
    match &request.kind {
        Kind::Operation(head) => head.connector().unwrap().bundle_version,
        other => panic!("a request was expected, not {other:?}"),
    }
}

impl World {
    /// A call that began just now is asked of a connector that its member has, unless no member that serves has one for it.
    pub(super) fn watch_version(&self, call: &Call, route: Route) {
        let wanted = call.head().unwrap().connector().unwrap();
        let (names, report) = (|member: usize| format!("n{member}"), self.bundles());
        let used_at = |name: &str| {
            let member = (0..self.members.len()).find(|member| names(*member) == name).unwrap();
            report.stand_ins.satisfying(&wanted, &connectors_in(&self.last_told[member])).cloned()
        };
        let used = used_at(&self.engine.view().member(route.member()).unwrap().spec.name);
        let has_taker =
            || report.members.iter().any(|row| row.standing.serves() && used_at(&row.name).is_some());
        assert!(used.is_some() || !has_taker(), "a call for {wanted} began at {}", route.member());
        let (_, sent) = self.io.sent.iter().find(|(socket, _)| route.is_on(**socket)).unwrap();
        let frames = sent.iter().map(|frame| Envelope::parse(frame.clone()).unwrap());
        let sent = frames.filter(|frame| frame.message_id == route.id()).find_map(|frame| match frame.kind {
            Kind::Operation(head) => head.connector(),
            _ => None,
        });
        assert_eq!(sent, Some(used.unwrap_or(wanted)));
    }

    /// A rolling upgrade from 1.0 to 1.1 has begun, and these members have moved.
    fn upgrading(count: usize, policy: Policy, rule: Option<&str>, moved: &[usize]) -> Self {
        let mut world = Self::with_members(count, policy);
        let what = ProposedSet::Digest(set("1.1"));
        world.order(BundleChange::Propose { what, stand_ins: rule.and_then(stand_ins) });
        moved.iter().for_each(|member| world.move_on(*member));
        world
    }

    fn order(&mut self, change: BundleChange) {
        self.change(change).unwrap();
    }

    fn move_on(&mut self, member: usize) {
        self.kill(member);
        self.start_with(member, infos_at(CONNECTOR, "1.1"));
    }

    /// Who got what since the last look: member, version, socket, id.
    fn arrived(&mut self) -> Vec<(usize, String, SocketId, i64)> {
        let members = 0..self.members.len();
        let got = |world: &mut Self, member| {
            let all = world.at_member(member).into_iter();
            all.map(move |(socket, request)| (member, version_in(&request), socket, request.message_id))
                .collect::<Vec<_>>()
        };
        members.flat_map(|member| got(self, member)).collect()
    }

    /// Makes so many calls and answers each; how many each member got, and by which versions.
    fn calls(&mut self, caller: &[SocketId], version: &str, count: usize) -> (Vec<usize>, Vec<String>) {
        let (mut taken, mut versions) = (vec![0; self.members.len()], Vec::new());
        for id in 0..count as i64 {
            self.call(caller[0], 1_000 + id, of(version, get()));
            let [(member, ref used, socket, id)] = self.arrived()[..] else { panic!("one request") };
            taken[member] += 1;
            versions.push(used.clone());
            self.feed(socket, answer(id));
            assert_eq!(self.at_caller(caller).len(), 1);
        }
        versions.sort();
        versions.dedup();
        (taken, versions)
    }

    /// What is kept of the latest call that met a fault: how the members stood to it.
    fn chances(&self) -> Vec<(String, &'static str)> {
        let latest = self.engine.explained_calls(1)[0];
        self.engine.explanation(latest, self.now).unwrap().steps.pop().unwrap().members
    }

    fn differ(&self) -> bool {
        self.engine.tables.groups.versions().next().is_some()
    }
}

#[test]
fn nothing_is_looked_up_while_all_members_are_alike() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    assert!(!world.differ());
    world.order(BundleChange::Propose { what: ProposedSet::Digest(set("1.1")), stand_ins: None });
    assert!(!world.differ(), "nobody has moved yet");
    for member in 0..3 {
        world.move_on(member);
        assert_eq!(world.differ(), member < 2, "{} moved", member + 1);
    }
    world.order(BundleChange::Commit);
    assert!(!world.differ());
}

/// P3: the others are fit, and lack the version.
#[test]
fn an_unfit_member_with_the_version_of_a_call_is_better_than_none() {
    let mut world = World::upgrading(3, Policy::RoundRobin, None, &[0]);
    let caller = world.caller("idm", 1);
    assert_eq!(world.calls(&caller, "1.1", 1).0, [1, 0, 0]);
    world.hangs_in_tests = vec![0];
    world.pass(limits::TEST_PROBE_EVERY * 4);
    assert_eq!(world.report_of(0).unfit, Some("test_failing"));
    // The `test` that hangs, and its cancel.
    world.at_member(0);
    assert_eq!(world.calls(&caller, "1.1", 3).0, [3, 0, 0]);
    assert_eq!(world.calls(&caller, "1.0", 4).0, [0, 2, 2]);
}

#[test]
fn a_call_goes_to_members_with_that_very_version_b03() {
    let mut world = World::upgrading(3, Policy::RoundRobin, None, &[0]);
    let caller = world.caller("idm", 1);
    assert_eq!(world.calls(&caller, "1.0", 20), (vec![0, 10, 10], vec!["1.0".to_owned()]));
    assert_eq!(world.calls(&caller, "1.1", 5), (vec![5, 0, 0], vec!["1.1".to_owned()]));
    // Whoever gets a call for what nobody has says so.
    let (taken, versions) = world.calls(&caller, "3.0", 6);
    assert_eq!((taken.iter().sum::<usize>(), versions), (6, vec!["3.0".to_owned()]));
    world.move_on(1);
    assert_eq!(world.calls(&caller, "1.0", 4).0, [0, 0, 4]);
    assert_eq!(world.calls(&caller, "1.1", 4).0, [2, 2, 0]);
}

#[test]
fn in_list_order_the_first_member_with_the_version_gets_the_calls() {
    let mut world = World::upgrading(3, Policy::Failover, None, &[0]);
    let caller = world.caller("idm", 1);
    assert_eq!(world.calls(&caller, "1.0", 4).0, [0, 4, 0]);
    assert_eq!(world.calls(&caller, "1.1", 4).0, [4, 0, 0]);
}

#[test]
fn a_call_whose_members_are_away_goes_to_no_other_version() {
    let mut world = World::upgrading(2, Policy::RoundRobin, None, &[0]);
    let caller = world.caller("idm", 1);
    world.kill(1);
    world.call(caller[0], 1, of("1.0", get()));
    assert_eq!(world.arrived(), []);
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), error_of(&got[0]).class.as_str()), (1, NO_MEMBER));
    assert_eq!(world.chances(), [("n0".to_owned(), "other_version"), ("n1".to_owned(), "down")]);
    world.start(1);
    assert_eq!(world.calls(&caller, "1.0", 2).0, [0, 2]);
}

#[test]
fn a_member_that_is_quarantined_is_nobodys_taker() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    world.move_on(1);
    let caller = world.caller("idm", 1);
    // As if nobody had it: the one that serves says so.
    assert_eq!(world.calls(&caller, "1.1", 3).0, [3, 0]);
    world.call(caller[0], 1, of("1.0", get()));
    world.kill(0);
    assert_eq!(world.chances(), [("n0".to_owned(), "tried"), ("n1".to_owned(), "quarantined")]);
}

#[test]
fn a_stand_in_takes_the_call_under_its_own_version_and_the_rest_stays() {
    let mut world = World::upgrading(2, Policy::RoundRobin, Some("b/[1.0,2.0)"), &[0]);
    let caller = world.caller("idm", 1);
    assert_eq!(world.calls(&caller, "1.0", 10), (vec![5, 5], vec!["1.0".to_owned(), "1.1".to_owned()]));
    // From an operator's rule nothing follows for versions that it does not hold.
    assert_eq!(world.calls(&caller, "3.0", 2).1, ["3.0"]);
    world.call(caller[0], 1, of("1.0", create()));
    world.call(caller[0], 2, of("1.0", create()));
    let sent: Vec<Envelope> =
        (0..2).flat_map(|member| world.at_member(member)).map(|(_, sent)| sent).collect();
    let bodies = |at: usize| match &sent[at].kind {
        Kind::Operation(head) => (head.facade_key.clone(), head.body.clone(), head.operation),
        other => panic!("a request was expected, not {other:?}"),
    };
    assert_eq!(bodies(0), bodies(1));
    assert_eq!((version_in(&sent[0]).as_str(), version_in(&sent[1]).as_str()), ("1.1", "1.0"));
}

#[test]
fn a_call_that_is_sent_again_is_asked_as_it_came_or_of_the_stand_in_there() {
    let mut world = World::upgrading(2, Policy::RoundRobin, Some("b/[1.0,2.0)"), &[0]);
    let caller = world.caller("idm", 1);
    for (id, version, other) in [(1, "1.1", "1.0"), (2, "1.1", "1.0")] {
        world.call(caller[0], id, of("1.0", get()));
        let [(member, ref used, ..)] = world.arrived()[..] else { panic!("one request") };
        let (first, second) = if member == 0 { (version, other) } else { (other, version) };
        assert_eq!(used, first);
        world.kill(member);
        let [(elsewhere, ref used, socket, sent)] = world.arrived()[..] else { panic!("one request") };
        assert_eq!((elsewhere, used.as_str()), (1 - member, second));
        world.feed(socket, answer(sent));
        assert_eq!(world.at_caller(&caller)[0].message_id, id);
        if member == 0 { world.start_with(0, infos_at(CONNECTOR, "1.1")) } else { world.start(1) }
    }
}

#[test]
fn behind_the_upgrade_callers_that_know_the_old_version_are_served_by_stand_ins() {
    let mut world = World::upgrading(2, Policy::RoundRobin, Some("b/[1.0,2.0)"), &[0, 1]);
    world.order(BundleChange::Commit);
    let caller = world.caller("idm", 1);
    assert_eq!(world.calls(&caller, "1.0", 6), (vec![3, 3], vec!["1.1".to_owned()]));
    assert_eq!(world.calls(&caller, "1.1", 2).1, ["1.1"]);
}

#[test]
fn rules_of_the_settings_hold_without_a_proposal() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let mut settings = Settings::default();
    settings.defaults.stand_ins = stand_ins("b/[1.0,2.0)").unwrap();
    world.set(&settings);
    let caller = world.caller("idm", 1);
    assert_eq!(world.calls(&caller, "1.1", 4), (vec![2, 2], vec!["1.0".to_owned()]));
    world.set(&Settings::default());
    assert!(!world.differ());
}

#[test]
fn the_next_page_is_not_asked_of_another_version() {
    let mut world = World::upgrading(2, Policy::RoundRobin, None, &[]);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, page(""));
    let [(member, _, socket, id)] = world.arrived()[..] else { panic!("one request") };
    world.feed(socket, search_end(id, 0, "more"));
    world.at_caller(&caller);
    world.move_on(member);
    world.call(caller[0], 2, page("more"));
    assert_eq!(world.arrived(), []);
    error_of(&world.at_caller(&caller)[0]);
}

#[test]
fn a_call_that_waits_for_one_version_holds_up_no_call_for_another() {
    let mut world = World::upgrading(2, Policy::RoundRobin, None, &[0]);
    let mut settings = Settings::default();
    settings.defaults.member_in_flight_max = 1;
    world.set(&settings);
    let caller = world.caller("idm", 1);
    for (id, version) in [(1, "1.0"), (2, "1.1"), (3, "1.0"), (4, "1.1")] {
        world.call(caller[0], id, of(version, create()));
    }
    let first = world.arrived();
    assert_eq!(first.iter().map(|(member, ..)| *member).collect::<Vec<_>>(), [0, 1]);
    let (_, _, socket, id) = first[0].clone();
    world.feed(socket, answer(id));
    let [(0, ref version, ..)] = world.arrived()[..] else { panic!("a place at n0, and one call for it") };
    assert_eq!(version, "1.1");
    // The one that still waits goes on among all as soon as all are alike.
    let (_, _, socket, id) = first[1].clone();
    world.feed(socket, answer(id));
    assert_eq!(world.arrived().len(), 1);
    assert_eq!(world.engine.report().groups[0].queued, 0);
}

#[test]
fn probes_ask_for_what_the_member_has() {
    let mut world = World::upgrading(2, Policy::RoundRobin, Some("b/[1.0,2.0)"), &[]);
    let mut settings = Settings::default();
    settings.defaults.test_every = Some(Duration::from_secs(10));
    world.set(&settings);
    let caller = world.caller("idm", 1);
    world.calls(&caller, "1.0", 2);
    world.kill(0);
    world.pass(Duration::from_secs(2));
    world.connect(0);
    // Not answered: what a fresh member is warmed up with.
    world.frozen.push(0);
    world.lists[0] = infos_at(CONNECTOR, "1.1");
    world.tell(0);
    let tests = |world: &mut World, member: usize| {
        let sockets = world.members[member].clone();
        let sent = sockets.into_iter().flat_map(|socket| world.taken(socket)).collect::<Vec<_>>();
        let tests = sent.iter().filter(|sent| matches!(&sent.kind, Kind::Operation(_)));
        tests.map(version_in).collect::<Vec<_>>()
    };
    assert_eq!(tests(&mut world, 0), ["1.1"]);
}

#[test]
fn a_flood_of_connector_keys_costs_bounded_memory_p10() {
    let mut world = World::upgrading(2, Policy::RoundRobin, None, &[0]);
    let caller = world.caller("idm", 1);
    for number in 0..crate::limits::CONNECTOR_KEYS_WORKED_OUT_MAX + 50 {
        world.calls(&caller, &format!("7.{number}"), 1);
    }
    assert_eq!(world.calls(&caller, "1.0", 3).0, [0, 3]);
    let kept = world.engine.tables.groups.versions().map(|versions| versions.worked_out());
    assert!(kept.max().unwrap() <= crate::limits::CONNECTOR_KEYS_WORKED_OUT_MAX);
}

/// The only member with the version that is asked for says that its resource is down. Another member of the group is no place for
/// the call, so that error is passed on; "no member is available, it was not run" would be false.
#[test]
fn what_the_only_member_with_a_version_says_is_passed_on() {
    for (request, class) in [(get(), "x.ConnectionFailedException"), (search(), "x.ConnectorIOException")] {
        let mut world = World::upgrading(2, Policy::RoundRobin, None, &[1]);
        let caller = world.caller("idm", 1);
        world.call(caller[0], 1, of("1.0", request));
        let [(0, _, socket, id)] = world.arrived()[..] else { panic!("one request, at n0") };
        world.feed(socket, frames::error(id, class, "resource down"));
        let got = world.at_caller(&caller);
        assert_eq!((error_of(&got[0]).class.as_str(), got.len()), (class, 1));
        assert_eq!(error_of(&got[0]).message, "resource down");
        assert_eq!(world.chances(), [("n0".into(), "has_it"), ("n1".into(), "other_version")]);
    }
}

/// The same question decides for a search whose end looks cut: there is no other member to ask, so its caller hears that.
#[test]
fn a_cut_search_of_the_only_member_with_a_version_is_told_as_cut() {
    let mut world = World::upgrading(2, Policy::RoundRobin, None, &[1]);
    let caller = world.caller("idm", 1);
    let ask = |world: &mut World, call: i64| {
        world.call(caller[0], call, of("1.0", search()));
        let [(0, _, socket, id)] = world.arrived()[..] else { panic!("one request, at n0") };
        (socket, id)
    };
    for call in 1..=i64::from(crate::limits::STREAM_ENDS_LEARNED) {
        let (socket, id) = ask(&mut world, call);
        world.feed(socket, search_end(id, 0, ""));
    }
    world.at_caller(&caller);
    let (socket, id) = ask(&mut world, 100);
    let end = SearchOpResponse { sequence: 0, result: None, connector_object: None };
    world.feed(socket, frames::answer(id, &OperationResponse { search: Some(end), ..Default::default() }));
    let got = world.at_caller(&caller);
    assert!(!error_of(&got[0]).message.contains("No member"), "{got:?}");
    assert!(world.io.notes.iter().any(|note| note.contains("StreamCut")), "{:?}", world.io.notes);
}
