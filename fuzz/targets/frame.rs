//! The WebSocket framing decoder. However the bytes are cut, it finds the same messages, none over its limit.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rcs_proto::driver::Role;
use rcs_proto::driver::framing::{Decoder, Inbound, Limits, Violation};

/// Small, so that inputs reach and pass them.
const LIMITS: Limits = Limits { message: 300, hard: 1500 };

fuzz_target!(|data: &[u8]| {
    let Some((&steer, bytes)) = data.split_first() else { return };
    let role = if steer & 1 == 0 { Role::Client } else { Role::Server };
    let piece = usize::from(steer >> 1) + 1;
    rcs_fuzz::within_bound(data.len(), || {
        let whole = decode(role, bytes, bytes.len().max(1));
        let pieces = decode(role, bytes, piece);
        assert_eq!(whole, pieces, "cut into pieces of {piece}");
        for found in whole.0 {
            match found {
                Inbound::Binary(message) => assert!(message.len() <= LIMITS.message),
                Inbound::Oversize { total, .. } => assert!(total > LIMITS.message as u64),
                Inbound::Ping(payload) => assert!(payload.len() <= 125),
                Inbound::Text | Inbound::Pong | Inbound::Close(_) => {}
            }
        }
    });
});

/// What was found, up to the violation that ended it.
fn decode(role: Role, bytes: &[u8], piece: usize) -> (Vec<Inbound>, Option<Violation>) {
    let mut decoder = Decoder::new(role, LIMITS, Bytes::new());
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.space().extend_from_slice(piece);
        decoder.note_read(piece.len());
        loop {
            match decoder.decode() {
                Ok(Some(inbound)) => found.push(inbound),
                Ok(None) => break,
                Err(violation) => return (found, Some(violation)),
            }
        }
    }
    (found, None)
}
