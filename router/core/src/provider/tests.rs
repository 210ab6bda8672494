use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::balance::Policy;
use crate::view::{GroupOrigin, Link, Transport};

mod groups;
mod hostile;

fn server(name: &str) -> Value {
    // One address under two names is worth a warning.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let host = match name {
        "csv" => "rcs.example.com".to_owned(),
        name => format!("h{}.example.com", name.chars().map(plain).collect::<String>()),
    };
    json!({"name": name, "host": host, "port": 8759, "key": "a-key-of-its-own"})
}

fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

fn without(mut entry: Value, key: &str) -> Value {
    entry.as_object_mut().unwrap().remove(key);
    entry
}

fn servers(entries: &[Value]) -> Value {
    json!({"remoteConnectorServers": entries})
}

fn read_json(document: &Value) -> Reading {
    read(document.to_string().as_bytes(), &Properties::new())
}

fn findings(document: &Value) -> Vec<(String, Problem)> {
    read_json(document).findings.into_iter().map(|f| (f.path, f.problem)).collect()
}

/// The document must give exactly these findings.
fn check(document: &Value, expected: &[(&str, Problem)]) {
    let expected: Vec<_> = expected.iter().map(|(path, p)| ((*path).to_owned(), p.clone())).collect();
    assert_eq!(findings(document), expected, "{document}");
}

fn spec(document: &Value) -> MemberSpec {
    let reading = read_json(document);
    let provider = reading.provider.unwrap_or_else(|| panic!("{:?}", reading.findings));
    provider.members.into_iter().next().unwrap().spec
}

fn endpoint(document: &Value) -> crate::view::Endpoint {
    match spec(document).link {
        Link::Dial(endpoint) => endpoint,
        Link::Accept => panic!("not dialled"),
    }
}

#[test]
fn a_minimal_server_gets_the_defaults_c02_c05() {
    let document = servers(&[with(server("csv"), "useSSL", json!(false))]);
    check(&document, &[]);
    let spec = spec(&document);
    assert_eq!((spec.name.as_str(), spec.sockets, spec.admin), ("csv", 2, AdminState::Enabled));
    let endpoint = endpoint(&document);
    assert_eq!((endpoint.host.as_str(), endpoint.port), ("rcs.example.com", 8759));
    assert_eq!((endpoint.path.as_str(), endpoint.transport), ("/openicf", Transport::Plain));
    assert_eq!(endpoint.principal, "anonymous");
    assert_eq!(endpoint.key.expose(), "a-key-of-its-own");
}

#[test]
fn each_required_field_of_a_server_is_asked_for_c01_r07() {
    for key in ["name", "host", "port", "key"] {
        let missing = |document| {
            check(&document, &[(&format!("remoteConnectorServers[0].{key}"), Problem::Missing(key))])
        };
        missing(servers(&[without(server("n1"), key)]));
        missing(servers(&[with(server("n1"), key, json!(""))]));
        missing(servers(&[with(server("n1"), key, Value::Null)]));
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let document = json!({
        "enabled": "perhaps",
        "remoteConnectorServers": [
            {"name": "n1", "host": "ws://h", "port": 0, "key": 5, "webSocketConnections": 17},
            "n2",
            {"type": "remoteConnectorServersGroup", "name": "g", "algorithm": "random", "serversList": ["n1", 3]},
        ],
    });
    let wrong = |expected, found: &str| Problem::WrongType { expected, found: found.to_owned() };
    let range = |found: &str, min, max| Problem::NotInRange { found: found.to_owned(), min, max };
    check(
        &document,
        &[
            ("remoteConnectorServers[0].host", Problem::BadHost("ws://h".to_owned())),
            ("remoteConnectorServers[0].port", range("0", 1, 65535)),
            ("remoteConnectorServers[0].webSocketConnections", range("17", 1, 16)),
            ("remoteConnectorServers[1]", wrong("an object", "a text")),
            ("remoteConnectorServers[2].algorithm", Problem::UnknownAlgorithm("random".to_owned())),
            ("remoteConnectorServers[2].serversList[1]", wrong("an object with a name", "the number 3")),
            (
                "remoteConnectorServers[2]",
                Problem::GroupInMemberArray { belongs: "remoteConnectorServersGroups" },
            ),
            ("enabled", Problem::NotFlag("perhaps".to_owned())),
        ],
    );
    assert_eq!(read_json(&document).provider, None);
}

#[test]
fn ports_may_be_numbers_texts_or_wrapped_w08_c15() {
    for port in [json!(8759), json!("8759"), json!(" 8759 "), json!({"$int": "8759"}), json!({"$int": 8759})]
    {
        assert_eq!(endpoint(&servers(&[with(server("n1"), "port", port.clone())])).port, 8759, "{port}");
    }
    for (port, shown) in
        [(json!(65536), "65536"), (json!(-1), "-1"), (json!(87.5), "87.5"), (json!("x"), "x")]
    {
        let problem = Problem::NotInRange { found: shown.to_owned(), min: 1, max: 65535 };
        check(&servers(&[with(server("n1"), "port", port)]), &[("remoteConnectorServers[0].port", problem)]);
    }
    let wrong = Problem::WrongType { expected: "a number", found: "the boolean true".to_owned() };
    check(&servers(&[with(server("n1"), "port", json!(true))]), &[("remoteConnectorServers[0].port", wrong)]);
}

#[test]
fn placeholders_are_replaced_c15() {
    let properties: Properties =
        [("RCS_PORT", "9001"), ("RCS_KEY", "k"), ("rcs.tls", "true"), ("RCS_DOMAIN", "example.com")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
    let mut entry = server("n1");
    entry["host"] = json!("n1.&{RCS_DOMAIN}");
    entry["port"] = json!({"$int": "&{rcs.port}"});
    entry["key"] = json!("&{RCS_KEY}");
    entry["useSSL"] = json!({"$bool": "&{rcs.tls}"});
    entry["webSocketConnections"] = json!({"$int": "&{RCS_SOCKETS|3}"});
    let document = servers(&[entry]);
    let reading = read(document.to_string().as_bytes(), &properties);
    assert_eq!(reading.findings, []);
    let spec = reading.provider.unwrap().members.remove(0).spec;
    let Link::Dial(endpoint) = spec.link else { panic!("not dialled") };
    assert_eq!((endpoint.host.as_str(), endpoint.port, spec.sockets), ("n1.example.com", 9001, 3));
    assert_eq!((endpoint.transport, endpoint.key.expose().as_str()), (Transport::Tls, "k"));
    let unresolved = |name: &str| Problem::Unresolved(name.to_owned());
    check(
        &document,
        &[
            ("remoteConnectorServers[0].host", unresolved("RCS_DOMAIN")),
            ("remoteConnectorServers[0].port", unresolved("rcs.port")),
            ("remoteConnectorServers[0].key", unresolved("RCS_KEY")),
            ("remoteConnectorServers[0].useSSL", unresolved("rcs.tls")),
        ],
    );
    check(
        &servers(&[with(server("n1"), "host", json!("a&{b"))]),
        &[("remoteConnectorServers[0].host", Problem::OpenPlaceholder)],
    );
}

#[test]
fn odd_wrappings_are_refused() {
    let path = "remoteConnectorServers[0].key";
    let crypto = json!({"$crypto": {"type": "x-simple-encryption", "value": {"data": "eA=="}}});
    check(&servers(&[with(server("n1"), "key", crypto)]), &[(path, Problem::Encrypted)]);
    let unknown = Problem::UnknownWrapper("$base64:decode".to_owned());
    check(&servers(&[with(server("n1"), "key", json!({"$base64:decode": "a2V5"}))]), &[(path, unknown)]);
    let wrong = |found: &str| Problem::WrongType { expected: "a single value", found: found.to_owned() };
    check(&servers(&[with(server("n1"), "key", json!({"a": 1}))]), &[(path, wrong("an object"))]);
    check(&servers(&[with(server("n1"), "key", json!(["k"]))]), &[(path, wrong("an array"))]);
    check(&servers(&[with(server("n1"), "key", json!({"$string": [1]}))]), &[(path, wrong("an array"))]);
}

/// OAuth2 is not there yet. Beside an unencrypted connection its settings are refused, and no secret is repeated.
#[test]
fn an_oauth2_token_never_goes_in_clear() {
    let with_token = |tls: bool| {
        let entry = with(server("n1"), "tokenEndpoint", json!("https://idp.example/token"));
        let entry = with(with(entry, "clientId", json!("rcs")), "clientSecret", json!("very-secret"));
        servers(&[with(entry, "useSSL", json!(tls))])
    };
    let path = "remoteConnectorServers[0].tokenEndpoint";
    check(&with_token(false), &[(path, Problem::TokenInClear)]);
    check(&with_token(true), &[(path, Problem::TokenIgnored)]);
    assert!(
        read_json(&with_token(true)).provider.is_some() && read_json(&with_token(false)).provider.is_none()
    );
    let told = read_json(&with_token(false)).findings[0].to_string();
    assert!(
        told.contains("in clear") && told.contains("no OAuth2") && !told.contains("very-secret"),
        "{told}"
    );
}

#[test]
fn hosts() {
    for (host, expected) in [
        ("n1", "n1"),
        ("10.0.0.1", "10.0.0.1"),
        ("[::1]", "::1"),
        ("fe80::1", "fe80::1"),
        ("n_1.example", "n_1.example"),
    ] {
        assert_eq!(endpoint(&servers(&[with(server("n1"), "host", json!(host))])).host, expected);
    }
    let as_it_is = ["n1:8759", "http://n1", "n1/", "a b", "[n1]", "[]", " n1"].map(|host| (host, host));
    // P9: what stands where a URL has its credentials is not repeated.
    let with_credentials = [("u@h", "...@h"), ("wss://user:secret@h:1/p", "...@h:1/p")];
    for (host, shown) in as_it_is.into_iter().chain(with_credentials) {
        let problem = Problem::BadHost(shown.to_owned());
        check(
            &servers(&[with(server("n1"), "host", json!(host))]),
            &[("remoteConnectorServers[0].host", problem)],
        );
    }
}

#[test]
fn paths_and_principals_c15() {
    let entry = |path: &str| servers(&[with(server("n1"), "websocketPath", json!(path))]);
    assert_eq!(endpoint(&entry("openicf/agent")).path, "/openicf/agent");
    assert_eq!(endpoint(&entry("/x?y=1")).path, "/x?y=1");
    let path = "remoteConnectorServers[0].websocketPath";
    check(&entry("/a b"), &[(path, Problem::BadPath("/a b".to_owned()))]);
    check(&entry("/a\r\nX: y"), &[(path, Problem::BadPath("/a\r\nX: y".to_owned()))]);
    let path = "remoteConnectorServers[0].principal";
    check(&servers(&[with(server("n1"), "principal", json!("a:b"))]), &[(path, Problem::PrincipalWithColon)]);
    let path = "remoteConnectorServers[0].key";
    check(&servers(&[with(server("n1"), "key", json!("schlüssel"))]), &[]);
    check(&servers(&[with(server("n1"), "key", json!("ключ"))]), &[(path, Problem::NotLatin1("key"))]);
    check(&servers(&[with(server("n1"), "key", json!("a\nb"))]), &[(path, Problem::NotLatin1("key"))]);
}

#[test]
fn well_known_keys_are_pointed_out_c06() {
    let path = "remoteConnectorServers[0].key";
    check(&servers(&[with(server("n1"), "key", json!("changeit"))]), &[(path, Problem::DefaultKey)]);
    check(&servers(&[with(server("n1"), "key", json!("password"))]), &[(path, Problem::TemplateKey)]);
}

#[test]
fn pings_are_never_rarer_than_ours_p6_and_0_turns_them_off() {
    for (seconds, expected_ms) in [(300, Some(2_500)), (2, Some(2_000)), (1, Some(1_000)), (0, None)] {
        let document = servers(&[with(server("n1"), "pingPongInterval", json!(seconds))]);
        assert_eq!(spec(&document).ping_interval, expected_ms.map(Duration::from_millis), "{seconds} s");
    }
}

#[test]
fn fields_without_effect_say_so_c03_c04_c15_c17() {
    let one = |key: &str, value: Value, problem: Problem| {
        check(
            &servers(&[with(server("n1"), key, value)]),
            &[(&format!("remoteConnectorServers[0].{key}"), problem)],
        );
    };
    for key in [
        "housekeepingInterval",
        "houseKeepingInterval",
        "connectionGroupCheckInterval",
        "newConnectionsInterval",
    ] {
        one(key, json!({"$int": "600"}), Problem::IntervalNotUsed);
    }
    one("proxyHost", json!("proxy.example.com"), Problem::ProxyIgnored);
    one("useAgent", json!(true), Problem::UsesAgent);
    one("protocol", json!("icf1.4"), Problem::OtherProtocol("icf1.4".to_owned()));
    one("prot", json!(1), Problem::Misspelled { found: "prot".to_owned(), meant: "port" });
    one("comment", json!(1), Problem::UnknownField);
    for (key, value) in [
        ("protocol", json!("websocket")),
        ("proxyHost", Value::Null),
        ("proxyPort", json!(8080)),
        ("proxyUser", Value::Null),
        ("useAgent", json!(false)),
        ("type", json!("remoteConnectorServer")),
        ("displayName", json!("Server 1")),
        ("systemType", json!("provisioner.openicf")),
    ] {
        check(&servers(&[with(server("n1"), key, value)]), &[]);
    }
}

#[test]
fn a_field_given_twice_is_pointed_out_and_the_last_counts() {
    let text =
        r#"{"remoteConnectorServers": [{"name": "n1", "host": "a", "host": "b", "port": 1, "key": "k"}]}"#;
    let reading = read(text.as_bytes(), &Properties::new());
    assert_eq!(reading.findings[0].path, "remoteConnectorServers[0].host");
    assert_eq!(reading.findings[0].problem, Problem::FieldTwice);
    let Link::Dial(endpoint) = &reading.provider.unwrap().members[0].spec.link.clone() else {
        panic!("not dialled")
    };
    assert_eq!(endpoint.host, "b");
}

/// A field name in the wrong case, or with a wrong letter, is not a field of IDM either: with `"usessl"` the key would go out in clear.
#[test]
fn a_misspelled_field_is_an_error_that_says_what_was_meant() {
    for (found, meant) in [
        ("usessl", "useSSL"),
        ("useSsl", "useSSL"),
        ("userSSL", "useSSL"),
        ("hots", "host"),
        ("websocketpath", "websocketPath"),
        ("webSocketConection", "webSocketConnections"),
        ("principle", "principal"),
        ("KEY", "key"),
    ] {
        let document = servers(&[with(server("n1"), found, json!(true))]);
        let found = findings(&document);
        let expected = format!("probably {meant:?} misspelt");
        if meant == "webSocketConnections" || meant == "principal" {
            // With two wrong letters, it is not certain enough for an error.
            assert_eq!(found[0].1, Problem::UnknownField, "{found:?}");
            continue;
        }
        assert!(
            found[0].1.what().contains(&expected) && found[0].1.severity() == Severity::Error,
            "{found:?}"
        );
        assert_eq!(read_json(&document).provider, None);
    }
    for other in ["description", "clusterName", "id", "tag"] {
        let found = findings(&servers(&[with(server("n1"), other, json!("x"))]));
        assert_eq!(found[0].1, Problem::UnknownField, "{other}");
    }
}

#[test]
fn hosts_that_can_never_be_dialled_are_errors() {
    let host = |host: &str| findings(&servers(&[with(server("n1"), "host", json!(host))]));
    for good in [
        "rcs1",
        "rcs-1.example.com",
        "rcs_1.example.com",
        "rcs1.example.com.",
        "10.0.0.7",
        "[::1]",
        "::1",
        "fe80::1%eth0",
        "[fe80::1%eth0]",
    ] {
        assert_eq!(host(good), [], "{good}");
    }
    for bad in [
        " rcs1",
        "rcs 1",
        "http://rcs1",
        "rcs1:8759",
        "a..b",
        ".a",
        "gr\u{f6}\u{df}e",
        "fe80::1%",
        "fe80::1%a/b",
        "rcs1\n",
        "-\u{202e}x",
        &"a".repeat(64),
    ] {
        assert!(matches!(host(bad)[0].1, Problem::BadHost(_)), "{bad:?}: {:?}", host(bad));
    }
    for bad in ["10.0.0.300", "10.300", "1", "1.2.3.4.5"] {
        assert!(matches!(host(bad)[0].1, Problem::NoAddress(_)), "{bad:?}: {:?}", host(bad));
    }
    for bad in ["<host>", "HOST"] {
        assert!(matches!(host(bad)[0].1, Problem::SampleHost(_)), "{bad:?}: {:?}", host(bad));
    }
}

#[test]
fn what_stands_in_examples_and_what_cannot_be_meant_is_told() {
    let two = [server("n1"), with(server("n2"), "host", json!("HN1.example.com"))];
    let same = Problem::SameAddress {
        address: "HN1.example.com:8759".to_owned(),
        first: "remoteConnectorServers[0]".to_owned(),
    };
    check(&servers(&two), &[("remoteConnectorServers[1]", same)]);
    for key in ["some-key", "<key>"] {
        check(
            &servers(&[with(server("n1"), "key", json!(key))]),
            &[("remoteConnectorServers[0].key", Problem::SampleKey)],
        );
    }
    let long = Problem::PingIntervalTooLong { seconds: 300 };
    check(
        &servers(&[with(server("n1"), "pingPongInterval", json!(300))]),
        &[("remoteConnectorServers[0].pingPongInterval", long)],
    );
    let empty = json!({"_id": DOCUMENT_ID, "connectorsLocation": "connectors", "remoteConnectorServers": []});
    let reading = read_json(&empty);
    assert!(
        reading.findings[0].to_string().contains("IDM's own document is empty"),
        "{:?}",
        reading.findings
    );
    assert!(reading.findings[0].to_string().contains("\"port\": 8759"), "{:?}", reading.findings);
}

/// C06: IDM gives out keys in no other form.
#[test]
fn encrypted_keys_may_stand_beside_the_document() {
    let crypto = json!({"$crypto": {"type": "x-simple-encryption", "value": {"data": "x"}}});
    let document = servers(&[
        with(server("n1"), "key", crypto.clone()),
        with(server("n2"), "key", crypto),
        server("n3"),
    ]);
    let reading = read_json(&document);
    assert_eq!(reading.of(Severity::Error).count(), 2);
    assert!(reading.findings[0].to_string().contains("key_file"), "{:?}", reading.findings);
    let secret = |key: &str| Secret::new(key.to_owned());
    let keys = Keys {
        by_name: [("n1".to_owned(), secret("one"))].into(),
        others: Some(secret("other")),
        ..Keys::default()
    };
    let reading = read_with(document.to_string().as_bytes(), &Properties::new(), &keys);
    let found: Vec<String> = reading
        .provider
        .unwrap()
        .members
        .iter()
        .map(|member| match &member.spec.link {
            Link::Dial(endpoint) => endpoint.key.expose().to_owned(),
            Link::Accept => String::new(),
        })
        .collect();
    assert_eq!(found, ["one", "other", "a-key-of-its-own"]);
}

#[test]
fn a_disabled_group_is_not_served() {
    let document = json!({
        "remoteConnectorServers": [server("n1")],
        "remoteConnectorServersGroups": [
            {"name": "g", "enabled": false, "algorithm": "failover", "serversList": [{"name": "n1"}]},
        ],
    });
    check(&document, &[("remoteConnectorServersGroups[0]", Problem::GroupDisabled("g".to_owned()))]);
    assert_eq!(read_json(&document).provider.unwrap().groups, []);
}
