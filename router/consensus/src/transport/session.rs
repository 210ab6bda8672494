//! One accepted connection: TLS, and then HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rcs_proto::driver::places::{Lost, Place};
use rcs_proto::driver::shares::Shown;
use rustls::server::Acceptor;
use rustls::{Error, ServerConfig};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, LazyConfigAcceptor, StartHandshake};

use super::arriving::{self, Arriving};
use super::refusals::Reason;
use super::service::Counted;
use super::shared::Shared;
use super::stream::Stream;
use super::words;
use crate::limits::{
    CLOSE_TIME_MAX, CONNECTION_WINDOW_BYTES, HANDSHAKE_TIME_MAX, HEADERS_BYTES_MAX, PING_WAIT,
    SESSION_PING_EVERY, SESSION_TIME_MAX, SNAPSHOT_REQUEST, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use crate::pki::{Dates, Name};
use crate::rpc::Receiver;

/// Serves a connection until either end closes it. `stop` ends it after the requests under way.
pub(super) async fn session<S: Stream, R: Receiver>(
    shared: Arc<Shared>,
    (stream, address): (S, SocketAddr),
    (place, lost): (Place, Lost),
    receiver: R,
    mut stop: watch::Receiver<bool>,
) {
    let until = Instant::now() + HANDSHAKE_TIME_MAX;
    let mut lost = lost;
    let greeted = tokio::select! {
        greeted = hello(stream, &place, until) => greeted,
        () = lost.wait() => Err(crowded(address)),
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let start = match greeted {
        Ok(start) => start,
        Err((reason, detail)) => return shared.refusals.note(None, address, reason, &detail),
    };
    if let Some(arrivals) = shared.arrivals.as_ref().filter(|_| arriving::is_one(&start)) {
        // Whoever takes no more of them has more to do than it can: the router that dials tries again.
        match Arriving::new(start, address, (place, lost), Arc::clone(&shared), until) {
            Ok(arriving) => drop(arrivals.try_send(arriving)),
            Err(error) => shared.refusals.note(None, address, Reason::Slow, &error.to_string()),
        }
        return;
    }
    let shaken = tokio::select! {
        shaken = handshake(&shared, start, until) => shaken,
        () = lost.wait() => Err(crowded(address)),
        _ = stop.wait_for(|stop| *stop) => return,
    };
    // From here on it is no stranger: its certificate vouches for it.
    drop(place);
    let (stream, peer) = match shaken {
        Ok(shaken) => shaken,
        Err((reason, detail)) => return shared.refusals.note(None, address, reason, &detail),
    };
    let router = peer.router;
    let Some((_seat, unseated)) = shared.seats.take(router) else {
        return shared.refusals.note(
            Some(router),
            address,
            Reason::Full,
            "remove routers that are not of this cluster",
        );
    };
    let service = Counted::new(receiver, peer, address, Arc::clone(&shared));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(SESSION_PING_EVERY)
        .keep_alive_timeout(PING_WAIT)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = unseated => return,
        grace = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => CLOSE_TIME_MAX,
                // Nothing is in a hurry: no request takes longer than a snapshot.
                () = sleep(SESSION_TIME_MAX) => SNAPSHOT_REQUEST,
            }
        } => {
            connection.as_mut().graceful_shutdown();
            timeout(grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, router, "a router's connection ended: {}", words::chain(&error));
    }
}

pub(super) type Refused = (Reason, String);

pub(super) fn slow(_: Elapsed) -> Refused {
    (Reason::Slow, format!("it took more than {HANDSHAKE_TIME_MAX:?}"))
}

pub(super) fn crowded(address: SocketAddr) -> Refused {
    (Reason::Crowded, format!("it has shown no certificate for {address}"))
}

/// The connection's first TLS message.
async fn hello<S: Stream>(
    mut stream: S,
    place: &Place,
    until: Instant,
) -> Result<StartHandshake<S>, Refused> {
    let gone = |error: io::Error| (Reason::Slow, error.to_string());
    stream.tune().map_err(gone)?;
    // TLS begins with the client. Who has sent something keeps its place longer.
    timeout_at(until, stream.readable()).await.map_err(slow)?.map_err(gone)?;
    place.note(Shown::Something);
    let acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    timeout_at(until, acceptor).await.map_err(slow)?.map_err(|error| refused(&error))
}

async fn handshake<S: Stream>(
    shared: &Shared,
    start: StartHandshake<S>,
    until: Instant,
) -> Result<(TlsStream<S>, Name), Refused> {
    let accept = accept(start, Arc::clone(&shared.credentials.live().server))?;
    let stream = timeout_at(until, accept).await.map_err(slow)?.map_err(|error| refused(&error))?;
    let name = peer_of(shared, &stream)?;
    Ok((stream, name))
}

/// Goes on with the handshake. What came together with the first message is looked at now: nothing may come behind it, and nothing more would
/// come that has the rest looked at.
pub(super) fn accept<S: Stream>(
    start: StartHandshake<S>,
    config: Arc<ServerConfig>,
) -> Result<Accept<S>, Refused> {
    let mut failed = None;
    let accept = start.into_stream_with(config, |connection| failed = connection.process_new_packets().err());
    match failed {
        None => Ok(accept),
        Some(error) => Err(refused(&io::Error::new(io::ErrorKind::InvalidData, error))),
    }
}

/// Whom the certificate names that the peer has shown.
pub(super) fn peer_of<S>(shared: &Shared, stream: &TlsStream<S>) -> Result<Name, Refused> {
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let missing = || (Reason::Certificate, "it showed none".to_owned());
    let shown = shown.ok_or_else(missing)?;
    let name = Name::of(shown).map_err(|reason| (Reason::Certificate, reason))?;
    shared.credentials.note(name.router, Dates::shown(shown));
    Ok(name)
}

pub(super) fn refused(error: &io::Error) -> Refused {
    match words::tls(error) {
        Some(Error::InvalidMessage(_)) => {
            (Reason::NotTls, "this is the address for routers of the cluster".to_owned())
        }
        Some(Error::NoCertificatesPresented) => (Reason::Certificate, "it showed none".to_owned()),
        Some(Error::InvalidCertificate(problem)) => (Reason::Certificate, words::of_certificate(problem)),
        Some(other) => (Reason::Certificate, words::told(&other.to_string())),
        None => (Reason::Slow, error.to_string()),
    }
}
