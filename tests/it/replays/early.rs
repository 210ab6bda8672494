//! What comes too early, or not at all (OpenICF #108, #104; #112 is in `defects`, 7.3). Nodes older than July 2026 do all of it.

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames::{self, Ask};
use rcs_rig::ports::free_port;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{CONNECTOR_INFOS, FakeIdm, FakeMember, Frame, Manners, identity, validate_request};
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;

use crate::answers::validated;
use crate::fleet::{Fleet, document, path};
use crate::site::GROUP;

const PROMPT: Duration = Duration::from_secs(3);

/// #108, the router as dialler: the answer to a call comes on a socket whose handshake is not done. It is kept, not lost.
#[test]
fn openicf_108_an_answer_before_the_handshake_of_its_socket() {
    let member = FakeMember::listen("n1", Manners::None);
    let scratch = workspace::scratch();
    let mut members = [member];
    let router = Router::start(&document(&scratch, "failover", 2, &members));
    let inbox = &mut members[0].inbox;
    let [first, second] = [(); 2].map(|()| inbox.next("a handshake", |f| f.handshake().is_some()).socket);
    first.send(&frames::handshake_response(&identity("n1")));
    let asked = inbox.next("CONNECTOR_INFO", Frame::is_control_request);
    first.send(&frames::control_response(asked.id(), Some(Bytes::from_static(CONNECTOR_INFOS))));
    router.await_up(GROUP, &["n1"]);

    let mut idm = FakeIdm::connect(router.listen(), &path(), 1);
    let id = idm.call(&validate_request());
    let call = members[0].inbox.next("the call", |f| f.operation().is_some_and(|o| o.validate.is_some()));
    second.send_together(&[
        &frames::answer(call.id(), &validated()),
        &frames::handshake_response(&identity("n1")),
    ]);
    assert!(idm.answer(id).answer().is_some(), "the answer was refused, or forgotten");
    assert!(!second.is_closed());
}

/// #108, the router as acceptor: a caller answers before it has said who it is; its session comes about all the same.
#[test]
fn openicf_108_a_callers_answer_before_its_handshake() {
    let mut fleet = Fleet::start(1, "failover", 1);
    let mut idm = FakeIdm::new(fleet.router.listen(), &path(), Manners::Polite);
    let socket = idm.dial();
    let answers_nothing = frames::control_response(1, Some(Bytes::new()));
    let refuses_nothing =
        frames::error(1, "java.lang.RuntimeException", "Connection received response before handshake");
    socket.send_together(&[&answers_nothing, &refuses_nothing, &idm.handshake()]);
    idm.inbox.next("the handshake's answer", |f| f.handshake().is_some());
    let id = idm.call(&validate_request());
    let (_, call) = fleet.asked("the call");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

/// #104: a client lost its permit to connect when its last connection closed at a bad moment, and never dialled again. The
/// router dials on, wherever in its life a connection was closed: as TCP, as HTTP, before and after the handshake, before the
/// connectors were told; and with each of several sockets at once.
#[test]
fn openicf_104_no_way_of_closing_stops_the_dialling() {
    let port = free_port();
    let scratch = workspace::scratch();
    let provider =
        Provider::new().server("n1", port, 2).group(GROUP, "failover", &["n1"]).write(scratch.path());
    let router = Router::start(&provider);
    close_raw(port, None);
    close_raw(port, Some("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"));
    close_raw(port, Some("HTTP/1.1 101 Switching Protocols\r\n"));
    for stage in 0..4 {
        let mut member = FakeMember::listen_on("n1", port, Manners::None);
        let hello = member.inbox.next("a handshake", |f| f.handshake().is_some());
        if stage >= 1 {
            hello.socket.send(&frames::handshake_response(&identity("n1")));
        }
        if stage >= 2 {
            let fits = |f: &Frame| f.is_control_request() && f.socket.number() == hello.socket.number();
            let asked = member.inbox.next("CONNECTOR_INFO", fits);
            if stage >= 3 {
                let infos = Bytes::from_static(CONNECTOR_INFOS);
                asked.socket.send(&frames::control_response(asked.id(), Some(infos)));
                router.await_up(GROUP, &["n1"]);
            }
        }
        match stage % 2 {
            0 => hello.socket.reset(),
            _ => hello.socket.send_close(),
        }
        member.inbox.next("a handshake on a new socket", |f| {
            f.handshake().is_some() && f.socket.number() > hello.socket.number()
        });
        member.die();
    }
    let member = FakeMember::listen_on("n1", port, Manners::Polite);
    router.await_up(GROUP, &["n1"]);
    assert_eq!(member.await_sockets(2).len(), 2);
}

/// #104 from the other side: a caller with a lost permit never dials again, so its last socket is not closed, whatever it
/// does not do: it answers no ping, no control request, and sends what makes no sense.
#[test]
fn openicf_104_a_wedged_callers_last_socket_stays_open() {
    let mut fleet = Fleet::start(1, "failover", 1);
    let mut idm = FakeIdm::new(fleet.router.listen(), &path(), Manners::None);
    let socket = idm.dial();
    idm.shake_hands(&socket);
    socket.send_text("no message at all");
    socket.send(&frames::control_response(4711, None));
    socket.send(&frames::cancel(4712));
    socket.send(&[0xff; 16]);
    for id in 1..=3 {
        // Control requests that forget the call below: an older caller's lists are late.
        socket.send(&frames::control_request(100 + id, Ask::ConnectorInfo, &[], &[]));
    }
    let id = idm.call(&validate_request());
    let (_, call) = fleet.asked("the call of a caller that behaves badly");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
    assert!(!socket.is_closed(), "it would never come back");
}

/// #104, a member in that state: its sockets answer pings, its framework answers nothing. It gets no more calls soon.
#[test]
fn openicf_104_a_wedged_member_is_left_out() {
    let mut members =
        vec![FakeMember::listen("n1", Manners::None), FakeMember::listen("n2", Manners::Polite)];
    let scratch = workspace::scratch();
    let router = Router::start(&document(&scratch, "failover", 1, &members));
    let hello = members[0].inbox.next("a handshake", |f| f.handshake().is_some());
    hello.socket.send(&frames::handshake_response(&identity("n1")));
    let asked = members[0].inbox.next("CONNECTOR_INFO", Frame::is_control_request);
    hello.socket.send(&frames::control_response(asked.id(), Some(Bytes::from_static(CONNECTOR_INFOS))));
    router.await_up(GROUP, &["n1", "n2"]);
    let wedged =
        wait_until("the wedged member is out", Duration::from_secs(10), || !router.is_up(GROUP, "n1"));
    assert!(router.is_up(GROUP, "n2"));
    assert!(!hello.socket.is_closed(), "its session is kept: it may come to");
    println!("a member that only answers pings was out of use after {wedged:?}");
    let mut idm = FakeIdm::connect(router.listen(), &path(), 1);
    let id = idm.call(&validate_request());
    let call = members[1].inbox.next_within("the call", PROMPT, |f| f.operation().is_some());
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

/// Takes one connection on `port` as TCP, says this to its request, and closes it.
fn close_raw(port: u16, answer: Option<&str>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let (mut stream, _) = listener.accept().expect("the router dials");
    if let Some(answer) = answer {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(answer.as_bytes());
    }
}
