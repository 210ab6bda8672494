//! What an endpoint knows of one peer.

use std::time::Duration;

use bytes::Bytes;

use crate::session::Session;
use crate::time::Moment;

/// A peer's number in its endpoint; later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::driver::endpoint) struct PeerNo(pub(super) u64);

/// Bytes of answers kept for a peer that has no socket.
const OUTBOX_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session_id: String,
    /// Its keys are numbers of calls: of `incoming` for calls of the peer, of the callers for ours.
    pub(super) session: Session<u64>,
    /// When its last socket went.
    pub(super) lost_at: Option<Moment>,
    /// Its connectors, once told.
    pub(super) infos: Option<Bytes>,
    /// Last frames of answers that found no socket; Java loses them (WIRE 4.2).
    outbox: Vec<(i64, Bytes)>,
    outbox_bytes: usize,
}

impl Peer {
    /// A peer whose session is checked so often.
    pub(super) fn new(session_id: String, check_every: Duration) -> Self {
        Self {
            session_id,
            session: Session::checked_every(check_every),
            lost_at: None,
            infos: None,
            outbox: Vec::new(),
            outbox_bytes: 0,
        }
    }

    /// Bytes of answers that are kept.
    pub(super) fn outbox_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Keeps an answer until a socket joins. `room` is how many bytes all peers together may still keep. An answer that does not fit is
    /// lost, as all such answers are in Java.
    pub(super) fn keep(&mut self, id: i64, frame: Bytes, room: usize) {
        if self.outbox_bytes + frame.len() > OUTBOX_BYTES || frame.len() > room {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_up_to_a_bound_and_given_once() {
        let mut peer = Peer::new("P".to_owned(), Duration::from_secs(1));
        let half = Bytes::from(vec![0; OUTBOX_BYTES / 2]);
        for id in 1..=3 {
            peer.keep(id, half.clone(), OUTBOX_BYTES);
        }
        let kept: Vec<i64> = peer.take_outbox().into_iter().map(|(id, _)| id).collect();
        assert_eq!(kept, [1, 2]);
        peer.keep(4, half.clone(), OUTBOX_BYTES);
        assert_eq!(peer.take_outbox().len(), 1, "room was given back");
        assert!(peer.take_outbox().is_empty());
        peer.keep(5, half, OUTBOX_BYTES / 2 - 1);
        assert!(peer.take_outbox().is_empty(), "other peers have taken the room");
    }
}
