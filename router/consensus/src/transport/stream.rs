//! What connections between routers are made of: TCP in a router, a simulated network in tests.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use rcs_proto::driver;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// The bytes of one connection, below TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sized + 'static {
    /// Sets what a connection between routers needs. Called once, before anything is sent or read.
    ///
    /// # Errors
    /// The stream cannot be used.
    fn tune(&self) -> io::Result<()>;

    /// Returns once the peer has sent something, or has gone. Nothing is read.
    ///
    /// # Errors
    /// The stream cannot be used.
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// The TCP connection, for whoever serves it on another runtime.
    ///
    /// # Errors
    /// It is none, or cannot be used.
    fn into_tcp(self) -> io::Result<std::net::TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Opens connections to other routers.
pub trait Dial: Clone + fmt::Debug + Send + Sync + 'static {
    /// What is opened.
    type Stream: Stream;

    /// Opens a connection to `HOST:PORT`. The caller bounds the time.
    ///
    /// # Errors
    /// Nobody listens at the address, or the address cannot be reached.
    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Accepts the connections of other routers.
pub trait Listen: Send + Sync + 'static {
    /// What is accepted.
    type Stream: Stream;

    /// The address that is listened on.
    ///
    /// # Errors
    /// The listener cannot be used.
    fn address(&self) -> io::Result<SocketAddr>;

    /// The next connection, and the address of its peer.
    ///
    /// # Errors
    /// No connection can be accepted at the moment; the caller tries again after a pause.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// TCP, as routers use it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Dial for Tcp {
    type Stream = TcpStream;

    fn dial(&self, address: &str) -> impl Future<Output = io::Result<TcpStream>> + Send {
        TcpStream::connect(address.to_owned())
    }
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        Self::accept(self)
    }
}

impl Stream for TcpStream {
    fn tune(&self) -> io::Result<()> {
        driver::tune(self, driver::limits::DIALLED_USER_TIMEOUT)
    }

    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        Self::readable(self)
    }

    fn into_tcp(self) -> io::Result<std::net::TcpStream> {
        self.into_std()
    }
}
