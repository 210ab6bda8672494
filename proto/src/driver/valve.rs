//! The writing half of a plain connection that can be handed over to another process.
//!
//! A valve can be shut between any two bytes, and then opened again, or led to another process, which writes on. So that the other
//! process knows where the next frame may begin, the valve follows the frames that pass.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::AsyncWrite;
use tokio::net::{tcp, unix};

use super::framing::FrameMeter;

/// The owner's end of a valve.
#[derive(Clone)]
pub(crate) struct Valve {
    state: Arc<Mutex<State>>,
}

/// The writer's end of a valve.
pub(super) struct ValveWrite {
    state: Arc<Mutex<State>>,
}

struct State {
    to: To,
    is_shut: bool,
    meter: FrameMeter,
    /// The writer, if it waits for the valve to open.
    writer: Option<Waker>,
}

enum To {
    Peer(tcp::OwnedWriteHalf),
    Process(unix::OwnedWriteHalf),
}

impl Valve {
    /// An open valve in front of a connection, and the writer's end of it.
    pub(super) fn open(to: tcp::OwnedWriteHalf) -> (Self, ValveWrite) {
        let state = State { to: To::Peer(to), is_shut: false, meter: FrameMeter::default(), writer: None };
        let state = Arc::new(Mutex::new(state));
        (Self { state: Arc::clone(&state) }, ValveWrite { state })
    }

    /// Shuts the valve. Returns the connection once more, and how far the frame is that is under way.
    ///
    /// # Errors
    /// The system has no descriptor left, or the valve is led elsewhere already. The valve stays open.
    pub(super) fn shut(&self) -> io::Result<(OwnedFd, FrameMeter)> {
        let mut state = lock(&self.state);
        let To::Peer(half) = &state.to else { return Err(io::ErrorKind::NotConnected.into()) };
        let stream: &tokio::net::TcpStream = half.as_ref();
        let descriptor = stream.as_fd().try_clone_to_owned()?;
        state.is_shut = true;
        Ok((descriptor, state.meter.clone()))
    }

    /// Whether the connection is this process's: the valve is not led elsewhere.
    pub(super) fn has_connection(&self) -> bool {
        matches!(lock(&self.state).to, To::Peer(_))
    }

    /// Opens the valve again.
    pub(super) fn reopen(&self) {
        lock(&self.state).open();
    }

    /// Opens the valve to another process, which has the connection now. The connection itself is not shut down.
    pub(super) fn lead(&self, to: unix::OwnedWriteHalf) {
        let mut state = lock(&self.state);
        if let To::Peer(half) = std::mem::replace(&mut state.to, To::Process(to)) {
            // Dropped, the half would send the FIN.
            half.forget();
        }
        state.open();
    }
}

impl State {
    fn open(&mut self) {
        self.is_shut = false;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl fmt::Debug for Valve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valve").field("is_shut", &lock(&self.state).is_shut).finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl To {
    fn as_write(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Peer(half) => Pin::new(half),
            Self::Process(half) => Pin::new(half),
        }
    }
}

impl AsyncWrite for ValveWrite {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.state);
        if state.is_shut {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let State { to, meter, writer, .. } = &mut *state;
        let written = to.as_write().poll_write(cx, bytes);
        match &written {
            Poll::Ready(Ok(count)) => meter.pass(bytes.get(..*count).unwrap_or(bytes)),
            // The stream may be exchanged while the writer waits for it.
            Poll::Pending => *writer = Some(cx.waker().clone()),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind of stream keeps bytes back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.state);
        if state.is_shut {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.to.as_write().poll_shutdown(cx)
    }
}
