//! WebSocket framing (RFC 6455, section 5) without I/O: a decoder that is fed bytes, and an encoder.
//!
//! tungstenite reads and writes the frame headers and makes the keys of the upgrade; what stands between header and message is
//! ours, because its WebSocket object reads and writes through one owner, so that reading would wait for a lock or for a blocked
//! write (P13); it ends the connection on a message over its limit, where only that call shall fail; it reserves the memory that
//! a peer's length field claims; and it moves the rest of a large message in memory after each partial write. Its WebSocket is
//! the oracle of this module's tests.

mod decode;
mod encode;
mod meter;
#[cfg(test)]
mod tests;

use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

pub use decode::{Decoder, Inbound, Limits, Violation};
pub(crate) use encode::{close_payload, frame_into, header_into};
pub use meter::{FrameMeter, HEADER_BYTES_MAX};

/// Which end of the WebSocket this is; the client masks what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We dialled.
    Client,
    /// We accepted.
    Server,
}

/// The kinds of frames that this protocol uses (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_wire(opcode: OpCode) -> Result<Self, Violation> {
        Ok(match opcode {
            OpCode::Data(Data::Continue) => Self::Continuation,
            OpCode::Data(Data::Text) => Self::Text,
            OpCode::Data(Data::Binary) => Self::Binary,
            OpCode::Control(Control::Close) => Self::Close,
            OpCode::Control(Control::Ping) => Self::Ping,
            OpCode::Control(Control::Pong) => Self::Pong,
            OpCode::Data(Data::Reserved(bits)) | OpCode::Control(Control::Reserved(bits)) => {
                return Err(Violation::UnknownOpcode(bits));
            }
        })
    }

    fn to_wire(self) -> OpCode {
        match self {
            Self::Continuation => OpCode::Data(Data::Continue),
            Self::Text => OpCode::Data(Data::Text),
            Self::Binary => OpCode::Data(Data::Binary),
            Self::Close => OpCode::Control(Control::Close),
            Self::Ping => OpCode::Control(Control::Ping),
            Self::Pong => OpCode::Control(Control::Pong),
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// XORs `data` with the mask, whose first byte meets the first of `data`.
pub(crate) fn apply_mask(data: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
