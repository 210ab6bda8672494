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
    /// Close frame with this payload, then FIN.
    Close(Bytes),
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
            Self::Frame(_) | Self::Hold(_) | Self::Ping | Self::Close(_) => 0,
        }
    }

    /// What its WebSocket frame carries.
    pub(super) fn payload(&self) -> &[u8] {
        match self {
            Self::Frame(payload) | Self::Reply(payload) | Self::Pong(payload) | Self::Close(payload) => {
                payload
            }
            Self::Hold(_) | Self::Ping => &[],
        }
    }
}

/// The payload of a Close frame that has no complaint: code 1000.
static NORMAL_CLOSE: [u8; 2] = 1000u16.to_be_bytes();

/// What a Close frame says beside its code, bytes: a control frame carries 125.
const CLOSE_REASON_BYTES: usize = 123;

impl Command {
    /// Close without a complaint.
    pub(super) fn close() -> Self {
        Self::Close(Bytes::from_static(&NORMAL_CLOSE))
    }

    /// Close with a code, and a reason that is cut if it is too long for a Close frame.
    pub(super) fn close_saying(code: u16, reason: &str) -> Self {
        let fits = (0..=reason.len().min(CLOSE_REASON_BYTES)).rev().find(|at| reason.is_char_boundary(*at));
        let reason = reason.get(..fits.unwrap_or_default()).unwrap_or_default();
        Self::Close([&code.to_be_bytes()[..], reason.as_bytes()].concat().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_why_within_a_control_frame() {
        for (reason, expected) in [
            ("why".to_owned(), "why".to_owned()),
            ("x".repeat(200), "x".repeat(123)),
            ("\u{20ac}".repeat(60), "\u{20ac}".repeat(41)),
            (format!("x{}", "\u{e9}".repeat(80)), format!("x{}", "\u{e9}".repeat(61))),
        ] {
            let command = Command::close_saying(1008, &reason);
            assert_eq!(
                command.payload(),
                [&1008u16.to_be_bytes()[..], expected.as_bytes()].concat(),
                "{reason}"
            );
        }
        assert_eq!(Command::close().payload(), 1000u16.to_be_bytes());
    }
}
