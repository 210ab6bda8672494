//! What the router does not understand passes byte for byte (P9).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use rcs_proto::frames;
use rcs_proto::messages::{
    OperationRequest, OperationResponse, ScriptContext, ScriptOnConnectorOpRequest,
    ScriptOnConnectorOpResponse, ValidateOpRequest,
};
use rcs_rig::scripted::{Frame, request, validate_request};

use crate::answers::validated;
use crate::site::ScriptedSite;

/// The router's limit on one frame (64 MiB by default, WIRE 1.2).
const FRAME_BYTES_MAX: usize = 64 << 20;
const REQUEST: u32 = 2;
const RESPONSE: u32 = 3;
const OPERATION: u32 = 3;

#[test]
fn unknown_fields_survive_at_every_level() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.fresh_id();
    let asked = strange_frame(id, REQUEST, 18, &validate_request().encode_to_vec());
    idm.socket(1).send(&asked);
    let call = site.members[0].inbox.operation("the strange call");
    assert_eq!(without_id(&call.bytes), without_id(&asked));

    let answered = strange_frame(call.id(), RESPONSE, 15, &[]);
    call.socket.send(&answered);
    let answer = idm.inbox.next("the strange answer", |f| f.id() == id);
    assert_eq!(without_id(&answer.bytes), without_id(&answered));
}

#[test]
fn any_id_is_taken_and_given_back() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    for id in [1, 127, 128, 1 << 31, 1 << 62, i64::MAX, -5, i64::MIN] {
        idm.socket(0).send(&frames::operation(id, &validate_request()));
        let call = site.members[0].inbox.operation(&format!("call {id}"));
        call.socket.send(&frames::answer(call.id(), &validated()));
        assert!(idm.answer(id).answer().is_some(), "call {id}");
    }
}

#[test]
fn payloads_of_any_size_pass_unchanged() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 8 << 20] {
        let payload = noise(size);
        let id = idm.call(&script(payload.clone()));
        let call = site.members[0].inbox.operation(&format!("{size} bytes"));
        assert_eq!(script_arguments(&call), Some(&payload), "{size} bytes towards the member");
        call.socket.send(&frames::answer(call.id(), &script_answer(payload.clone())));
        let answer = idm.answer(id);
        let object = answer.answer().and_then(|a| a.script_on_connector.as_ref()).map(|s| &s.object);
        assert_eq!(object, Some(&payload), "{size} bytes towards the caller");
    }
    let fragments: usize = site.members[0]
        .sockets()
        .iter()
        .chain([idm.socket(0), idm.socket(1)])
        .map(|s| s.fragments_received())
        .sum();
    assert_eq!(fragments, 0, "a Java acceptor never answers a fragmented message (WIRE 7.10)");
}

#[test]
fn a_call_without_anything_in_it_passes() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let bare = OperationRequest {
        connector_facade_key: Bytes::new(),
        locale: None,
        validate: Some(ValidateOpRequest {}),
        ..request()
    };
    let id = idm.call(&bare);
    let call = site.members[0].inbox.operation("the bare call");
    assert_eq!(call.operation(), Some(&bare));
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

#[test]
fn a_request_over_the_limit_gets_an_error_and_its_session_lives() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let id = idm.call(&script(noise(FRAME_BYTES_MAX + 1)));
    let answer =
        idm.inbox.next_within("an error for the huge call", Duration::from_secs(20), |f| f.answers(id));
    let error = answer.error().expect("an error");
    assert!(error.message.contains("larger than"), "{}", error.message);
    next_call_works(&mut site, &mut idm);
}

#[test]
fn an_answer_over_the_limit_is_an_error_and_both_sessions_live() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let id = idm.call(&validate_request());
    let call = site.members[0].inbox.operation("the call");
    call.socket.send(&frames::answer(call.id(), &script_answer(noise(FRAME_BYTES_MAX + 1))));
    let answer =
        idm.inbox.next_within("an error for the huge answer", Duration::from_secs(20), |f| f.answers(id));
    assert!(answer.error().is_some_and(|e| e.message.contains("larger than")), "{answer:?}");
    next_call_works(&mut site, &mut idm);
    assert!(!call.socket.is_closed(), "the member's socket was closed for one answer");
}

fn next_call_works(site: &mut ScriptedSite, idm: &mut rcs_rig::scripted::FakeIdm) {
    assert!(!idm.socket(0).is_closed(), "the caller's socket was closed for one call");
    let id = idm.call(&validate_request());
    let call = site.members[0].inbox.operation("the next call");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

fn script(arguments: Bytes) -> OperationRequest {
    let context = ScriptContext { script: None, script_arguments: arguments };
    let script = ScriptOnConnectorOpRequest { script_context: Some(context), options: Bytes::new() };
    OperationRequest { script_on_connector: Some(script), ..request() }
}

fn script_arguments(call: &Frame) -> Option<&Bytes> {
    Some(&call.operation()?.script_on_connector.as_ref()?.script_context.as_ref()?.script_arguments)
}

fn script_answer(object: Bytes) -> OperationResponse {
    OperationResponse {
        script_on_connector: Some(ScriptOnConnectorOpResponse { object }),
        ..OperationResponse::default()
    }
}

/// Bytes that compress badly and repeat with no power of two.
fn noise(size: usize) -> Bytes {
    (0..size).map(|n| (n % 251) as u8 ^ (n >> 11) as u8).collect()
}

/// RemoteMessage{id, direction{operation{body, kind{}}}} with fields nobody knows at every level.
fn strange_frame(id: i64, direction: u32, kind: u32, body: &[u8]) -> Bytes {
    let mut operation = BytesMut::from(body);
    if body.is_empty() {
        put_message(&mut operation, kind, &unknown_fields());
    }
    operation.put(unknown_fields());
    let mut middle = BytesMut::from(&unknown_fields()[..]);
    put_message(&mut middle, OPERATION, &operation);
    middle.put(unknown_fields());
    // In front of the id as well: its place is not laid down.
    let mut frame = BytesMut::from(&unknown_fields()[..]);
    frame.put_u8(8);
    put_varint(&mut frame, id as u64);
    put_message(&mut frame, direction, &middle);
    frame.put(unknown_fields());
    frame.freeze()
}

/// One field of each wire type, with numbers that no message uses.
fn unknown_fields() -> Bytes {
    let mut fields = BytesMut::new();
    put_varint(&mut fields, 100 << 3);
    put_varint(&mut fields, u64::MAX);
    put_message(&mut fields, 101, b"not of this protocol");
    put_varint(&mut fields, (102 << 3) | 5);
    fields.put_u32_le(0xdead_beef);
    put_varint(&mut fields, (103 << 3) | 1);
    fields.put_u64_le(0x0123_4567_89ab_cdef);
    fields.freeze()
}

fn put_message(to: &mut BytesMut, field: u32, body: &[u8]) {
    put_varint(to, u64::from(field << 3 | 2));
    put_varint(to, body.len() as u64);
    to.put(body);
}

fn put_varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

/// The frame less its field 1, wherever that stands.
fn without_id(frame: &[u8]) -> Vec<u8> {
    let mut rest = frame;
    let mut kept = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let key = take_varint(&mut rest);
        match key & 7 {
            0 => drop(take_varint(&mut rest)),
            1 => rest = &rest[8..],
            2 => {
                let length = take_varint(&mut rest) as usize;
                rest = &rest[length..];
            }
            5 => rest = &rest[4..],
            other => unreachable!("no peer writes wire type {other}"),
        }
        if key >> 3 != 1 {
            kept.extend(&start[..start.len() - rest.len()]);
        }
    }
    kept
}

fn take_varint(from: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().expect("a varint ends within the frame");
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
