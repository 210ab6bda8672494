//! Every property of the vendor (docs/promises.md, section P): what it does here, how `check` shows that, and the test of the action itself.
//! What does nothing is named with the reason (P38, P39).

use std::fs;
use std::path::Path;

use crate::support::{Scratch, run, text};

/// The mode of the file that a row is tried with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Client,
    Server,
}

/// One property.
struct Row {
    key: &'static str,
    mode: In,
    /// Further lines of the file, without their prefix.
    lines: &'static [&'static str],
    /// What `check` says of it, for an action or for the lack of one.
    says: &'static str,
    /// The test that shows the action; empty if there is none.
    proof: &'static str,
}

const fn row(
    key: &'static str,
    mode: In,
    lines: &'static [&'static str],
    says: &'static str,
    proof: &'static str,
) -> Row {
    Row { key, mode, lines, says, proof }
}

use In::{Client, Server};

const TOKEN: &str = "a_node_dials_with_a_token";
const PROXY: &str = "a_node_dials_through_a_proxy";
const STORES: &str = "stores_of_both_kinds_are_used";
const NOTHING: &str = "";

const ROWS: &[Row] = &[
    row(
        "connectorServerName",
        Client,
        &["connectorServerName=rcs2"],
        "name             rcs2",
        "a_refusal_is_told_once_with_what_to_do",
    ),
    row(
        "url",
        Client,
        &["url=ws://127.0.0.1:9/openicf/0"],
        "url              ws://127.0.0.1:9/openicf/0",
        "a_node_that_dials_is_called_and_comes_back",
    ),
    row("hostId", Client, &["hostId=h1"], "host id          h1", "a_refusal_is_told_once_with_what_to_do"),
    row("proxyHost", Client, &["proxyHost=p"], "proxy            p:8080", PROXY),
    row("proxyPort", Client, &["proxyHost=p", "proxyPort=3128"], "proxy            p:3128", PROXY),
    row("proxyPrincipal", Client, &["proxyHost=p", "proxyPrincipal=user"], "p:8080 as user", PROXY),
    row(
        "proxyPassword",
        Client,
        &["proxyHost=p", "proxyPassword=x"],
        "proxyPassword has no effect without connectorserver.proxyPrincipal",
        PROXY,
    ),
    row(
        "housekeepingInterval",
        Client,
        &["housekeepingInterval=7"],
        "at least every 7 s",
        "a_peer_that_comes_late_is_found",
    ),
    row(
        "groupCheckInterval",
        Client,
        &["groupCheckInterval=77"],
        "session check    every 77 s",
        "client_sample_loads_unchanged",
    ),
    row(
        "webSocketConnections",
        Client,
        &["webSocketConnections=2"],
        "2 to each URL, at most 3",
        "a_node_that_dials_is_called_and_comes_back",
    ),
    row(
        "maxWebSocketConnections",
        Client,
        &["maxWebSocketConnections=5"],
        "at most 5",
        "sockets_are_replaced_in_time_and_never_exceed_the_maximum",
    ),
    row(
        "connectionTtl",
        Client,
        &["connectionTtl=99"],
        "after 99 s",
        "sockets_are_replaced_in_time_and_never_exceed_the_maximum",
    ),
    row(
        "newConnectionsInterval",
        Client,
        &["newConnectionsInterval=3"],
        "3 s apart",
        "the_vendors_client_sample_runs",
    ),
    row("tokenEndpoint", Client, OAUTH, "token endpoint   https://127.0.0.1:9/t", TOKEN),
    row("scope", Client, OAUTH, "token scope      fr:idm:*", TOKEN),
    row("clientId", Client, OAUTH, "token client     RCSClient", TOKEN),
    row("clientSecret", Client, OAUTH, "token secret     in this file", TOKEN),
    row(
        "clientSecretFile",
        Client,
        &["clientSecretFile=s"],
        "clientSecretFile has no effect without connectorserver.tokenEndpoint",
        "a_secret_is_changed_without_a_lost_call",
    ),
    row(
        "tokenEnd",
        Client,
        OAUTH,
        "replaced before it",
        "connections_are_kept_or_replaced_at_the_end_of_their_token",
    ),
    row(
        "pingPongInterval",
        Server,
        &["pingPongInterval=0"],
        "ping             off",
        "server_sample_loads_unchanged",
    ),
    row(
        "trustStoreFile",
        Client,
        &["url=wss://127.0.0.1:9/openicf", "trustStoreFile=none.p12"],
        "none.p12 cannot be read",
        STORES,
    ),
    row(
        "trustStoreFile",
        Server,
        &["trustStoreFile=none.p12"],
        "this node does not use the store, a Java server would not start",
        "a_trust_store_that_java_could_not_read_is_noticed",
    ),
    row("trustStoreType", Client, &["trustStoreType=JKS"], "must be PKCS12", STORES),
    row(
        "trustStorePass",
        Client,
        &["trustStorePass=x"],
        "has no effect without connectorserver.trustStoreFile",
        "a_trust_store_that_java_could_not_read_is_noticed",
    ),
    row(
        "keyStoreFile",
        Server,
        &["useSSL=true", "keyStoreFile=none.p12"],
        "none.p12 cannot be read",
        "the_vendors_server_sample_runs",
    ),
    row(
        "keyStoreType",
        Server,
        &["keyStoreType=JKS"],
        "must be PKCS12",
        "a_key_or_store_of_another_kind_is_named_with_the_way_out",
    ),
    row(
        "keyStorePass",
        Server,
        &["keyStorePass=x"],
        "has no effect without connectorserver.keyStoreFile",
        STORES,
    ),
    row(
        "keyPass",
        Server,
        &["useSSL=true", "keyStoreFile=none.p12", "keyPass=x"],
        "a PKCS12 store has one password",
        "misplaced_and_unknown_properties_are_named",
    ),
    row(
        "libDir",
        Server,
        &["libDir=libraries"],
        "libraries (does not exist); its files are reported by the agent",
        "the_set_is_told_whole_then_by_its_digest",
    ),
    row(
        "bundleDir",
        Server,
        &["bundleDir=bundles"],
        "bundles (does not exist); its files are reported by the agent, and no Java bundle is loaded",
        "the_set_is_told_whole_then_by_its_digest",
    ),
    row(
        "loggerClass",
        Server,
        &["loggerClass=a.B"],
        "loggerClass has no effect: it is for a Java logger",
        NOTHING,
    ),
    row(
        "loggingConfigFile",
        Server,
        &["loggingConfigFile=l.xml"],
        "loggingConfigFile has no effect: it is for a Java logger",
        NOTHING,
    ),
    row(
        "principal",
        Server,
        &["principal=anonymous"],
        "principal has no effect in server mode",
        "callers_are_let_in_by_the_key_alone",
    ),
    row(
        "principal",
        Client,
        &["principal=other"],
        "principal        other",
        "a_refusal_is_told_once_with_what_to_do",
    ),
    row(
        "password",
        Server,
        &["password=changeit"],
        "password has no effect in server mode",
        "callers_are_let_in_by_the_key_alone",
    ),
    row(
        "password",
        Client,
        &["password=changeit"],
        "which everybody knows",
        "what_a_dialling_node_cannot_do_is_refused",
    ),
    row(
        "useSSL",
        Server,
        &["useSSL=true"],
        "keyStoreFile is needed with useSSL=true",
        "a_caller_that_trusts_the_certificate_is_served",
    ),
    row("useSSL", Client, &["useSSL=true"], "ws or wss in the url decides", NOTHING),
    row(
        "usessl",
        Server,
        &["usessl=true"],
        "keyStoreFile is needed with useSSL=true",
        "use_ssl_in_both_spellings",
    ),
    row("port", Server, &["port=4711"], "listen           0.0.0.0:4711", "a_port_in_use_is_unavailable"),
    row(
        "key",
        Server,
        &["key=lmA6bMfENJGlIDbfrVtklXFK32s\\="],
        "the default key, changeit",
        "rewrites_the_key_of_the_sample_file_and_nothing_else",
    ),
    row(
        "address",
        Server,
        &["address=127.0.0.1"],
        "listen           127.0.0.1:8759",
        "a_port_in_use_is_unavailable",
    ),
    row("ifaddress", Server, &["ifaddress=127.0.0.1"], "listen           127.0.0.1:8759", "single_values"),
];

const OAUTH: &[&str] = &[
    "tokenEndpoint=https://127.0.0.1:9/t",
    "clientId=RCSClient",
    "clientSecret=s3cr3t",
    "scope=fr:idm:*",
    "tokenEnd=replace",
    "url=wss://127.0.0.1:9/openicf",
];

#[test]
fn every_property_acts_or_is_named_with_the_reason() {
    let sources = sources();
    for Row { key, mode, lines, says, proof } in ROWS {
        let base: &[&str] = match mode {
            Client => &["url=ws://127.0.0.1:1/openicf", "connectorServerName=rcs1", "password=a-password"],
            Server => &["key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\="],
        };
        let mut file = String::new();
        // Of a property that is given twice the last value counts.
        for line in base.iter().chain(*lines) {
            file.push_str(&format!("connectorserver.{line}\n"));
        }
        assert!(
            lines.iter().any(|line| line.starts_with(&format!("{key}="))),
            "the row of {key} tries something else"
        );
        let scratch = Scratch::new();
        let path = scratch.file("conf/ConnectorServer.properties", &file);
        let ran = run(&["check", text(&path)], b"");
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(says), "{key}: {says}\n{all}");
        assert!(
            proof.is_empty() || sources.contains(&format!("fn {proof}(")),
            "{key}: there is no test {proof}"
        );
    }
}

/// The table of README.md has the same properties, and the other way round.
#[test]
fn the_audit_and_the_manual_have_the_same_properties() {
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the manual");
    let table = manual
        .split("| property | mode |")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("a table");
    let cells = table.lines().filter_map(|line| line.split('|').nth(1));
    let mut described: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let mut audited: Vec<&str> = ROWS.iter().map(|row| row.key).collect();
    for names in [&mut described, &mut audited] {
        names.sort_unstable();
        names.dedup();
    }
    assert_eq!(described, audited);
}

/// The tests of this crate as text.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = fs::read_dir(root.join("tests/it")).expect("the tests");
    let mut paths: Vec<_> = tests.map(|entry| entry.expect("an entry").path()).collect();
    paths.push(root.join("src/config/tests.rs"));
    paths.iter().map(|path| fs::read_to_string(path).expect("a source")).collect()
}
