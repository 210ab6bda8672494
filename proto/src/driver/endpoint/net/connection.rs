//! One socket of an endpoint.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::peer::PeerNo;
use crate::driver::socket::{CloseReason, SocketHandle};
use crate::session::{Handshake, SocketId};

/// One socket.
pub(super) struct Connection {
    pub(super) handle: SocketHandle,
    pub(super) stage: Stage,
    /// When something last arrived on it.
    pub(super) heard: Instant,
    pinged: Instant,
    ended: Option<oneshot::Sender<CloseReason>>,
    /// The owner that wants to know when its peer is known.
    pub(super) joined: Option<oneshot::Sender<SocketId>>,
    /// Once it retires: when it closes at the latest.
    pub(super) retires: Option<Instant>,
}

/// How far a socket is.
pub(super) enum Stage {
    /// Its peer is not known yet.
    Shaking(Handshake),
    /// It is a socket of this peer.
    Joined(PeerNo),
}

impl Connection {
    pub(super) fn new(
        handle: SocketHandle,
        handshake: Handshake,
        ended: oneshot::Sender<CloseReason>,
        now: Instant,
    ) -> Self {
        Self {
            handle,
            stage: Stage::Shaking(handshake),
            heard: now,
            pinged: now,
            ended: Some(ended),
            joined: None,
            retires: None,
        }
    }

    /// Whose socket it is, once that is known.
    pub(super) fn peer(&self) -> Option<PeerNo> {
        match self.stage {
            Stage::Shaking(_) => None,
            Stage::Joined(no) => Some(no),
        }
    }

    /// Sends a ping if one is due; gives a socket up that has been silent for three of them.
    pub(super) fn ping(&mut self, every: Duration) {
        if self.heard.elapsed() >= every * 3 {
            self.handle.abort();
        } else if self.pinged.elapsed() >= every {
            self.pinged = Instant::now();
            // A full queue says as much as a missing pong.
            let _ = self.handle.ping();
        }
    }

    /// Reports the end of the socket to its owner.
    pub(super) fn ended(&mut self, reason: CloseReason) {
        // The owner may have lost interest.
        self.ended.take().map(|ended| ended.send(reason));
    }
}
