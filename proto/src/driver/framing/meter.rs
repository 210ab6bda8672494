//! Where in a stream of frames a byte stands.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

/// The longest header of a frame: two bytes, eight of length, four of mask (RFC 6455, section 5.2).
pub const HEADER_BYTES_MAX: usize = 14;

/// Follows the frames of one direction of a WebSocket as they pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameMeter {
    /// The header's bytes that have passed, while the header is not complete.
    header: Vec<u8>,
    /// Bytes of the payload that have not passed yet.
    left: u64,
}

impl FrameMeter {
    /// A meter that goes on where another one stopped: within a header whose first bytes are these, or before the last `left` bytes
    /// of a payload.
    pub fn resumed(header: Vec<u8>, left: u64) -> Self {
        Self { header, left }
    }

    /// The first bytes of the header that is under way.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Bytes of the payload that have not passed yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether the next byte is the first one of a frame.
    pub fn is_between_frames(&self) -> bool {
        self.header.is_empty() && self.left == 0
    }

    /// These bytes have passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// How many of these bytes belong to the frame that is under way; 0 between two frames.
    pub fn pass_frame(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() && !self.is_between_frames() {
            used += self.step(&bytes[used..]);
        }
        used
    }

    /// Takes in bytes of one header or one payload; returns their number, at least 1.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= passed as u64;
            return passed;
        }
        let before = self.header.len();
        let more = bytes.len().min(HEADER_BYTES_MAX - before);
        self.header.extend_from_slice(&bytes[..more]);
        let mut cursor = Cursor::new(&self.header);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((_, left))) => {
                let used = usize::try_from(cursor.position()).unwrap_or(before).saturating_sub(before);
                self.header.clear();
                self.left = left;
                used.max(1)
            }
            // Our own frames have good headers. What is no frame is passed by byte for byte.
            Err(_) => {
                self.header.clear();
                more
            }
            Ok(None) => more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Opcode, Role, frame_into};
    use super::*;

    #[test]
    fn a_meter_knows_the_borders_whatever_the_pieces() {
        for role in [Role::Server, Role::Client] {
            let (mut stream, mut borders) = (Vec::new(), vec![0]);
            for size in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000, 2] {
                frame_into(&mut stream, role, Opcode::Binary, &vec![7; size]);
                borders.push(stream.len());
            }
            for piece in [1, 2, 3, 13, 14, 15, 127, 4_096, usize::MAX] {
                let (mut meter, mut at) = (FrameMeter::default(), 0);
                while at < stream.len() {
                    assert_eq!(meter.is_between_frames(), borders.contains(&at), "{role:?} {piece} {at}");
                    let next = at.saturating_add(piece).min(stream.len());
                    meter.pass(&stream[at..next]);
                    at = next;
                }
                assert!(meter.is_between_frames());
            }
        }
    }

    #[test]
    fn a_resumed_meter_finds_the_end_of_the_frame_under_way() {
        let mut stream = Vec::new();
        frame_into(&mut stream, Role::Server, Opcode::Binary, &[7; 300]);
        let end = stream.len();
        frame_into(&mut stream, Role::Server, Opcode::Binary, &[8; 5]);
        for cut in 1..end {
            let mut before = FrameMeter::default();
            before.pass(&stream[..cut]);
            let mut after = FrameMeter::resumed(before.header().to_vec(), before.left());
            assert_eq!(after.pass_frame(&stream[cut..]), end - cut, "{cut}");
            assert!(after.is_between_frames());
            assert_eq!(after.pass_frame(&stream[end..]), 0);
        }
    }
}
