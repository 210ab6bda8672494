//! Cuts a stream of bytes where it may be cut: behind the head of the upgrade, and behind each WebSocket frame.

use bytes::{Bytes, BytesMut};
use rcs_proto::envelope::{Envelope, Kind, Part};
use rcs_proto::operation::Operation;

/// A piece of the stream.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) bytes: Bytes,
    pub(super) content: Content,
}

/// What a piece holds, as far as a trap wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A call's request.
    Call(Operation),
    /// A part of an answer that is not its last.
    Item(Operation),
    /// The last frame of an answer.
    End(Operation),
    /// An error that ends a call.
    Error,
    /// Anything else.
    Other,
}

impl Unit {
    /// Bytes of which nothing is known.
    pub(super) fn of_unknown(bytes: Bytes) -> Self {
        Self { bytes, content: Content::Other }
    }

    /// A caller's call; `test` is the router's own probe here.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.content, Content::Call(operation) if operation != Operation::Test)
    }
}

/// Where in the stream we are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Units {
    /// In the head of the HTTP upgrade.
    #[default]
    Head,
    /// Behind it.
    Frames,
}

impl Units {
    /// The next whole piece at the front of what was read.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Option<Unit> {
        match self {
            Self::Head => {
                let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
                *self = Self::Frames;
                Some(Unit::of_unknown(read.split_to(end + 4).freeze()))
            }
            Self::Frames => {
                let header = Header::read(read)?;
                let whole = header.bytes.checked_add(header.payload)?;
                if read.len() < whole {
                    return None;
                }
                let bytes = read.split_to(whole).freeze();
                let content = if header.is_message { header.content(&bytes) } else { Content::Other };
                Some(Unit { bytes, content })
            }
        }
    }
}

/// A frame's header (RFC 6455, section 5.2).
struct Header {
    /// Its own length.
    bytes: usize,
    payload: usize,
    mask: Option<[u8; 4]>,
    /// A whole binary message.
    is_message: bool,
}

impl Header {
    /// `None` until it is whole.
    fn read(read: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = read.split_first_chunk()?;
        let (payload, rest) = match second & 0x7f {
            126 => rest
                .split_first_chunk()
                .map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest))?,
            127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
            length => (u64::from(length), rest),
        };
        let (mask, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => rest.split_first_chunk().map(|(mask, rest)| (Some(*mask), rest))?,
        };
        let payload = usize::try_from(payload).ok()?;
        Some(Self { bytes: read.len() - rest.len(), payload, mask, is_message: first == 0x82 })
    }

    fn content(&self, frame: &Bytes) -> Content {
        let payload = frame.slice(self.bytes..);
        let clear = match self.mask {
            None => payload,
            Some(mask) => payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(),
        };
        match Envelope::parse(clear).map(|envelope| envelope.kind) {
            Ok(Kind::Operation(head)) => Content::Call(head.operation),
            Ok(Kind::Answer(head)) => match head.part {
                Part::Only | Part::End { .. } => Content::End(head.operation),
                _ => Content::Item(head.operation),
            },
            Ok(Kind::Error(_)) => Content::Error,
            _ => Content::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcs_proto::messages::{OperationResponse, SearchOpResponse, TestOpResponse};

    use super::*;

    /// A frame as a client sends it (masked) or a server.
    fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let flag = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..126 => bytes.push(flag | u8::try_from(short).unwrap()),
            long => {
                bytes.push(flag | 126);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let mask = mask.unwrap_or_default();
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    #[test]
    fn a_stream_is_cut_behind_head_and_frames_wherever_reads_end() {
        let test = OperationResponse { test: Some(TestOpResponse {}), ..Default::default() };
        let item = SearchOpResponse {
            sequence: 1,
            connector_object: Some(rcs_proto::messages::ConnectorObject {
                object_class: "x".repeat(300),
                ..Default::default()
            }),
            ..Default::default()
        };
        let search = OperationResponse { search: Some(item), ..Default::default() };
        let pieces = [
            (b"HTTP/1.1 101 x\r\n\r\n".to_vec(), Content::Other),
            (
                frame(2, &rcs_proto::frames::answer(7, &test), Some([1, 2, 3, 4])),
                Content::End(Operation::Test),
            ),
            (frame(2, &rcs_proto::frames::answer(8, &search), None), Content::Item(Operation::Search)),
            (frame(9, b"ping", None), Content::Other),
        ];
        let stream: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        for step in [1, 2, 3, 7, stream.len()] {
            let (mut units, mut buffer, mut found) = (Units::default(), BytesMut::new(), Vec::new());
            for chunk in stream.chunks(step) {
                buffer.extend_from_slice(chunk);
                while let Some(unit) = units.next(&mut buffer) {
                    found.push((unit.bytes.to_vec(), unit.content));
                }
            }
            assert_eq!(found, pieces, "read {step} bytes at a time");
            assert!(buffer.is_empty());
        }
    }
}
