//! A report on its way to the owner, with what it holds until the owner has taken it.

use std::sync::Arc;

use super::SocketEvent;
use crate::driver::counts::SocketCounts;
use crate::driver::inflow::Grant;
use crate::driver::limits;
use crate::envelope::Kind;
use crate::session::SocketId;

/// What a socket reports. While the report waits for the owner, it counts in the share of its socket, and a large message keeps its room.
#[derive(Debug)]
pub struct Report {
    socket: SocketId,
    event: SocketEvent,
    _share: Option<Share>,
    _room: Option<Grant>,
}

impl Report {
    pub(super) fn new(
        socket: SocketId,
        event: SocketEvent,
        share: Option<Share>,
        room: Option<Grant>,
    ) -> Self {
        Self { socket, event, _share: share, _room: room }
    }

    /// The socket, and what happened on it. Afterwards the socket may report more.
    pub fn open(self) -> (SocketId, SocketEvent) {
        (self.socket, self.event)
    }
}

/// A part of a socket's share of the owner's queue. The part is given back when this value is dropped.
#[derive(Debug)]
pub(super) struct Share {
    counts: Arc<SocketCounts>,
    units: usize,
}

impl Share {
    /// Takes the units that this event counts.
    pub(super) fn of(event: &SocketEvent, counts: &Arc<SocketCounts>) -> Self {
        let units = match event {
            SocketEvent::Frame(envelope) => match envelope.kind {
                Kind::HandshakeRequest(_) | Kind::ControlRequest(_) => limits::CONTROL_UNITS,
                _ => limits::EVENT_UNITS,
            },
            _ => limits::EVENT_UNITS,
        };
        counts.report(units);
        Self { counts: Arc::clone(counts), units }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.counts.heard(self.units);
    }
}
