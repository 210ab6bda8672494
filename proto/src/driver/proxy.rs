//! The way through an HTTP proxy: CONNECT, with Basic credentials if there are any (WIRE 1.1).

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::accept::Credentials;
use super::dial::{DialError, latin1};
use super::http::{self, HeadError};
use super::limits;

/// An HTTP proxy between a dialler and its target.
#[derive(Clone, Debug)]
pub struct HttpProxy {
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Sent with the CONNECT request, never after a challenge.
    pub credentials: Option<Credentials>,
}

/// Why a proxy does not lead to the target; never with the password.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// There is no connection to the proxy itself.
    #[error("{0}")]
    NotReached(Box<DialError>),
    /// Its user or password cannot stand in a request.
    #[error("its user must not hold a colon, and user and password must be within ISO-8859-1")]
    BadCredentials,
    /// 407, or 401: tinyproxy answers a wrong password so.
    #[error("it refused our user or password (HTTP {status})")]
    Credentials {
        /// 401 or 407.
        status: u16,
    },
    /// 403: the target is not allowed.
    #[error("it does not allow connections to {target} (HTTP 403)")]
    Forbidden {
        /// Host and port.
        target: String,
    },
    /// Another status than 2xx.
    #[error("it does not lead to {target} (HTTP {status})")]
    Refused {
        /// Host and port.
        target: String,
        /// The status.
        status: u16,
    },
    /// It answers with TLS.
    #[error("it answers with TLS, but proxies are spoken to without TLS")]
    Tls,
    /// It answers something else than HTTP.
    #[error("its answer is not that of an HTTP proxy")]
    NotHttp,
    /// It ended the connection before its answer.
    #[error("it closed the connection without an answer")]
    Closed,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl HttpProxy {
    /// Has the proxy at the other end of `stream` lead to the target. The stream is the target's from then on.
    pub(super) async fn lead(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<(), ProxyError> {
        let target = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        stream.write_all(&self.request(&target)?).await?;
        let mut buffer = BytesMut::new();
        let length = http::read_head(stream, &mut buffer).await.map_err(|error| match error {
            HeadError::Tls => ProxyError::Tls,
            HeadError::NotHttp | HeadError::TooLarge => ProxyError::NotHttp,
            HeadError::Closed { silent: true } => ProxyError::Closed,
            HeadError::Closed { silent: false } => ProxyError::NotHttp,
            HeadError::Io(error) => ProxyError::Io(error),
        })?;
        let mut headers = [httparse::EMPTY_HEADER; limits::HTTP_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let head = buffer.get(..length).unwrap_or_default();
        if !matches!(response.parse(head), Ok(httparse::Status::Complete(_))) {
            return Err(ProxyError::NotHttp);
        }
        match response.code.unwrap_or(0) {
            // The target speaks only when spoken to, so nothing may follow the head yet.
            200..=299 if buffer.len() == length => Ok(()),
            200..=299 => Err(ProxyError::NotHttp),
            status @ (401 | 407) => Err(ProxyError::Credentials { status }),
            403 => Err(ProxyError::Forbidden { target }),
            status => Err(ProxyError::Refused { target, status }),
        }
    }

    fn request(&self, target: &str) -> Result<Vec<u8>, ProxyError> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(Credentials { principal, secret }) = &self.credentials {
            let user = latin1(&format!("{principal}:{}", secret.expose()));
            let user = user.filter(|_| !principal.contains(':')).ok_or(ProxyError::BadCredentials)?;
            request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(user)));
        }
        request.push_str("\r\n");
        Ok(request.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::icf::Secret;

    /// What a proxy that answers like this is told, and what the dialler makes of the answer.
    async fn told(proxy: HttpProxy, answer: &'static str) -> (String, Result<(), ProxyError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let lead = async { proxy.lead(&mut near, "fd00::1", 443).await };
        let script = async {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                far.read_buf(&mut asked).await.unwrap();
            }
            far.write_all(answer.as_bytes()).await.unwrap();
            drop(far);
            String::from_utf8(asked).unwrap()
        };
        let (led, asked) = tokio::join!(lead, script);
        (asked, led)
    }

    fn proxy(user: Option<&str>) -> HttpProxy {
        let credentials = user
            .map(|user| Credentials { principal: user.to_owned(), secret: Secret::new("pass".to_owned()) });
        HttpProxy { host: "proxy".to_owned(), port: 3128, credentials }
    }

    /// P04-P07: CONNECT with Basic credentials, sent at once.
    #[tokio::test]
    async fn a_proxy_is_asked_as_the_standard_says() {
        let (asked, led) = told(proxy(Some("u")), "HTTP/1.0 200 Connection established\r\n\r\n").await;
        led.expect("the proxy leads");
        let lines: Vec<&str> = asked.lines().collect();
        assert_eq!(
            lines,
            [
                "CONNECT [fd00::1]:443 HTTP/1.1",
                "Host: [fd00::1]:443",
                "Proxy-Authorization: Basic dTpwYXNz",
                ""
            ]
        );
        let (asked, _) = told(proxy(None), "HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(!asked.contains("Authorization"), "{asked}");
    }

    #[tokio::test]
    async fn each_refusal_has_its_sentence() {
        for (answer, says) in [
            ("HTTP/1.1 407 No\r\n\r\n", "user or password (HTTP 407)"),
            ("HTTP/1.0 401 Unauthorized\r\n\r\n", "user or password (HTTP 401)"),
            ("HTTP/1.1 403 No\r\n\r\n", "does not allow connections to [fd00::1]:443"),
            ("HTTP/1.1 502 No\r\n\r\n", "does not lead to [fd00::1]:443 (HTTP 502)"),
            ("SSH-2.0\r\n\r\n", "not that of an HTTP proxy"),
            ("HTTP/1.1 200 OK\r\n\r\nmore", "not that of an HTTP proxy"),
            ("\u{16}\u{3}\u{1}", "answers with TLS"),
            ("", "closed the connection without an answer"),
        ] {
            let (_, led) = told(proxy(None), answer).await;
            let error = led.expect_err(answer).to_string();
            assert!(error.contains(says), "{answer:?}: {error}");
        }
        let (_, led) = told(proxy(Some("u")), "HTTP/1.1 407 No\r\n\r\n").await;
        assert!(!format!("{:?}", led.expect_err("refused")).contains("pass"));
    }
}
