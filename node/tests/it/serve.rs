//! The listener: who gets in, what the protocol itself answers, how it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::{OperationRequest, TestOpRequest, ValidateOpRequest};
use rcs_rig::process::Process;
use rcs_rig::scripted::{FakeIdm, Manners, raw_exchange, upgrade_request};
use rustix::process::Signal;

use crate::caller::Caller;
use crate::serving::Serving;
use crate::support::{PATIENCE, Scratch, run, text};

const PROTOCOL: Option<&str> = Some("v1.openicf.forgerock.org");
/// An idle node that is told to end must not use its drain time, which is 25 s.
const IDLE_END: Duration = Duration::from_secs(15);

fn basic(user: &str) -> String {
    format!("Basic {}", STANDARD.encode(user))
}

/// WIRE 1.1, P30, P35, C06: any user name with the right key; each refusal has a status, a sentence and an end.
#[test]
fn callers_are_let_in_by_the_key_alone() {
    // The hash of `Passw0rd`, see set_key.rs.
    let node = Serving::with(Scratch::new(), "connectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\n", &[]);
    let right = basic("anonymous:Passw0rd");
    for (path, authorization, protocol, status) in [
        ("/openicf", Some(right.clone()), PROTOCOL, 101),
        ("/openicf?a=b", Some(basic("somebody:Passw0rd")), PROTOCOL, 101),
        ("/openicf/0", Some(basic(":Passw0rd")), PROTOCOL, 101),
        ("/openicf", Some(right.clone()), None, 101),
        ("/openicf", None, PROTOCOL, 401),
        ("/openicf", Some("Bearer abc".to_owned()), PROTOCOL, 401),
        ("/openicf", Some(basic("Passw0rd")), PROTOCOL, 401),
        ("/openicf", Some(basic("anonymous:changeit")), PROTOCOL, 403),
        ("/openicf", Some(basic("anonymous:")), PROTOCOL, 403),
        ("/openicf", Some(basic("anonymous:Passw0rd:")), PROTOCOL, 403),
        ("/", Some(right.clone()), PROTOCOL, 404),
        ("/openicfx", Some(right.clone()), PROTOCOL, 404),
        ("/openicf", Some(right.clone()), Some("v2.openicf.forgerock.org"), 400),
    ] {
        let request = upgrade_request(path, authorization.as_deref(), protocol);
        if status == 101 {
            assert_eq!(first_line(node.address, &request), "HTTP/1.1 101 Switching Protocols", "{path}");
            continue;
        }
        let answer = raw_exchange(node.address, request.as_bytes());
        assert_eq!(answer.status, status, "{path} {authorization:?} {protocol:?}: {answer:?}");
        let reason =
            answer.head.lines().next().and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or_default();
        assert!(answer.closed && reason.split(' ').count() > 3, "a sentence and an end: {answer:?}");
        assert!(answer.body.is_empty() && answer.header("Content-Length").is_none(), "{answer:?}");
        let challenge = answer.header("WWW-Authenticate");
        assert_eq!(challenge.is_some(), status == 401, "{answer:?}");
    }
}

/// The health check of the published image looks for the server's name in the answer to a plain request.
#[test]
fn a_plain_request_is_told_whose_address_it_is() {
    let node = Serving::with(Scratch::new(), "connectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\n", &[]);
    let answer =
        raw_exchange(node.address, b"GET /openicf HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("Server")),
        (426, Some("OpenICF Connector Server")),
        "{answer:?}"
    );
    assert!(answer.body.contains("WebSockets"), "{answer:?}");
}

/// The first line of what the node answers.
fn first_line(node: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(node).expect("the node listens");
    stream.write_all(request.as_bytes()).expect("the node reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("the node answers");
    line.trim_end().to_owned()
}

/// P12, A09: nothing listens with the default key unless asked to.
#[test]
fn the_default_key_is_refused_without_dev() {
    let scratch = Scratch::new();
    let file = scratch.file("a.properties", "connectorserver.port=0\n");
    let ran = run(&["serve", "--properties", text(&file)], b"");
    assert_eq!((ran.code, ran.stdout.as_str()), (65, ""));
    assert!(ran.stderr.contains("rcs-node set-key FILE"), "{}", ran.stderr);
}

#[test]
fn a_port_in_use_is_unavailable() {
    let node = Serving::start();
    let scratch = Scratch::new();
    let file = scratch.file("a.properties", "connectorserver.address=127.0.0.1\n");
    let port = format!("connectorserver.port={}", node.address.port());
    let ran = run(&["serve", "--dev", "--properties", text(&file), "-D", &port], b"");
    assert!(ran.code == 69 && ran.stderr.contains("127.0.0.1:"), "{ran:?}");
}

/// WIRE 4.1, 4.4.
#[test]
fn handshake_and_connectors() {
    let node = Serving::start();
    let mut idm = FakeIdm::new(node.address, "/openicf", Manners::Polite);
    let socket = idm.dial();
    let answer = idm.shake_hands(&socket);
    let session_id = answer.handshake().expect("a handshake").session_id.clone();
    assert!(!session_id.is_empty());
    let again = idm.shake_hands(&socket);
    assert_eq!(again.handshake().expect("a handshake").session_id, session_id);
    let second = idm.dial();
    let answer = idm.shake_hands(&second);
    assert_eq!(answer.handshake().expect("a handshake").session_id, session_id, "one session a node");
    let mut caller = Caller::connect(node.address, 1);
    let names: Vec<String> = caller.connectors().into_iter().map(|info| info.key.connector_name).collect();
    assert!(names.iter().any(|name| name.contains("CSVFileConnector")), "{names:?}");
    assert_eq!(caller.connectors().len(), names.len(), "answered as often as asked (WIRE 7, consequence 4)");
}

/// WIRE 5.1: what is answered before any connector is asked.
#[test]
fn calls_that_reach_no_connector() {
    let node = Serving::start();
    let mut caller = Caller::connect(node.address, 1);
    let unknown = OperationRequest { test: Some(TestOpRequest {}), ..Default::default() };
    let (class, text) = caller.call(&unknown).last.expect_err("no connector");
    assert!(class == "ConnectorException" && text.starts_with("Connector not found: "), "{class} {text}");
    caller.configure("CSV", &[]);
    let (class, text) = caller.call(&caller.request()).last.expect_err("no operation");
    assert_eq!((class.as_str(), text.as_str()), ("ConnectorException", "Unknown OperationRequest"));
    let broken = OperationRequest {
        connector_facade_key: Bytes::from_static(b"?"),
        validate: Some(ValidateOpRequest {}),
        ..caller.request()
    };
    let (class, _) = caller.call(&broken).last.expect_err("no configuration");
    assert_eq!(class, "RuntimeException");
}

/// WIRE 4.2, 4.3: any id, any socket; the answer of a call whose socket is gone comes on another.
#[test]
fn ids_and_sockets_are_free() {
    let node = Serving::start();
    let mut caller = Caller::connect(node.address, 2);
    caller.configure("CSV", &[]);
    let request = OperationRequest { validate: Some(ValidateOpRequest {}), ..caller.request() };
    for (socket, id) in [(0, -5), (1, i64::MAX), (0, 1 << 62)] {
        caller.idm.socket(socket).send(&frames::operation(id, &request));
        assert_eq!(caller.finish(id).last.expect_err("no csvFile").0, "ConfigurationException");
    }
}

/// I03: signals drain and end it with 0; so does losing nothing: `q` counts on a terminal only.
#[test]
fn signals_end_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let node = Serving::start();
        let caller = Caller::connect(node.address, 2);
        let status = node.end(signal, IDLE_END);
        assert_eq!(status.code(), Some(0), "{signal:?}");
        drop(caller);
    }
    let mut node = Serving::start();
    node.process.write_line("q");
    node.process.close_stdin();
    Caller::connect(node.address, 1).connectors();
    assert!(node.process.is_running(), "no terminal, so no `q`");
}

/// I03: `q` and CTRL+C on the terminal end it. `script` has the terminal.
#[test]
fn keys_on_a_terminal_end_it() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no `script` on this machine; keys on a terminal are not tried");
        return;
    }
    for key in ["q", "\u{3}"] {
        let scratch = Scratch::new();
        let properties = "connectorserver.port=0\nconnectorserver.address=127.0.0.1\n";
        let file = scratch.file("conf/ConnectorServer.properties", properties);
        let node =
            format!("exec {} serve --dev --properties {}", env!("CARGO_BIN_EXE_rcs-node"), text(&file));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &node, "/dev/null"]);
        let mut terminal = Process::start("rcs-node on a terminal", command);
        terminal.read_until("ready 127.0.0.1:", PATIENCE);
        terminal.write_line(key);
        assert_eq!(terminal.wait(PATIENCE).code(), Some(0), "{key:?}: {terminal}");
    }
}
