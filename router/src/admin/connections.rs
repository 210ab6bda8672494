//! The connections of the admin address. Each connection must bring whole requests and read its answers in time. While there are too many
//! connections, the network that holds the most of them loses its slowest one (promise P10).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rcs_proto::driver::handshakes::Handshakes;
use rcs_proto::driver::places::{Lost, Place, Places};
use rcs_proto::driver::shares::Shown;
use rcs_proto::driver::tls::ListenTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower::ServiceExt;

use super::answering::Answering;
use crate::limits::{
    ADMIN_CONNECTIONS_KEPT, ADMIN_HEAD_BYTES_MAX, ADMIN_HEAD_DEADLINE, ADMIN_READ_BYTES_MAX,
};

/// Pause after a failed `accept`, which goes on failing until descriptors are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `service` on the listener for ever, on at most `most` connections at a time, with TLS if it is given.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<ListenTls>,
    service: Router,
    most: usize,
) -> io::Result<()> {
    let door = Arc::new(Door { tls, handshakes: Handshakes::default(), service });
    let places = Places::new(ADMIN_CONNECTIONS_KEPT.min(most / 2));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // While all other connections wait for an answer of the router, this one waits too.
                let (place, lost) = places.take(peer.ip(), most).await;
                tokio::spawn(Arc::clone(&door).serve_one(stream, peer, place, lost));
            }
            Err(error) => {
                tracing::debug!(%error, "the admin address cannot accept connections; retrying");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What all connections share.
struct Door {
    tls: Option<ListenTls>,
    handshakes: Handshakes,
    service: Router,
}

impl Door {
    /// Answers the requests of one connection, until it ends or loses its place.
    async fn serve_one(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place, mut lost: Lost) {
        tokio::select! {
            () = self.answer(stream, peer, place) => {}
            () = lost.wait() => tracing::debug!(%peer, "the slowest connection to the admin address made room for another one"),
        }
    }

    async fn answer(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return serve_on(stream, peer, place, self.service.clone()).await };
        match self.handshakes.shake(tls, stream, Instant::now() + ADMIN_HEAD_DEADLINE).await {
            Ok(stream) => serve_on(stream, peer, place, self.service.clone()).await,
            // The client has been told. A fault of one connection concerns its client alone.
            Err(error) => tracing::debug!(%peer, "no TLS connection to the admin address: {error}"),
        }
    }
}

async fn serve_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: SocketAddr,
    place: Place,
    service: Router,
) {
    let place = Arc::new(place);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&place));
        place.note(Shown::Enough);
        let (place, answer) = (Arc::clone(&place), service.clone().oneshot(request.map(Body::new)));
        async move {
            let answer = answer.await;
            // Now the client must read the answer, and send its next request.
            place.note(Shown::Something);
            answer
        }
    });
    // A fault of one connection concerns its client alone.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_HEAD_DEADLINE)
        .max_header_size(ADMIN_HEAD_BYTES_MAX)
        .max_buf_size(ADMIN_READ_BYTES_MAX)
        .serve_connection(TokioIo::new(Answering::new(stream)), answer)
        .await;
}
