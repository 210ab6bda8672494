//! A minimal HTTP client, with which the command line sends requests to a router.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rcs_cli::Exit;
use rcs_core::view::Transport;
use rcs_proto::driver::tls::in_words;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::answer::{self, Answer, End, Fault};
use crate::limits::{CLIENT_ANSWER_BYTES_MAX, CLIENT_DEADLINE, CLIENT_ROUTERS_DEADLINE};
use crate::token::Token;

/// The admin address of a router, as `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    transport: Transport,
    /// `HOST:PORT`, brackets around an IPv6 address included.
    authority: String,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asking<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) token: Option<&'a Token>,
    /// Headers beside those of every request.
    pub(super) headers: &'a [(&'a str, String)],
    pub(super) body: &'a [u8],
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection, or the connection broke.
    #[error(
        "no response from {server}: {source}. Check that the router runs, and that --server is its admin address"
    )]
    Unreachable { server: String, source: io::Error },
    /// The response is not HTTP.
    #[error("the response of {server} is not HTTP. Check that --server is the admin address of a router")]
    NotHttp { server: String },
    /// The connection ended before the answer did.
    #[error("the response of {server} broke off before its end. Repeat the command")]
    Cut { server: String },
    /// The answer is longer than the command line takes.
    #[error(
        "the response of {server} has more than {CLIENT_ANSWER_BYTES_MAX} bytes: ask for less, for example with --limit"
    )]
    TooLarge { server: String },
    /// The router wants a token, which others could read on the way.
    #[error(
        "{server} wants an API token to look at it, and without TLS others could read the token on the way. Write https:// (the router then \
         needs --admin https://HOST:PORT), or run the command on the router's machine with --server http://127.0.0.1:PORT"
    )]
    InClear { server: String },
    /// The router's certificate is not accepted, or it speaks no TLS.
    #[error("no TLS connection to {server}: {reason}")]
    Tls { server: String, reason: String },
    /// Nobody knows which certificates to accept.
    #[error("{0}")]
    Trust(String),
    /// The router refused the request.
    #[error("{sentence}")]
    Refused { status: u16, sentence: String },
}

impl ClientError {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. }
            | Self::NotHttp { .. }
            | Self::Cut { .. }
            | Self::TooLarge { .. }
            | Self::Tls { .. } => Exit::Unavailable,
            Self::InClear { .. } => Exit::Usage,
            Self::Trust(_) => Exit::BadData,
            // The token is missing or wrong, or the request is malformed.
            Self::Refused { status: 400 | 401 | 403, .. } => Exit::Usage,
            Self::Refused { status: 404 | 409 | 412 | 413 | 422, .. } => Exit::BadData,
            Self::Refused { .. } => Exit::Unavailable,
        }
    }
}

impl FromStr for Server {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (transport, authority) = match text.split_once("://") {
            Some(("http", rest)) => (Transport::Plain, rest),
            Some(("https", rest)) => (Transport::Tls, rest),
            _ => return Err("write it as http://HOST:PORT or https://HOST:PORT"),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '@');
        if authority.is_empty() || authority.contains(is_bad) {
            return Err("write it as http://HOST:PORT, without a path");
        }
        let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
        let port = match transport {
            _ if after_brackets.contains(':') => "",
            Transport::Plain => ":80",
            Transport::Tls => ":443",
        };
        Ok(Self { transport, authority: format!("{authority}{port}") })
    }
}

impl Server {
    /// `HOST:PORT`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn has_tls(&self) -> bool {
        self.transport == Transport::Tls
    }

    /// Whether nobody on the way can read what is sent: the address has TLS, or is one of this machine.
    pub(super) fn is_private(&self) -> bool {
        let is_loopback = self.host().parse().is_ok_and(|address: IpAddr| address.is_loopback());
        self.has_tls() || is_loopback || self.host().eq_ignore_ascii_case("localhost")
    }

    /// The host, without brackets, for which the router's certificate must be.
    pub(super) fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(self.authority(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The host as the name that a certificate must have.
    ///
    /// # Errors
    /// The host cannot stand in a certificate.
    pub(super) fn name(&self) -> Result<ServerName<'static>, ClientError> {
        let no_name = |_| ClientError::Tls {
            server: self.to_string(),
            reason: format!("no certificate can be for the host {:?}", self.host()),
        };
        ServerName::try_from(self.host().to_owned()).map_err(no_name)
    }

    /// Why there is no answer: what TLS says in words, or what the network says.
    pub(super) fn failed(&self, source: io::Error) -> ClientError {
        let server = self.to_string();
        match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(_)) => ClientError::Tls {
                server,
                reason: "the address does not speak TLS. Write http://, or start the router with --admin https://HOST:PORT".to_owned(),
            },
            Some(error) => {
                ClientError::Tls { server, reason: format!("{}. --server-ca FILE names what to trust", in_words(error, self.host())) }
            }
            None => ClientError::Unreachable { server, source },
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Sends a request; returns the body of a 2xx response.
pub(super) fn ask(
    server: &Server,
    tls: Option<Arc<ClientConfig>>,
    asking: &Asking<'_>,
) -> Result<String, ClientError> {
    let failed = |source| server.failed(source);
    // The routers agree on such a change only once a learner has caught up, and a leader may have to be elected.
    let is_of_routers = asking.path.starts_with("/v1/cluster/routers/");
    let patience = if is_of_routers { CLIENT_ROUTERS_DEADLINE } else { CLIENT_DEADLINE };
    let stream = connect(server, patience).map_err(failed)?;
    let answer = match tls {
        None => exchange(stream, server, asking),
        Some(tls) => {
            let ready = ClientConnection::new(tls, server.name()?).map_err(io::Error::other);
            ready.and_then(|connection| exchange(StreamOwned::new(connection, stream), server, asking))
        }
    };
    let (answer, ended) = answer.map_err(failed)?;
    let name = || server.to_string();
    if answer.len() as u64 > CLIENT_ANSWER_BYTES_MAX {
        return Err(ClientError::TooLarge { server: name() });
    }
    let Answer { status, body } = answer::read(&answer, ended).map_err(|fault| match fault {
        Fault::NotHttp => ClientError::NotHttp { server: name() },
        Fault::Cut => ClientError::Cut { server: name() },
    })?;
    match status {
        200..=299 => Ok(body),
        status => Err(ClientError::Refused { status, sentence: sentence(status, &body) }),
    }
}

/// A name as a segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Sends a request; returns what came, one byte more than the bound at most, and how it ended.
fn exchange(
    mut stream: impl Read + Write,
    server: &Server,
    asking: &Asking<'_>,
) -> io::Result<(Vec<u8>, End)> {
    let Asking { method, path, token, headers, body } = asking;
    let authorization =
        token.map(|token| format!("Authorization: {}\r\n", token.header().expose())).unwrap_or_default();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: {}\r\n{authorization}{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        method.name(),
        server.authority(),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // A router that refuses a request does not read its body; its answer says why.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.take(CLIENT_ANSWER_BYTES_MAX + 1).read_to_end(&mut answer);
    let end = if read.is_ok() { End::Orderly } else { End::Broken };
    if answer.is_empty() {
        sent?;
        read?;
    }
    Ok((answer, end))
}

fn connect(server: &Server, patience: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in server.authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CLIENT_DEADLINE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(CLIENT_DEADLINE))?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The text with which the router refused a request: a sentence, or the faults of a document.
pub(super) fn sentence(status: u16, body: &str) -> String {
    let told = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
    let faults: Vec<&str> =
        told["faults"].as_array().into_iter().flatten().filter_map(|fault| fault.as_str()).collect();
    if faults.len() > 1 {
        return format!("the document cannot be used:\n  {}", faults.join("\n  "));
    }
    let text = told["error"].as_str().or(told["detail"].as_str());
    match text.unwrap_or(body.trim()) {
        "" => format!("the router responded with HTTP status {status}"),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_host_and_port() {
        for (text, authority) in [
            ("http://127.0.0.1:8760", Some("127.0.0.1:8760")),
            ("http://router:8760/", Some("router:8760")),
            ("http://router", Some("router:80")),
            ("http://[::1]", Some("[::1]:80")),
            ("http://[::1]:8760", Some("[::1]:8760")),
            ("https://router:8760", Some("router:8760")),
            ("https://router", Some("router:443")),
            ("wss://router:8760", None),
            ("router:8760", None),
            ("http://", None),
            ("http://router:8760/v1", None),
            ("http://user@router:8760", None),
        ] {
            let server = text.parse::<Server>().ok();
            assert_eq!(server.as_ref().map(|server| server.authority.as_str()), authority, "{text}");
        }
        for (text, host) in
            [("https://router:8760", "router"), ("https://[::1]", "::1"), ("https://10.0.0.1:1", "10.0.0.1")]
        {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.host(), host);
            assert!(server.name().is_ok() && server.to_string().starts_with(text));
        }
        for (text, is_private) in [
            ("http://127.0.0.1:8760", true),
            ("http://127.8.0.1", true),
            ("http://[::1]:8760", true),
            ("http://LocalHost", true),
            ("https://router", true),
            ("http://router", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1:8760", false),
            ("http://[fe80::1]", false),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().is_private(), is_private, "{text}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_routers_words() {
        assert_eq!(sentence(409, r#"{"error": "enable it first"}"#), "enable it first");
        assert_eq!(sentence(412, r#"{"title": "t", "detail": "read it again"}"#), "read it again");
        let faulty = sentence(422, r#"{"detail": "2 faults", "faults": ["a", "b"]}"#);
        assert_eq!(faulty, "the document cannot be used:\n  a\n  b");
        assert_eq!(sentence(503, "too many requests at a time\n"), "too many requests at a time");
        assert_eq!(sentence(405, ""), "the router responded with HTTP status 405");
    }
}
