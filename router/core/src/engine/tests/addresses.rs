//! The addresses of servers and groups over changes of the document (B02, C12): a server that callers name stays at its name.

use rcs_proto::session::SocketId;

use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::balance::Policy;
use crate::engine::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl World {
    /// These members, and these groups of them.
    fn document(&mut self, members: &[&str], groups: &[(&'static str, &[&str])]) {
        let groups = groups.iter().map(|(name, of)| (*name, Policy::Failover, names(of))).collect();
        self.set_view(&names(members), groups);
    }

    fn way_in(&self, path: &str) -> Selector {
        select(self.engine.view(), None, path, "anonymous", &Allowed::All).unwrap()
    }

    /// One call. Returns the member that got it, or its error.
    fn outcome(&mut self, caller: &[SocketId], id: i64) -> Result<usize, String> {
        self.call(caller[0], id, get());
        for member in 0..self.members.len() {
            if let Some((socket, request)) = self.at_member(member).pop() {
                self.feed(socket, answer(request.message_id));
                assert_eq!(self.at_caller(caller).len(), 1);
                return Ok(member);
            }
        }
        let got = self.at_caller(caller);
        Err(error_of(&got[0]).message.clone())
    }

    fn group_names(&self) -> Vec<String> {
        self.engine.report().groups.into_iter().map(|group| group.name).collect()
    }

    fn noted(&self, what: &str) -> Vec<&String> {
        self.io.notes.iter().filter(|note| note.contains(what)).collect()
    }
}

#[test]
fn a_server_keeps_its_address_when_a_group_begins_to_list_it() {
    let mut world = World::with_members_down(2, Policy::Failover);
    world.document(&["n0", "n1"], &[("g", &["n1"])]);
    world.start(0);
    world.start(1);
    let way_in = world.way_in("/openicf/n0");
    let caller = world.caller_by("idm", way_in, 1);
    assert_eq!(world.outcome(&caller, 1), Ok(0));
    assert_eq!(world.group_names(), ["g", "n0"]);
    let accepted = world.noted("told: Accepted").len();
    world.document(&["n0", "n1"], &[("g", &["n1", "n0"])]);
    assert_eq!(world.outcome(&caller, 2), Ok(0), "by its own name, it is called itself");
    assert_eq!(world.way_in("/openicf/n0"), way_in);
    assert_eq!(world.group_names(), ["g", "n0"], "it is shown while it is used");
    // Another caller finds the server at its name too, and the group. Where the connector decides, the server's own address is not chosen.
    let other = world.caller_by("other", way_in, 1);
    assert_eq!(world.outcome(&other, 1), Ok(0));
    let in_group = world.caller("in g", 1);
    assert_eq!(world.outcome(&in_group, 1), Ok(1));
    let open = world.caller_by("open", Selector::ByConnectorKey, 1);
    assert_eq!(world.outcome(&open, 1), Ok(1));
    // A server that nobody uses is not noted.
    assert_eq!(world.noted("told: Accepted").len(), accepted, "{:?}", world.io.notes);
}

#[test]
fn the_address_of_a_server_in_a_group_is_quiet_while_nobody_uses_it() {
    let mut world = World::with_members(2, Policy::Failover);
    assert_eq!(world.group_names(), ["g"]);
    assert_eq!(world.noted("told: Accepted").len(), 1);
    let judge = |world: &World| {
        world.engine.tables.judge_mark("g", "n0", MarkChange::Drain, LastMember::Kept, world.now)
    };
    assert!(judge(&world).is_ok(), "n1 is left in the group");
    let way_in = world.way_in("/openicf/n0");
    let caller = world.caller_by("idm", way_in, 1);
    assert_eq!(world.outcome(&caller, 1), Ok(0));
    let last = MarkRefusal::LastOne { group: "n0".into(), member: "n0".into() };
    assert_eq!(judge(&world), Err(last), "who calls n0 itself has nobody else");
    world.kill(0);
    assert!(world.outcome(&caller, 2).unwrap_err().contains("group n0"));
    assert!(!world.noted("GroupOut").is_empty());
    // The same holds for a server that leaves.
    world.document(&["n1"], &[("g", &["n1"])]);
    assert!(world.noted("GroupLeft")[0].contains("callers: 1"));
    assert!(world.outcome(&caller, 3).unwrap_err().contains("has no group n0 any more"));
}

#[test]
fn a_group_that_leaves_is_told_with_its_callers_and_its_open_calls_end_as_they_would() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let open = world.caller_by("open", Selector::ByConnectorKey, 1);
    assert_eq!(world.outcome(&open, 1), Ok(0));
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    // The group is renamed.
    world.document(&["n0", "n1"], &[("h", &["n0", "n1"])]);
    let note = world.noted("GroupLeft")[0];
    for part in ["callers: 1", "calls: 1", "anonymous", "by_connector: 0"] {
        assert!(note.contains(part), "{note}");
    }
    let error = world.outcome(&caller, 2).unwrap_err();
    assert!(error.starts_with("The router's provider file has no group g any more"), "{error}");
    assert_eq!(world.engine.callers()[0].group.as_deref(), Some("g"));
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
    assert_eq!(world.outcome(&open, 2), Ok(0), "h has the connector");
    // The group is put back.
    world.document(&["n0", "n1"], &[("g", &["n0", "n1"])]);
    assert_eq!(world.outcome(&caller, 3), Ok(0));
    // With the last server of a connector, the callers of this connector on the bare path are named as well.
    world.document(&[], &[]);
    assert!(world.noted("GroupLeft").last().unwrap().contains("by_connector: 1"), "{:?}", world.io.notes);
}

#[test]
fn a_group_that_nobody_uses_leaves_without_a_word() {
    let mut world = World::with_members(2, Policy::Failover);
    world.document(&["n0"], &[]);
    assert!(world.noted("GroupLeft").is_empty());
}

#[test]
fn a_call_that_waits_in_a_group_that_leaves_is_told_so() {
    let mut world = World::with_members(1, Policy::Failover);
    let mut settings = crate::settings::Settings::default();
    settings.defaults.member_in_flight_max = 1;
    world.set(&settings);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    world.call(caller[0], 2, create());
    world.document(&["n0"], &[]);
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 2));
    assert!(error_of(&got[0]).message.contains("no group g any more"), "{got:?}");
}
