//! The thin tokio driver around the session protocol: it opens sockets and moves frames, and decides nothing.
//!
//! [`accept`] and [`dial`] do the HTTP upgrade of either end (WIRE section 1.1) and yield a [`WebSocket`]; [`listen`] is a whole
//! listener; [`keeper`] keeps sockets to dialled URLs open; [`socket`] pumps one WebSocket: it reports what arrives to its owner and writes what the owner queues.

pub mod accept;
mod backlog;
pub mod caller;
mod command;
mod counts;
pub mod descriptors;
pub mod dial;
pub mod endpoint;
pub mod framing;
pub mod handshakes;
mod http;
pub mod inflow;
pub mod keeper;
pub mod limits;
pub mod listen;
pub mod oversize;
pub mod places;
pub mod proxy;
pub mod refusals;
pub mod relay;
pub mod said;
pub mod shares;
pub mod socket;
pub mod spill;
pub mod tally;
pub mod tls;
#[cfg(test)]
mod tls_tests;
mod turns;
#[cfg(test)]
mod upgrade_tests;
pub mod url;
mod valve;
mod writer;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

pub use framing::Role;
use valve::Valve;

/// The subprotocol that both ends must speak (WIRE 1.1).
pub const SUBPROTOCOL: &str = "v1.openicf.forgerock.org";

/// The reading half of a stream.
pub type ReadHalf = Pin<Box<dyn AsyncRead + Send>>;
/// The writing half of a stream.
pub type WriteHalf = Pin<Box<dyn AsyncWrite + Send>>;

/// A byte stream whose two directions can be driven by two tasks.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Splits it. Neither half may wait for the other's I/O.
    fn into_halves(self) -> (ReadHalf, WriteHalf);

    /// Splits it for a socket that may be handed over to another process, if the stream is one that can be.
    #[doc(hidden)]
    fn into_movable(self) -> Halves
    where
        Self: Sized,
    {
        let (read, write) = self.into_halves();
        Halves { read, write, valve: None }
    }
}

/// A split stream, with the valve before its writing half if it has one.
#[doc(hidden)]
pub struct Halves {
    read: ReadHalf,
    write: WriteHalf,
    valve: Option<Valve>,
}

impl Transport for TcpStream {
    fn into_halves(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.into_split();
        (Box::pin(read), Box::pin(write))
    }

    fn into_movable(self) -> Halves {
        let (read, write) = self.into_split();
        let (valve, write) = Valve::open(write);
        Halves { read: Box::pin(read), write: Box::pin(write), valve: Some(valve) }
    }
}

/// TLS keeps one state for both directions: tokio's split takes a lock for each poll, never while it waits.
fn split_locked<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> (ReadHalf, WriteHalf) {
    let (read, write) = tokio::io::split(stream);
    (Box::pin(read), Box::pin(write))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for server::TlsStream<S> {
    fn into_halves(self) -> (ReadHalf, WriteHalf) {
        split_locked(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for client::TlsStream<S> {
    fn into_halves(self) -> (ReadHalf, WriteHalf) {
        split_locked(self)
    }
}

impl Transport for DuplexStream {
    fn into_halves(self) -> (ReadHalf, WriteHalf) {
        split_locked(self)
    }
}

/// An upgraded connection that no frame has passed yet.
pub struct WebSocket {
    pub(crate) read: ReadHalf,
    pub(crate) write: WriteHalf,
    /// Bytes that arrived behind the HTTP head.
    pub(crate) leftover: Bytes,
    pub(crate) role: Role,
    /// The valve of a socket that can be handed over to another process.
    pub(crate) valve: Option<Valve>,
}

impl WebSocket {
    /// A WebSocket over a stream whose upgrade is done, with the bytes read beyond it.
    pub fn new(stream: impl Transport, role: Role, leftover: Bytes) -> Self {
        let (read, write) = stream.into_halves();
        Self { read, write, leftover, role, valve: None }
    }

    /// The same, of a socket that can be handed over to another process, if the stream is plain.
    pub fn movable(stream: impl Transport, role: Role, leftover: Bytes) -> Self {
        let Halves { read, write, valve } = stream.into_movable();
        Self { read, write, leftover, role, valve }
    }

    /// Which end we are.
    pub fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Sets what every TCP connection of the protocol needs: no delay for small frames, keep-alive probes, and how long the peer's
/// kernel may leave what was sent unacknowledged, where the system can be told.
pub fn tune(stream: &TcpStream, user_timeout: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_IDLE)
        .with_interval(limits::KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(user_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = user_timeout;
    Ok(())
}
