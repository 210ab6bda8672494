//! The first two frames of a socket (WIRE 4.1).

use std::time::Duration;

use bytes::Bytes;

use crate::envelope::{Envelope, Kind};
use crate::frames::{self, Identity};
use crate::limits;
use crate::messages::{HandshakeMessage, handshake_message::ServerType};
use crate::time::Moment;

/// Which end of the socket we are. It says nothing of who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// We dialled: we speak first.
    Dialled,
    /// We accepted: we wait.
    Accepted,
}

/// Who the peer says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its sessionId, compared as text.
    pub session_id: String,
    /// What it is written in.
    pub server_type: ServerType,
}

/// Why a handshake failed; the socket is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// An empty or over-long sessionId.
    #[error("the peer's session id is empty or over {} bytes long", limits::SESSION_ID_BYTES_MAX)]
    SessionId,
    /// A handshake from the wrong end: both dialled, or both accepted.
    #[error("the peer sent its handshake as {0:?}, as if it were at this end")]
    WrongSide(Side),
    /// Too much before it.
    #[error("the peer sent more than {} frames before its handshake", limits::PARKED_FRAMES_MAX)]
    TooMuchBefore,
    /// No handshake in time.
    #[error("the peer sent no handshake within {} s", limits::HANDSHAKE_DEADLINE.as_secs())]
    Deadline,
}

/// What a frame did to a handshake. `F` is the form in which the owner gets frames.
#[derive(Debug)]
pub enum HandshakeStep<F = Envelope> {
    /// Not done yet.
    Wait,
    /// Done. Join the session first, then send the reply, then hold the socket's frames back, then read the parked ones
    /// (Java answers before it registers, and loses what comes right behind: WIRE 7.9).
    Done {
        /// The peer.
        remote: Remote,
        /// An acceptor's answer.
        reply: Option<Bytes>,
        /// Frames that came before the handshake, in their order.
        parked: Vec<F>,
    },
    /// Failed.
    Failed(HandshakeError),
}

/// A socket before its session is known. `F` is the form in which the owner gets frames.
#[derive(Debug)]
pub struct Handshake<F = Envelope> {
    side: Side,
    started: Moment,
    parked: Vec<F>,
    parked_bytes: usize,
}

impl<F: AsRef<Envelope>> Handshake<F> {
    /// Begins; a dialler gets the frame to send.
    pub fn start(side: Side, identity: &Identity, now: Moment) -> (Self, Option<Bytes>) {
        let first = (side == Side::Dialled).then(|| frames::handshake_request(identity));
        (Self { side, started: now, parked: Vec::new(), parked_bytes: 0 }, first)
    }

    /// Which end of the socket we are.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Whether the peer let the time pass.
    pub fn is_overdue(&self, now: Moment) -> bool {
        self.is_older(now, limits::HANDSHAKE_DEADLINE)
    }

    /// Whether the socket was upgraded so long ago.
    pub fn is_older(&self, now: Moment, age: Duration) -> bool {
        now.since(self.started) >= age
    }

    /// Whether frames came that are no handshake.
    pub fn has_frames(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Reads one frame. Frames that overtook the handshake are kept, not refused (WIRE 7.1, 7.2).
    pub fn receive(&mut self, frame: F, identity: &Identity) -> HandshakeStep<F> {
        match (&frame.as_ref().kind, self.side) {
            (Kind::HandshakeRequest(message), Side::Accepted) => {
                self.done(message, Some(frames::handshake_response(identity)))
            }
            (Kind::HandshakeResponse(message), Side::Dialled) => self.done(message, None),
            (Kind::HandshakeRequest(_) | Kind::HandshakeResponse(_), side) => {
                HandshakeStep::Failed(HandshakeError::WrongSide(side))
            }
            _ => {
                self.parked_bytes += frame.as_ref().frame_bytes();
                self.parked.push(frame);
                let full = self.parked.len() > limits::PARKED_FRAMES_MAX
                    || self.parked_bytes > limits::PARKED_BYTES_MAX;
                if full { HandshakeStep::Failed(HandshakeError::TooMuchBefore) } else { HandshakeStep::Wait }
            }
        }
    }

    fn done(&mut self, message: &HandshakeMessage, reply: Option<Bytes>) -> HandshakeStep<F> {
        if message.session_id.is_empty() || message.session_id.len() > limits::SESSION_ID_BYTES_MAX {
            return HandshakeStep::Failed(HandshakeError::SessionId);
        }
        let remote = Remote { session_id: message.session_id.clone(), server_type: message.server_type() };
        HandshakeStep::Done { remote, reply, parked: std::mem::take(&mut self.parked) }
    }
}
