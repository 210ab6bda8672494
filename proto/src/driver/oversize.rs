//! What is still known of a message that was dropped: the call that it belongs to.

use bytes::Bytes;

/// The beginning of a message that was dropped. The rest was read and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OversizeHead {
    /// `RemoteMessage.messageId`; `None` if it does not come before the payload (every known peer puts it first).
    pub message_id: Option<i64>,
    /// Which kind of message it was.
    pub side: Side,
    /// Length of the whole message, bytes.
    pub total: u64,
    /// Why the message was dropped.
    pub why: Overrun,
}

/// Why a message was read and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// The message is over the limit for one message.
    Size,
    /// The room that large messages share was taken ([`super::inflow`]).
    Room,
    /// The message came too slowly ([`super::limits::MESSAGE_BYTES_PER_SECOND`]).
    Pace,
}

/// Whether an oversized message asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A request: answer it with an error of that id.
    Request,
    /// An answer: the call of that id that we sent has failed.
    Response,
    /// It could not be told.
    Unknown,
}

impl OversizeHead {
    /// Reads what `head`, a message's first bytes, tells.
    pub fn read(head: &Bytes, total: u64, why: Overrun) -> Self {
        let mut found = Self { message_id: None, side: Side::Unknown, total, why };
        let mut rest = &head[..];
        // Fields 1 to 3 of the envelope (WIRE 3.1); the first one that does not end within the head is the payload.
        while let Some((tag, after)) = varint(rest) {
            match (tag >> 3, tag & 7) {
                (1, 0) => {
                    let Some((id, after)) = varint(after) else { break };
                    found.message_id = Some(id as i64);
                    rest = after;
                    continue;
                }
                (2, 2) => found.side = Side::Request,
                (3, 2) => found.side = Side::Response,
                (_, 2) => {}
                _ => break,
            }
            let skipped = varint(after)
                .and_then(|(length, body)| body.get(usize::try_from(length).unwrap_or(usize::MAX)..));
            let Some(after) = skipped else { break };
            rest = after;
        }
        found
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_of_an_oversized_message_is_found_in_its_first_bytes() {
        let long = vec![0x41; 100];
        let message = |prefix: &[u8], field: u8| {
            let mut bytes = prefix.to_vec();
            // A field of 5000 bytes, of which the head holds 100.
            bytes.extend_from_slice(&[(field << 3) | 2, 0x88, 0x27]);
            bytes.extend_from_slice(&long);
            OversizeHead::read(&Bytes::from(bytes), 5003, Overrun::Size)
        };
        for (case, prefix, field, id, side) in [
            ("request 7", &[0x08, 7][..], 2, Some(7), Side::Request),
            (
                "response -1",
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                3,
                Some(-1),
                Side::Response,
            ),
            ("unknown field first", &[0x7a, 1, 0, 0x08, 9], 3, Some(9), Side::Response),
            ("no id", &[], 2, None, Side::Request),
            ("unknown payload", &[0x08, 7], 15, Some(7), Side::Unknown),
            ("not protobuf", &[0xff; 12], 2, None, Side::Unknown),
        ] {
            assert_eq!(
                message(prefix, field),
                OversizeHead { message_id: id, side, total: 5003, why: Overrun::Size },
                "{case}"
            );
        }
        assert_eq!(OversizeHead::read(&Bytes::new(), 9, Overrun::Pace).side, Side::Unknown);
    }
}
