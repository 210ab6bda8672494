//! A gate in front of a scripted IDM: a connection passes that shows a valid access token.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::FakeMember;
use super::hop::{listen, read_head};
use crate::authorization::AuthorizationServer;

/// What a gate does and has seen.
#[derive(Default)]
struct Seen {
    /// `Authorization` of every request, in order.
    shown: Vec<String>,
    /// Statuses, in the same order.
    told: Vec<u16>,
    /// Tokens that are refused although they are valid.
    revoked: BTreeSet<String>,
    /// Every token is refused with this status.
    refuses: Option<u16>,
}

/// A peer in front of a scripted IDM: it lets a connection in that shows a valid token.
pub struct Gate {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Gate {
    /// A gate on a free port. The tokens are those of `server`.
    pub fn before(idm: &FakeMember, server: &Arc<AuthorizationServer>) -> Self {
        let (listener, address) = listen();
        let (seen, port, server) = (Arc::<Mutex<Seen>>::default(), idm.port(), Arc::clone(server));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (seen, server) = (Arc::clone(&shared), Arc::clone(&server));
                thread::spawn(move || admit(&near, port, &seen, &server));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `Authorization` of every request, in order.
    pub fn shown(&self) -> Vec<String> {
        self.seen().shown.clone()
    }

    /// Refuses a token from now on although it is valid.
    pub fn revoke(&self, token: &str) {
        self.seen().revoked.insert(token.to_owned());
    }

    /// Refuses every token with this status; `None` ends that.
    pub fn refuse(&self, status: Option<u16>) {
        self.seen().refuses = status;
    }

    /// Requests that were answered like this.
    pub fn told(&self, status: u16) -> usize {
        self.seen().told.iter().filter(|told| **told == status).count()
    }
}

fn admit(near: &TcpStream, port: u16, seen: &Mutex<Seen>, server: &AuthorizationServer) {
    let Some(head) = read_head(near) else { return };
    let shown =
        head.lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap_or_default().to_owned();
    let token = shown.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let status = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = server.is_active(&token) && !seen.revoked.contains(&token);
        let status = seen.refuses.unwrap_or(if is_good { 101 } else { 401 });
        seen.shown.push(shown);
        seen.told.push(status);
        status
    };
    if status != 101 {
        let _ = { near }.write_all(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").as_bytes());
        return;
    }
    // The IDM may be gone.
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let _ = { &far }.write_all(head.as_bytes());
    let (mut back_from, mut back_to) =
        (far.try_clone().expect("a clone"), near.try_clone().expect("a clone"));
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut { near }, &mut { &far });
    let _ = far.shutdown(Shutdown::Both);
    let _ = back.join();
}
