//! Frames as WIRE gives them, and what must survive a rewritten id.

use prost::Message;

use super::*;
use crate::frames;
use crate::messages::*;

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect::<Vec<_>>()
        .into()
}

#[test]
fn sample_frames_of_wire_section_2_read_as_described() {
    let control = Envelope::parse(hex("0801 1208 1206 0a0100 1a0101")).unwrap();
    assert_eq!(control.message_id, 1);
    let Kind::ControlRequest(request) = control.kind else { panic!("control request") };
    assert_eq!((request.info_level, request.remote_request_id), (vec![0], vec![1]));

    let created = Envelope::parse(hex("0802 1a0a 1a08 1206 0a04 0a027530")).unwrap();
    let Kind::Answer(answer) = created.kind else { panic!("answer") };
    assert_eq!((created.message_id, answer.operation, answer.part), (2, Operation::Create, Part::Only));

    let tested = Envelope::parse(hex("0803 1a04 1a02 6a00")).unwrap();
    assert!(matches!(
        tested.kind,
        Kind::Answer(AnswerHead { operation: Operation::Test, part: Part::Only, .. })
    ));

    let cancel = Envelope::parse(hex("080c 1202 2200")).unwrap();
    assert!(matches!((cancel.message_id, cancel.kind), (12, Kind::Cancel)));
}

#[test]
fn builders_write_the_sample_frames() {
    use crate::frames::Ask;
    assert_eq!(
        frames::control_request(1, Ask::ConnectorInfo, &[], &[1]),
        hex("0801 1208 1206 0a0100 1a0101")
    );
    assert_eq!(frames::cancel(12), hex("080c 1202 2200"));
    let test = OperationResponse { test: Some(TestOpResponse {}), ..Default::default() };
    assert_eq!(frames::answer(3, &test), hex("0803 1a04 1a02 6a00"));
}

#[test]
fn only_the_id_changes_whatever_its_size_and_place() {
    let tail = hex("120b 1a09 ba06 0301 0203 8201 00 2a03 010203");
    let front = |id: i64| {
        let mut out = BytesMut::new();
        if id != 0 {
            out.put_u8(8);
            put_varint(&mut out, id as u64);
        }
        out.put_slice(&tail);
        out.freeze()
    };
    for from in [0, 1, 127, 128, i64::MAX, -1, i64::MIN] {
        for to in [0, 1, 300, i64::MAX, -5] {
            let envelope = Envelope::parse(front(from)).unwrap();
            assert_eq!(envelope.message_id, from);
            let rewritten = envelope.rewrite_id(to);
            assert_eq!(rewritten, front(to), "{from} to {to}");
        }
    }
    // The id may stand behind the payload: it moves to the front, nothing else does.
    let mut behind = BytesMut::from(&tail[..]);
    behind.put_slice(&[0x08, 0x07]);
    assert_eq!(Envelope::parse(behind.freeze()).unwrap().rewrite_id(9), front(9));
}

#[test]
fn doubled_or_mistyped_singular_fields_are_refused() {
    for (text, number) in [("0801 0802 1202 2200", 1), ("1202 2200 1202 2200", 2), ("1801", 3), ("0a00", 1)] {
        assert_eq!(Envelope::parse(hex(text)).unwrap_err(), FrameError::Ambiguous(number), "{text}");
    }
}

#[test]
fn operations_are_told_by_javas_order_and_sync_by_its_content() {
    let of = |request: OperationRequest| match Envelope::parse(frames::operation(5, &request)).unwrap().kind {
        Kind::Operation(head) => head,
        other => panic!("{other:?}"),
    };
    let both = OperationRequest {
        validate: Some(ValidateOpRequest {}),
        test: Some(TestOpRequest {}),
        ..Default::default()
    };
    assert_eq!(of(both).operation, Operation::Test);
    let token = sync_op_request::LatestSyncToken { object_class: "__ACCOUNT__".into() };
    let latest = SyncOpRequest { sync: None, latest_sync_token: Some(token) };
    assert_eq!(
        of(OperationRequest { sync: Some(latest), ..Default::default() }).operation,
        Operation::LatestSyncToken
    );
    let sync = SyncOpRequest { sync: Some(Default::default()), latest_sync_token: None };
    assert_eq!(of(OperationRequest { sync: Some(sync), ..Default::default() }).operation, Operation::Sync);
    assert_eq!(of(OperationRequest::default()).operation, Operation::Unknown);
    let keyed = OperationRequest {
        connector_key: Some(messages::ConnectorKey {
            bundle_name: "b".into(),
            bundle_version: "1".into(),
            connector_name: "c".into(),
        }),
        connector_facade_key: Bytes::from_static(b"Zm9v"),
        search: Some(SearchOpRequest { options: Bytes::from_static(b"opt"), ..Default::default() }),
        ..Default::default()
    };
    let head = of(keyed);
    assert_eq!(head.connector().unwrap().to_string(), "b/1/c");
    assert_eq!((&head.facade_key[..], &head.search_options()[..]), (&b"Zm9v"[..], &b"opt"[..]));
}

#[test]
fn parts_of_streams_batches_and_subscriptions_are_told_apart() {
    let part = |response: OperationResponse| match Envelope::parse(frames::answer(1, &response)).unwrap().kind
    {
        Kind::Answer(head) => head.part,
        other => panic!("{other:?}"),
    };
    let search = |sequence, object: bool, result: bool| OperationResponse {
        search: Some(SearchOpResponse {
            sequence,
            connector_object: object.then(ConnectorObject::default),
            result: result.then(SearchResult::default),
        }),
        ..Default::default()
    };
    assert_eq!(part(search(3, true, false)), Part::Item { sequence: 3 });
    assert_eq!(part(search(3, false, true)), Part::End { count: 3, has_result: true });
    assert_eq!(part(search(0, false, false)), Part::End { count: 0, has_result: false });
    let sync = |sequence, delta: bool| OperationResponse {
        sync: Some(SyncOpResponse {
            sync: Some(sync_op_response::Sync {
                sequence,
                sync_token: None,
                sync_delta: delta.then(SyncDelta::default),
            }),
            latest_sync_token: None,
        }),
        ..Default::default()
    };
    assert_eq!(part(sync(1, true)), Part::Item { sequence: 1 });
    assert_eq!(part(sync(0, false)), Part::End { count: 0, has_result: false });
    let batch = |result: BatchOpResult| part(OperationResponse { batch: Some(result), ..Default::default() });
    let task = BatchOpResult { task_id: "0".into(), complete: true, ..Default::default() };
    assert_eq!(batch(task), Part::Batch(BatchPart::Result { complete: true, failed: false }));
    let failed = BatchOpResult { task_id: "1".into(), error: true, ..Default::default() };
    assert_eq!(batch(failed), Part::Batch(BatchPart::Result { complete: false, failed: true }));
    assert_eq!(
        batch(BatchOpResult { complete: true, ..Default::default() }),
        Part::Batch(BatchPart::Complete)
    );
    let token = BatchOpResult { returns_results: true, ..Default::default() };
    assert_eq!(batch(token), Part::Batch(BatchPart::Token { returns_results: true, query_required: false }));
    let event = SyncEventSubscriptionOpResponse { sync_delta: None, completed: true };
    let event = OperationResponse { sync_event_subscription: Some(event), ..Default::default() };
    assert_eq!(part(event), Part::Event { completed: true });
}

#[test]
fn the_cookie_of_the_next_page_is_found_in_the_end() {
    let result = SearchResult { paged_results_cookie: "n1:2".into(), ..Default::default() };
    let end = SearchOpResponse { sequence: 2, result: Some(result), connector_object: None };
    let frame = frames::answer(4, &OperationResponse { search: Some(end), ..Default::default() });
    let Kind::Answer(head) = Envelope::parse(frame).unwrap().kind else { panic!("answer") };
    assert_eq!(&head.paged_results_cookie()[..], b"n1:2");
}

#[test]
fn what_prost_writes_is_what_the_walk_reads() {
    let handshake =
        HandshakeMessage { session_id: "AB".into(), server_type: 1, public_key: Bytes::from_static(&[1]) };
    let message = RemoteMessage {
        message_id: 0,
        request: Some(RpcRequest { handshake: Some(handshake.clone()), ..Default::default() }),
        response: None,
    };
    let Kind::HandshakeRequest(read) = Envelope::parse(message.encode_to_vec().into()).unwrap().kind else {
        panic!("handshake")
    };
    assert_eq!(read, handshake);
}

/// The object class is read for people, at a cost that does not grow with the request.
#[test]
fn the_object_class_of_every_operation_that_has_one_is_told() {
    let class = || "__ACCOUNT__".to_owned();
    let none = OperationRequest::default;
    let with = |request: OperationRequest| {
        let envelope = Envelope::parse(crate::frames::operation(1, &request)).unwrap();
        match envelope.kind {
            Kind::Operation(head) => head.object_class_told(),
            other => panic!("{other:?}"),
        }
    };
    let create = CreateOpRequest { object_class: class(), ..Default::default() };
    let update = UpdateOpRequest { object_class: class(), ..Default::default() };
    let delete = DeleteOpRequest { object_class: class(), ..Default::default() };
    let search = SearchOpRequest { object_class: class(), ..Default::default() };
    let sync = sync_op_request::Sync { object_class: class(), ..Default::default() };
    let sync = SyncOpRequest { sync: Some(sync), latest_sync_token: None };
    for request in [
        OperationRequest { create: Some(create), ..none() },
        OperationRequest { update: Some(update), ..none() },
        OperationRequest { delete: Some(delete), ..none() },
        OperationRequest { search: Some(search), ..none() },
        OperationRequest { sync: Some(sync), ..none() },
    ] {
        assert_eq!(with(request), "__ACCOUNT__");
    }
    assert_eq!(with(OperationRequest { test: Some(TestOpRequest {}), ..none() }), "");
}
