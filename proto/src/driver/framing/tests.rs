use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::{
    Message, Role as OracleRole, WebSocket as Oracle, WebSocketConfig,
};

use super::decode::Violation;
use super::*;
use crate::driver::limits::{OVERSIZE_HEAD_BYTES, READ_BYTES_MAX};
use crate::driver::oversize::Overrun;

const LIMITS: Limits = Limits { message: 5000, hard: 20_000 };

/// Feeds the bytes in pieces of that size.
fn decode(role: Role, bytes: &[u8], piece: usize) -> Result<Vec<Inbound>, Violation> {
    let mut decoder = Decoder::new(role, LIMITS, Bytes::new());
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.space().extend_from_slice(piece);
        decoder.note_read(piece.len());
        while let Some(inbound) = decoder.decode()? {
            found.push(inbound);
        }
    }
    Ok(found)
}

/// One raw frame as a client sends it, with a mask of our choice.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

#[test]
fn fragments_are_put_together_around_control_frames() {
    let mut bytes = raw(0x02, b"one ");
    bytes.extend(raw(0x89, b"ping"));
    bytes.extend(raw(0x00, b""));
    bytes.extend(raw(0x80, b"two"));
    bytes.extend(raw(0x8a, b""));
    for piece in [1, 2, 7, 1000] {
        assert_eq!(
            decode(Role::Server, &bytes, piece),
            Ok(vec![
                Inbound::Ping(Bytes::from_static(b"ping")),
                Inbound::Binary(Bytes::from_static(b"one two")),
                Inbound::Pong
            ]),
            "in pieces of {piece}"
        );
    }
}

#[test]
fn a_message_over_the_limit_is_dropped_but_for_its_head_and_the_next_one_arrives() {
    let big: Vec<u8> = (0..6000u32).map(|i| i as u8).collect();
    let head = Bytes::copy_from_slice(&big[..OVERSIZE_HEAD_BYTES]);
    let whole = raw(0x82, &big);
    let fragmented =
        [raw(0x02, &big[..700]), raw(0x00, &big[700..4900]), raw(0x89, b""), raw(0x80, &big[4900..])]
            .concat();
    for (case, mut bytes, ping) in [("whole", whole, false), ("fragmented", fragmented, true)] {
        bytes.extend(raw(0x82, b"next"));
        for piece in [1, 3, 999, 100_000] {
            let mut found = decode(Role::Server, &bytes, piece).unwrap();
            if ping {
                let at = found.iter().position(|inbound| matches!(inbound, Inbound::Ping(_))).unwrap();
                found.remove(at);
            }
            assert_eq!(
                found,
                [
                    Inbound::Oversize { head: head.clone(), total: 6000, why: Overrun::Size },
                    Inbound::Binary(Bytes::from_static(b"next"))
                ],
                "{case} in pieces of {piece}"
            );
        }
    }
}

#[test]
fn text_is_dropped_without_being_kept() {
    let bytes = [raw(0x01, &[b'x'; 3000]), raw(0x80, b"y"), raw(0x81, b"z"), raw(0x82, b"b")].concat();
    let found = decode(Role::Server, &bytes, 100).unwrap();
    assert_eq!(found, [Inbound::Text, Inbound::Text, Inbound::Binary(Bytes::from_static(b"b"))]);
}

#[test]
fn what_breaks_the_rules_is_told_apart() {
    let unmasked = [0x82, 0x01, 0x00];
    let endless = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    for (case, bytes, violation) in [
        ("reserved bit", raw(0xc2, b""), Violation::ReservedBit),
        ("opcode 3", raw(0x83, b""), Violation::UnknownOpcode(3)),
        ("long ping", raw(0x89, &[0; 126]), Violation::BadControl),
        ("ping in fragments", raw(0x09, b""), Violation::BadControl),
        ("unmasked client", unmasked.to_vec(), Violation::Masking),
        ("continuation of nothing", raw(0x80, b""), Violation::Fragments),
        ("message within a message", [raw(0x02, b"a"), raw(0x82, b"b")].concat(), Violation::Fragments),
        ("endless claim", endless.to_vec(), Violation::HardLimit(i64::MAX as u64)),
        (
            "endless by fragments",
            [raw(0x02, &[0; 15_000]), raw(0x00, &[0; 6_000])].concat(),
            Violation::HardLimit(21_000),
        ),
    ] {
        assert_eq!(decode(Role::Server, &bytes, 1), Err(violation), "{case}");
    }
    assert_eq!(decode(Role::Client, &raw(0x82, b""), 9), Err(Violation::Masking), "masked server");
}

#[test]
fn a_length_field_alone_makes_no_memory() {
    let mut decoder = Decoder::new(Role::Client, Limits { message: 1 << 30, hard: 1 << 31 }, Bytes::new());
    decoder.space().extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff]);
    assert_eq!(decoder.decode(), Ok(None));
    let mut arrived = 0;
    for _ in 0..200 {
        let space = decoder.space();
        let capacity = space.capacity();
        assert!(capacity <= 4 * (arrived + 16 * 1024), "{capacity} bytes kept for {arrived}");
        let piece = (capacity - space.len()).min(1000);
        space.extend_from_slice(&vec![0; piece]);
        arrived += piece;
        assert_eq!(decoder.decode(), Ok(None));
    }
}

/// OPENICF-3538: an idle socket must not keep the memory of the largest message that it ever carried.
#[test]
fn a_large_message_leaves_no_memory_behind() {
    let mut decoder = Decoder::new(Role::Client, Limits::default(), Bytes::new());
    for _ in 0..2 {
        let message = [&[0x82, 127, 0, 0, 0, 0, 0, 0x40, 0, 0][..], &vec![7; 4 << 20], &[0x8a, 0]].concat();
        let mut rest = &message[..];
        let mut found = Vec::new();
        while !rest.is_empty() {
            let space = decoder.space();
            let piece = (space.capacity() - space.len()).min(rest.len());
            space.extend_from_slice(&rest[..piece]);
            rest = &rest[piece..];
            while let Ok(Some(inbound)) = decoder.decode() {
                found.push(inbound);
            }
        }
        assert_eq!(found.len(), 2);
        drop(found);
        let kept = decoder.space().capacity();
        assert!(kept <= 2 * READ_BYTES_MAX, "{kept} bytes kept");
    }
}

/// What tungstenite makes of the same bytes.
fn oracle_reads(role: OracleRole, bytes: &[u8]) -> Vec<Message> {
    let stream = std::io::Cursor::new(bytes.to_vec());
    let mut oracle = Oracle::from_raw_socket(stream, role, None);
    std::iter::from_fn(|| oracle.read().ok()).collect()
}

/// What tungstenite writes.
fn oracle_writes(role: OracleRole, messages: &[Message]) -> Vec<u8> {
    let config = WebSocketConfig::default();
    let mut oracle = Oracle::from_raw_socket(std::io::Cursor::new(Vec::new()), role, Some(config));
    for message in messages {
        oracle.write(message.clone()).unwrap();
    }
    oracle.flush().unwrap();
    oracle.into_inner().into_inner()
}

fn message() -> impl Strategy<Value = (Opcode, Vec<u8>)> {
    let sizes = prop_oneof![0usize..130, 120usize..130, 4_900usize..5_001];
    prop_oneof![
        4 => sizes.prop_map(|size| (Opcode::Binary, size)),
        1 => (0usize..126).prop_map(|size| (Opcode::Ping, size)),
        1 => Just((Opcode::Pong, 0)),
    ]
    .prop_map(|(opcode, size)| (opcode, (0..size).map(|i| (i * 7) as u8).collect()))
}

fn as_oracle((opcode, payload): &(Opcode, Vec<u8>)) -> Message {
    let payload = payload.clone();
    match opcode {
        Opcode::Ping => Message::Ping(payload.into()),
        Opcode::Pong => Message::Pong(payload.into()),
        _ => Message::Binary(payload.into()),
    }
}

fn as_inbound((opcode, payload): &(Opcode, Vec<u8>)) -> Inbound {
    let payload = Bytes::copy_from_slice(payload);
    match opcode {
        Opcode::Ping => Inbound::Ping(payload),
        Opcode::Pong => Inbound::Pong,
        _ => Inbound::Binary(payload),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn tungstenite_reads_what_we_write(messages in proptest::collection::vec(message(), 0..8)) {
        for (ours, theirs) in [(Role::Client, OracleRole::Server), (Role::Server, OracleRole::Client)] {
            let mut bytes = Vec::new();
            for (opcode, payload) in &messages {
                frame_into(&mut bytes, ours, *opcode, payload);
            }
            let expected: Vec<Message> = messages.iter().map(as_oracle).collect();
            prop_assert_eq!(oracle_reads(theirs, &bytes), expected);
        }
    }

    #[test]
    fn we_read_what_tungstenite_writes(messages in proptest::collection::vec(message(), 0..8), piece in 1usize..3000) {
        for (ours, theirs) in [(Role::Client, OracleRole::Server), (Role::Server, OracleRole::Client)] {
            // Pongs of its own choice would be put between ours.
            let sent: Vec<_> = messages.iter().filter(|(opcode, _)| *opcode != Opcode::Pong).cloned().collect();
            let bytes = oracle_writes(theirs, &sent.iter().map(as_oracle).collect::<Vec<_>>());
            let expected: Vec<Inbound> = sent.iter().map(as_inbound).collect();
            prop_assert_eq!(decode(ours, &bytes, piece), Ok(expected));
        }
    }

    #[test]
    fn any_bytes_end_in_messages_or_a_violation(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
        for role in [Role::Client, Role::Server] {
            let whole = decode(role, &bytes, 1000);
            prop_assert_eq!(decode(role, &bytes, piece), whole, "the cutting makes no difference");
        }
    }

    #[test]
    fn masking_twice_is_nothing(data in proptest::collection::vec(any::<u8>(), 0..40), mask in any::<[u8; 4]>()) {
        let mut masked = BytesMut::from(&data[..]);
        apply_mask(&mut masked, mask);
        let expected: Vec<u8> = data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        prop_assert_eq!(&masked[..], &expected[..]);
        apply_mask(&mut masked, mask);
        prop_assert_eq!(&masked[..], &data[..]);
    }
}

/// A decoder that stops anywhere can be followed by another one, which has only its unread bytes.
#[test]
fn what_is_unread_is_read_by_another_decoder_to_the_same_effect() {
    for role in [Role::Server, Role::Client] {
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let mut stream = Vec::new();
        frame_into(&mut stream, peer, Opcode::Binary, b"first");
        let fragment = |stream: &mut Vec<u8>, opcode: Opcode, is_final, payload: &[u8]| {
            let mask = (peer == Role::Client).then_some([9, 8, 7, 6]);
            let header = FrameHeader { opcode: opcode.to_wire(), is_final, mask, ..FrameHeader::default() };
            header.format(payload.len() as u64, stream).unwrap();
            let start = stream.len();
            stream.extend_from_slice(payload);
            if let Some(mask) = mask {
                apply_mask(&mut stream[start..], mask);
            }
        };
        fragment(&mut stream, Opcode::Binary, false, b"in ");
        fragment(&mut stream, Opcode::Ping, true, b"still there?");
        fragment(&mut stream, Opcode::Continuation, false, b"three ");
        fragment(&mut stream, Opcode::Continuation, true, b"pieces");
        fragment(&mut stream, Opcode::Binary, false, b"");
        fragment(&mut stream, Opcode::Continuation, true, b"empty at first");
        frame_into(&mut stream, peer, Opcode::Binary, &[5; 200]);
        let all = |first: &[u8], rest: &[u8]| {
            let mut decoder = Decoder::new(role, Limits::default(), Bytes::copy_from_slice(first));
            let mut found = Vec::new();
            let take = |decoder: &mut Decoder, found: &mut Vec<Inbound>| {
                while let Some(inbound) = decoder.decode().unwrap() {
                    found.push(inbound);
                }
            };
            take(&mut decoder, &mut found);
            let unread = decoder.unread().expect("nothing is dropped");
            let mut next = Decoder::new(role, Limits::default(), [&unread, rest].concat().into());
            take(&mut next, &mut found);
            found
        };
        let whole = all(&stream, &[]);
        assert_eq!(whole.len(), 5, "{whole:?}");
        for cut in 0..stream.len() {
            assert_eq!(all(&stream[..cut], &stream[cut..]), whole, "{role:?} {cut}");
        }
    }
}
