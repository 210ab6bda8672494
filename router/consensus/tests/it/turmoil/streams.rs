//! The streams of turmoil's network as the transport wants them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::turmoil::net::{TcpListener, TcpStream};
use rcs_consensus::transport::{Dial, Listen, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// turmoil's network, for whoever dials.
#[derive(Clone, Debug)]
pub(super) struct Network;

/// A listener on a host of the network.
pub(super) struct Listener(TcpListener);

/// A connection.
pub(super) struct Connection(TcpStream);

impl Listener {
    pub(super) async fn bind(port: u16) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(("0.0.0.0", port)).await?))
    }
}

impl Dial for Network {
    type Stream = Connection;

    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Connection>> + Send {
        let address = address.to_owned();
        async move { Ok(Connection(TcpStream::connect(address).await?)) }
    }
}

impl Listen for Listener {
    type Stream = Connection;

    fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    async fn accept(&self) -> io::Result<(Connection, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Connection(stream), peer))
    }
}

impl Stream for Connection {
    /// A simulated stream knows no options.
    fn tune(&self) -> io::Result<()> {
        Ok(())
    }

    async fn readable(&mut self) -> io::Result<()> {
        let mut byte = [0; 1];
        self.0.peek(&mut byte).await.map(drop)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
