//! What the owner of a socket, and the reader that answers pings, have its writer do.

use bytes::Bytes;
use tokio::time::Instant;

use super::limits;

/// What the writer is asked for, in order.
#[derive(Debug)]
pub(super) enum Command {
    /// A message.
    Frame(Bytes),
    /// A message that answers what the peer asked of us, not of a party behind us.
    Reply(Bytes),
    /// Nothing behind this is written before that moment.
    Hold(Instant),
    /// An empty ping: Java logs a line for any other (WIRE 1.2).
    Ping,
    /// The answer to a ping.
    Pong(Bytes),
    /// Close frame, then FIN.
    Close,
}

impl Command {
    /// What it counts for in the backlog, bytes.
    pub(super) fn cost(&self) -> usize {
        self.payload().len() + limits::FRAME_OVERHEAD_BYTES
    }

    /// Bytes that the message counts for among our own answers.
    pub(super) fn own_cost(&self) -> usize {
        match self {
            Self::Reply(_) | Self::Pong(_) => self.cost(),
            Self::Frame(_) | Self::Hold(_) | Self::Ping | Self::Close => 0,
        }
    }

    /// What its WebSocket frame carries.
    pub(super) fn payload(&self) -> &[u8] {
        match self {
            Self::Frame(payload) | Self::Reply(payload) | Self::Pong(payload) => payload,
            Self::Close => &NORMAL_CLOSE,
            Self::Hold(_) | Self::Ping => &[],
        }
    }
}

/// The payload of a Close frame that has no complaint: code 1000.
const NORMAL_CLOSE: [u8; 2] = 1000u16.to_be_bytes();
