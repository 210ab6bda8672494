//! The accepting end of the HTTP upgrade, tolerant of the Java dialler's headers and strict about everything else (WIRE 1.1).
//!
//! A refused upgrade is answered with a status line whose reason phrase is the sentence, without length, body or `Connection`. Then the
//! connection is closed. This is the only form in which the `connect()` of a 1.8.0 client fails at once instead of never (WIRE 1.1,
//! 11.14). A request that is not an upgrade comes from a browser or a health check, and gets a body.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::http::{self, HeadError};
use super::said::Said;
use super::tls::ClientCertificate;
use super::{Role, SUBPROTOCOL, Transport, WebSocket, limits};
use crate::icf::Secret;

/// The name that a stock connector server gives itself in its answers to plain HTTP.
const SERVER_NAME: &str = "OpenICF Connector Server";

/// A request for a WebSocket, checked as far as HTTP goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// Path with percent escapes resolved, without the query: `/openicf/GROUP`.
    pub path: String,
    /// What the peer says it is.
    pub authorization: Authorization,
    /// Subprotocols offered, each once, in their order; empty, or with [`SUBPROTOCOL`] among them.
    pub subprotocols: Vec<String>,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// What else the request says, in which a peer may name itself.
    pub said: Said,
    /// The certificate that the peer proved to have, if the listener asks for one. It was judged in the handshake.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

/// The `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// None was sent.
    Absent,
    /// One that is neither Basic nor Bearer, cannot be read, or is given twice. A stock acceptor answers 401, as to an absent one.
    Unusable,
    /// Basic.
    Basic(Credentials),
    /// Bearer: the token, in the characters that RFC 6750 (section 2.1) allows. Nothing else is known of the token.
    Bearer(Secret<String>),
}

/// A Basic principal and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name: anything but a colon.
    pub principal: String,
    /// The key; compare it in constant time.
    pub secret: Secret<String>,
}

/// A refused upgrade: what the peer and the log are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The answer's status.
    pub status: RefusalStatus,
    /// One line of plain text that says what to do and holds no secret. The line is the reason phrase of the answer. So the peer gets `?`
    /// for characters that are not visible ASCII, and at most [`limits::REASON_PHRASE_BYTES`] of the line.
    pub sentence: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: RefusalStatus, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }
}

/// The statuses of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalStatus {
    /// 400
    BadRequest,
    /// 401, with the challenge that a stock acceptor sends.
    Unauthorized,
    /// 401 to a bearer token, with the challenge of RFC 6750: another token may help.
    InvalidToken,
    /// 403: the key is wrong.
    Forbidden,
    /// 403: the key is right, and does not allow what was asked for.
    NotAllowed,
    /// 404
    NotFound,
    /// 408
    RequestTimeout,
    /// 426
    UpgradeRequired,
    /// 431
    HeadTooLarge,
    /// 503
    Unavailable,
    /// 503: whoever could vouch for the token cannot be asked now.
    CannotVerify,
}

impl RefusalStatus {
    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized | Self::InvalidToken => 401,
            Self::Forbidden | Self::NotAllowed => 403,
            Self::NotFound => 404,
            Self::RequestTimeout => 408,
            Self::UpgradeRequired => 426,
            Self::HeadTooLarge => 431,
            Self::Unavailable | Self::CannotVerify => 503,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthorized | Self::InvalidToken => "Unauthorized",
            Self::Forbidden | Self::NotAllowed => "Forbidden",
            Self::NotFound => "Not Found",
            Self::RequestTimeout => "Request Timeout",
            Self::UpgradeRequired => "Upgrade Required",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::Unavailable | Self::CannotVerify => "Service Unavailable",
        }
    }

    fn extra_header(self) -> &'static str {
        match self {
            Self::Unauthorized => "WWW-Authenticate: Basic realm=\"openicf.forgerock.org\"\r\n",
            Self::InvalidToken => {
                "WWW-Authenticate: Bearer realm=\"openicf.forgerock.org\", error=\"invalid_token\"\r\n"
            }
            Self::UpgradeRequired => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        }
    }
}

/// Why a connection did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It was refused; the peer has been told.
    #[error("refused with {}: {}", .0.status.code(), .0.sentence)]
    Refused(Refusal),
    /// The connection had to make room for others that were waiting.
    #[error(
        "too many connections are waiting, and this one had sent no whole request: send the request at once after connecting"
    )]
    Crowded,
    /// The process has no descriptor left for the connection.
    #[error(
        "as many connections are open as this process may have: raise its limit of open files (ulimit -n, LimitNOFILE)"
    )]
    NoDescriptors,
    /// The peer ended it before it had asked for anything, as port scanners and TCP health checks do, or before it had an answer.
    #[error("the peer closed the connection before it sent a request, or before it was answered")]
    Closed,
    /// TLS on a plain listener.
    #[error(
        "the peer speaks TLS, but this listener has none; clear useSSL at the peer (ws: instead of wss:), or give the listener a key store"
    )]
    TlsOnPlain,
    /// HTTP without TLS on a TLS listener.
    #[error(
        "the peer does not speak TLS, but this listener does; set useSSL at the peer (wss: instead of ws:)"
    )]
    PlainOnTls,
    /// Neither HTTP nor TLS.
    #[error(
        "the peer speaks neither HTTP nor TLS; if it is an IDM, it speaks the older OpenICF protocol without WebSockets: set \
         \"protocol\": \"websocket\" for this server in IDM's provisioner.openicf.connectorinfoprovider"
    )]
    NotHttp,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl AcceptError {
    /// The kind of the error in a few words, without anything that the peer sent.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => match refusal.status {
                RefusalStatus::Unauthorized => "no credentials",
                RefusalStatus::InvalidToken => "token not valid",
                RefusalStatus::Forbidden => "wrong key",
                RefusalStatus::NotAllowed => "not allowed with this credential",
                RefusalStatus::NotFound => "unknown path or group",
                RefusalStatus::RequestTimeout => "no whole request in time",
                RefusalStatus::UpgradeRequired => "not a WebSocket request",
                RefusalStatus::BadRequest => "malformed request",
                RefusalStatus::HeadTooLarge => "request too long",
                RefusalStatus::Unavailable => "overload",
                RefusalStatus::CannotVerify => "token cannot be verified now",
            },
            Self::Crowded => "silent or slow while others waited",
            Self::NoDescriptors => "too many open files",
            Self::Closed => "closed by the peer",
            Self::TlsOnPlain => "TLS on a listener without TLS",
            Self::PlainOnTls => "no TLS on a listener with TLS",
            Self::NotHttp => "neither HTTP nor TLS",
            Self::Tls(_) => "failed TLS handshake",
            Self::Io(_) => "broken connection",
        }
    }
}

/// Reads an upgrade request, lets `decide` judge it, and answers. `decide` may return anything that it found out.
///
/// # Errors
/// [`AcceptError`]; the peer has had its answer, and the connection is closed.
pub async fn accept<S, T>(
    stream: S,
    peer: SocketAddr,
    decide: impl FnOnce(&UpgradeRequest) -> Result<T, Refusal>,
) -> Result<(WebSocket, UpgradeRequest, T), AcceptError>
where
    S: Transport,
{
    Pending::read(stream, peer).await?.settle(decide).await
}

/// An upgrade request that waits for its answer; for deciders that must wait themselves.
#[derive(Debug)]
pub struct Pending<S> {
    stream: S,
    request: UpgradeRequest,
    accept_key: String,
    leftover: Bytes,
}

impl<S: Transport> Pending<S> {
    /// Reads a request within [`limits::UPGRADE_DEADLINE`] and [`limits::HTTP_HEAD_BYTES`].
    ///
    /// # Errors
    /// [`AcceptError`]; what is no acceptable upgrade has been answered.
    pub async fn read(stream: S, peer: SocketAddr) -> Result<Self, AcceptError> {
        Self::read_by(stream, peer, Instant::now() + limits::UPGRADE_DEADLINE).await
    }

    /// Like [`Pending::read`], with a deadline that has begun before.
    pub(super) async fn read_by(mut stream: S, peer: SocketAddr, due: Instant) -> Result<Self, AcceptError> {
        let mut buffer = BytesMut::new();
        let read = timeout_at(due, http::read_head(&mut stream, &mut buffer)).await;
        let refused = match read {
            Ok(Ok(length)) => {
                let head = buffer.split_to(length).freeze();
                match parse(&head, peer) {
                    Ok((request, accept_key)) => {
                        return Ok(Self { stream, request, accept_key, leftover: buffer.freeze() });
                    }
                    Err(refused) => refused,
                }
            }
            Ok(Err(HeadError::TooLarge)) => Refused::upgrade(Refusal::new(
                RefusalStatus::HeadTooLarge,
                format!("the request's head is longer than {} bytes", limits::HTTP_HEAD_BYTES),
            )),
            Ok(Err(HeadError::Closed { .. })) => return Err(AcceptError::Closed),
            Ok(Err(HeadError::Tls)) => return Err(AcceptError::TlsOnPlain),
            Ok(Err(HeadError::NotHttp)) => return Err(AcceptError::NotHttp),
            Ok(Err(HeadError::Io(error))) => return Err(AcceptError::Io(error)),
            Err(_) => Refused::upgrade(Refusal::new(
                RefusalStatus::RequestTimeout,
                "the request was not complete in time: send it at once after connecting",
            )),
        };
        Err(refuse(stream, refused).await)
    }

    /// Lets `decide` judge it, and answers.
    async fn settle<T>(
        self,
        decide: impl FnOnce(&UpgradeRequest) -> Result<T, Refusal>,
    ) -> Result<(WebSocket, UpgradeRequest, T), AcceptError> {
        match decide(&self.request) {
            Ok(found) => {
                let (socket, request) = self.accept().await?;
                Ok((socket, request, found))
            }
            Err(refusal) => Err(self.refuse(refusal).await),
        }
    }

    /// The same request, of a peer that proved to have this certificate.
    pub(super) fn with_certificate(mut self, certificate: Option<Arc<ClientCertificate>>) -> Self {
        self.request.client_certificate = certificate;
        self
    }

    /// What the peer asks for.
    pub fn request(&self) -> &UpgradeRequest {
        &self.request
    }

    /// Answers 101.
    ///
    /// # Errors
    /// [`AcceptError::Io`] if the answer could not be written in time.
    pub async fn accept(mut self) -> Result<(WebSocket, UpgradeRequest), AcceptError> {
        let echo = match self.request.subprotocols.is_empty() {
            true => String::new(),
            false => format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"),
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{echo}\r\n",
            self.accept_key
        );
        let write = async {
            self.stream.write_all(answer.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(limits::UPGRADE_DEADLINE, write).await.map_err(io::Error::from)??;
        Ok((WebSocket::movable(self.stream, Role::Server, self.leftover), self.request))
    }

    /// Answers with a refusal and ends the connection.
    pub async fn refuse(self, refusal: Refusal) -> AcceptError {
        refuse(self.stream, Refused::upgrade(refusal)).await
    }
}

impl Pending<TcpStream> {
    /// Whether the peer has closed the connection since it asked: it was not served in time.
    pub(super) fn is_given_up(&self) -> bool {
        has_ended(&self.stream)
    }
}

/// Whether the peer has closed the connection. The kernel is asked, not the runtime, which may not have heard of it yet.
pub(super) fn has_ended(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    matches!(SockRef::from(stream).peek(&mut byte), Ok(0))
}

/// What the answer of a refusal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The sentence is the reason phrase, and nothing follows the head.
    Bare,
    /// The sentence is the body.
    Body,
    /// The sentence is the reason phrase and the body.
    Both,
}

/// A refusal, and the form of its answer.
struct Refused {
    refusal: Refusal,
    form: Form,
}

impl Refused {
    fn upgrade(refusal: Refusal) -> Self {
        Self { refusal, form: Form::Bare }
    }

    fn plain(refusal: Refusal) -> Self {
        Self { refusal, form: Form::Body }
    }

    fn answer(&self) -> String {
        let Refusal { status, sentence } = &self.refusal;
        let (code, extra) = (status.code(), status.extra_header());
        match self.form {
            Form::Bare => format!("HTTP/1.1 {code} {}\r\n{extra}\r\n", reason_phrase(sentence)),
            // The health check of the published image looks for this name.
            Form::Body | Form::Both => format!(
                "HTTP/1.1 {code} {}\r\n{extra}Server: {SERVER_NAME}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{sentence}\n",
                if self.form == Form::Both { reason_phrase(sentence) } else { status.reason().to_owned() },
                sentence.len() + 1,
            ),
        }
    }
}

/// The sentence as one line of visible ASCII, bounded.
fn reason_phrase(sentence: &str) -> String {
    let visible = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    sentence.chars().take(limits::REASON_PHRASE_BYTES).map(visible).collect()
}

/// Answers a request without TLS at a listener with TLS, if it is one.
pub(super) async fn refuse_plain<S: Transport>(mut stream: S, due: Instant) -> AcceptError {
    let mut buffer = BytesMut::new();
    match timeout_at(due, http::read_head(&mut stream, &mut buffer)).await {
        Ok(Ok(_)) => {
            let sentence =
                "this address speaks TLS: dial it with useSSL, or with wss: (https:) instead of ws: (http:)";
            // A client of the protocol reads the first line only, and other programs show the body.
            let refusal = Refusal::new(RefusalStatus::BadRequest, sentence);
            refuse(stream, Refused { refusal, form: Form::Both }).await;
            AcceptError::PlainOnTls
        }
        Ok(Err(HeadError::Closed { .. })) => AcceptError::Closed,
        Ok(Err(HeadError::NotHttp | HeadError::Tls)) => AcceptError::NotHttp,
        Ok(Err(HeadError::Io(error))) => AcceptError::Io(error),
        Ok(Err(HeadError::TooLarge)) | Err(_) => AcceptError::PlainOnTls,
    }
}

/// Writes the refusal, ends our direction, and listens a little: closing with unread bytes would reset the connection, and the
/// peer's kernel would drop our answer.
async fn refuse<S: Transport>(mut stream: S, refused: Refused) -> AcceptError {
    let answer = refused.answer();
    // A peer that does not take its refusal loses only the sentence.
    if matches!(timeout(limits::REFUSAL_DRAIN, stream.write_all(answer.as_bytes())).await, Ok(Ok(()))) {
        hear_out(stream).await;
    }
    AcceptError::Refused(refused.refusal)
}

/// Ends our direction and listens a little, so that the peer can read what it was told last.
pub(super) async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let hear = async {
        stream.shutdown().await?;
        let mut rest = stream.take(limits::REFUSAL_DRAIN_BYTES as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    let _ = timeout(limits::REFUSAL_DRAIN, hear).await;
}

/// Checks a request's head; returns it with the value of `Sec-WebSocket-Accept`.
fn parse(head: &[u8], peer: SocketAddr) -> Result<(UpgradeRequest, String), Refused> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HTTP_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refused::upgrade(Refusal::new(
                RefusalStatus::HeadTooLarge,
                format!("the request has more than {} headers", limits::HTTP_HEADERS),
            )));
        }
        Ok(httparse::Status::Partial) | Err(_) => {
            return Err(Refused::plain(bad("this is not an HTTP/1.1 request")));
        }
    }
    let upgrades = http::tokens(request.headers, "Upgrade")
        .any(|token| token.eq_ignore_ascii_case("websocket"))
        && http::tokens(request.headers, "Connection").any(|token| token.eq_ignore_ascii_case("upgrade"));
    if !upgrades {
        return Err(Refused::plain(Refusal::new(
            RefusalStatus::UpgradeRequired,
            "this address speaks the OpenICF protocol on WebSockets; point a connector client at it, not a browser",
        )));
    }
    read_upgrade(&request, peer).map_err(Refused::upgrade)
}

/// Checks a request that asks for a WebSocket.
fn read_upgrade(
    request: &httparse::Request<'_, '_>,
    peer: SocketAddr,
) -> Result<(UpgradeRequest, String), Refusal> {
    let headers = &*request.headers;
    if request.method != Some("GET") || request.version != Some(1) {
        return Err(bad("a WebSocket must be asked for with GET and HTTP/1.1"));
    }
    if http::values(headers, "Host").count() != 1 {
        return Err(bad("the request needs one Host header"));
    }
    let has_body = http::values(headers, "Transfer-Encoding").next().is_some()
        || http::values(headers, "Content-Length").any(|length| length != b"0");
    if has_body {
        return Err(bad("a request for a WebSocket must not have a body"));
    }
    if !http::tokens(headers, "Sec-WebSocket-Version").any(|version| version == "13") {
        return Err(Refusal::new(RefusalStatus::UpgradeRequired, "only WebSocket version 13 is spoken here"));
    }
    let mut keys = http::values(headers, "Sec-WebSocket-Key");
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16) => key,
        _ => return Err(bad("the request needs one Sec-WebSocket-Key of 16 bytes in base64")),
    };
    let target = request.path.unwrap_or_default();
    let request = UpgradeRequest {
        path: path(target).ok_or_else(|| bad("the request's path is not valid"))?,
        authorization: authorization(headers),
        subprotocols: subprotocols(headers)?,
        peer,
        said: Said::of(headers, target),
        client_certificate: None,
    };
    Ok((request, derive_accept_key(key)))
}

fn bad(sentence: &str) -> Refusal {
    Refusal::new(RefusalStatus::BadRequest, sentence)
}

/// What is offered, each once. None at all is accepted, as a stock acceptor does.
fn subprotocols(headers: &[httparse::Header<'_>]) -> Result<Vec<String>, Refusal> {
    let mut offered: Vec<String> = Vec::new();
    for token in http::tokens(headers, "Sec-WebSocket-Protocol") {
        if !offered.iter().any(|known| known == token) {
            offered.push(token.to_owned());
        }
    }
    match offered.is_empty() || offered.iter().any(|token| token == SUBPROTOCOL) {
        true => Ok(offered),
        false => Err(Refusal::new(
            RefusalStatus::BadRequest,
            format!("the WebSocket subprotocol must be {SUBPROTOCOL}; other ones are not spoken here"),
        )),
    }
}

fn authorization(headers: &[httparse::Header<'_>]) -> Authorization {
    let mut values = http::values(headers, "Authorization");
    match (values.next(), values.next()) {
        (None, _) => Authorization::Absent,
        (Some(value), None) => {
            let basic = || basic(value).map(Authorization::Basic);
            basic().or_else(|| bearer(value).map(Authorization::Bearer)).unwrap_or(Authorization::Unusable)
        }
        (Some(_), Some(_)) => Authorization::Unusable,
    }
}

/// `Bearer token`. The token has the characters of base64 in its two forms, `.` and `~`, and ends with any number of `=`.
fn bearer(value: &[u8]) -> Option<Secret<String>> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.trim().split_once(' ')?;
    let token = token.trim();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    let body = token.trim_end_matches('=');
    let is_usable = scheme.eq_ignore_ascii_case("Bearer") && !body.is_empty() && body.chars().all(is_token);
    is_usable.then(|| Secret::new(token.to_owned()))
}

/// `Basic base64(principal ":" key)`, in ISO-8859-1: each byte is the character of that number.
fn basic(value: &[u8]) -> Option<Credentials> {
    let (scheme, encoded) = std::str::from_utf8(value).ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let clear: String = BASE64_STANDARD.decode(encoded.trim()).ok()?.into_iter().map(char::from).collect();
    let (principal, secret) = clear.split_once(':')?;
    Some(Credentials { principal: principal.to_owned(), secret: Secret::new(secret.to_owned()) })
}

/// The target's path without its query, with `%41` resolved; `None` if it is not a clean absolute path.
fn path(target: &str) -> Option<String> {
    let path = target.split(['?', '#']).next().filter(|path| path.starts_with('/'))?;
    String::from_utf8(http::unescaped(path)?).ok().filter(|path| !path.contains(char::is_control))
}
