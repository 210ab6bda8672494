//! A socket goes over to another process. First the socket is frozen: nothing more is read or written. Then either the socket goes on as
//! before, or this process keeps its end of the session and talks to the peer through the other process, which has the connection.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::{SocketHandle, Stop};
use crate::driver::ReadHalf;
use crate::driver::framing::FrameMeter;
use crate::driver::valve::Valve;

/// What another process needs to go on with a frozen socket.
#[derive(Debug)]
pub struct Frozen {
    /// The connection.
    pub connection: OwnedFd,
    /// Bytes that were read from the peer and not handed out.
    pub unread: Bytes,
    /// How far the frame is that is on its way to the peer.
    pub under_way: FrameMeter,
}

/// What the owner's end and the reading task of a socket tell each other while the socket moves.
#[derive(Debug, Default)]
pub(super) struct Moving {
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// Where the reading task says what it has read and not handed out.
    unread: Option<oneshot::Sender<Option<Bytes>>>,
    /// The stream that the reading task is to read from now on.
    through: Option<ReadHalf>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl Moving {
    /// The reading task stands still, with these bytes.
    pub(super) fn stands_still(&self, unread: impl FnOnce() -> Option<Bytes>) {
        let asking = self.told.lock().unwrap_or_else(PoisonError::into_inner).unread.take();
        if let Some(asking) = asking {
            // If nobody waits any more, the socket is thawed soon.
            let _ = asking.send(unread());
        }
    }

    /// The stream to read from now on, if the socket was led through another process.
    pub(super) fn take_through(&self) -> Option<ReadHalf> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).through.take()
    }
}

impl SocketHandle {
    /// Whether the socket can be handed over to another process: plain sockets that were accepted can, once.
    pub fn is_movable(&self) -> bool {
        self.inner.valve.as_ref().is_some_and(Valve::has_connection)
    }

    /// Freezes the socket: nothing more is read from the peer or written to the peer, until [`SocketHandle::thaw`] or
    /// [`SocketHandle::lead_through`]. What is queued meanwhile waits. `None` if the socket cannot be handed over now: it is closing, or a
    /// message is being dropped. Such a socket is not frozen.
    pub async fn freeze(&self) -> Option<Frozen> {
        let valve = self.inner.valve.as_ref()?;
        let (asking, unread) = oneshot::channel();
        self.moving().told.lock().unwrap_or_else(PoisonError::into_inner).unread = Some(asking);
        let is_frozen = self.inner.stop.send_if_modified(|stop| {
            let may = *stop == Stop::No;
            if may {
                *stop = Stop::Frozen;
            }
            may
        });
        if !is_frozen {
            return None;
        }
        let unread = unread.await.ok().flatten();
        let frozen = unread.and_then(|unread| {
            let (connection, under_way) = valve.shut().ok()?;
            Some(Frozen { connection, unread, under_way })
        });
        if frozen.is_none() {
            self.thaw();
        }
        frozen
    }

    /// A frozen socket goes on as before.
    pub fn thaw(&self) {
        if let Some(valve) = &self.inner.valve {
            valve.reopen();
        }
        self.move_on();
    }

    /// Another process has the connection of a frozen socket: the session goes on through that process. What is written is the rest of the
    /// frame under way and the frames that follow; what is read are frames, masked as the peer masks them.
    pub fn lead_through(&self, process: UnixStream) {
        let Some(valve) = &self.inner.valve else { return };
        let (read, write) = process.into_split();
        self.moving().told.lock().unwrap_or_else(PoisonError::into_inner).through = Some(Box::pin(read));
        valve.lead(write);
        self.move_on();
    }

    fn moving(&self) -> &Moving {
        &self.inner.moving
    }

    fn move_on(&self) {
        self.inner.stop.send_if_modified(|stop| {
            let was_frozen = *stop == Stop::Frozen;
            if was_frozen {
                *stop = Stop::No;
            }
            was_frozen
        });
    }
}
