//! Why an exchange over HTTP failed, in words.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use rcs_proto::driver::dial::DialError;
use rcs_proto::driver::tls::in_words;
use tokio_rustls::rustls;

use super::Url;

/// Why there is no usable answer. The text says what to do where that is known. The text never has a part of the request or of the body.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// A header of the request has characters that no header may have.
    #[error("the request cannot be sent: its header {0} has characters that HTTP does not allow")]
    BadHeader(String),
    /// `http` is accepted on this machine only, and the host name leads to another machine.
    #[error("{host} is not this machine, and http:// would send secrets in clear text; write https://")]
    InClear {
        /// The host.
        host: String,
    },
    /// No address for the host name.
    #[error("the host name {host} cannot be resolved: {source}")]
    Resolve {
        /// The name, of the host or of the proxy.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No TCP connection, or none through the proxy.
    #[error("{0}")]
    Connect(DialError),
    /// The exchange was not over in time.
    #[error("{host} did not send a whole answer within {limit:?}")]
    Timeout {
        /// The host.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed: {words}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong and what to do.
        words: String,
    },
    /// The client spoke TLS, and the peer spoke something else.
    #[error("{host}:{port} does not speak TLS; check the port, or write http:// if that is meant")]
    NotTls {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The connection ended before the answer did.
    #[error("{host} closed the connection before its answer was complete")]
    Closed {
        /// The host.
        host: String,
    },
    /// The answer is not HTTP.
    #[error("{host}:{port} does not speak HTTP there ({words}); check the URL")]
    NotHttp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What is wrong with the answer.
        words: String,
    },
    /// The answer is longer than its bound.
    #[error("the {part} of the answer has more than {limit} bytes; check the URL")]
    TooLarge {
        /// Which part.
        part: Part,
        /// The bound, bytes.
        limit: usize,
    },
    /// The peer sends the client elsewhere.
    #[error("the peer redirects (HTTP {status}{}), and redirects are not followed; write the final URL", to.as_ref().map_or_else(String::new, |to| format!(" to {to:?}")))]
    Redirect {
        /// The status.
        status: u16,
        /// Where to, without a query, and cut to a bound.
        to: Option<String>,
    },
    /// A status other than 2xx.
    #[error("the peer answered with HTTP {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The body is not JSON, or not of the shape that was expected.
    #[error("the answer (HTTP {status}) is not the JSON that was expected: {words}; check the URL")]
    NotJson {
        /// The status.
        status: u16,
        /// What is wrong, without any value of the body.
        words: String,
    },
}

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Status and headers.
    Head,
    /// What follows.
    Body,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Head => "head",
            Self::Body => "body",
        })
    }
}

impl HttpsError {
    pub(super) fn of_dial(error: DialError) -> Self {
        match error {
            DialError::Resolve { host, source } => Self::Resolve { host, source },
            DialError::ConnectTimeout { host, limit, .. } => Self::Timeout { host, limit },
            other => Self::Connect(other),
        }
    }

    /// Of a TLS handshake.
    pub(super) fn of_tls(error: &io::Error, url: &Url) -> Self {
        let host = url.host().to_owned();
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls { host, port: url.port() },
            Some(inner) => Self::Tls { words: in_words(inner, &host), host },
            None => Self::Tls { host, words: format!("{error}; check the port of the URL") },
        }
    }

    /// Of the exchange itself.
    pub(super) fn of_hyper(error: &hyper::Error, url: &Url) -> Self {
        let (host, port) = (url.host().to_owned(), url.port());
        // With TLS 1.3 a server judges our certificate after our handshake is done.
        if let Some(inner) = cause(error)
            && let Some(inner) = inner.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return Self::Tls { words: in_words(inner, &host), host };
        }
        if error.is_parse_too_large() {
            Self::TooLarge { part: Part::Head, limit: crate::limits::HEAD_BYTES_MAX }
        } else if error.is_parse() {
            Self::NotHttp { host, port, words: error.to_string() }
        } else {
            Self::Closed { host }
        }
    }
}

/// The error of the socket behind an error of hyper.
fn cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
