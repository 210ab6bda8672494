//! Raw WebSockets of an attacker. They send what no decent library would send, and do not panic when the other end closes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rcs_proto::frames::{self, Identity};
use rcs_rig::scripted::{basic, upgrade_request};

use crate::drill::GROUP;
use crate::drill::members::KEY;

/// Longest wait for one write or read. An attacker that waits longer gives its connection up.
const IO_BOUND: Duration = Duration::from_secs(2);
/// Longest HTTP head that is read.
const HEAD_MAX: usize = 8 << 10;

pub(super) const BINARY: u8 = 2;
pub(super) const PING: u8 = 9;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// A mask of zeros: what is sent stays as it is.
const MASK: [u8; 4] = [0; 4];

/// A TCP connection with bounds on its writes and reads.
pub(super) fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, IO_BOUND)?;
    stream.set_read_timeout(Some(IO_BOUND))?;
    stream.set_write_timeout(Some(IO_BOUND))?;
    Ok(stream)
}

/// A WebSocket with the callers' key, before any handshake of the protocol.
pub(super) fn upgraded(server: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = connect(server)?;
    let key = basic("anonymous", KEY);
    stream.write_all(upgrade_request(path, Some(&key), Some("v1.openicf.forgerock.org")).as_bytes())?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    match head.starts_with(b"HTTP/1.1 101") {
        true => Ok(stream),
        false => Err(io::Error::new(ErrorKind::ConnectionRefused, "no upgrade")),
    }
}

/// A WebSocket of a session, behind its handshake.
pub(super) fn session(server: SocketAddr, path: &str, session_id: &str) -> io::Result<TcpStream> {
    let mut stream = upgraded(server, path)?;
    let identity = Identity { session_id: session_id.to_owned(), public_key: Default::default() };
    write_frame(&mut stream, BINARY, &frames::handshake_request(&identity))?;
    Ok(stream)
}

/// The path of the drill's group.
pub(super) fn group_path() -> String {
    format!("/openicf/{GROUP}")
}

/// The head of a masked frame that announces a payload of this many bytes.
pub(super) fn frame_head(opcode: u8, length: u64) -> Vec<u8> {
    let mut head = vec![FINAL | opcode];
    match length {
        0..=125 => head.push(MASKED | length as u8),
        126..=0xffff => {
            head.push(MASKED | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(MASKED | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(MASK);
    head
}

/// Sends a whole frame.
pub(super) fn write_frame(stream: &mut TcpStream, opcode: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = frame_head(opcode, payload.len() as u64);
    frame.extend(payload);
    stream.write_all(&frame)
}

/// Reads and drops the bytes that have arrived, without waiting for more.
pub(super) fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut chunk = [0; 64 << 10];
    stream.set_nonblocking(true)?;
    let read = loop {
        match stream.read(&mut chunk) {
            Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    stream.set_nonblocking(false)?;
    read
}
