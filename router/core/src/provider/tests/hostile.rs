//! Documents that are none, that are too much, or that try to break the reader.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn documents_that_are_none() {
    check(&json!({}), &[("", Problem::NothingToRoute)]);
    check(&json!([]), &[("", Problem::WrongType { expected: "an object", found: "an array".to_owned() })]);
    check(
        &json!({"_id": "sync", "remoteConnectorServers": {}}),
        &[
            ("_id", Problem::OtherDocument("sync".to_owned())),
            (
                "remoteConnectorServers",
                Problem::WrongType { expected: "an array", found: "an object".to_owned() },
            ),
            ("", Problem::NothingToRoute),
        ],
    );
    let reading =
        read(b"{\"remoteConnectorServers\": [\n  {\"name\": \"n1\" \"host\": \"h\"}]}", &Properties::new());
    let [Finding { problem: Problem::Syntax(text), .. }] = reading.findings.as_slice() else {
        panic!("{reading:?}")
    };
    assert!(text.contains("line 2 column 17"), "{text}");
    for bytes in [&b""[..], b" \r\n\t"] {
        assert_eq!(read(bytes, &Properties::new()).findings[0].problem, Problem::Empty);
    }
    for bytes in [&b"\xff\xfe"[..], b"{} x", b"[[[["] {
        let reading = read(bytes, &Properties::new());
        assert!(matches!(reading.findings[0].problem, Problem::Syntax(_)), "{reading:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(read(deep.as_bytes(), &Properties::new()).findings[0].problem, Problem::Syntax(_)));
    let long = vec![b' '; PROVIDER_DOCUMENT_BYTES_MAX + 1];
    assert!(matches!(read(&long, &Properties::new()).findings[0].problem, Problem::DocumentTooLong { .. }));
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let mut document = b"\xEF\xBB\xBF".to_vec();
    document.extend_from_slice(servers(&[server("n1")]).to_string().as_bytes());
    assert!(read(&document, &Properties::new()).provider.is_some());
}

#[test]
fn findings_are_bounded_and_errors_are_never_lost() {
    let mut entries: Vec<Value> = (0..300).map(|n| with(server(&format!("n{n}")), "odd", json!(1))).collect();
    entries.push(without(server("last"), "host"));
    let reading = read_json(&servers(&entries));
    assert_eq!(reading.provider, None);
    assert_eq!(reading.findings.len(), 201);
    assert_eq!(reading.findings.last().unwrap().problem, Problem::MoreFindings(101));
    assert_eq!(reading.of(Severity::Error).count(), 1);
}

#[test]
fn too_many_entries_are_refused_without_reading_them() {
    let entries: Vec<Value> = (0..=MEMBERS_MAX).map(|n| server(&format!("n{n}"))).collect();
    let too_many = Problem::TooMany { what: "entries", found: MEMBERS_MAX + 1, max: MEMBERS_MAX };
    check(&servers(&entries), &[("remoteConnectorServers", too_many)]);
}

#[test]
fn keys_show_nowhere_p9() {
    for key in ["sesame-4711", "sesame-4711\n", "sesame-4711 ключ"] {
        let mut entry = with(server("n1"), "key", json!(key));
        entry["proxyPassword"] = json!("sesame-4711");
        let reading = read_json(&servers(&[entry]));
        let shown = format!("{reading:?} {}", report::Report(&reading));
        assert!(!shown.contains("sesame"), "{shown}");
    }
}

/// Documents made of the words the reader knows, with anything in any place.
fn documents() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(
        [
            "type",
            "name",
            "host",
            "port",
            "key",
            "enabled",
            "useSSL",
            "serversList",
            "algorithm",
            "$int",
            "$crypto",
            "remoteConnectorServer",
            "remoteConnectorServersGroup",
            "remoteConnectorClient",
            "failover",
            "n1",
            "n2",
            "",
            "&{",
            "&{A}",
            "&{A|b}",
            "webSocketConnections",
            "pingPongInterval",
            "websocketPath",
            "principal",
            "x\u{0}y",
        ]
        .as_slice(),
    );
    let root = prop::sample::select(ROOT_FIELDS);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..8)
                .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    });
    prop::collection::vec((root, value), 0..8)
        .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

proptest! {
    #[test]
    fn no_document_breaks_the_reader(document in documents()) {
        let reading = read_json(&document);
        let _ = report::Report(&reading).to_string();
        let errors = reading.of(Severity::Error).count();
        prop_assert_eq!(reading.provider.is_some(), errors == 0);
        if let Some(provider) = reading.provider {
            prop_assert!(provider.view(&mut NameBook::new()).is_ok(), "{:?}", provider);
        }
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = report::Report(&read(&bytes, &Properties::new())).to_string();
    }
}
