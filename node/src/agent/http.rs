//! As much HTTP as it takes to talk to a router: one request on one connection, an answer of bounded size, a deadline over all.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use rcs_proto::driver::tls;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::{AGENT_ANSWER_BYTES, AGENT_HTTP_DEADLINE};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
/// Headers of an answer that are read.
const HEADERS_MAX: usize = 64;

/// A router's admin address: `http://HOST[:PORT][/PATH]`, or with TLS `https://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterUrl {
    has_tls: bool,
    /// As in a `Host` header.
    authority: String,
    host: String,
    port: u16,
    /// Before every path; no `/` at its end.
    base: String,
}

impl FromStr for RouterUrl {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        let (has_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(NoUrl),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['?', '#', '@']) {
            return Err(NoUrl);
        }
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => v6.split_once(']').map(|(host, rest)| (host, rest.strip_prefix(':'))).ok_or(NoUrl)?,
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let usual = if has_tls { HTTPS_PORT } else { HTTP_PORT };
        let port = port.map_or(Ok(usual), str::parse).map_err(|_| NoUrl)?;
        if host.is_empty() || port == 0 {
            return Err(NoUrl);
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { has_tls, authority: authority.to_owned(), host: host.to_owned(), port, base })
    }
}

impl RouterUrl {
    /// Whether the router speaks TLS there.
    pub fn has_tls(&self) -> bool {
        self.has_tls
    }
}

impl fmt::Display for RouterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

/// Why a text is no [`RouterUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT or https://HOST:PORT, the admin address of a router")]
pub struct NoUrl;

/// What is asked.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Below the URL's own; begins with `/`.
    pub(super) path: &'a str,
    /// Whole lines, each with its end.
    pub(super) headers: &'a str,
    pub(super) body: &'a [u8],
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why nothing did.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no TLS connection: {0}")]
    Tls(String),
    #[error("timeout: no response within {} s", AGENT_HTTP_DEADLINE.as_secs())]
    Late,
    #[error("this is not the admin address of a router: {0}")]
    NoHttp(&'static str),
}

/// Asks, and reads the whole answer. `tls` is for a router with TLS.
pub(super) async fn exchange(
    url: &RouterUrl,
    tls: Option<&Arc<ClientConfig>>,
    request: Request<'_>,
) -> Result<Answer, HttpError> {
    timeout(AGENT_HTTP_DEADLINE, exchange_slowly(url, tls, request)).await.map_err(|_| HttpError::Late)?
}

async fn exchange_slowly(
    url: &RouterUrl,
    tls: Option<&Arc<ClientConfig>>,
    request: Request<'_>,
) -> Result<Answer, HttpError> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    if !url.has_tls {
        return exchange_on(stream, url, request).await;
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| HttpError::Tls(format!("no certificate can be for the host {:?}", url.host)))?;
    let tls =
        tls.ok_or_else(|| HttpError::Tls("no certificate is trusted: give --server-ca FILE".to_owned()))?;
    let shaken = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    let stream = shaken.map_err(|error| in_words(url, error))?;
    exchange_on(stream, url, request).await.map_err(|error| match error {
        HttpError::Io(error) => in_words(url, error),
        error => error,
    })
}

/// What TLS says of an error, if the error comes from TLS.
fn in_words(url: &RouterUrl, error: io::Error) -> HttpError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            HttpError::Tls("the address does not speak TLS: write http://HOST:PORT".to_owned())
        }
        Some(inner) => HttpError::Tls(tls::in_words(inner, &url.host)),
        None => HttpError::Io(error),
    }
}

async fn exchange_on(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    url: &RouterUrl,
    request: Request<'_>,
) -> Result<Answer, HttpError> {
    let Request { method, path, headers, body } = request;
    let head = format!(
        "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        url.base,
        url.authority,
        body.len()
    );
    // Head and body go out in one write: the router expects the body right behind the head.
    let written = stream.write_all(&[head.as_bytes(), body].concat()).await;
    // A router that refuses may answer before it has read all, and its answer says more than our broken pipe.
    match (read_answer(&mut stream).await, written) {
        (Ok(answer), _) => Ok(answer),
        (Err(HttpError::Io(_)), Err(error)) => Err(error.into()),
        (Err(error), _) => Err(error),
    }
}

async fn read_answer(mut stream: impl AsyncRead + Unpin) -> Result<Answer, HttpError> {
    let mut bytes = Vec::new();
    loop {
        if let Some((status, start, end)) = parse(&bytes)?
            && let Some(body) = bytes.get(start..end)
        {
            return Ok(Answer { status, body: body.to_vec() });
        }
        let room = AGENT_ANSWER_BYTES - bytes.len();
        if room == 0 {
            return Err(HttpError::NoHttp("the response is too long"));
        }
        if (&mut stream).take(room as u64).read_buf(&mut bytes).await? == 0 {
            return match parse(&bytes)? {
                // Without a length the end of the connection is the end of the body.
                Some((status, start, usize::MAX)) => Ok(Answer { status, body: bytes.split_off(start) }),
                _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            };
        }
    }
}

/// Status, and where the body begins and ends; `usize::MAX` if only the connection's end tells. `None` while the head is not whole.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(bytes).map_err(|_| HttpError::NoHttp("the response is not HTTP"))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(start) => start,
    };
    let status = response.code.ok_or(HttpError::NoHttp("the response has no status"))?;
    let value =
        |name: &str| response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
    if value("Transfer-Encoding").is_some() {
        return Err(HttpError::NoHttp(
            "the response is in chunks, unlike a router's; is there a proxy in between?",
        ));
    }
    let end = match value("Content-Length") {
        None => usize::MAX,
        Some(length) => std::str::from_utf8(length)
            .ok()
            .and_then(|length| start.checked_add(length.trim().parse().ok()?))
            .filter(|end| *end <= AGENT_ANSWER_BYTES)
            .ok_or(HttpError::NoHttp("the response is too long"))?,
    };
    Ok(Some((status, start, end)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn urls() {
        for (text, host, port, base) in [
            ("http://router:8760", "router", 8760, ""),
            ("http://router:8760/", "router", 8760, ""),
            ("http://10.0.0.1/admin/", "10.0.0.1", 80, "/admin"),
            ("http://[::1]:8760", "::1", 8760, ""),
        ] {
            let url: RouterUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.base.as_str()), (host, port, base), "{text}");
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
        }
        let with_tls: RouterUrl = "https://router".parse().unwrap();
        assert!(with_tls.has_tls() && with_tls.port == 443 && with_tls.to_string() == "https://router");
        for text in [
            "",
            "router:8760",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:0",
            "http://u:p@a",
            "http://a/?b",
            "http://a b",
            "http://a\r\nX: y",
            "http://[::1",
        ] {
            assert_eq!(text.parse::<RouterUrl>(), Err(NoUrl), "{text:?}");
        }
    }

    /// Serves one connection with these bytes, and hangs up.
    async fn answered(answer: &'static [u8]) -> Result<Answer, HttpError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 16];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"GET /a HTTP/1.1\r");
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            // To the end, or the kernel resets what was not read.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
        });
        let asked = exchange(&url, None, Request { method: "GET", path: "/a", headers: "", body: b"" }).await;
        serve.await.unwrap();
        asked
    }

    /// Asks a router with TLS whose certificate is for `localhost`, under this name, with or without trust in the certificate.
    async fn asked_over_tls(host: &str, is_trusted: bool) -> Result<Answer, HttpError> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.try_into().unwrap())
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: RouterUrl =
            format!("https://{host}:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let serve = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // A client without trust ends the handshake.
            let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await
            else {
                return;
            };
            let mut asked = [0; 16];
            if stream.read_exact(&mut asked).await.is_ok() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let trusted = if is_trusted { made.cert.der() } else { other.cert.der() };
        let tls = tls::client_config(std::slice::from_ref(trusted), tls::Pins::ForNamesItHas).unwrap();
        let asked =
            exchange(&url, Some(&tls), Request { method: "GET", path: "/a", headers: "", body: b"" }).await;
        serve.await.unwrap();
        asked
    }

    #[tokio::test]
    async fn answers_over_tls_from_whom_is_trusted_alone() {
        let answer = asked_over_tls("localhost", true).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hi"[..]));
        for (host, is_trusted, part) in
            [("localhost", false, "trust store"), ("127.0.0.1", true, "127.0.0.1")]
        {
            let error = asked_over_tls(host, is_trusted).await.expect_err(host);
            assert!(
                matches!(&error, HttpError::Tls(_)) && error.to_string().contains(part),
                "{host}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn answers() {
        for (answer, status, body) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..], 200, &b"hi"[..]),
            (b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nhidden", 409, b"hi"),
            (b"HTTP/1.0 401 No\r\n\r\nto the end", 401, b"to the end"),
        ] {
            let answer = answered(answer).await.unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (status, body));
        }
        for (answer, sentence) in [
            (&b"SSH-2.0-OpenSSH\r\n"[..], "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunks"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "too long"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "too long"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "unexpected end"),
            (b"", "unexpected end"),
        ] {
            let error = answered(answer).await.expect_err(sentence).to_string();
            assert!(error.contains(sentence), "{sentence}: {error}");
        }
    }
}
