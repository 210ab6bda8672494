//! As much HTTP as it takes to ask a router something from the command line.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;

use rcs_cli::Exit;

use crate::limits::{CLIENT_ANSWER_BYTES_MAX, CLIENT_DEADLINE};
use crate::token::Token;

/// The admin address of a router, as `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// `HOST:PORT`, brackets around an IPv6 address included.
    authority: String,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection, or none that lasted.
    #[error("no router answers at http://{server}: {source}. Is --server its admin address?")]
    Unreachable { server: String, source: io::Error },
    /// It is no router.
    #[error("what answers at http://{server} is no router: its answer is not understood")]
    NotHttp { server: String },
    /// The router says no.
    #[error("{sentence}")]
    Refused { status: u16, sentence: String },
}

impl ClientError {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::NotHttp { .. } => Exit::Unavailable,
            // No token, a wrong one, or nonsense.
            Self::Refused { status: 400 | 401 | 403, .. } => Exit::Usage,
            Self::Refused { status: 404 | 409, .. } => Exit::BadData,
            Self::Refused { .. } => Exit::Unavailable,
        }
    }
}

impl FromStr for Server {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("https://") {
            return Err("https is not in this version: use the admin address from the router's own host");
        }
        let authority = text.strip_prefix("http://").ok_or("write it as http://HOST:PORT")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '@');
        if authority.is_empty() || authority.contains(is_bad) {
            return Err("write it as http://HOST:PORT, without a path");
        }
        let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
        let port = if after_brackets.contains(':') { "" } else { ":80" };
        Ok(Self { authority: format!("{authority}{port}") })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

/// Asks for a path; answers the body of a 2xx answer.
pub(super) fn ask(
    server: &Server,
    method: Method,
    path: &str,
    token: Option<&Token>,
) -> Result<String, ClientError> {
    let unreachable = |source| ClientError::Unreachable { server: server.to_string(), source };
    let answer = exchange(server, method, path, token).map_err(unreachable)?;
    let not_http = || ClientError::NotHttp { server: server.to_string() };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(not_http)?;
    let status = head.strip_prefix("HTTP/1.").and_then(|head| head.split(' ').nth(1)?.parse::<u16>().ok());
    match status.ok_or_else(not_http)? {
        200..=299 => Ok(body.to_owned()),
        status => Err(ClientError::Refused { status, sentence: sentence(status, body) }),
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

fn exchange(server: &Server, method: Method, path: &str, token: Option<&Token>) -> io::Result<String> {
    let mut stream = connect(server)?;
    stream.set_read_timeout(Some(CLIENT_DEADLINE))?;
    stream.set_write_timeout(Some(CLIENT_DEADLINE))?;
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let authorization =
        token.map(|token| format!("Authorization: {}\r\n", token.header().expose())).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\n{authorization}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(CLIENT_ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn connect(server: &Server) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in server.authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CLIENT_DEADLINE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// What the router says of a request that it did not do.
fn sentence(status: u16, body: &str) -> String {
    let told = serde_json::from_str::<serde_json::Value>(body).ok();
    let told = told.as_ref().and_then(|told| told.get("error")?.as_str());
    match told.unwrap_or(body.trim()) {
        "" => format!("the router answered with status {status}"),
        told => told.to_owned(),
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
            ("https://router:8760", None),
            ("router:8760", None),
            ("http://", None),
            ("http://router:8760/v1", None),
            ("http://user@router:8760", None),
        ] {
            let server = text.parse::<Server>().ok();
            assert_eq!(server.as_ref().map(|server| server.authority.as_str()), authority, "{text}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_routers_words() {
        assert_eq!(sentence(409, r#"{"error": "enable it first"}"#), "enable it first");
        assert_eq!(sentence(503, "too many requests at a time\n"), "too many requests at a time");
        assert_eq!(sentence(405, ""), "the router answered with status 405");
    }
}
