//! Connections of other routers that are to become WebSockets. Their first TLS message says so (ALPN), and they are handed over before anything
//! is answered, so that whoever serves the WebSockets also does the handshake, on a runtime of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use rcs_proto::driver::places::{Lost, Place};
use rustls::server::Accepted;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::credentials::HTTP1;
use super::refusals::Reason;
use super::session::{accept, crowded, peer_of, refused, slow};
use super::shared::Shared;
use super::stream::Stream;

/// A connection that has said that it is to become a WebSocket, and has proved nothing yet.
#[derive(Debug)]
pub struct Arriving {
    accepted: Accepted,
    stream: std::net::TcpStream,
    address: SocketAddr,
    place: Place,
    lost: Lost,
    shared: Arc<Shared>,
    until: Instant,
}

/// A connection of a router of the cluster that is to become a WebSocket.
#[derive(Debug)]
pub struct Upgrading {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// The number of the router at the other end, by its certificate.
    pub router: u32,
    /// Where the connection comes from.
    pub address: SocketAddr,
}

/// Whether a connection is to become a WebSocket.
pub(super) fn is_one<S: Stream>(start: &StartHandshake<S>) -> bool {
    let hello = start.client_hello();
    hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == HTTP1))
}

impl Arriving {
    pub(super) fn new<S: Stream>(
        start: StartHandshake<S>,
        address: SocketAddr,
        (place, lost): (Place, Lost),
        shared: Arc<Shared>,
        until: Instant,
    ) -> std::io::Result<Self> {
        let StartHandshake { accepted, io, .. } = start;
        Ok(Self { accepted, stream: io.into_tcp()?, address, place, lost, shared, until })
    }

    /// Completes the TLS handshake on the runtime of the caller; nothing if the connection has not shown the certificate of a router of the
    /// cluster in time. That is counted and told as for all connections of routers.
    pub async fn shake_hands(self) -> Option<Upgrading> {
        let Self { accepted, stream, address, place, mut lost, shared, until } = self;
        let server = Arc::clone(&shared.credentials.live().server);
        let shaken = async {
            let stream = TcpStream::from_std(stream).map_err(|error| (Reason::Slow, error.to_string()))?;
            let accept = accept(StartHandshake::from_parts(accepted, stream), server)?;
            let stream = timeout_at(until, accept).await.map_err(slow)?.map_err(|error| refused(&error))?;
            let router = peer_of(&shared, &stream)?.router;
            Ok(Upgrading { stream, router, address })
        };
        let shaken = tokio::select! {
            shaken = shaken => shaken,
            () = lost.wait() => Err(crowded(address)),
        };
        drop(place);
        match shaken {
            Ok(upgrading) => Some(upgrading),
            Err((reason, detail)) => {
                shared.refusals.note(None, address, reason, &detail);
                None
            }
        }
    }
}
