//! A document that is written in IDM's form, and read again, is the same.

use std::time::Duration;

use proptest::prelude::*;
use rcs_core::agreed::Document;
use rcs_core::balance::Policy;
use rcs_core::provider::changes::{Kind, What, differences};
use rcs_core::provider::write::{GroupPlace, KeyForm, as_written, write};
use rcs_core::provider::{Keys, Properties, read_with};
use rcs_core::view::{AdminState, Endpoint, GroupSpec, Link, MemberSpec, Transport};
use rcs_proto::icf::Secret;

fn any_member() -> impl Strategy<Value = MemberSpec> {
    let endpoint = (
        prop_oneof![Just("10.0.0.7".to_owned()), Just("fe80::1%eth0".to_owned()), "[a-z]{1,9}\\.example"],
        1..=u16::MAX,
        prop_oneof![Just("/openicf".to_owned()), "/[a-z&]{0,9}"],
        prop_oneof![Just(Transport::Plain), Just(Transport::Tls)],
        "[ -9;-\u{7e}\u{a0}-\u{ff}]{1,9}",
        prop_oneof!["[ -\u{7e}\u{a0}-\u{ff}]{1,20}", "a?&\\{[a-z|{}&]{0,6}\\}?"],
    );
    let link = prop_oneof![
        3 => endpoint.prop_map(|(host, port, path, transport, principal, key)| {
            Link::Dial(Endpoint { host, port, path, transport, principal, key: Secret::new(key) })
        }),
        1 => Just(Link::Accept),
    ];
    let admin = prop_oneof![Just(AdminState::Enabled), Just(AdminState::Disabled)];
    let pings = prop_oneof![Just(0_u64), Just(1_000), Just(2_000), Just(2_500)];
    (link, 1..=4_u8, pings, admin).prop_map(|(link, sockets, pings, admin)| {
        let (sockets, pings) = if link == Link::Accept { (2, 2_500) } else { (sockets, pings) };
        let ping_interval = (pings > 0).then(|| Duration::from_millis(pings));
        MemberSpec { name: String::new(), link, sockets, ping_interval, admin }
    })
}

fn any_document() -> impl Strategy<Value = Document> {
    let members = proptest::collection::vec(any_member(), 1..8);
    let groups =
        proptest::collection::vec((any::<bool>(), proptest::collection::vec(0..8_usize, 0..6)), 0..5);
    (members, groups).prop_map(|(mut members, groups)| {
        for (number, member) in members.iter_mut().enumerate() {
            member.name = format!("n {number}&{{x}}");
        }
        let group = |(number, (failover, places)): (usize, (bool, Vec<usize>))| {
            let mut listed: Vec<String> = Vec::new();
            for name in places.into_iter().filter_map(|place| Some(&members.get(place)?.name)) {
                if !listed.contains(name) {
                    listed.push(name.clone());
                }
            }
            let policy = if failover { Policy::Failover } else { Policy::RoundRobin };
            GroupSpec { name: format!("g{number}"), policy, members: listed }
        };
        let groups = groups.into_iter().enumerate().map(group).collect();
        Document { members, groups }
    })
}

/// What is read from the text.
fn read_again(text: &str, keys: &Keys) -> Document {
    let reading = read_with(text.as_bytes(), &Properties::new(), keys);
    assert!(reading.provider.is_some(), "{:?}: {text}", reading.findings);
    reading.provider.expect("a text without errors is a document").document()
}

fn keys(document: &Document) -> Keys {
    let key = |member: &MemberSpec| match &member.link {
        Link::Dial(endpoint) => Some((member.name.clone(), endpoint.key.clone())),
        Link::Accept => None,
    };
    Keys { kept: document.members.iter().filter_map(key).collect(), ..Keys::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_document_is_read_as_the_same(document in any_document()) {
        let expected = as_written(&document);
        for place in [GroupPlace::OwnArrays, GroupPlace::AmongMembers] {
            let text = serde_json::to_string(&write(&document, KeyForm::Clear, place)).unwrap();
            prop_assert_eq!(&read_again(&text, &Keys::default()), &expected);
            let text = serde_json::to_string(&write(&document, KeyForm::AsItWas, place)).unwrap();
            prop_assert_eq!(&read_again(&text, &keys(&document)), &expected);
        }
        let changes = differences(&document, &expected);
        let is_empty_group = |name: &str| document.groups.iter().any(|g| g.name == name && g.members.is_empty());
        let are_empty_groups = changes.iter().all(|change| {
            change.kind == Kind::Removed && change.what == What::Group && is_empty_group(&change.name)
        });
        prop_assert!(are_empty_groups);
    }

    /// No document of any content shows a key unless it is asked for.
    #[test]
    fn keys_are_written_on_request_only(mut document in any_document()) {
        for member in &mut document.members {
            if let Link::Dial(endpoint) = &mut member.link {
                endpoint.key = Secret::new("tHe-kEy".to_owned());
            }
        }
        let text = serde_json::to_string(&write(&document, KeyForm::AsItWas, GroupPlace::OwnArrays)).unwrap();
        prop_assert!(!text.contains("tHe-kEy"));
        let shown = format!("{:?}", differences(&Document::default(), &document));
        prop_assert!(!shown.contains("tHe-kEy"));
    }
}

#[test]
fn a_key_that_was_never_there_is_asked_for() {
    let text = r#"{"remoteConnectorServers": [{"name": "n1", "host": "h", "port": 1, "key": {"$crypto": {"type": "as-it-was"}}}]}"#;
    let reading = read_with(text.as_bytes(), &Properties::new(), &Keys::default());
    assert_eq!(reading.provider, None);
    assert!(reading.findings.iter().any(|finding| finding.path.ends_with("key")), "{:?}", reading.findings);
}

#[test]
fn differences_name_fields_and_no_keys() {
    let read = |text: &str| read_again(text, &Keys::default());
    let old = read(
        r#"{"remoteConnectorServers": [{"name": "n1", "host": "h", "port": 1, "key": "secret-1"}, {"name": "n2", "host": "i", "port": 1, "key": "k"}],
            "remoteConnectorServersGroups": [{"name": "g", "serversList": [{"name": "n1"}, {"name": "n2"}]}]}"#,
    );
    let new = read(
        r#"{"remoteConnectorServers": [{"name": "n1", "host": "h2", "port": 1, "key": "secret-2"}, {"name": "n3", "host": "i", "port": 1, "key": "k"}],
            "remoteConnectorServersGroups": [{"name": "g", "algorithm": "roundrobin", "serversList": [{"name": "n3"}, {"name": "n1"}]}]}"#,
    );
    let shown: Vec<String> = differences(&old, &new)
        .iter()
        .map(|d| format!("{} {} {} {}", d.what.label(), d.name, d.kind.label(), d.details.join(", ")))
        .collect();
    assert_eq!(
        shown,
        [
            "member n1 changed host: h becomes h2, another key",
            "member n3 added ",
            "member n2 removed ",
            "group g changed algorithm: failover becomes roundrobin, servers: n1 n2 becomes n3 n1",
        ]
    );
}
