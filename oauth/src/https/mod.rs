//! An HTTPS client for few and small exchanges: one request on one connection, an answer of bounded size, one deadline over all.
//!
//! A redirect is refused: a request is meant for the host of its URL alone. The TLS configuration that the user gives verifies `https`.
//! `http` is spoken with this machine alone, unless the URL was read with [`Plain::Anywhere`].
//!
//! ```no_run
//! # async fn example(tls: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) -> Result<(), Box<dyn std::error::Error>> {
//! use rcs_oauth::https::{Https, Plain, Url};
//!
//! let url = Url::parse("https://am.example.com/jwks", Plain::Loopback)?;
//! let answer = Https::new(tls).get(&url, &[("Accept", "application/json")]).await?;
//! let keys: serde_json::Value = answer.success()?.json()?;
//! # Ok(())
//! # }
//! ```

mod error;
mod form;
#[cfg(test)]
mod tests;
mod url;

use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rcs_proto::driver::dial::{open_tcp, server_name};
use rcs_proto::driver::proxy::HttpProxy;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

pub use error::{HttpsError, Part};
pub use form::{basic, form};
pub use url::{BadUrl, Plain, Url, is_loopback};

use crate::limits::{BODY_BYTES_MAX, EXCHANGE_DEADLINE, HEAD_BYTES_MAX, HEADERS_MAX, SHOWN_CHARACTERS_MAX};

/// Headers of a request, by name and value.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// The client: its TLS configuration, its proxy, and its bounds. The client holds no connection, so a copy is cheap.
#[derive(Clone, Debug)]
pub struct Https {
    /// Without one, `https` cannot be spoken.
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<HttpProxy>,
    deadline: Duration,
    body_bytes_max: usize,
}

impl Https {
    /// A client with the bounds of [`crate::limits`]. `tls` says which certificates are trusted.
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls: Some(tls), ..Self::without_tls() }
    }

    /// A client for `http` URLs alone.
    pub fn without_tls() -> Self {
        Self { tls: None, proxy: None, deadline: EXCHANGE_DEADLINE, body_bytes_max: BODY_BYTES_MAX }
    }

    /// The same client behind an HTTP proxy (CONNECT).
    #[must_use]
    pub fn through(self, proxy: Option<HttpProxy>) -> Self {
        Self { proxy, ..self }
    }

    /// The same client with another limit for a whole exchange.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same client with another bound for the body of an answer, in bytes.
    #[must_use]
    pub fn up_to(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// Sends a GET request, and returns the whole answer.
    ///
    /// # Errors
    /// [`HttpsError`]. A status other than 2xx is not an error here, except a redirect: see [`Response::success`].
    pub async fn get(&self, url: &Url, headers: Headers<'_>) -> Result<Response, HttpsError> {
        self.exchange(url, request(Method::GET, url, headers, String::new())?).await
    }

    /// Sends a form (names and values) in a POST request, and returns the whole answer.
    ///
    /// # Errors
    /// [`HttpsError`]. A status other than 2xx is not an error here, except a redirect: see [`Response::success`].
    pub async fn post_form(
        &self,
        url: &Url,
        headers: Headers<'_>,
        fields: &[(&str, &str)],
    ) -> Result<Response, HttpsError> {
        let mut request = request(Method::POST, url, headers, form(fields))?;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
        self.exchange(url, request).await
    }

    async fn exchange(&self, url: &Url, request: Request<String>) -> Result<Response, HttpsError> {
        let late = || HttpsError::Timeout { host: url.host().to_owned(), limit: self.deadline };
        timeout(self.deadline, self.exchange_slowly(url, request)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange_slowly(&self, url: &Url, request: Request<String>) -> Result<Response, HttpsError> {
        let proxy = self.proxy.as_ref().filter(|_| !url.is_bound_to_loopback());
        let opened = open_tcp(url.host(), url.port(), proxy, self.deadline).await;
        let (stream, peer) = opened.map_err(HttpsError::of_dial)?;
        if url.is_bound_to_loopback() && !peer.ip().is_loopback() {
            return Err(HttpsError::InClear { host: url.host().to_owned() });
        }
        if !url.is_tls() {
            return self.speak(stream, url, request).await;
        }
        let name = server_name(url.host()).map_err(HttpsError::of_dial)?;
        let tls = self.tls.clone().ok_or_else(|| HttpsError::Tls {
            host: url.host().to_owned(),
            words: "this client trusts no certificate; give it a trust store".to_owned(),
        })?;
        let connected = TlsConnector::from(tls).connect(name, stream).await;
        let stream = connected.map_err(|error| HttpsError::of_tls(&error, url))?;
        self.speak(stream, url, request).await
    }

    /// Sends the request over a stream, and reads the whole answer.
    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        url: &Url,
        request: Request<String>,
    ) -> Result<Response, HttpsError> {
        let failed = |error: hyper::Error| HttpsError::of_hyper(&error, url);
        let mut http = http1::Builder::new();
        http.max_headers(HEADERS_MAX).max_header_size(HEAD_BYTES_MAX).max_buf_size(HEAD_BYTES_MAX);
        let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let ask = async {
            let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
            if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED {
                return Err(HttpsError::Redirect {
                    status: head.status.as_u16(),
                    to: location(&head.headers),
                });
            }
            let body = read_body(body, self.body_bytes_max, url).await?;
            Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
        };
        // The connection has to be driven. When it ends, the answer may still have to be taken.
        let drive = async {
            let _ = connection.await;
            pending().await
        };
        tokio::select! {
            answer = ask => answer,
            never = drive => never,
        }
    }
}

async fn read_body(mut body: Incoming, limit: usize, url: &Url) -> Result<Bytes, HttpsError> {
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| HttpsError::of_hyper(&error, url))?;
        // Trailers are of no use.
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(HttpsError::TooLarge { part: Part::Body, limit });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

fn request(
    method: Method,
    url: &Url,
    headers: Headers<'_>,
    body: String,
) -> Result<Request<String>, HttpsError> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url.target().parse().map_err(|_| HttpsError::BadHeader("path".to_owned()))?;
    let fixed = [
        ("Host", url.authority()),
        ("User-Agent", concat!("rcs-router/", env!("CARGO_PKG_VERSION"))),
        ("Connection", "close"),
    ];
    for (name, value) in fixed.iter().chain(headers) {
        let bad = || HttpsError::BadHeader((*name).to_owned());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(key == hyper::header::AUTHORIZATION);
        request.headers_mut().insert(key, value);
    }
    Ok(request)
}

/// Where a redirect leads, for a message.
fn location(headers: &HeaderMap) -> Option<String> {
    let to = headers.get(hyper::header::LOCATION)?.to_str().ok()?;
    Some(to.split(['?', '#']).next()?.chars().take(SHOWN_CHARACTERS_MAX).collect())
}

/// A whole answer.
#[derive(Clone)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Response {
    #[cfg(test)]
    pub(crate) fn of(status: u16, body: &str) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The answer itself, if its status is 2xx.
    ///
    /// # Errors
    /// [`HttpsError::Status`]
    pub fn success(self) -> Result<Self, HttpsError> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(HttpsError::Status { status }),
        }
    }

    /// The body, read as JSON, whatever the status is.
    ///
    /// # Errors
    /// [`HttpsError::NotJson`]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpsError> {
        let status = self.status;
        // An error of serde may repeat a value of the body, so it is told by its kind and place alone.
        serde_json::from_slice(&self.body).map_err(|error| {
            let words = match error.classify() {
                serde_json::error::Category::Data => "a field is missing, or has another type",
                serde_json::error::Category::Eof if self.body.is_empty() => "it is empty",
                _ => "it is not JSON",
            };
            HttpsError::NotJson { status, words: words.to_owned() }
        })
    }
}

/// A body may hold a token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
