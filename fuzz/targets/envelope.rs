//! The hot path's reader of frames. It agrees with prost about the id, and a rewritten id changes nothing else.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use rcs_proto::driver::oversize::OversizeHead;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::messages::RemoteMessage;

const IDS: [i64; 4] = [0, 1, 0x1234_5678, i64::MAX];

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    rcs_fuzz::within_bound(data.len(), || {
        let _ = OversizeHead::read(&frame, u64::MAX);
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
    });
});

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
