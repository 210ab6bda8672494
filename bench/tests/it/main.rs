//! The program itself, against a connector server of this test's own.
#![allow(clippy::unwrap_used)] // A test fails by panicking, in its helpers too.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use rcs_proto::driver::accept::{Authorization, Refusal, RefusalStatus};
use rcs_proto::driver::endpoint::{Endpoint, EndpointConfig, Executor, IncomingCall};
use rcs_proto::driver::listen::{Arrival, serve};
use rcs_proto::icf::*;
use rcs_proto::legacy::{Wire as _, facade_key};
use rcs_proto::messages::{self, OperationResponse};
use rcs_rig::streams::{closed_pipe, full_disk};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A connector with one object. It checks that calls are what they should be.
struct Server;

impl Executor for Server {
    fn connector_infos(&self) -> Bytes {
        let property = |name: &str, class: &str, required| ConfigurationProperty {
            order: 0,
            confidential: false,
            required,
            name: name.to_owned(),
            help_key: None,
            display_key: None,
            group_key: None,
            class: ClassName::plain(class),
            value: Value::Null,
            operations: Vec::new(),
        };
        let configuration = ApiConfiguration {
            producer_buffer_size: 100,
            pooling_supported: false,
            pool: None,
            results_handlers: None,
            properties: vec![property("file", "File", true), property("secret", "GuardedString", false)],
            timeouts_ms: Vec::new(),
            supported_operations: Vec::new(),
        };
        let key = ConnectorKey {
            bundle_name: "bundle".to_owned(),
            bundle_version: "1".to_owned(),
            connector_name: "org.example.OneConnector".to_owned(),
        };
        let info = ConnectorInfo {
            display_name_key: None,
            category_key: None,
            key,
            messages: None,
            configuration: Some(configuration),
        };
        vec![info].encode()
    }

    fn execute(&self, call: IncomingCall) {
        let IncomingCall { request, mut responder, .. } = call;
        tokio::spawn(async move {
            let configuration = facade_key::decode(&request.connector_facade_key).unwrap();
            assert_eq!(configuration.property("file").unwrap().value, Value::File("/x".to_owned()));
            let attributes = vec![Attribute::text(UID, "u1"), Attribute::text(NAME, "u1")];
            let mut answer = OperationResponse::default();
            if request.search.is_some() {
                let object = messages::ConnectorObject {
                    object_class: ObjectClass::ACCOUNT.to_owned(),
                    attributes: attributes.encode(),
                };
                let item =
                    messages::SearchOpResponse { sequence: 1, connector_object: Some(object), result: None };
                responder.send(OperationResponse { search: Some(item), ..Default::default() }).await.unwrap();
                answer.search = Some(messages::SearchOpResponse { sequence: 1, ..Default::default() });
            } else if request.create.is_some() {
                CREATED.fetch_add(1, Ordering::Relaxed);
                let uid = Some(messages::Uid { value: "u2".to_owned(), ..Default::default() });
                answer.create = Some(messages::CreateOpResponse { uid });
            } else if let Some(delete) = request.delete {
                assert_eq!(delete.uid.unwrap().value, "u2");
                CREATED.fetch_sub(1, Ordering::Relaxed);
                answer.delete = Some(messages::DeleteOpResponse {});
            } else if let Some(get) = request.get {
                assert_eq!(get.uid.unwrap().value, "u1");
                let object = ConnectorObject { object_class: ObjectClass(get.object_class), attributes };
                answer.get = Some(messages::GetOpResponse { connector_object: object.encode() });
            } else {
                return responder.fail("org.example.UnknownUidException", "a value that nobody must see");
            }
            responder.finish(answer);
        });
    }
}

/// Objects that were created and not deleted.
static CREATED: AtomicI64 = AtomicI64::new(0);

/// Starts the server and gives its URL.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint::start(EndpointConfig::new(EndpointConfig::random_identity()), Arc::new(Server));
    let (arrivals, mut arrived) = mpsc::channel(16);
    let decide = |request: &rcs_proto::driver::accept::UpgradeRequest| match &request.authorization {
        Authorization::Basic(user) if user.secret.expose() == "the key" => Ok(()),
        _ => Err(Refusal::new(RefusalStatus::Forbidden, "the key is wrong")),
    };
    tokio::spawn(serve(listener, None, decide, arrivals));
    tokio::spawn(async move {
        while let Some(Arrival { outcome, .. }) = arrived.recv().await {
            if let Ok((socket, ..)) = outcome {
                endpoint.adopt(socket);
            }
        }
    });
    format!("ws://{address}/openicf")
}

async fn bench(arguments: &[&str], key: &str) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rcs-bench"));
    command.args(arguments).env("RCS_BENCH_KEY", key).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap()
}

const QUICK: [&str; 6] = ["--set", "file=/x", "--set", "secret=s3cret", "--warmup", "50ms"];

#[tokio::test]
async fn load_measures_both_loops_and_prints_parameters_beside_the_figures() {
    let url = server().await;
    for (op, shape, rows) in [
        ("get", ["--concurrency", "4"], false),
        ("search", ["--concurrency", "2"], true),
        ("get", ["--rate", "500"], false),
    ] {
        let arguments =
            [&["load", "--json", "--url", &url, "--op", op, "--duration", "400ms"], &shape[..], &QUICK]
                .concat();
        let output = bench(&arguments, "the key").await;
        let text = String::from_utf8(output.stdout).unwrap();
        let table = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{table}");
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let result = &document["result"];
        let ok = result["ok"].as_u64().unwrap();
        assert!(ok >= 20 && result["errors"].as_object().unwrap().is_empty(), "{text}");
        assert_eq!(result["rows"].as_u64().unwrap(), if rows { ok } else { 0 });
        assert!(result["latency_us"]["p50"].as_f64().unwrap() > 1.0, "{text}");
        assert!(result["latency_us"]["p99.9"].is_null() || ok >= 10_000, "a quantile without samples");
        assert_eq!(document["parameters"]["url"], url.as_str());
        assert!(document["machine"]["cores"].as_u64().unwrap() > 0);
        if shape[0] == "--rate" {
            assert_eq!(ok, 200, "every call that was due is counted");
        }
        assert!(table.contains("samples") && table.contains("cores"), "{table}");
        assert!(
            table.ends_with("No call failed.\n") && !table.contains('\r'),
            "a verdict, and no progress: {table:?}"
        );
        assert!(!text.contains("s3cret") && !table.contains("s3cret"), "P9");
    }
}

#[tokio::test]
async fn compare_measures_two_targets_in_turns() {
    let (direct, via) = (server().await, server().await);
    let arguments = [
        &[
            "compare", "--json", "--direct", &direct, "--via", &via, "--op", "get", "--rounds", "2",
            "--turn", "200ms",
        ],
        &QUICK[..],
    ]
    .concat();
    let output = bench(&arguments, "the key").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let throughput = &document["result"]["throughput"];
    assert_eq!(throughput["direct_rounds"].as_array().unwrap().len(), 2);
    let ratio = throughput["ratio"].as_f64().unwrap();
    assert!((0.1..10.0).contains(&ratio), "the same program on both sides: {ratio}");
    let latency = &document["result"]["latency"];
    let added = &latency["added_us"]["p50"];
    assert!(added.is_null() || added.as_f64().unwrap() >= 0.0, "nothing below nothing is added: {latency}");
    assert!(latency["rate"].as_f64().unwrap() > 0.0, "{latency}");
    let table = String::from_utf8_lossy(&output.stderr);
    assert!(table.contains("of the direct throughput is reached; at "), "{table}");

    let strict = [&arguments[..], &["--require-ratio", "1000"]].concat();
    assert_eq!(bench(&strict, "the key").await.status.code(), Some(69));
}

#[tokio::test]
async fn each_failure_has_its_exit_code_and_a_sentence() {
    let url = server().await;
    let load = |arguments: &[&'static str]| {
        [&["load", "--duration", "100ms", "--url", &url], arguments]
            .concat()
            .iter()
            .map(|a| (*a).to_owned())
            .collect::<Vec<_>>()
    };
    for (case, arguments, key, code, words) in [
        ("wrong key", load(&QUICK), "wrong", 69, "compare the keys"),
        ("missing property", load(&[]), "the key", 64, "--set file"),
        ("unknown property", load(&["--set", "fil=/x"]), "the key", 65, "file, secret"),
        ("unknown connector", load(&["--connector", "Two"]), "the key", 65, "OneConnector"),
        (
            "errors only",
            load(&[&QUICK[..], &["--op", "test"]].concat()),
            "the key",
            69,
            "UnknownUidException",
        ),
        ("no uid", load(&[&QUICK[..], &["--op", "update"]].concat()), "the key", 64, "--uid"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = bench(&arguments, key).await;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{case}: {text}");
        assert!(text.contains(words), "{case}: {text}");
        assert!(!text.contains("nobody must see"), "{case}: P9");
    }
}

#[tokio::test]
async fn what_creates_made_is_deleted_at_the_end() {
    let url = server().await;
    let load = ["load", "--url", &url, "--op", "create", "--duration", "200ms"];
    let output = bench(&[&load[..], &QUICK].concat(), "the key").await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains(" created objects removed again"), "{told}");
    assert_eq!(CREATED.load(Ordering::Relaxed), 0);
    let output = bench(&[&load[..], &QUICK, &["--keep"]].concat(), "the key").await;
    assert!(output.status.success() && CREATED.load(Ordering::Relaxed) > 0);
}

/// If the reader of the output has gone, the program ends quietly. If the disk is full, the program reports it.
#[tokio::test]
async fn a_result_that_cannot_be_printed_is_told() {
    let url = server().await;
    for (stream, code) in [(closed_pipe(), 0), (full_disk(), 70)] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rcs-bench"));
        command.args(["load", "--url", &url, "--op", "get", "--duration", "100ms"]).args(QUICK);
        command.env("RCS_BENCH_KEY", "the key").stdin(Stdio::null()).stdout(stream).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(told.contains("standard output cannot be written"), code == 70, "{told}");
    }
}
