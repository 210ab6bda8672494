//! Where calls go when nothing breaks (G02, G05, P4, X01).

use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Ask};
use rcs_proto::messages::OperationRequest;

use super::connectors::infos;
use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::settings::{GroupSettings, Settings};

#[test]
fn a_call_travels_under_our_id_and_its_answer_under_the_callers() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[1], i64::MAX, get());
    let (_, socket, id) = world.only_request();
    assert_ne!(id, i64::MAX);
    world.feed(socket, answer(id));
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, i64::MAX));
    assert!(world.engine.is_idle());
}

#[test]
fn round_robin_counts_differ_by_one_at_most_while_calls_overlap() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let caller = world.caller("idm", 2);
    for id in 1..=100 {
        world.call(caller[id as usize % 2], id, get());
    }
    let counts: Vec<usize> = (0..3).map(|member| world.at_member(member).len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 100);
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
}

#[test]
fn failover_uses_the_first_then_the_second_then_the_first_again() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    let served_by = |world: &mut World, id| {
        world.call(caller[0], id, get());
        let (member, socket, id) = world.only_request();
        world.feed(socket, answer(id));
        member
    };
    assert_eq!(served_by(&mut world, 1), 0);
    world.kill(0);
    assert_eq!(served_by(&mut world, 2), 1);
    world.start(0);
    assert_eq!(served_by(&mut world, 3), 0);
}

#[test]
fn pages_of_one_search_stay_on_their_member_and_die_with_it() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, search());
    let (home, socket, id) = world.only_request();
    world.feed(socket, search_end(id, 0, "page two"));
    for call in 2..=4 {
        world.call(caller[0], call, page("page two"));
        let (member, socket, id) = world.only_request();
        assert_eq!(member, home, "call {call}");
        world.feed(socket, search_end(id, 0, "page two"));
    }
    world.kill(home);
    world.at_caller(&caller);
    world.call(caller[0], 9, page("page two"));
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).class.ends_with("RetryableException"), "{got:?}");
    // A cookie that nobody gave us goes where the picker says: it may be good anywhere.
    world.call(caller[0], 10, page("from elsewhere"));
    assert_ne!(world.only_request().0, home);
}

#[test]
fn the_connector_decides_on_the_bare_path_where_it_can() {
    let mut world = World::with_members_down(3, Policy::RoundRobin);
    let names = ["n0".to_string(), "n1".into(), "n2".into()];
    let of = |at: usize| vec![names[at].clone()];
    let groups =
        vec![("a", Policy::Failover, of(0)), ("b", Policy::Failover, of(1)), ("c", Policy::Failover, of(2))];
    world.set_view(&names, groups);
    for (member, connector) in [(0, "One"), (1, "Two"), (2, "Two")] {
        world.start_with(member, connector_infos(connector));
    }
    let caller = world.caller_by("idm", Selector::ByConnectorKey, 1);
    let with = |name| OperationRequest { connector_key: Some(messages_key(name)), ..get() };
    world.call(caller[0], 1, with("One"));
    assert_eq!(world.only_request().0, 0);
    for (id, name, text) in [(2, "Two", "Several groups"), (3, "None", "No group")] {
        world.call(caller[0], id, with(name));
        let got = world.at_caller(&caller);
        assert!(error_of(&got[0]).message.starts_with(text), "{got:?}");
    }
}

/// Two principals of one IDM process, each with groups of its own. Neither sees or uses what is the other's.
#[test]
fn the_connector_decides_among_the_groups_of_the_caller_alone() {
    let mut world = World::with_members_down(2, Policy::RoundRobin);
    let names = ["n0".to_string(), "n1".into()];
    let of = |at: usize| vec![names[at].clone()];
    world.set_view(&names, vec![("a", Policy::Failover, of(0)), ("b", Policy::Failover, of(1))]);
    world.start_with(0, connector_infos("One"));
    world.start_with(1, connector_infos("Two"));
    let mut shown = Vec::new();
    let mut join = |world: &mut World, principal, allowed: &[&str]| {
        let allowed = Allowed::only(allowed.iter().copied());
        let socket = world.join_as(principal, allowed, "idm", Selector::ByConnectorKey);
        let answer = world.at_caller(&[socket]);
        let Kind::HandshakeResponse(identity) = &answer[0].kind else { panic!("{answer:?}") };
        shown.push(identity.session_id.clone());
        world.pass(std::time::Duration::from_millis(250));
        socket
    };
    let a = join(&mut world, "p", &["a"]);
    let b = join(&mut world, "q", &["b"]);
    let both = join(&mut world, "r", &["a", "b", "later"]);
    shown.sort();
    shown.dedup();
    assert_eq!(
        shown.len(),
        3,
        "one IDM process must not take the sockets of one principal for those of another"
    );

    for (socket, list) in [(a, connector_infos("One")), (b, connector_infos("Two"))] {
        for id in 1..=2 {
            world.feed(socket, frames::control_request(id, Ask::ConnectorInfo, &[], &[id]));
            assert_eq!(infos(&world.at_caller(&[socket])[0]), list);
        }
    }
    let with = |name| OperationRequest { connector_key: Some(messages_key(name)), ..get() };
    for (socket, name, member) in [(a, "One", 0), (b, "Two", 1), (both, "One", 0), (both, "Two", 1)] {
        world.call(socket, 10 + member as i64, with(name));
        let (sent_to, socket, id) = world.only_request();
        assert_eq!(sent_to, member);
        world.feed(socket, answer(id));
    }
    world.at_caller(&[a, b, both]);
    world.call(a, 20, with("Two"));
    let got = world.at_caller(&[a]);
    let told = &error_of(&got[0]).message;
    assert!(
        told.starts_with("No group") && told.contains("in any version"),
        "nothing of another's group: {told}"
    );
    // A socket with other rights changes those of the whole session.
    let other = world.join_as("p", Allowed::only(["b"]), "idm", Selector::ByConnectorKey);
    world.at_caller(&[other]);
    world.call(a, 21, with("Two"));
    assert_eq!(world.only_request().0, 1);
}

#[test]
fn a_view_without_a_member_lets_its_calls_finish_and_one_with_a_new_member_dials_it() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    let names = ["n1".to_string(), "n2".into()];
    world.members.push(Vec::new());
    world.set_view(&names, vec![("g", Policy::Failover, names.to_vec())]);
    assert_eq!(world.io.dials.len(), 2, "the new member's sockets");
    world.call(caller[0], 2, get());
    assert_eq!(world.only_request().0, 1);
    assert!(world.io.closed.is_empty(), "the removed member still has a call");
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
    world.pass(std::time::Duration::from_millis(10));
    assert_eq!(world.io.closed.len(), 2, "the removed member's sockets");
}

#[test]
fn a_draining_router_refuses_new_calls_and_finishes_the_others() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, create());
    let (_, socket, id) = world.only_request();
    world.apply(Event::Drain);
    world.call(caller[0], 2, get());
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 2));
    assert!(error_of(&got[0]).class.ends_with("RetryableException"));
    assert!(!world.engine.is_idle());
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller)[0].message_id, 1);
    assert!(world.engine.is_idle());
}

#[test]
fn other_settings_disturb_no_call_and_no_member() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, get());
    let (_, socket, id) = world.only_request();
    let defaults = GroupSettings { queue_max: 1, ..GroupSettings::default() };
    world.set(&Settings { defaults: defaults.clone(), ..Settings::default() });
    assert!(world.engine.view().groups().iter().all(|group| group.settings == defaults));
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&caller).len(), 1);
}
