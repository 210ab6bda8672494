//! WebSocket framing (RFC 6455, section 5) without I/O: a decoder that is fed bytes, and an encoder.
//!
//! Written by hand on purpose. tungstenite reads and writes through one object, so that reading would wait for a lock or for a
//! blocked write (P13); it ends the connection on a message over its limit, where only that call shall fail; it reserves the
//! memory that a peer's length field claims; and it moves the rest of a large message in memory after each partial write.
//! It stays as the oracle of this module's tests.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, Inbound, Limits, Violation};
pub(crate) use encode::{close_payload, frame_into, header_into};

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
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
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
