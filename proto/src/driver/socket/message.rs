//! What a message says: parsed where the message's socket is read, or on a thread apart if the message is large.

use std::panic::resume_unwind;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::driver::inflow::Inflow;
use crate::driver::limits;
use crate::envelope::{Envelope, FrameError, Kind};

/// A message that was read.
pub(super) struct Message<F> {
    /// The frame in the form in which the owner gets it.
    pub(super) frame: Result<F, FrameError>,
    /// What the report of it counts in the share of its caller.
    pub(super) units: usize,
    /// The session id of the peer, if it is a handshake.
    pub(super) session_id: Option<String>,
}

impl<F> Message<F> {
    /// Reads a message at once.
    pub(super) fn read(bytes: Bytes, read: &mut impl FnMut(Envelope) -> F) -> Self {
        let envelope = Envelope::parse(bytes);
        let kind = envelope.as_ref().ok().map(|envelope| &envelope.kind);
        let session_id = match kind {
            Some(Kind::HandshakeRequest(message) | Kind::HandshakeResponse(message)) => {
                Some(message.session_id.clone())
            }
            _ => None,
        };
        let units = match kind {
            Some(Kind::HandshakeRequest(_) | Kind::ControlRequest(_)) => limits::CONTROL_UNITS,
            _ => limits::EVENT_UNITS,
        };
        Self { frame: envelope.map(read), units, session_id }
    }

    /// Reads a message on a thread apart, in its turn. Meanwhile the threads that move frames serve other sockets. Returns nothing if the
    /// process ends.
    pub(super) async fn read_apart<R>(bytes: Bytes, mut read: R, inflow: &Inflow) -> Option<(Self, R)>
    where
        F: Send + 'static,
        R: FnMut(Envelope) -> F + Send + 'static,
    {
        let _turn = inflow.turn().await;
        let apart = spawn_blocking(move || {
            let message = Self::read(bytes, &mut read);
            (message, read)
        });
        match apart.await {
            Ok(done) => Some(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => None,
            },
        }
    }
}
