//! Groups, clients, names, and how they tie together.

use serde_json::{Value, json};

use super::*;

#[test]
fn a_group_is_read_in_either_place_c09_c16() {
    let group =
        json!({"name": "ha", "algorithm": "roundrobin", "serversList": [{"name": "n2"}, {"name": "n1"}]});
    let typed = with(group.clone(), "type", json!("remoteConnectorServersGroup"));
    let (n1, n2) = (server("n1"), server("n2"));
    let inside = json!({"remoteConnectorServers": [n1, n2, typed]});
    let beside = json!({"remoteConnectorServers": [n1, n2], "remoteConnectorServersGroups": [group]});
    let both = json!({"remoteConnectorServers": [n1, n2, typed], "remoteConnectorServersGroups": [group]});
    let untyped = json!({"remoteConnectorServers": [n1, n2, group]});
    let misplaced = Problem::GroupInMemberArray { belongs: "remoteConnectorServersGroups" };
    for (document, expected) in [
        (inside, vec![("remoteConnectorServers[2]", misplaced.clone())]),
        (untyped, vec![("remoteConnectorServers[2]", misplaced)]),
        (beside, vec![]),
        (both, vec![]),
    ] {
        check(&document, &expected);
        let provider = read_json(&document).provider.unwrap();
        assert_eq!(provider.groups.len(), 1, "{document}");
        let spec = &provider.groups[0].spec;
        assert_eq!(
            (spec.policy, spec.members.as_slice()),
            (Policy::RoundRobin, &["n2".to_owned(), "n1".to_owned()][..])
        );
    }
}

#[test]
fn groups_that_differ_or_repeat_are_refused() {
    let group = |list: Value| json!({"name": "ha", "serversList": list});
    let twice =
        Problem::TwoGroups { name: "ha".to_owned(), first: "remoteConnectorServersGroups[0]".to_owned() };
    check(
        &json!({
            "remoteConnectorServers": [server("n1")],
            "remoteConnectorServersGroups": [group(json!(["n1"])), group(json!(["n1"]))],
        }),
        &[("remoteConnectorServersGroups[1].name", twice)],
    );
    let differs = Problem::TwoGroups { name: "ha".to_owned(), first: "remoteConnectorServers[2]".to_owned() };
    check(
        &json!({
            "remoteConnectorServers": [server("n1"), server("n2"), group(json!(["n1"]))],
            "remoteConnectorServersGroups": [group(json!(["n2"]))],
        }),
        &[("remoteConnectorServersGroups[0].name", differs)],
    );
}

#[test]
fn algorithms_g01_r06() {
    let document = |algorithm: Value| {
        json!({
            "remoteConnectorServers": [server("n1")],
            "remoteConnectorServersGroups": [{"name": "ha", "algorithm": algorithm, "serversList": [{"name": "n1"}]}],
        })
    };
    for (algorithm, policy) in [
        (json!("failover"), Policy::Failover),
        (json!("roundrobin"), Policy::RoundRobin),
        (Value::Null, Policy::Failover),
    ] {
        assert_eq!(read_json(&document(algorithm)).provider.unwrap().groups[0].spec.policy, policy);
    }
    let path = "remoteConnectorServersGroups[0].algorithm";
    check(&document(json!("leastconn")), &[(path, Problem::UnknownAlgorithm("leastconn".to_owned()))]);
}

#[test]
fn dangling_members_are_reported_and_the_group_is_loaded_c13() {
    let document = |list: Value| {
        json!({
            "remoteConnectorServers": [server("n1")],
            "remoteConnectorServersGroups": [{"name": "ha", "serversList": list}],
        })
    };
    let some = document(json!([{"name": "n9"}, {"name": "n1"}]));
    let dangling = Problem::Dangling { group: "ha".to_owned(), name: "n9".to_owned() };
    check(&some, &[("remoteConnectorServersGroups[0].serversList[0].name", dangling)]);
    let provider = read_json(&some).provider.unwrap();
    assert_eq!(
        (&provider.groups[0].spec.members, &provider.groups[0].unresolved),
        (&vec!["n1".to_owned()], &vec!["n9".to_owned()])
    );
    let none = Problem::NoMemberLeft { group: "ha".to_owned() };
    check(&document(json!(["n8", "n9"])), &[("remoteConnectorServersGroups[0].serversList", none)]);
    let provider = read_json(&document(json!(["n8", "n9"]))).provider.unwrap();
    assert!(provider.groups[0].spec.members.is_empty());
    assert!(provider.view(&mut NameBook::new()).unwrap().group_named("ha").is_some());
    check(&document(json!([])), &[("remoteConnectorServersGroups[0].serversList", Problem::EmptyGroup)]);
    let twice = Problem::ListedTwice("n1".to_owned());
    check(&document(json!(["n1", "n1"])), &[("remoteConnectorServersGroups[0].serversList[1]", twice)]);
}

#[test]
fn a_listed_server_that_is_wrong_itself_is_not_called_missing() {
    let document = json!({
        "remoteConnectorServers": [without(server("n1"), "host"), server("n2")],
        "remoteConnectorServersGroups": [{"name": "ha", "serversList": ["n1", "n2"]}],
    });
    check(&document, &[("remoteConnectorServers[0].host", Problem::Missing("host"))]);
}

#[test]
fn names_clash_w01() {
    let first = || "remoteConnectorServers[0]".to_owned();
    let two = Problem::TwoMembers { name: "n1".to_owned(), first: first() };
    check(&servers(&[server("n1"), server("n1")]), &[("remoteConnectorServers[1].name", two)]);
    let both = Problem::GroupAndMember { name: "n1".to_owned(), first: first() };
    check(
        &json!({
            "remoteConnectorServers": [server("n1")],
            "remoteConnectorServersGroups": [{"name": "n1", "serversList": ["n1"]}],
        }),
        &[("remoteConnectorServersGroups[0].name", both)],
    );
}

#[test]
fn odd_names_are_used_and_pointed_out_w01() {
    let odd = |name: &str, pattern| Problem::OddName { name: name.to_owned(), pattern };
    let path = "remoteConnectorServers[0].name";
    check(&servers(&[server("remote-host-1")]), &[]);
    check(&servers(&[server("myConnectorServer")]), &[(path, odd("myConnectorServer", "^[a-z0-9-]+$"))]);
    check(&servers(&[server("a/b")]), &[(path, Problem::BadName("a/b".to_owned()))]);
    let client = json!({"remoteConnectorClients": [{"name": "rcs-0"}]});
    check(&client, &[("remoteConnectorClients[0].name", odd("rcs-0", "^[a-z0-9]+$"))]);
}

#[test]
fn clients_are_members_that_dial_the_router_c08_c10_w04() {
    let document = json!({
        "remoteConnectorClients": [{"type": "remoteConnectorClient", "name": "onprem", "displayName": "On premise", "useSSL": true}],
        "remoteConnectorClientsGroups": [{"name": "cloud", "algorithm": "roundrobin", "serversList": [{"name": "onprem"}]}],
    });
    check(&document, &[("remoteConnectorClients[0].useSSL", Problem::ClientUseSsl)]);
    assert_eq!(spec(&document).link, Link::Accept);
}

#[test]
fn disabled_stays_in_the_view_and_is_not_routed_c11() {
    let document = json!({
        "remoteConnectorServers": [with(server("n1"), "enabled", json!(false)), server("n2")],
        "remoteConnectorServersGroups": [{"name": "ha", "serversList": ["n1", "n2"]}],
    });
    check(&document, &[]);
    let view = read_json(&document).provider.unwrap().view(&mut NameBook::new()).unwrap();
    assert_eq!(view.member_named("n1").unwrap().spec.admin, AdminState::Disabled);
    assert_eq!(view.group_named("ha").unwrap().members.len(), 2);

    let off = with(document, "enabled", json!(false));
    check(&off, &[("enabled", Problem::ProviderDisabled)]);
    let provider = read_json(&off).provider.unwrap();
    assert!(provider.members.iter().all(|m| m.spec.admin == AdminState::Disabled));
}

#[test]
fn entries_in_the_wrong_place() {
    let misplaced = Problem::WrongPlace { found: "remoteConnectorClient", belongs: "remoteConnectorClients" };
    let path = "remoteConnectorServers[0].type";
    check(&servers(&[with(server("n1"), "type", json!("remoteConnectorClient"))]), &[(path, misplaced)]);
    let unknown = Problem::UnknownType("connectorServer".to_owned());
    check(&servers(&[with(server("n1"), "type", json!("connectorServer"))]), &[(path, unknown)]);
}

#[test]
fn the_view_has_what_the_document_says_b02_c12() {
    let document = json!({
        "remoteConnectorServers": [server("n1"), server("n2"), server("csv")],
        "remoteConnectorServersGroups": [
            {"name": "a", "serversList": ["n2", "n1"]},
            {"name": "b", "serversList": ["n1"], "algorithm": "roundrobin"},
        ],
    });
    let view = read_json(&document).provider.unwrap().view(&mut NameBook::new()).unwrap();
    let groups: Vec<_> =
        view.groups().iter().map(|g| (g.name.as_str(), g.policy, g.members.len(), g.origin)).collect();
    assert_eq!(
        groups,
        [
            ("a", Policy::Failover, 2, GroupOrigin::Listed),
            ("b", Policy::RoundRobin, 1, GroupOrigin::Listed),
            ("n1", Policy::Failover, 1, GroupOrigin::Address),
            ("n2", Policy::Failover, 1, GroupOrigin::Address),
            ("csv", Policy::Failover, 1, GroupOrigin::Standalone),
        ]
    );
}
