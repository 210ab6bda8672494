//! What the hub knows of one peer.

use bytes::Bytes;

use crate::session::Session;
use crate::time::Moment;

/// A peer's number in its endpoint; later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PeerNo(pub(super) u64);

/// Bytes of answers kept for a peer that has no socket.
const OUTBOX_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session_id: String,
    /// Its keys are the hub's numbers of calls, in both directions.
    pub(super) session: Session<u64>,
    /// Last frames of answers that found no socket; Java loses them (WIRE 4.2).
    outbox: Vec<(i64, Bytes)>,
    outbox_bytes: usize,
    /// When its last socket went.
    pub(super) lost_at: Option<Moment>,
    /// Its connectors, once told.
    pub(super) infos: Option<Bytes>,
    /// Calls of ours that it refused before it had stored our handshake.
    pub(super) refused: Vec<u64>,
}

impl Peer {
    pub(super) fn new(session_id: String) -> Self {
        Self {
            session_id,
            session: Session::new(),
            outbox: Vec::new(),
            outbox_bytes: 0,
            lost_at: None,
            infos: None,
            refused: Vec::new(),
        }
    }

    /// Keeps an answer until a socket joins; one that does not fit is lost, as all are in Java.
    pub(super) fn keep(&mut self, id: i64, frame: Bytes) {
        if self.outbox_bytes + frame.len() > OUTBOX_BYTES {
            tracing::warn!(
                call = id,
                "an answer is lost: its caller has no socket, and too many wait already"
            );
            return;
        }
        self.outbox_bytes += frame.len();
        self.outbox.push((id, frame));
    }

    pub(super) fn take_outbox(&mut self) -> Vec<(i64, Bytes)> {
        self.outbox_bytes = 0;
        std::mem::take(&mut self.outbox)
    }
}
