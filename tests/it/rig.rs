//! The rig itself: scripted peers speak the protocol, with each other and with the published framework.

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::ScriptOnConnectorOpResponse;
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::rcs::Rcs;
use rcs_rig::scripted::{CONNECTOR_INFOS, FakeIdm, FakeMember, Frame, Manners, validate_request};
use rcs_rig::wait::{hold, wait_until};

use crate::answers::validated;

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

#[test]
fn scripted_peers_understand_each_other() {
    let mut member = FakeMember::listen("m", Manners::Polite);
    let mut idm = FakeIdm::connect((LOOPBACK, member.port()).into(), "/openicf", 2);
    assert_eq!(idm.ask_for_connectors(Duration::from_secs(5)), CONNECTOR_INFOS);

    let id = idm.call_on(1, &validate_request());
    let call = member.inbox.operation("the call");
    assert_eq!((call.id(), call.socket.number()), (id, 1));
    call.socket.send_fragmented(&frames::answer(id, &validated()), 3);
    assert!(idm.answer(id).answer().is_some_and(|a| a.validate.is_some()));
    assert_eq!(idm.socket(1).fragments_received(), 2);

    member.die();
    wait_until("resets are seen", Duration::from_secs(5), || {
        idm.socket(0).is_closed() && idm.socket(1).is_closed()
    });
}

#[test]
fn a_stalled_reader_stalls_the_writer() {
    let mut member = FakeMember::listen("m", Manners::Polite);
    let mut idm = FakeIdm::new((LOOPBACK, member.port()).into(), "/openicf", Manners::Polite);
    let socket = idm.dial_with_receive_buffer(4096);
    idm.shake_hands(&socket);
    let id = idm.call(&validate_request());
    let call = member.inbox.operation("the call");
    socket.stall();
    let mut big = validated();
    big.script_on_connector = Some(ScriptOnConnectorOpResponse { object: vec![7; 32 << 20].into() });
    let frame = frames::answer(id, &big);
    let writer = std::thread::spawn(move || call.socket.send(&frame));
    hold("the write must stand still", Duration::from_millis(300), || !writer.is_finished());
    socket.read_on();
    assert!(idm.answer(id).bytes.len() > 32 << 20);
    assert!(writer.join().is_ok());
}

#[test]
fn a_real_idm_takes_a_scripted_member_for_an_rcs() {
    let Some(java) = Java::or_skip("rig::a_real_idm_takes_a_scripted_member_for_an_rcs") else { return };
    let mut member = FakeMember::listen("m", Manners::OnlyHandshake);
    let mut idm = Idm::start(&java, &format!("ws://127.0.0.1:{}/openicf", member.port()));
    let asked = member.inbox.next("CONNECTOR_INFO", Frame::is_control_request);
    hold("what arrives sooner is refused (WIRE 7.1)", Duration::from_millis(250), || {
        !asked.socket.is_closed()
    });
    let infos = Bytes::from_static(CONNECTOR_INFOS);
    asked.socket.send(&frames::control_response(asked.id(), Some(infos)));
    assert_eq!(idm.ok("connectors"), "1 rig.connector/1.0.0.0/rig.RigConnector");
    idm.ok("use Rig storeFile=unused");
    idm.begin("validate");
    let call = member.inbox.operation("the IDM's validate");
    assert!(call.operation().is_some_and(|o| o.validate.is_some()));
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert_eq!(idm.answer("validate", Duration::from_secs(5)), "ok");
    assert_eq!(idm.sockets_to(member.port()).len(), 2, "a 1.8.0 dialler opens two sockets");
}

#[test]
fn a_scripted_idm_is_served_by_a_real_rcs() {
    let Some(java) = Java::or_skip("rig::a_scripted_idm_is_served_by_a_real_rcs") else { return };
    let rcs = Rcs::start(&java, "n1");
    let mut idm = FakeIdm::connect((LOOPBACK, rcs.port()).into(), "/openicf", 1);
    hold("what arrives sooner is refused (WIRE 7.1)", Duration::from_millis(250), || {
        !idm.socket(0).is_closed()
    });
    let infos = idm.ask_for_connectors(Duration::from_secs(5));
    assert!(infos.len() > CONNECTOR_INFOS.len(), "the rig's and the CSV connector: {} bytes", infos.len());
    let id = idm.call(&validate_request());
    let answer = idm.answer(id);
    let error = answer.error().expect("a facade key that decodes to no configuration is refused");
    assert!(error.exception_class.ends_with("Exception"), "{}", error.exception_class);
}
