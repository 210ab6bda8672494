//! A request under another id and another connector key: what prost would write, and what prost would lose.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::frames;
use crate::icf::ConnectorKey;
use crate::messages::{
    ConnectorKey as KeyMessage, CreateOpRequest, OperationRequest, SearchOpRequest, TestOpRequest,
};

fn key(bundle: &str, version: &str, connector: &str) -> ConnectorKey {
    ConnectorKey {
        bundle_name: bundle.into(),
        bundle_version: version.into(),
        connector_name: connector.into(),
    }
}

fn message_of(key: &ConnectorKey) -> KeyMessage {
    KeyMessage {
        bundle_name: key.bundle_name.clone(),
        bundle_version: key.bundle_version.clone(),
        connector_name: key.connector_name.clone(),
    }
}

/// One length-delimited field.
fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, number << 3 | 2);
    put_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn rewritten(frame: &[u8], id: i64, key: &ConnectorKey) -> Option<Bytes> {
    Envelope::parse(Bytes::copy_from_slice(frame)).unwrap().rewrite_id_and_connector(id, key)
}

#[test]
fn only_a_request_that_names_its_connector_once_is_rewritten() {
    let new = key("b", "2", "c");
    let named = field(1, &message_of(&key("b", "1", "c")).encode_to_vec());
    let request = |operation: &[u8]| field(2, &field(3, operation));
    assert!(rewritten(&request(&named), 1, &new).is_some());
    // No key, two keys, a key with a text twice, a key that is no message, two operations, an answer, a cancel, nothing.
    assert_eq!(rewritten(&request(&field(2, b"facade")), 1, &new), None);
    assert_eq!(rewritten(&request(&[&named[..], &named].concat()), 1, &new), None);
    assert_eq!(rewritten(&request(&field(1, &[field(2, b"1"), field(2, b"1")].concat())), 1, &new), None);
    assert_eq!(rewritten(&request(&field(1, &[0x0b])), 1, &new), None);
    assert_eq!(rewritten(&field(2, &[field(3, &named), field(3, &named)].concat()), 1, &new), None);
    assert_eq!(rewritten(&field(3, &field(3, &named)), 1, &new), None);
    assert_eq!(rewritten(&frames::cancel(4), 1, &new), None);
    assert_eq!(rewritten(&[], 1, &new), None);
}

#[test]
fn lengths_grow_over_a_bound_of_their_own_at_each_level() {
    let call = |id, key: &ConnectorKey| {
        let request = OperationRequest {
            connector_key: Some(message_of(key)),
            connector_facade_key: Bytes::from_static(&[b'x'; 90]),
            ..Default::default()
        };
        frames::operation(id, &request)
    };
    let old = key("b", "1", "c");
    for bytes in [1, 20, 120, 127, 128, 16_200, 16_384, 70_000] {
        let new = key("b", &"2".repeat(bytes), "c");
        assert_eq!(rewritten(&call(7, &old), 300, &new).unwrap(), call(300, &new), "{bytes} bytes longer");
        assert_eq!(rewritten(&call(7, &new), 300, &old).unwrap(), call(300, &old), "{bytes} bytes shorter");
    }
}

#[test]
fn the_same_id_and_key_give_the_same_bytes_however_they_are_spelled() {
    // Lengths in more bytes than they need, and the id behind the request.
    let key_content = [&[0x12, 0x83, 0x00][..], b"1.0"].concat();
    let operation = [&[0x0a, 0x80 | key_content.len() as u8, 0x00][..], &key_content].concat();
    let request = [&[0x1a, 0x80 | operation.len() as u8, 0x00][..], &operation].concat();
    let frame = [&[0x12, 0x80 | request.len() as u8, 0x00][..], &request, &[0x08, 0x05]].concat();
    assert_eq!(rewritten(&frame, 5, &key("", "1.0", "")).unwrap(), frame);
    let other = rewritten(&frame, 6, &key("b", "1.0", "")).unwrap();
    let Kind::Operation(head) = Envelope::parse(other).unwrap().kind else { panic!("an operation") };
    assert_eq!(head.connector(), Some(key("b", "1.0", "")));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.0-9-]{1,12}", "[a-zé%/ ]{1,200}"]
}

fn connector_key() -> impl Strategy<Value = ConnectorKey> {
    (text(), text(), text()).prop_map(|(bundle, version, connector)| key(&bundle, &version, &connector))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn request() -> impl Strategy<Value = OperationRequest> {
    let facade_key = bytes();
    let create =
        (text(), bytes(), bytes()).prop_map(|(object_class, create_attributes, options)| OperationRequest {
            create: Some(CreateOpRequest { object_class, create_attributes, options }),
            ..Default::default()
        });
    let search = (text(), bytes(), bytes()).prop_map(|(object_class, filter, options)| OperationRequest {
        search: Some(SearchOpRequest { object_class, filter, options }),
        ..Default::default()
    });
    let test = Just(OperationRequest { test: Some(TestOpRequest {}), ..Default::default() });
    (connector_key(), facade_key, prop_oneof![create, search, test]).prop_map(|(key, facade_key, request)| {
        OperationRequest {
            connector_key: Some(message_of(&key)),
            connector_facade_key: facade_key,
            ..request
        }
    })
}

/// Fields that no reader knows, none of them a number that one looks for.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    vec((100u64..3_000, vec(any::<u8>(), 0..40)), 0..3)
        .prop_map(|fields| fields.into_iter().flat_map(|(number, content)| field(number, &content)).collect())
}

proptest! {
    #[test]
    fn prost_writes_the_same(request in request(), id in any::<i64>(), to in any::<i64>(), new in connector_key()) {
        let frame = rewritten(&frames::operation(id, &request), to, &new).unwrap();
        let wanted = OperationRequest { connector_key: Some(message_of(&new)), ..request };
        prop_assert_eq!(frame, frames::operation(to, &wanted));
    }

    #[test]
    fn unknown_fields_stay_in_their_places(
        old in connector_key(),
        new in connector_key(),
        (to, id_first) in (1i64.., any::<bool>()),
        around in vec(unknown(), 8..=8),
    ) {
        let frame = |id: i64, key: &ConnectorKey, id_first: bool| {
            let texts = [field(3, key.connector_name.as_bytes()), field(1, key.bundle_name.as_bytes())].concat();
            let key = [&around[0][..], &texts, &around[1], &field(2, key.bundle_version.as_bytes())].concat();
            let operation = [&around[2][..], &field(13, b""), &field(1, &key), &around[3]].concat();
            let request = [&around[4][..], &field(3, &operation), &around[5]].concat();
            let mut id_field = vec![0x08];
            put_varint(&mut id_field, id as u64);
            let rest = [&around[6][..], &field(2, &request), &around[7]].concat();
            if id_first { [id_field, rest].concat() } else { [rest, id_field].concat() }
        };
        prop_assert_eq!(rewritten(&frame(0x55, &old, id_first), to, &new).unwrap(), frame(to, &new, id_first || to != 0x55));
    }

    #[test]
    fn it_is_rewriting_the_id_and_then_the_connector(data in vec(any::<u8>(), 0..60), operation in unknown(), id in any::<i64>()) {
        // What is in the place of the key may be anything.
        let new = key("b", "2", "c");
        for frame in [data.clone(), field(2, &field(3, &[field(1, &data), operation].concat()))] {
            let Ok(envelope) = Envelope::parse(frame.into()) else { continue };
            let at_once = envelope.rewrite_id_and_connector(id, &new);
            let in_turn = Envelope::parse(envelope.rewrite_id(id)).unwrap().rewrite_id_and_connector(id, &new);
            prop_assert_eq!(&at_once, &in_turn);
            if let Some(frame) = at_once {
                let again = Envelope::parse(frame).unwrap();
                prop_assert_eq!(again.message_id, id);
                let Kind::Operation(head) = again.kind else { panic!("an operation stays one") };
                // What else the key holds may be more than prost takes.
                prop_assert!(head.connector().is_none_or(|read| read == new));
            }
        }
    }
}
