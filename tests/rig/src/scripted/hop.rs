//! What may stand between a dialler and its peer: a peer that refuses everybody, and an HTTP proxy.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A peer that answers every request with one status. It keeps the head of the last request, and counts.
pub struct Refuser {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    head: Arc<Mutex<String>>,
}

impl Refuser {
    /// A peer on a free port. The status is a number and a phrase, such as `403 No`.
    pub fn start(status: &'static str) -> Self {
        let (listener, address) = listen();
        let (requests, head) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<String>>::default());
        let (counted, kept) = (Arc::clone(&requests), Arc::clone(&head));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(request) = read_head(&stream) {
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = request;
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = (&stream)
                        .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
                }
            }
        });
        Self { address, requests, head }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it refused.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The head of the last request.
    pub fn head(&self) -> String {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An HTTP proxy that leads to the target of CONNECT.
pub struct Proxy {
    port: u16,
    led: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy on a free port. With `user`, the value of a `Proxy-Authorization` header, everybody else is refused (407).
    pub fn start(user: Option<String>) -> Self {
        let (listener, address) = listen();
        let led = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&led);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Some(head) = read_head(&near) else { continue };
                let shown = |line: &str| line.strip_prefix("Proxy-Authorization: ").map(str::to_owned);
                if !head.starts_with("CONNECT ") || head.lines().find_map(shown) != user {
                    let _ = (&near).write_all(
                        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
                    );
                    continue;
                }
                if lead(&near, &head).is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { port: address.port(), led }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it led to their target.
    pub fn led(&self) -> usize {
        self.led.load(Ordering::SeqCst)
    }
}

/// Connects both ends until one of them closes.
fn lead(near: &TcpStream, head: &str) -> Option<()> {
    let mut near = near;
    let far = TcpStream::connect(head.split(' ').nth(1)?).ok()?;
    near.write_all(b"HTTP/1.0 200 Connection established\r\n\r\n").ok()?;
    for (from, to) in [(near, &far), (&far, near)] {
        let (mut from, mut to) = (from.try_clone().ok()?, to.try_clone().ok()?);
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Some(())
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    (listener, address)
}

fn read_head(stream: &TcpStream) -> Option<String> {
    let mut head = String::new();
    let mut lines = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        lines.read_line(&mut head).ok().filter(|bytes| *bytes > 0)?;
    }
    Some(head)
}
