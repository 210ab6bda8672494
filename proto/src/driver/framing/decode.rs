//! Frames inwards: whole messages out of any cutting of the byte stream.

use std::fmt;
use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::meter::HEADER_BYTES_MAX;
use super::{Opcode, Role, apply_mask};
use crate::driver::limits;
use crate::driver::oversize::Overrun;
use crate::withheld::Withheld;

/// What the decoder found.
#[derive(Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A whole binary message, unmasked, put together if it came in fragments.
    Binary(Bytes),
    /// A binary message over [`Limits::message`], or a message that was given up. Its first bytes are here, and the rest was read and
    /// dropped.
    Oversize {
        /// At most [`limits::OVERSIZE_HEAD_BYTES`].
        head: Bytes,
        /// The message's whole length, bytes.
        total: u64,
        /// Why the message was dropped.
        why: Overrun,
    },
    /// A text message, dropped: the protocol has none (WIRE 1.2).
    Text,
    /// A ping and its payload, at most 125 bytes.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The peer's Close, with its code if it gave one. Nothing may follow.
    Close(Option<u16>),
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(message) => f.debug_tuple("Binary").field(&Withheld(message)).finish(),
            Self::Oversize { total, why, .. } => write!(f, "Oversize({total} bytes, {why:?})"),
            Self::Text => f.write_str("Text"),
            Self::Ping(payload) => f.debug_tuple("Ping").field(&Withheld(payload)).finish(),
            Self::Pong => f.write_str("Pong"),
            Self::Close(code) => f.debug_tuple("Close").field(code).finish(),
        }
    }
}

/// Why a socket cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit without an extension that gives it a meaning.
    #[error("a reserved bit is set in a WebSocket frame")]
    ReservedBit,
    /// An opcode that RFC 6455 does not define.
    #[error("WebSocket opcode {0} is unknown")]
    UnknownOpcode(u8),
    /// A control frame in fragments or with more than 125 bytes.
    #[error("a WebSocket control frame is fragmented or longer than 125 bytes")]
    BadControl,
    /// A client must mask, a server must not.
    #[error("a WebSocket frame is masked the wrong way for its sender")]
    Masking,
    /// A continuation of nothing, or a new message inside another.
    #[error("WebSocket fragments are out of order")]
    Fragments,
    /// The message is over the limit up to which it would be read and dropped.
    #[error("a WebSocket message of {0} bytes or more is over the hard limit")]
    HardLimit(u64),
}

/// How much of one message is accepted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest message handed over, bytes.
    pub message: usize,
    /// Largest message that is read and dropped, bytes.
    pub hard: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: limits::MESSAGE_BYTES, hard: limits::MESSAGE_BYTES_HARD }
    }
}

/// One direction of a WebSocket, fed with bytes through [`Decoder::space`] and [`Decoder::decode`].
#[derive(Debug)]
pub struct Decoder {
    /// Who sends to us.
    peer: Role,
    limits: Limits,
    /// Bytes read and not used yet.
    buffer: BytesMut,
    /// The frame whose header is read and whose payload is not.
    frame: Option<FrameHead>,
    /// The data message of which a part is there.
    message: Option<Partial>,
    /// Size of the next read.
    read_size: usize,
}

#[derive(Debug, Clone, Copy)]
struct FrameHead {
    opcode: Opcode,
    last: bool,
    mask: Option<[u8; 4]>,
    /// Payload bytes still to come.
    left: u64,
}

#[derive(Debug)]
struct Partial {
    /// Payload of earlier fragments; in a dropped message its first bytes only.
    kept: BytesMut,
    /// Payload announced so far, bytes.
    total: u64,
    fate: Fate,
}

/// What becomes of a data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Deliver,
    Drop(Overrun),
    DropText,
}

impl Decoder {
    /// A decoder for what arrives at the `role` end, starting with bytes that came behind the HTTP head.
    pub fn new(role: Role, limits: Limits, leftover: Bytes) -> Self {
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let buffer = BytesMut::from(leftover);
        Self { peer, limits, buffer, frame: None, message: None, read_size: limits::READ_BYTES }
    }

    /// The buffer to read into, with room made. Its growth follows what arrived, never what a length field claims.
    pub fn space(&mut self) -> &mut BytesMut {
        let have = self.buffer.len();
        if let Some(capacity) = self.growth() {
            if have < limits::READ_BYTES_MAX {
                self.buffer.reserve(capacity - have);
            } else {
                // Exact, where `reserve` would round up to twice the size: a request may be kept for long. Nothing is copied here, and
                // the allocator moves the pages of a large block: a second block would stay with the allocator for good.
                let mut grown = Vec::from(std::mem::take(&mut self.buffer));
                grown.reserve_exact(capacity - have);
                self.buffer = BytesMut::from(Bytes::from(grown));
            }
        }
        &mut self.buffer
    }

    /// The capacity that the buffer must have for the next read, if the buffer is too small.
    fn growth(&self) -> Option<usize> {
        let have = self.buffer.len();
        // The buffer also grows if only a few bytes are left for the read.
        if self.buffer.capacity() - have >= self.read_size / 8 {
            return None;
        }
        let missing = self.frame.map_or(0, |frame| usize::try_from(frame.left).unwrap_or(usize::MAX));
        Some(have + have.clamp(self.read_size, missing.saturating_sub(have).max(self.read_size)))
    }

    /// Bytes of the unfinished message that have arrived.
    pub fn held(&self) -> usize {
        self.buffer.len() + self.message.as_ref().map_or(0, |message| message.kept.len())
    }

    /// What was read and not handed out, as bytes that another decoder reads to the same effect. `None` while a message is being dropped:
    /// another decoder could not know that.
    pub fn unread(&self) -> Option<Bytes> {
        // A mask of zeros leaves the payload as it is.
        let mask = (self.peer == Role::Client).then_some([0; 4]);
        let mut bytes = Vec::with_capacity(self.held() + 2 * HEADER_BYTES_MAX);
        let header = |bytes: &mut Vec<u8>, opcode: Opcode, is_final, mask, size| {
            let header = FrameHeader { opcode: opcode.to_wire(), is_final, mask, ..FrameHeader::default() };
            header.format(size, bytes).expect("a vector takes every write");
        };
        match &self.message {
            None => {}
            Some(message) if message.fate != Fate::Deliver => return None,
            Some(message) => {
                // A message in fragments is empty at first, and its first frame is the one under way then.
                let is_begun = self
                    .frame
                    .is_none_or(|frame| frame.opcode.is_control() || frame.opcode == Opcode::Continuation);
                if is_begun {
                    header(&mut bytes, Opcode::Binary, false, mask, message.kept.len() as u64);
                    bytes.extend_from_slice(&message.kept);
                }
            }
        }
        if let Some(frame) = self.frame {
            header(&mut bytes, frame.opcode, frame.last, frame.mask, frame.left);
        }
        bytes.extend_from_slice(&self.buffer);
        Some(bytes.into())
    }

    /// Memory that the unfinished message takes once there is room for the next read, bytes.
    pub fn next_size(&self) -> usize {
        let buffer = self.growth().unwrap_or(self.buffer.capacity());
        match &self.message {
            // Adding the piece that is being read makes the collected pieces grow, to twice the size at most.
            Some(message) if message.fate == Fate::Deliver => {
                buffer + 2 * (message.kept.len() + self.buffer.len())
            }
            _ => buffer,
        }
    }

    /// Gives the unfinished message up. Everything but its head is dropped, and so is the rest when it arrives.
    pub fn give_up(&mut self, why: Overrun) {
        let is_data = self.frame.is_none_or(|frame| !frame.opcode.is_control());
        match &mut self.message {
            Some(message) if message.fate == Fate::Deliver => {
                message.kept = BytesMut::from(head_of(&message.kept));
                message.fate = Fate::Drop(why);
            }
            None if is_data => {
                let Some(frame) = self.frame else { return };
                self.message =
                    Some(Partial { kept: BytesMut::new(), total: frame.left, fate: Fate::Drop(why) });
            }
            _ => return,
        }
        if let Some(frame) = self.frame.filter(|frame| !frame.opcode.is_control()) {
            // Only a part of the frame has arrived, so no message ends here.
            let Skipped::Waiting = self.skip(frame) else { return };
            self.buffer = BytesMut::new();
        }
    }

    /// Tells how much the last read brought, so that busy sockets read in larger pieces and idle ones keep little.
    pub fn note_read(&mut self, bytes: usize) {
        if bytes >= self.read_size {
            self.read_size = (self.read_size * 2).min(limits::READ_BYTES_MAX);
        } else if bytes < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(limits::READ_BYTES);
        }
    }

    /// The next thing in what has been read, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// A [`Violation`]; the socket must be closed, the decoder not be used again.
    pub fn decode(&mut self) -> Result<Option<Inbound>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_head()? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let found = if frame.opcode.is_control() {
                let Some(payload) = self.take_payload(frame) else { return Ok(None) };
                Some(control(frame.opcode, payload))
            } else if self.message.as_ref().is_none_or(|message| message.fate == Fate::Deliver) {
                let Some(payload) = self.take_payload(frame) else { return Ok(None) };
                self.data(frame, payload)
            } else {
                match self.skip(frame) {
                    Skipped::Waiting => return Ok(None),
                    Skipped::Frame => None,
                    Skipped::Message(dropped) => Some(dropped),
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads a frame's header and decides what becomes of its message.
    fn read_head(&mut self) -> Result<Option<FrameHead>, Violation> {
        let Some((frame, used)) = parse_head(&self.buffer, self.peer)? else { return Ok(None) };
        if !frame.opcode.is_control() {
            self.admit(frame)?;
        }
        self.buffer.advance(used);
        self.frame = Some(frame);
        Ok(Some(frame))
    }

    /// Checks a data frame against the message it belongs to, and against the limits.
    ///
    /// A whole deliverable message in one frame leaves `message` empty: it needs no copy.
    fn admit(&mut self, frame: FrameHead) -> Result<(), Violation> {
        let before = self.message.as_ref().map_or(0, |message| message.total);
        let total = before.saturating_add(frame.left);
        if total > self.limits.hard {
            return Err(Violation::HardLimit(total));
        }
        let too_big = total > self.limits.message as u64;
        match (frame.opcode, &mut self.message) {
            (Opcode::Continuation, Some(message)) => {
                message.total = total;
                if too_big && message.fate == Fate::Deliver {
                    message.fate = Fate::Drop(Overrun::Size);
                    message.kept = BytesMut::from(head_of(&message.kept));
                }
            }
            (Opcode::Continuation, None) | (_, Some(_)) => return Err(Violation::Fragments),
            (opcode, empty @ None) => {
                let fate = match opcode {
                    Opcode::Text => Fate::DropText,
                    _ if too_big => Fate::Drop(Overrun::Size),
                    _ => Fate::Deliver,
                };
                if fate != Fate::Deliver || !frame.last {
                    *empty = Some(Partial { kept: BytesMut::new(), total, fate });
                }
            }
        }
        Ok(())
    }

    /// The frame's whole unmasked payload, once it is there.
    fn take_payload(&mut self, frame: FrameHead) -> Option<Bytes> {
        let len = usize::try_from(frame.left).ok().filter(|len| *len <= self.buffer.len())?;
        let mut payload = if len <= limits::SHARED_PAYLOAD_BYTES {
            let copy = BytesMut::from(&self.buffer[..len]);
            self.buffer.advance(len);
            copy
        } else {
            self.buffer.split_to(len)
        };
        if len > limits::READ_BYTES_MAX {
            // The rest would hold on to the payload's memory, and read into it again: an idle socket keeps little.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        if let Some(mask) = frame.mask {
            apply_mask(&mut payload, mask);
        }
        self.frame = None;
        Some(payload.freeze())
    }

    /// A piece of a deliverable message is there.
    fn data(&mut self, frame: FrameHead, payload: Bytes) -> Option<Inbound> {
        match &mut self.message {
            None => Some(Inbound::Binary(payload)),
            Some(message) => {
                message.kept.extend_from_slice(&payload);
                if !frame.last {
                    return None;
                }
                self.message.take().map(|message| Inbound::Binary(message.kept.freeze()))
            }
        }
    }

    /// Drops what is there of a frame that is not to be delivered, keeping the head of an oversized message.
    fn skip(&mut self, mut frame: FrameHead) -> Skipped {
        let there = usize::try_from(frame.left).unwrap_or(usize::MAX).min(self.buffer.len());
        let mut piece = self.buffer.split_to(there);
        if let Some(message) = &mut self.message
            && matches!(message.fate, Fate::Drop(_))
        {
            let room = limits::OVERSIZE_HEAD_BYTES.saturating_sub(message.kept.len()).min(there);
            if let Some(mask) = frame.mask {
                apply_mask(&mut piece[..room], mask);
            }
            message.kept.extend_from_slice(&piece[..room]);
        }
        if let Some(mask) = &mut frame.mask {
            mask.rotate_left(there % 4);
        }
        frame.left -= there as u64;
        self.frame = Some(frame);
        if frame.left > 0 {
            return Skipped::Waiting;
        }
        self.frame = None;
        if !frame.last {
            return Skipped::Frame;
        }
        match self.message.take() {
            Some(Partial { kept, total, fate: Fate::Drop(why) }) => {
                Skipped::Message(Inbound::Oversize { head: kept.freeze(), total, why })
            }
            _ => Skipped::Message(Inbound::Text),
        }
    }
}

enum Skipped {
    /// The frame goes on.
    Waiting,
    /// The frame is over, its message is not.
    Frame,
    /// The message is over.
    Message(Inbound),
}

fn head_of(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(limits::OVERSIZE_HEAD_BYTES)]
}

fn control(opcode: Opcode, payload: Bytes) -> Inbound {
    match opcode {
        Opcode::Ping => Inbound::Ping(payload),
        Opcode::Pong => Inbound::Pong,
        _ => Inbound::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
    }
}

/// A frame's header and its length, or `None` if it is not all there.
fn parse_head(bytes: &[u8], sender: Role) -> Result<Option<(FrameHead, usize)>, Violation> {
    let mut cursor = Cursor::new(bytes);
    let (header, left) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Ok(None),
        Err(_) => return Err(Violation::UnknownOpcode(bytes.first().map_or(0, |first| first & 0x0f))),
    };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Violation::ReservedBit);
    }
    let opcode = Opcode::from_wire(header.opcode)?;
    if header.mask.is_some() != (sender == Role::Client) {
        return Err(Violation::Masking);
    }
    if opcode.is_control() && (!header.is_final || left > 125) {
        return Err(Violation::BadControl);
    }
    let used = usize::try_from(cursor.position()).expect("a header has 14 bytes at most");
    Ok(Some((FrameHead { opcode, last: header.is_final, mask: header.mask, left }, used)))
}
