//! The dialling end: TCP, TLS if asked for, and the HTTP upgrade as the Java dialler does it (WIRE 1.1).
//!
//! Written by hand because stock refusals have neither a length nor an end: the status line is all that is waited for.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::accept::Credentials;
use super::http::{self, HeadError};
use super::proxy::{HttpProxy, ProxyError};
use super::tls::in_words;
use super::{ReadHalf, Role, SUBPROTOCOL, Transport, WebSocket, WriteHalf, limits, tune};
use crate::icf::Secret;

/// Where and how to dial.
#[derive(Clone, Debug)]
pub struct DialTarget {
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Request path; a stock connector server answers only `/openicf`.
    pub path: String,
    /// How to speak TLS; `None` for plain TCP.
    pub tls: Option<DialTls>,
    /// Sent with the request, never after a challenge.
    pub authorization: DialAuthorization,
    /// Limit for the TCP connection, and again for TLS and upgrade together.
    pub connect_timeout: Duration,
}

/// How a dialler proves who it is.
#[derive(Clone, Debug)]
pub enum DialAuthorization {
    /// A principal with its key, as the open servers expect it.
    Basic(Credentials),
    /// An OAuth2 access token, as the commercial server expects it.
    Bearer {
        /// The token.
        token: Secret<String>,
        /// Whether it may be sent without TLS.
        in_clear: InClear,
    },
}

/// Where an access token may be sent without TLS. Whoever reads a token can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InClear {
    /// To a peer on this machine alone.
    ToLoopback,
    /// To any peer, for trials.
    ToAnybody,
}

/// What a dial may have beside its target.
#[derive(Clone, Debug, Default)]
pub struct DialExtras {
    /// The HTTP proxy on the way.
    pub proxy: Option<HttpProxy>,
    /// Headers of the request by name and value, beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
}

/// TLS for a dialler.
#[derive(Clone, Debug)]
pub struct DialTls {
    /// Trusted roots, client certificate.
    pub config: Arc<ClientConfig>,
    /// Name that the certificate must hold; `None` for the dialled host.
    pub server_name: Option<String>,
}

/// Why a dial failed, in words for the log; never with the key.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The target itself cannot be dialled.
    #[error("the target is not valid: {0}")]
    BadTarget(&'static str),
    /// No address for the host name.
    #[error("the host name {host} cannot be resolved: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No TCP connection; the last address tried.
    #[error("no TCP connection to {address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No TCP connection within the limit.
    #[error("no TCP connection to {host}:{port} within {limit:?}")]
    ConnectTimeout {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The limit.
        limit: Duration,
    },
    /// The proxy on the way does not lead to the target.
    #[error("the proxy {host}:{port} does not help: {source}")]
    Proxy {
        /// The proxy's host.
        host: String,
        /// The proxy's port.
        port: u16,
        /// Why.
        source: ProxyError,
    },
    /// The proxy on the way let the time pass.
    #[error("the proxy {host}:{port} did not lead to the target within {limit:?}")]
    ProxyTimeout {
        /// The proxy's host.
        host: String,
        /// The proxy's port.
        port: u16,
        /// The limit.
        limit: Duration,
    },
    /// TLS was dialled, and the peer answered something else.
    #[error("the peer does not speak TLS; clear useSSL here, or give the peer a key store")]
    PlainPeer,
    /// The peer hung up on our TLS hello, or let the time pass.
    #[error("the peer does not answer the TLS hello; if it has no TLS, clear useSSL here")]
    NoTlsAnswer,
    /// No TLS was dialled, and the peer answered with TLS.
    #[error("the peer answers with TLS; set useSSL here")]
    TlsPeer,
    /// The TLS handshake failed: a certificate, a name, a version. The text says in words what is wrong and what to do.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// 401 or 403: a stock server answers 403 to a wrong key.
    #[error("the peer refused our principal or key (HTTP {status}); compare the keys of both sides")]
    WrongKey {
        /// 401 or 403.
        status: u16,
    },
    /// 401 or 403 to an access token.
    #[error("the peer refused our access token (HTTP {status})")]
    TokenRefused {
        /// 401 or 403.
        status: u16,
    },
    /// An access token was to be sent without TLS to another machine.
    #[error(
        "an access token is not sent to {host} without TLS, because whoever reads the token can use it; dial with TLS"
    )]
    TokenInClear {
        /// The host.
        host: String,
    },
    /// 404
    #[error("the peer has no OpenICF service at {path} (HTTP 404)")]
    NoSuchPath {
        /// The path.
        path: String,
    },
    /// Another status than 101.
    #[error("the peer refused the WebSocket with HTTP {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// No answer at all: a stock server treats unknown paths so (WIRE 1.1).
    #[error("no HTTP answer at {path} within {limit:?}; a stock connector server answers only at /openicf")]
    NoAnswer {
        /// The path.
        path: String,
        /// The limit.
        limit: Duration,
    },
    /// The peer hung up before it had answered.
    #[error("the peer closed the connection without an answer; it may want TLS, or be shutting down")]
    Closed,
    /// An answer that is not HTTP, or 101 without what belongs to it.
    #[error("the peer's answer is not a WebSocket upgrade: {0}")]
    NotWebSocket(&'static str),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl DialError {
    /// Whether only a person can mend the failure: a key, a path, a certificate, a wrong address.
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::BadTarget(_)
            | Self::PlainPeer
            | Self::TlsPeer
            | Self::Tls(_)
            | Self::WrongKey { .. }
            // Another status than 401 is about the client, and no other token of the client helps.
            | Self::TokenRefused { status: 402.. }
            | Self::TokenInClear { .. }
            | Self::NoSuchPath { .. }
            | Self::NotWebSocket(_)
            | Self::Proxy { source: ProxyError::BadCredentials | ProxyError::Credentials { .. }, .. } => true,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Proxy { .. }
            | Self::ProxyTimeout { .. }
            | Self::NoTlsAnswer
            // A newer token may help.
            | Self::TokenRefused { .. }
            | Self::Refused { .. }
            | Self::NoAnswer { .. }
            | Self::Closed
            | Self::Io(_) => false,
        }
    }
}

impl DialTarget {
    /// Checks what [`dial`] would refuse before it dials: a host, path, principal or key that cannot stand in a request.
    ///
    /// # Errors
    /// [`DialError::BadTarget`]
    pub fn validate(&self) -> Result<(), DialError> {
        request(self, &[], "")?;
        server_name(&self.host).map(drop)
    }
}

/// The name for which a certificate must be valid: the host, without the interface of a link-local address.
///
/// # Errors
/// [`DialError::BadTarget`]
pub fn server_name(host: &str) -> Result<ServerName<'static>, DialError> {
    let name = host.split('%').next().unwrap_or_default().to_owned();
    ServerName::try_from(name)
        .map_err(|_| DialError::BadTarget("the host is neither a host name nor an address"))
}

/// Dials, and returns the WebSocket with the peer's address.
///
/// # Errors
/// [`DialError`], which says what to do about it where that is known.
pub async fn dial(target: &DialTarget) -> Result<(WebSocket, SocketAddr), DialError> {
    dial_with(target, &DialExtras::default()).await
}

/// Dials as [`dial`] does, with extras. Behind a proxy the address is the proxy's.
///
/// # Errors
/// [`DialError`]
pub async fn dial_with(
    target: &DialTarget,
    extras: &DialExtras,
) -> Result<(WebSocket, SocketAddr), DialError> {
    let key = generate_key();
    let request = request(target, &extras.headers, &key)?;
    let proxy = extras.proxy.as_ref();
    let (stream, peer) = open_tcp(&target.host, target.port, proxy, target.connect_timeout).await?;
    if target.tls.is_none()
        && matches!(target.authorization, DialAuthorization::Bearer { in_clear: InClear::ToLoopback, .. })
        && (proxy.is_some() || !peer.ip().is_loopback())
    {
        return Err(DialError::TokenInClear { host: target.host.clone() });
    }
    let deadline = Instant::now() + target.connect_timeout;
    let stream = match &target.tls {
        None => MaybeTls::Plain(stream),
        Some(tls) => {
            let stream = timeout_at(deadline, start_tls(stream, target, tls)).await;
            MaybeTls::Tls(Box::new(stream.unwrap_or(Err(DialError::NoTlsAnswer))?))
        }
    };
    match timeout_at(deadline, upgrade(stream, target, request, &key)).await {
        Ok(result) => result.map(|socket| (socket, peer)),
        Err(_) => Err(DialError::NoAnswer { path: target.path.clone(), limit: target.connect_timeout }),
    }
}

/// A TCP connection to a host, or through a proxy to it; with the address that was connected to, which is the proxy's if there is one.
/// `limit` is for the connection, and again for the way through the proxy.
///
/// # Errors
/// [`DialError::Resolve`], [`DialError::Connect`], [`DialError::ConnectTimeout`], [`DialError::Io`]; of a proxy [`DialError::Proxy`] and
/// [`DialError::ProxyTimeout`]
pub async fn open_tcp(
    host: &str,
    port: u16,
    proxy: Option<&HttpProxy>,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let Some(proxy) = proxy else { return connect(host, port, limit).await };
    let by_proxy = |source| DialError::Proxy { host: proxy.host.clone(), port: proxy.port, source };
    let connected = connect(&proxy.host, proxy.port, limit).await;
    let (mut stream, peer) = connected.map_err(|error| by_proxy(ProxyError::NotReached(Box::new(error))))?;
    match timeout(limit, proxy.lead(&mut stream, host, port)).await {
        Ok(Ok(())) => Ok((stream, peer)),
        Ok(Err(source)) => Err(by_proxy(source)),
        Err(_) => Err(DialError::ProxyTimeout { host: proxy.host.clone(), port: proxy.port, limit }),
    }
}

/// Tries the host's addresses one after the other.
async fn connect(host: &str, port: u16, limit: Duration) -> Result<(TcpStream, SocketAddr), DialError> {
    let attempt = async {
        let addresses = tokio::net::lookup_host((host, port))
            .await
            .map_err(|source| DialError::Resolve { host: host.to_owned(), source })?;
        let mut last = DialError::Resolve {
            host: host.to_owned(),
            source: io::Error::new(io::ErrorKind::NotFound, "it has no address"),
        };
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    tune(&stream, limits::DIALLED_USER_TIMEOUT)?;
                    return Ok((stream, address));
                }
                Err(source) => last = DialError::Connect { address, source },
            }
        }
        Err(last)
    };
    timeout(limit, attempt)
        .await
        .unwrap_or_else(|_| Err(DialError::ConnectTimeout { host: host.to_owned(), port, limit }))
}

pub(super) async fn start_tls(
    stream: TcpStream,
    target: &DialTarget,
    tls: &DialTls,
) -> Result<TlsStream<TcpStream>, DialError> {
    let host = tls.server_name.clone().unwrap_or_else(|| target.host.clone());
    let name = server_name(&host)?;
    TlsConnector::from(tls.config.clone()).connect(name, stream).await.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidMessage(_)) => DialError::PlainPeer,
            // An alert or a complaint about a certificate comes as an error of rustls.
            None => DialError::NoTlsAnswer,
            Some(inner) => DialError::Tls(in_words(inner, &host)),
        }
    })
}

/// The request, built before anything is dialled so that a bad target costs no connection.
fn request(target: &DialTarget, headers: &[(&str, String)], key: &str) -> Result<Vec<u8>, DialError> {
    let clean = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !target.path.starts_with('/') || !clean(&target.path) {
        return Err(DialError::BadTarget("the path must begin with / and hold no blanks"));
    }
    if !clean(&target.host) {
        return Err(DialError::BadTarget("the host has spaces or other letters than ASCII has"));
    }
    let authorization = authorization(&target.authorization)?;
    let (host, port, path) = (&target.host, target.port, &target.path);
    // The interface of a link-local address has a meaning on this machine only (RFC 6874).
    let host = match host.split('%').next().unwrap_or(host) {
        address if address.contains(':') => format!("[{address}]"),
        name => name.to_owned(),
    };
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\
         Authorization: {}\r\nUser-Agent: rcs-router/{}\r\n",
        authorization.expose(),
        env!("CARGO_PKG_VERSION"),
    );
    for (name, value) in headers {
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(DialError::BadTarget("a header has other characters than ASCII has"));
        }
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    Ok(request.into_bytes())
}

/// The value of the `Authorization` header.
fn authorization(authorization: &DialAuthorization) -> Result<Secret<String>, DialError> {
    let value = match authorization {
        DialAuthorization::Basic(Credentials { principal, .. }) if principal.contains(':') => {
            return Err(DialError::BadTarget("the principal must not hold a colon"));
        }
        DialAuthorization::Basic(Credentials { principal, secret }) => {
            let user = latin1(&format!("{principal}:{}", secret.expose()))
                .ok_or(DialError::BadTarget("principal and key must be within ISO-8859-1"))?;
            format!("Basic {}", BASE64_STANDARD.encode(user))
        }
        DialAuthorization::Bearer { token, .. } => {
            let token = token.expose();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(DialError::BadTarget("the access token has characters that no header may have"));
            }
            format!("Bearer {token}")
        }
    };
    Ok(Secret::new(value))
}

/// Bytes of a text in ISO-8859-1, as Basic credentials are sent.
pub(super) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// What TLS says of an error, in words. With TLS 1.3 a server judges our certificate after our handshake is done.
fn tls_words(error: &io::Error, host: &str) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(in_words(inner, host))
}

async fn upgrade(
    mut stream: MaybeTls,
    target: &DialTarget,
    request: Vec<u8>,
    key: &str,
) -> Result<WebSocket, DialError> {
    let host = target.host.as_str();
    let failed = |error: io::Error| match tls_words(&error, host) {
        Some(words) => DialError::Tls(words),
        // A TLS listener may reset a plain dialler instead of alerting it.
        None if error.kind() == io::ErrorKind::ConnectionReset => DialError::Closed,
        None => DialError::Io(error),
    };
    let sent = async {
        stream.write_all(&request).await?;
        stream.flush().await
    };
    sent.await.map_err(failed)?;
    let mut buffer = BytesMut::new();
    let length = http::read_head(&mut stream, &mut buffer).await.map_err(|error| match error {
        HeadError::Tls => DialError::TlsPeer,
        HeadError::NotHttp => DialError::NotWebSocket("it is not HTTP"),
        HeadError::TooLarge => DialError::NotWebSocket("its head is too large"),
        HeadError::Closed { silent: true } => DialError::Closed,
        HeadError::Closed { silent: false } => DialError::NotWebSocket("it ends within its head"),
        HeadError::Io(error) => failed(error),
    })?;
    let head = buffer.split_to(length);
    check(&head, target, key)?;
    Ok(WebSocket::new(stream, Role::Client, buffer.freeze()))
}

fn check(head: &[u8], target: &DialTarget, key: &str) -> Result<(), DialError> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HTTP_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    if !matches!(response.parse(head), Ok(httparse::Status::Complete(_))) {
        return Err(DialError::NotWebSocket("its head cannot be read"));
    }
    match response.code.unwrap_or(0) {
        101 => {}
        status @ (401 | 403) => {
            return Err(match target.authorization {
                DialAuthorization::Basic(_) => DialError::WrongKey { status },
                DialAuthorization::Bearer { .. } => DialError::TokenRefused { status },
            });
        }
        404 => return Err(DialError::NoSuchPath { path: target.path.clone() }),
        status => return Err(DialError::Refused { status }),
    }
    if !http::values(response.headers, "Sec-WebSocket-Accept")
        .any(|value| value == derive_accept_key(key.as_bytes()).as_bytes())
    {
        return Err(DialError::NotWebSocket("Sec-WebSocket-Accept does not match"));
    }
    // A stock acceptor echoes what it knows, or sends an empty line.
    if http::tokens(response.headers, "Sec-WebSocket-Protocol").any(|token| token != SUBPROTOCOL) {
        return Err(DialError::NotWebSocket("it chose a subprotocol that we did not offer"));
    }
    Ok(())
}

/// A dialled stream.
enum MaybeTls {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport for MaybeTls {
    fn into_halves(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => stream.into_halves(),
            Self::Tls(stream) => stream.into_halves(),
        }
    }
}

impl AsyncRead for MaybeTls {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for MaybeTls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
