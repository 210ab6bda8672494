//! A report on its way to the owner, with what it holds until the owner has taken it.

use std::sync::Arc;

use super::SocketEvent;
use crate::driver::caller::CallerShare;
use crate::driver::inflow::Grant;
use crate::envelope::Envelope;
use crate::session::SocketId;

/// What a socket reports. While the report waits for the owner, it counts in the share of its caller, and a large message keeps its room.
#[derive(Debug)]
pub struct Report<F = Envelope> {
    socket: SocketId,
    event: SocketEvent<F>,
    _share: Option<Share>,
    _room: Option<Grant>,
}

impl<F> Report<F> {
    pub(super) fn new(
        socket: SocketId,
        event: SocketEvent<F>,
        share: Option<Share>,
        room: Option<Grant>,
    ) -> Self {
        Self { socket, event, _share: share, _room: room }
    }

    /// The socket, and what happened on it. Afterwards the socket may report more.
    pub fn open(self) -> (SocketId, SocketEvent<F>) {
        (self.socket, self.event)
    }
}

/// A part of a caller's share of the owner's queue. The part is given back when this value is dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<CallerShare>,
    units: usize,
}

impl Share {
    /// Takes the units that a report counts.
    pub(super) fn of(units: usize, of: &Arc<CallerShare>) -> Self {
        of.report(units);
        Self { of: Arc::clone(of), units }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.heard(self.units);
    }
}
