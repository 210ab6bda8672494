//! Opens a connection to another router.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::credentials::Live;
use super::stream::{Dial, Stream as _};
use super::words;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, DIAL_TIME_MAX, HEADERS_BYTES_MAX, PING_EVERY, PING_WAIT, STREAM_WINDOW_BYTES,
};
use crate::pki::{Dates, Name};

/// A connection on which the peer has shown its certificate, and has accepted ours.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) send: http2::SendRequest<tonic::body::Body>,
    /// Whom the peer's certificate names.
    pub(super) peer: Arc<Name>,
    /// The dates of the peer's certificate.
    pub(super) dates: Option<Dates>,
    /// Since when it is open.
    pub(super) since: Instant,
}

/// Dials an address. The sentence of an error goes on after "the router at ADDRESS".
pub(super) async fn dial<D: Dial>(way: &D, address: &str, live: &Live) -> Result<Connection, String> {
    let silent = || format!("does not answer within {DIAL_TIME_MAX:?}");
    timeout(DIAL_TIME_MAX, connect(way, address, live)).await.unwrap_or_else(|_| Err(silent()))
}

async fn connect<D: Dial>(way: &D, address: &str, live: &Live) -> Result<Connection, String> {
    let stream = way.dial(address).await.map_err(|error| words::dialled(&error))?;
    stream.tune().map_err(|error| words::dialled(&error))?;
    // The verifier looks at no host name, and none is sent.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let tls = TlsConnector::from(Arc::clone(&live.client)).connect(name, stream).await;
    let tls = tls.map_err(|error| words::dialled(&error))?;
    let shown = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.ok_or_else(|| "shows no certificate".to_owned())?;
    let peer =
        Name::of(shown).map_err(|reason| format!("shows a certificate that is not accepted: {reason}"))?;
    let dates = Dates::shown(shown);
    // In TLS 1.3 a client is done before the server has looked at its certificate. The server's first word says that it was accepted, so a
    // refusal is known before anything is sent.
    let mut stream = BufReader::new(tls);
    let first = stream.fill_buf().await.map_err(|error| words::dialled(&error))?;
    if first.is_empty() {
        return Err("closed the connection at once: that router's log says why".to_owned());
    }
    let (send, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("does not speak HTTP/2: {}", words::chain(&error)))?;
    // Ends with the last clone of `send`, or with the peer. Those who wait for answers are told.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("a connection to another router ended: {}", words::chain(&error));
        }
    });
    Ok(Connection { send, peer: Arc::new(peer), dates, since: Instant::now() })
}

/// How long to wait after this many failures in a row. Routers that lost the same peer do not come back in step.
pub(super) fn backoff(failures: u32) -> Duration {
    use crate::limits::{REDIAL_MAX, REDIAL_MIN};
    let longest = REDIAL_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(REDIAL_MAX);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
