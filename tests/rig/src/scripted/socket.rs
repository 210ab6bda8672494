//! One WebSocket on a raw TCP socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockFilter, SockRef};

/// How often a reader looks whether it was told to stop.
const READ_SLICE: Duration = Duration::from_millis(20);
/// Bound of one write: a peer that reads nothing for so long fails the test.
const WRITE_BOUND: Duration = Duration::from_secs(30);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Which end of the WebSocket this is: clients mask what they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// What a reader reports.
pub(super) enum Heard {
    /// A whole binary message.
    Message(Bytes),
    /// Nothing more will come.
    Closed,
}

/// One open WebSocket. A thread reads it all the time, unless told to stall, and answers pings.
pub struct Socket {
    number: usize,
    end: End,
    stream: Mutex<Option<Arc<TcpStream>>>,
    reader: Mutex<Option<JoinHandle<()>>>,
    stalled: AtomicBool,
    /// Time behind each message, microseconds.
    pace: AtomicU64,
    stopped: AtomicBool,
    closed: AtomicBool,
    /// The payload of the peer's Close frame.
    close: Mutex<Option<Vec<u8>>>,
    fragments: AtomicUsize,
    pings: AtomicUsize,
}

impl Socket {
    /// Takes over an upgraded stream. `rest` was read behind the HTTP head already.
    pub(super) fn open(
        number: usize,
        end: End,
        stream: TcpStream,
        rest: Vec<u8>,
        hear: impl FnMut(&Arc<Socket>, Heard) + Send + 'static,
    ) -> Arc<Self> {
        stream.set_read_timeout(Some(READ_SLICE)).expect("a bound is set");
        stream.set_write_timeout(Some(WRITE_BOUND)).expect("a bound is set");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        let stream = Arc::new(stream);
        let socket = Arc::new(Self {
            number,
            end,
            stream: Mutex::new(Some(Arc::clone(&stream))),
            reader: Mutex::new(None),
            stalled: AtomicBool::new(false),
            pace: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            close: Mutex::new(None),
            fragments: AtomicUsize::new(0),
            pings: AtomicUsize::new(0),
        });
        let mine = Arc::clone(&socket);
        let handle = thread::spawn(move || mine.read(&stream, rest, hear));
        *lock(&socket.reader) = Some(handle);
        socket
    }

    /// Its number among the sockets of its peer, from 0, in order of opening.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Sends a message as one frame.
    pub fn send(&self, message: &[u8]) {
        self.write(&self.frame(true, BINARY, message));
    }

    /// Sends several messages in one write, so that they arrive in one segment if they are small.
    pub fn send_together(&self, messages: &[&[u8]]) {
        let all: Vec<u8> = messages.iter().flat_map(|m| self.frame(true, BINARY, m)).collect();
        self.write(&all);
    }

    /// Sends one message in `pieces` frames.
    pub fn send_fragmented(&self, message: &[u8], pieces: usize) {
        let size = message.len().div_ceil(pieces).max(1);
        let parts: Vec<&[u8]> = message.chunks(size).collect();
        for (n, part) in parts.iter().enumerate() {
            let opcode = if n == 0 { BINARY } else { CONTINUATION };
            self.write(&self.frame(n + 1 == parts.len(), opcode, part));
        }
    }

    /// Sends the first `bytes` bytes of a message's frame, header included, and no more.
    pub fn send_part(&self, message: &[u8], bytes: usize) {
        let frame = self.frame(true, BINARY, message);
        self.write(&frame[..bytes.min(frame.len())]);
    }

    /// Sends a text frame, which the protocol has no use for.
    pub fn send_text(&self, text: &str) {
        self.write(&self.frame(true, TEXT, text.as_bytes()));
    }

    /// Sends bytes that are no WebSocket frame.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.write(bytes);
    }

    /// Sends a Close frame.
    pub fn send_close(&self) {
        self.write(&self.frame(true, CLOSE, &1000_u16.to_be_bytes()));
    }

    /// Stops reading: the kernel's buffers fill and the peer's writes stall. Pings are not answered meanwhile.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::SeqCst);
    }

    /// Rests so long behind each message: a reader that is slow, not one that stalls.
    pub fn pace(&self, rest: Duration) {
        let micros = u64::try_from(rest.as_micros()).expect("a rest is short");
        self.pace.store(micros, Ordering::SeqCst);
    }

    /// Reads on after [`Socket::stall`].
    pub fn read_on(&self) {
        self.stalled.store(false, Ordering::SeqCst);
    }

    /// Lets every segment of the peer vanish before TCP sees it: no acknowledgement, no FIN, no RST. What a pulled cable looks
    /// like; a mere stall is still acknowledged.
    pub fn black_hole(&self) {
        if let Some(stream) = lock(&self.stream).as_ref() {
            swallow_all(&SockRef::from(&**stream));
        }
    }

    /// Ends the connection with FIN and no Close frame, as a Java process that exits does.
    pub fn finish(&self) {
        if let Some(stream) = lock(&self.stream).as_ref() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends the connection with RST.
    pub fn reset(&self) {
        if let Some(stream) = lock(&self.stream).as_ref() {
            SockRef::from(&**stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket has the option");
        }
        self.release();
    }

    /// True once the peer has closed it, or this end has.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// The code and the reason of the peer's Close frame, if one came with a code.
    pub fn close_received(&self) -> Option<(u16, String)> {
        let close = lock(&self.close);
        let (code, reason) = close.as_ref()?.split_first_chunk()?;
        Some((u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()))
    }

    /// Data frames received that were a part of a message only. Ours must never send one (WIRE 1.2).
    pub fn fragments_received(&self) -> usize {
        self.fragments.load(Ordering::SeqCst)
    }

    /// Pings received so far.
    pub fn pings_received(&self) -> usize {
        self.pings.load(Ordering::SeqCst)
    }

    /// Stops the reader and lets go of the TCP socket, which closes it.
    pub(super) fn release(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let handle = lock(&self.reader).take();
        if let Some(handle) = handle {
            let _ = handle.join();
        }
        *lock(&self.stream) = None;
    }

    fn write(&self, bytes: &[u8]) {
        let stream = lock(&self.stream);
        // A peer that has closed is the test's business: it sees is_closed, or misses its answer.
        if let Some(stream) = stream.as_ref() {
            let _ = (&**stream).write_all(bytes);
        }
    }

    fn frame(&self, last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![if last { 0x80 | opcode } else { opcode }];
        let masked = if self.end == End::Client { 0x80 } else { 0 };
        match payload.len() {
            n @ 0..=125 => frame.push(masked | n as u8),
            n @ 126..=0xffff => {
                frame.push(masked | 126);
                frame.extend((n as u16).to_be_bytes());
            }
            n => {
                frame.push(masked | 127);
                frame.extend((n as u64).to_be_bytes());
            }
        }
        if self.end == End::Client {
            frame.extend(MASK);
            frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
        } else {
            frame.extend(payload);
        }
        frame
    }

    fn read(self: &Arc<Self>, stream: &TcpStream, rest: Vec<u8>, mut hear: impl FnMut(&Arc<Self>, Heard)) {
        let mut source = Source { socket: self, stream, buffer: rest, at: 0 };
        let mut message = Vec::new();
        while let Some((last, opcode, payload)) = source.frame() {
            match opcode {
                BINARY | CONTINUATION => {
                    message.extend(payload);
                    self.fragments.fetch_add(usize::from(!last), Ordering::SeqCst);
                    if last {
                        hear(self, Heard::Message(std::mem::take(&mut message).into()));
                        thread::sleep(Duration::from_micros(self.pace.load(Ordering::SeqCst)));
                    }
                }
                PING => {
                    self.pings.fetch_add(1, Ordering::SeqCst);
                    self.write(&self.frame(true, PONG, &payload));
                }
                CLOSE => {
                    *lock(&self.close) = Some(payload.clone());
                    self.write(&self.frame(true, CLOSE, &payload));
                    break;
                }
                _ => {}
            }
        }
        self.closed.store(true, Ordering::SeqCst);
        hear(self, Heard::Closed);
    }
}

/// The bytes of one socket, as frames.
struct Source<'a> {
    socket: &'a Socket,
    stream: &'a TcpStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handed out.
    at: usize,
}

impl Source<'_> {
    fn frame(&mut self) -> Option<(bool, u8, Vec<u8>)> {
        let head = self.take(2)?;
        let length = match head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.take(2)?.try_into().ok()?)),
            127 => u64::from_be_bytes(self.take(8)?.try_into().ok()?),
            n => u64::from(n),
        };
        let mask = if head[1] & 0x80 == 0 { vec![0; 4] } else { self.take(4)? };
        let mut payload = self.take(usize::try_from(length).ok()?)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(b, m)| *b ^= m);
        Some((head[0] & 0x80 != 0, head[0] & 0x0f, payload))
    }

    /// The next `n` bytes, or nothing at the end of the connection.
    fn take(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut chunk = vec![0; 64 * 1024];
        while self.buffer.len() - self.at < n {
            if self.socket.stopped.load(Ordering::SeqCst) {
                return None;
            }
            if self.socket.stalled.load(Ordering::SeqCst) {
                thread::sleep(READ_SLICE);
                continue;
            }
            match (&mut &*self.stream).read(&mut chunk) {
                Ok(0) => return None,
                Ok(got) => self.buffer.extend(&chunk[..got]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
        }
        let taken = self.buffer[self.at..self.at + n].to_vec();
        self.at += n;
        if self.at == self.buffer.len() || self.at > 1 << 20 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        Some(taken)
    }
}

/// Attaches a packet filter of one instruction, "keep 0 bytes": the kernel drops what arrives as if it never had.
pub(super) fn swallow_all(socket: &SockRef<'_>) {
    const RETURN_CONSTANT: u16 = 0x06;
    socket
        .attach_filter(&[SockFilter::new(RETURN_CONSTANT, 0, 0, 0)])
        .expect("a socket of this process takes a filter");
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
