//! Client mode: a node that dials whoever calls it (P01-P09, P30, P31, M02).

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::{OperationRequest, TestOpRequest};
use rcs_rig::process::Process;
use rcs_rig::scripted::{FakeMember, Manners, Proxy, Refuser, Socket, basic};
use rcs_rig::wait::wait_until;
use rustix::process::Signal;

use crate::support::{PATIENCE, Scratch, rcs_node, run, text};

/// A node in client mode. Its files are in a folder of its own.
pub(crate) struct Dialling {
    pub(crate) process: Process,
    _scratch: Scratch,
}

impl Dialling {
    /// A node called `rcs1` with the default password. `properties` are further lines, without their prefix.
    pub(crate) fn start(urls: &str, properties: &[&str]) -> Self {
        Self::start_in(Scratch::new(), urls, properties)
    }

    pub(crate) fn start_in(scratch: Scratch, urls: &str, properties: &[&str]) -> Self {
        let mut lines = format!("connectorserver.url={urls}\nconnectorserver.connectorServerName=rcs1\n");
        for line in ["housekeepingInterval=1", "newConnectionsInterval=0"].iter().chain(properties) {
            lines.push_str(&format!("connectorserver.{line}\n"));
        }
        let file = scratch.file("conf/ConnectorServer.properties", lines);
        let mut command = rcs_node();
        command.args(["serve", "--dev", "--properties", text(&file)]);
        let process = Process::start("rcs-node", command);
        assert_eq!(process.read_line("the ready line", PATIENCE), "ready client rcs1");
        Self { process, _scratch: scratch }
    }

    /// Lines of the log with this text.
    pub(crate) fn logged(&self, text: &str) -> usize {
        self.process.stderr_lines().iter().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn await_log(&self, text: &str) {
        wait_until(&format!("the log says: {text}\n{}", self.process), PATIENCE, || self.logged(text) > 0);
    }
}

/// An IDM that waits for servers in client mode. On the wire it accepts as a scripted member does, and sends the calls.
fn idm() -> FakeMember {
    FakeMember::listen("idm", Manners::Polite)
}

fn url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/openicf")
}

/// Sends a call over a socket, and waits for its answer over any socket.
fn call(idm: &mut FakeMember, socket: &Arc<Socket>, id: i64) {
    let test = OperationRequest {
        test: Some(TestOpRequest {}),
        connector_facade_key: Bytes::from_static(b"?"),
        ..OperationRequest::default()
    };
    socket.send(&frames::operation(id, &test));
    let answer = idm.inbox.next("the node answers", |frame| frame.answers(id));
    assert!(answer.error().expect("no such connector").message.contains("Connector not found"), "{answer:?}");
}

/// WIRE 1.4, P08, `webSocketConnections`: sockets are kept to each URL, calls are answered, and lost sockets come back.
#[test]
fn a_node_that_dials_is_called_and_comes_back() {
    let (mut one, two) = (idm(), idm());
    let node =
        Dialling::start(&format!("{} {}", url(one.port()), url(two.port())), &["webSocketConnections=2"]);
    let sockets = one.await_sockets(2);
    two.await_sockets(2);
    for (id, socket) in (1..).zip(&sockets) {
        call(&mut one, socket, id);
    }
    // The same peer, gone and back at the same port.
    let port = one.port();
    one.die();
    let mut one = FakeMember::listen_on("idm", port, Manners::Polite);
    let sockets = one.await_sockets(2);
    call(&mut one, &sockets[0], 1);
    let all = || two.sockets().iter().filter(|socket| !socket.is_closed()).count();
    assert_eq!((all(), two.sockets().len()), (2, 2), "the other URL's sockets were never touched");
    node.await_log("the last connection has ended");
    assert!(node.logged("still no connection") == 0, "repetitions are no news");
}

/// P08: a peer that is not there at the start is found later.
#[test]
fn a_peer_that_comes_late_is_found() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let node = Dialling::start(&url(port), &[]);
    node.await_log("no connection: no TCP connection to 127.0.0.1");
    let mut idm = FakeMember::listen_on("idm", port, Manners::Polite);
    let sockets = idm.await_sockets(3);
    call(&mut idm, &sockets[2], 1);
    node.await_log("connected");
}

/// `connectionTtl`, `maxWebSocketConnections`: each socket is replaced before it goes, and calls go on.
#[test]
fn sockets_are_replaced_in_time_and_never_exceed_the_maximum() {
    let mut idm = idm();
    let _node = Dialling::start(&url(idm.port()), &["connectionTtl=1", "webSocketConnections=2"]);
    idm.await_sockets(2);
    let mut id = 0;
    while idm.sockets().len() < 8 {
        let open: Vec<_> = idm.sockets().into_iter().filter(|socket| !socket.is_closed()).collect();
        assert!((2..=3).contains(&open.len()), "{} sockets are open", open.len());
        id += 1;
        // The newest one lives long enough for its call to arrive.
        call(&mut idm, &open[open.len() - 1], id);
    }
}

/// SIGTERM ends it with 0, whatever it was doing (I03).
#[test]
fn signals_end_a_node_that_dials() {
    let idm = idm();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut node = Dialling::start(&format!("{} {}", url(idm.port()), url(port)), &[]);
    let sockets = idm.await_sockets(3);
    node.process.signal(Signal::TERM);
    assert_eq!(node.process.wait(Duration::from_secs(15)).code(), Some(0));
    wait_until("its sockets are closed", PATIENCE, || sockets.iter().all(|socket| socket.is_closed()));
}

/// P03, P30, P31: what the node shows; a refusal is told once, with what to do, and the node goes on trying.
#[test]
fn a_refusal_is_told_once_with_what_to_do() {
    let cases = [
        ("401 Who", "set connectorserver.principal and connectorserver.password"),
        ("403 No", "refused the principal \"rcs1\" (HTTP 403): compare connectorserver.password"),
        ("404 Where", "correct the path in connectorserver.url"),
    ];
    let started: Vec<_> = cases
        .map(|(status, says)| {
            let peer = Refuser::start(status);
            let url = format!("ws://{}/openicf/0", peer.address());
            (Dialling::start(&url, &["hostId=host-7"]), peer, says)
        })
        .into();
    for (node, peer, says) in &started {
        node.await_log(says);
        wait_until("it goes on trying", PATIENCE, || peer.requests() >= 4);
        assert_eq!(node.logged("no connection"), 1, "{}", node.process);
        let head = peer.head();
        for line in [
            "GET /openicf/0 HTTP/1.1",
            &format!("Authorization: {}", basic("rcs1", "changeit")),
            "hostId: host-7",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        assert!(node.logged("changeit`, which everybody knows") == 1, "{}", node.process);
    }
}

/// P12: the default password is refused outside `--dev`, and OAuth2 is named as missing.
#[test]
fn what_a_dialling_node_cannot_do_is_refused() {
    let scratch = Scratch::new();
    let client = "connectorserver.url=ws://127.0.0.1:1/openicf\nconnectorserver.connectorServerName=rcs1\n";
    for (more, code, says) in [
        ("", 65, "connectorserver.password is missing, or is the default"),
        ("connectorserver.password=changeit\n", 65, "connectorserver.password is missing, or is the default"),
        (
            "connectorserver.password=hidden-word\nconnectorserver.principal=a:b\n",
            65,
            "the principal must not hold a colon",
        ),
    ] {
        let file = scratch.file("a.properties", format!("{client}{more}"));
        for command in [&["check"][..], &["serve", "--properties"]] {
            let ran = run(&[command, &[text(&file)]].concat(), b"");
            assert!(ran.code == code && ran.stderr.contains(says), "{more}: {ran:?}");
            assert!(!format!("{ran:?}").contains("hidden-word"), "{ran:?}");
        }
    }
    let file = scratch.file("a.properties", format!("{client}connectorserver.password=hidden-word\n"));
    let ran = run(&["check", text(&file)], b"");
    assert_eq!((ran.code, ran.stdout.lines().last()), (0, Some("ok")), "{ran:?}");
    assert!(ran.stdout.contains("connections      3 to each URL, at most 4"), "{}", ran.stdout);
}

/// P04-P07: CONNECT with Basic credentials; a refusal names the properties.
#[test]
fn a_node_dials_through_a_proxy() {
    let mut idm = idm();
    let proxy = Proxy::start(Some(basic("user", "pass")));
    let (host, port) = ("proxyHost=127.0.0.1", format!("proxyPort={}", proxy.port()));
    let through = ["webSocketConnections=2", host, &port, "proxyPrincipal=user"];
    let node = Dialling::start(&url(idm.port()), &[&through[..], &["proxyPassword=pass"]].concat());
    let sockets = idm.await_sockets(2);
    call(&mut idm, &sockets[0], 1);
    assert_eq!(proxy.led(), 2);
    drop(node);
    let node = Dialling::start(&url(idm.port()), &[&through[..], &["proxyPassword=hidden-word"]].concat());
    node.await_log("refused our user or password (HTTP 407): set connectorserver.proxyPrincipal");
    assert!(node.logged("hidden-word") == 0);
}
