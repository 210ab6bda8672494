//! The opening of a WebSocket, by hand: good requests, bad ones, and what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha1::{Digest, Sha1};

use crate::wait::PATIENCE;

/// A dialler that has sent nothing by then is left, so that others have their turn. It dials again.
const SILENT_DIALLER: Duration = Duration::from_secs(20);
/// Longest HTTP head taken.
const HEAD_MAX: usize = 16 * 1024;
const SUBPROTOCOL: &str = "v1.openicf.forgerock.org";
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An HTTP answer, and how the connection went on.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The head as it came, without its blank line.
    pub head: String,
    /// What followed until the server closed, if it did.
    pub body: String,
    /// True if the server closed the connection within the bound.
    pub closed: bool,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |key: &str| key.eq_ignore_ascii_case(name);
        self.head
            .lines()
            .skip(1)
            .filter_map(|l| l.split_once(':'))
            .find(|(key, _)| same(key))
            .map(|(_, v)| v.trim())
    }
}

/// An upgrade request in the form of the Java dialler's, odd headers included (WIRE 1.1). `authorization` and `subprotocol` are
/// header values; without one the header is left out.
pub fn upgrade_request(path: &str, authorization: Option<&str>, subprotocol: Option<&str>) -> String {
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nHost: 127.0.0.1\r\nUpgrade: WebSocket\r\nAccept: */*\r\n\
         Origin: wss://127.0.0.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    );
    // The Java dialler sends the subprotocol line twice.
    for value in subprotocol.iter().chain(&subprotocol) {
        request.push_str(&format!("Sec-WebSocket-Protocol: {value}\r\n"));
    }
    if let Some(value) = authorization {
        request.push_str(&format!("Authorization: {value}\r\n"));
    }
    request + "\r\n"
}

/// The value of an `Authorization` header.
pub fn basic(principal: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{principal}:{password}")))
}

/// The value of an `Authorization` header with an access token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Sends `request` as it stands and reads until the server closes or nothing comes any more.
pub fn raw_exchange(server: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)
        .unwrap_or_else(|e| panic!("{server} is not there: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a bound is set");
    // The server may refuse, and close, before it has all of it.
    let _ = stream.write_all(request);
    let mut all = Vec::new();
    let closed = match stream.read_to_end(&mut all) {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    let text = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned(), closed }
}

/// Opens a WebSocket with this `Authorization`; returns what was read behind the head.
pub(super) fn open(stream: &mut TcpStream, path: &str, authorization: &str) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a bound is set");
    let request = upgrade_request(path, Some(authorization), Some(SUBPROTOCOL));
    stream.write_all(request.as_bytes()).unwrap_or_else(|e| panic!("{path} takes no request: {e}"));
    let (head, rest) = read_head(stream).unwrap_or_else(|| panic!("no answer to the upgrade on {path}"));
    assert!(head.starts_with("HTTP/1.1 101 "), "the upgrade on {path} was refused: {head}");
    rest
}

/// Takes a dialler's upgrade; returns what was read behind the head, or nothing if it was no upgrade.
pub(super) fn accept(stream: &mut TcpStream) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(SILENT_DIALLER)).ok()?;
    let (head, rest) = read_head(stream)?;
    let key = head
        .lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(k, _)| k.eq_ignore_ascii_case("sec-websocket-key"))?
        .1;
    let accept = BASE64_STANDARD.encode(Sha1::digest(format!("{}{WEBSOCKET_GUID}", key.trim())));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    Some(rest)
}

/// Reads an HTTP head, and whatever came with it.
fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut chunk = [0; 1024];
    while all.len() < HEAD_MAX {
        let got = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        all.extend(&chunk[..got]);
        if let Some(end) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = all.split_off(end + 4);
            return Some((String::from_utf8_lossy(&all).into_owned(), rest));
        }
    }
    None
}
