//! The hot path's reader of frames. It agrees with prost about the id and about who is called, and a rewritten id or connector
//! changes nothing else.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use rcs_proto::driver::oversize::{Overrun, OversizeHead};
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::icf::ConnectorKey;
use rcs_proto::messages::RemoteMessage;

const IDS: [i64; 4] = [0, 1, 0x1234_5678, i64::MAX];

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    rcs_fuzz::within_bound(data.len(), || {
        let _ = OversizeHead::read(&frame, u64::MAX, Overrun::Size);
        let Ok(envelope) = Envelope::parse(frame.clone()) else { return };
        assert_eq!(envelope.frame(), &frame);
        look_into(&envelope);
        if let Ok(message) = RemoteMessage::decode(frame.clone()) {
            assert_eq!(message.message_id, envelope.message_id);
        }
        for id in IDS {
            let rewritten = envelope.rewrite_id(id);
            let again = Envelope::parse(rewritten).expect("a rewritten frame stays a frame");
            assert_eq!(again.message_id, id);
            assert_eq!(shape(&again), shape(&envelope));
            for other in IDS.into_iter().filter(|other| ![id, envelope.message_id].contains(other)) {
                assert_eq!(again.rewrite_id(other), envelope.rewrite_id(other), "{id}, then {other}");
            }
        }
        call_another_connector(&frame, &envelope);
    });
});

/// What prost reads of a request under another connector is what it read before, but for the key; and the way back leads to
/// what it came from.
fn call_another_connector(frame: &Bytes, envelope: &Envelope) {
    let id = envelope.message_id;
    let key = ConnectorKey {
        bundle_name: "b".into(),
        bundle_version: "1.0.0.1".repeat(20),
        connector_name: "c".into(),
    };
    let Some(rewritten) = envelope.rewrite_id_and_connector(id, &key) else { return };
    let again = Envelope::parse(rewritten.clone()).expect("a rewritten frame stays a frame");
    assert_eq!(again.message_id, id);
    assert_eq!(shape(&again), shape(envelope));
    let settled = again.rewrite_id_and_connector(id, &key).expect("it can be done again");
    assert_eq!(settled, rewritten, "the key that is there already changes nothing");
    for other in IDS.into_iter().filter(|other| *other != id) {
        let at_once = envelope.rewrite_id_and_connector(other, &key).expect("whatever the id");
        assert_eq!(at_once, again.rewrite_id(other));
    }
    let (Ok(mut before), Ok(after)) =
        (RemoteMessage::decode(frame.clone()), RemoteMessage::decode(rewritten))
    else {
        return;
    };
    if let Some(operation) = before.request.as_mut().and_then(|request| request.operation.as_mut())
        && let Some(old) = operation.connector_key.as_mut()
    {
        (old.bundle_name, old.bundle_version, old.connector_name) =
            (key.bundle_name, key.bundle_version, key.connector_name);
    }
    assert_eq!(before.encode_to_vec(), after.encode_to_vec());
}

fn look_into(envelope: &Envelope) {
    match &envelope.kind {
        Kind::Operation(head) => {
            let _ = (head.connector(), head.search_options());
        }
        Kind::Answer(head) => {
            let _ = head.paged_results_cookie();
        }
        _ => {}
    }
}

fn shape(envelope: &Envelope) -> String {
    format!("{:?}", envelope.kind)
}
