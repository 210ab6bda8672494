//! The defects of 1.8.0 that concern a proxy, each replayed by a scripted peer (WIRE 7).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames::{self, Ask};
use rcs_rig::ports::free_port;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{CONNECTOR_INFOS, FakeIdm, FakeMember, Frame, Manners, identity, validate_request};
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::workspace;

use crate::answers::{create_request, created, end_of_rows, row, row_of, search_request, validated};
use crate::site::{GROUP, MEMBERS, ScriptedSite, scripted_provider};

/// What a 1.8.0 peer takes without refusing it, and a little less for the clock of the test (WIRE 7, consequence 2).
const HOLD_OFF: Duration = Duration::from_millis(180);
/// An answer that need not wait for a session check (a minute or more) comes within this.
const PROMPT: Duration = Duration::from_secs(3);
const CONNECTOR_EXCEPTION: &str = "org.identityconnectors.framework.common.exceptions.ConnectorException";

fn path() -> String {
    format!("/openicf/{GROUP}")
}

/// 7.1, the router as dialler: a member's handshake response and its question in one segment are both taken; the member's
/// refusal of our answer does not kill our own request of the same id.
#[test]
fn d7_1_a_refused_answer_does_not_kill_our_request_of_the_same_id() {
    let mut members = MEMBERS.map(|name| FakeMember::listen(name, Manners::None));
    let scratch = workspace::scratch();
    let router = Router::start(&scripted_provider(&scratch, "failover", 1, &members));
    let member = &mut members[0];
    let hello = member.inbox.next("the handshake", |f| f.handshake().is_some());
    let question = frames::control_request(1, Ask::ConnectorInfo, &[], &[1]);
    hello.socket.send_together(&[&frames::handshake_response(&identity("m1")), &question]);
    member
        .inbox
        .next("the answer to the member's question", |f| f.connector_infos().is_some() && f.id() == 1);

    let ours = member.inbox.next("our own question", Frame::is_control_request);
    ours.socket.send(&frames::error(
        ours.id(),
        CONNECTOR_EXCEPTION,
        "Connection received response before handshake",
    ));
    let infos = Bytes::from_static(CONNECTOR_INFOS);
    ours.socket.send(&frames::control_response(ours.id(), Some(infos)));
    wait_until("the member's connectors are known", PROMPT, || router.is_up(GROUP, "n1"));
}

/// 7.1: a question that the member refuses, because it had not stored the handshake, is asked again at once.
#[test]
fn d7_1_a_refused_question_is_asked_again() {
    let mut members = MEMBERS.map(|name| FakeMember::listen(name, Manners::OnlyHandshake));
    let scratch = workspace::scratch();
    let router = Router::start(&scripted_provider(&scratch, "failover", 1, &members));
    let inbox = &mut members[0].inbox;
    let first = inbox.next("CONNECTOR_INFO", Frame::is_control_request);
    first.socket.send(&frames::error(
        first.id(),
        CONNECTOR_EXCEPTION,
        "Connection received request before handshake",
    ));
    let second = inbox.next_within("CONNECTOR_INFO once more", PROMPT, Frame::is_control_request);
    second.socket.send(&frames::control_response(second.id(), Some(Bytes::from_static(CONNECTOR_INFOS))));
    wait_until("the member's connectors are known", PROMPT, || router.is_up(GROUP, "n1"));
}

/// 7.1: a call that the member refuses for that reason was not run; it is sent again, a write included, and the caller sees nothing.
#[test]
fn d7_1_a_refused_call_is_sent_again() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(1);
    let id = idm.call(&create_request());
    let first = site.members[0].inbox.operation("the create");
    let refusal = "Connection received request before handshake";
    first.socket.send(&frames::error(first.id(), CONNECTOR_EXCEPTION, refusal));
    let second = site.members[0].inbox.operation("the create once more");
    second.socket.send(&frames::answer(second.id(), &created("u1")));
    assert!(idm.answer(id).answer().is_some(), "the refusal reached the caller");
}

/// 7.1 and 7.9, the router as acceptor: nothing but the handshake reaches a fresh IDM socket for 200 ms.
#[test]
fn d7_9_a_fresh_dialler_is_left_alone_for_a_while() {
    let site = ScriptedSite::start("failover", 1);
    let mut idm = FakeIdm::new(site.router.listen(), &path(), Manners::Polite);
    let socket = idm.dial();
    let question = frames::control_request(1, Ask::ConnectorInfo, &[], &[1]);
    socket.send_together(&[&idm.handshake(), &question]);
    let hello = idm.inbox.next("the handshake's answer", |f| f.handshake().is_some());
    let answer = idm.inbox.next("the connectors", |f| f.connector_infos().is_some());
    assert_eq!(answer.connector_infos().map(Bytes::is_empty), Some(false));
    let first =
        idm.inbox.find(Duration::ZERO, Frame::is_control_request).map_or(answer.at, |f| f.at.min(answer.at));
    assert!(first - hello.at >= HOLD_OFF, "a frame came {:?} after the handshake", first - hello.at);
}

/// 7.9, the router as dialler: a Java acceptor refuses what arrives before it has registered the socket.
#[test]
fn d7_9_a_fresh_acceptor_is_left_alone_for_a_while() {
    let mut members = MEMBERS.map(|name| FakeMember::listen(name, Manners::None));
    let scratch = workspace::scratch();
    let _router = Router::start(&scripted_provider(&scratch, "failover", 2, &members));
    let inbox = &mut members[0].inbox;
    let sockets = [(); 2].map(|()| inbox.next("a handshake", |f| f.handshake().is_some()).socket);
    let answered = Instant::now();
    for socket in &sockets {
        socket.send(&frames::handshake_response(&identity("m")));
    }
    let first = inbox.next("the first frame behind it", |f| f.handshake().is_none());
    assert!(first.at - answered >= HOLD_OFF, "{first:?} came {:?} after the handshake", first.at - answered);
}

/// 7.2: what a peer sends in one segment with its handshake is neither refused nor lost, and runs in order.
#[test]
fn d7_2_a_call_in_one_segment_with_the_handshake_is_answered() {
    let mut site = ScriptedSite::start("failover", 1);
    for _ in 0..20 {
        let mut idm = FakeIdm::new(site.router.listen(), &path(), Manners::Polite);
        let socket = idm.dial();
        let id = idm.fresh_id();
        socket.send_together(&[&idm.handshake(), &frames::operation(id, &validate_request())]);
        let call = site.members[0].inbox.operation("the hasty call");
        call.socket.send(&frames::answer(call.id(), &validated()));
        assert!(idm.answer(id).answer().is_some());
    }
}

/// 7.2 and 5.3: rows overtake each other between a member's sockets, and the end overtakes rows; the caller gets all of them.
#[test]
fn d7_2_an_end_that_overtakes_its_rows_cuts_nothing() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    let sockets = site.members[0].await_sockets(2);
    sockets[1].send(&frames::answer(call.id(), &end_of_rows(3)));
    for sequence in [2, 1, 2, 3] {
        sockets[0].send(&frames::answer(call.id(), &row(sequence)));
    }
    let mut rows = Vec::new();
    let mut end = None;
    while end.is_none() || rows.len() < 3 {
        let answer = idm.answer(id);
        let frame = answer.answer().and_then(|a| a.search.clone()).expect("search frames only");
        match frame.connector_object {
            Some(_) if rows.contains(&frame.sequence) => {}
            Some(_) => rows.push(frame.sequence),
            None => end = Some(frame.sequence),
        }
    }
    rows.sort_unstable();
    assert_eq!((rows, end), (vec![1, 2, 3], Some(3)));
}

/// 7.3: a cancel that overtakes its search on the way to us is not forgotten: the member does not run the search to its end.
#[test]
fn d7_3_a_cancel_before_its_call_is_kept() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let id = idm.fresh_id();
    idm.socket(0).send_together(&[&frames::cancel(id), &frames::operation(id, &search_request())]);
    let barrier = idm.call(&validate_request());
    let inbox = &mut site.members[0].inbox;
    let call = inbox.next("the call behind it", |f| f.operation().is_some_and(|o| o.validate.is_some()));
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(barrier).answer().is_some());
    if let Some(search) = inbox.find(Duration::ZERO, |f| f.operation().is_some()) {
        inbox.next("its cancel", |f| f.is_cancel() && f.id() == search.id());
    }
}

/// 7.3, towards a member: a cancel follows its call on the same socket, though the caller sent it on another.
#[test]
fn d7_3_a_cancel_follows_its_call_on_the_same_socket() {
    let mut site = ScriptedSite::start("failover", 3);
    let mut idm = site.idm(2);
    for _ in 0..6 {
        let id = idm.call_on(0, &search_request());
        let call = site.members[0].inbox.operation("the search");
        idm.socket(1).send(&frames::cancel(id));
        let cancel = site.members[0].inbox.next("its cancel", Frame::is_cancel);
        assert_eq!((cancel.id(), cancel.socket.number()), (call.id(), call.socket.number()));
    }
}

/// 7.7: an IDM that asks before any member is known is answered as soon as one is, for it does not ask again for a minute.
#[test]
fn d7_7_an_early_question_is_answered_when_a_member_appears() {
    let port = free_port();
    let scratch = workspace::scratch();
    let provider =
        Provider::new().server("n1", port, 2).group(GROUP, "failover", &["n1"]).write(scratch.path());
    let router = Router::start(&provider);
    let mut idm = FakeIdm::connect(router.listen(), &path(), 2);
    idm.socket(0).send(&frames::control_request(1, Ask::ConnectorInfo, &[], &[1]));
    let is_answer = |f: &Frame| f.connector_infos().is_some_and(|infos| !infos.is_empty());
    idm.inbox.expect_none("no member is known", Duration::from_millis(500), is_answer);
    let _member = FakeMember::listen_on("n1", port, Manners::Polite);
    let answer = idm.inbox.next_within("the connectors", PROMPT, is_answer);
    assert_eq!(answer.id(), 1);
}

/// 7.7: each question is answered, as often as it is asked.
#[test]
fn d7_7_every_question_is_answered() {
    let site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    for _ in 0..5 {
        assert!(!idm.ask_for_connectors(PROMPT).is_empty());
    }
}

/// 7.10: what comes in fragments is put together; nothing goes out in fragments.
#[test]
fn d7_10_fragments_are_taken_and_never_sent() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let id = idm.fresh_id();
    idm.socket(0).send_fragmented(&frames::operation(id, &search_request()), 5);
    let call = site.members[0].inbox.operation("the call that came in pieces");
    call.socket.send_fragmented(&frames::answer(call.id(), &row_of(1, vec![b'x'; 1 << 20].into())), 7);
    let answer = idm.answer(id);
    assert!(answer.bytes.len() > 1 << 20);
    assert_eq!((call.socket.fragments_received(), idm.socket(0).fragments_received()), (0, 0));
}

/// 7.4: a call sent on one of two sockets is answered though that socket is gone, on the other one.
#[test]
fn d7_4_an_answer_finds_another_socket_of_its_caller() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call_on(0, &validate_request());
    let call = site.members[0].inbox.operation("the call");
    idm.socket(0).reset();
    hold("the loss of the socket gets around", Duration::from_millis(100), || !idm.socket(1).is_closed());
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert_eq!(idm.answer(id).socket.number(), 1);
}
