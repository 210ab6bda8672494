//! A scripted connector server.

use std::net::{Shutdown, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rcs_proto::frames::Identity;
use socket2::SockRef;

use super::inbox::{Frame, Inbox};
use super::socket::{End, Heard, Socket, swallow_all};
use super::{CONNECTOR_INFOS, Manners, http, identity};
use crate::wait::{PATIENCE, wait_until};

/// A listening RCS whose calls the test body answers.
pub struct FakeMember {
    port: u16,
    /// Shared with the acceptor; none once it was told to stop.
    listener: Option<TcpListener>,
    /// What has come and was not answered by itself.
    pub inbox: Inbox,
    sockets: Arc<Mutex<Vec<Arc<Socket>>>>,
    /// The list of connectors that it tells.
    infos: Arc<Mutex<Bytes>>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeMember {
    /// A member on a free port.
    pub fn listen(name: &str, manners: Manners) -> Self {
        Self::listen_on(name, 0, manners)
    }

    /// A member on `port` (0 = any), with a session of its own.
    pub fn listen_on(name: &str, port: u16, manners: Manners) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .unwrap_or_else(|e| panic!("{name} cannot listen on {port}: {e}"));
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let accepting = listener.try_clone().expect("a listener can be shared");
        let listener = Some(listener);
        let inbox = Inbox::new();
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let infos = Arc::new(Mutex::new(Bytes::from_static(CONNECTOR_INFOS)));
        let stop = Arc::new(AtomicBool::new(false));
        let work = Acceptor {
            identity: identity(&format!("{name}-{port}")),
            manners,
            inbox: inbox.sender(),
            sockets: Arc::clone(&sockets),
            infos: Arc::clone(&infos),
            stop: Arc::clone(&stop),
        };
        let acceptor = Some(thread::spawn(move || work.run(&accepting)));
        Self { port, listener, inbox, sockets, infos, stop, acceptor }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Tells this list of connectors from now on, whenever it is asked.
    pub fn tell(&self, infos: Bytes) {
        *lock(&self.infos) = infos;
    }

    /// All sockets that were ever accepted, closed ones included.
    pub fn sockets(&self) -> Vec<Arc<Socket>> {
        lock(&self.sockets).clone()
    }

    /// The sockets that are open, once there are `n` of them.
    pub fn await_sockets(&self, n: usize) -> Vec<Arc<Socket>> {
        let open = || self.sockets().into_iter().filter(|s| !s.is_closed()).collect::<Vec<_>>();
        wait_until(&format!("{n} open sockets"), PATIENCE, || open().len() >= n);
        open()
    }

    /// Stops to listen and resets every socket: what a kill -9 looks like from outside.
    pub fn die(&mut self) {
        self.stop_listening();
        for socket in self.sockets() {
            socket.reset();
        }
    }

    /// Stops the process, as SIGSTOP does: the sockets stay open, nothing is read or answered, and new connections are not answered either.
    pub fn freeze(&self) {
        if let Some(listener) = &self.listener {
            swallow_all(&SockRef::from(listener));
        }
        for socket in self.sockets() {
            socket.stall();
        }
    }

    /// Lets the whole host vanish: nothing is acknowledged any more, on no socket, and new connections are not answered.
    pub fn vanish(&self) {
        if let Some(listener) = &self.listener {
            swallow_all(&SockRef::from(listener));
        }
        for socket in self.sockets() {
            socket.black_hole();
        }
    }

    fn stop_listening(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.take() {
            // Wakes the acceptor out of accept().
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for FakeMember {
    fn drop(&mut self) {
        self.stop_listening();
        for socket in self.sockets() {
            socket.release();
        }
    }
}

struct Acceptor {
    identity: Identity,
    manners: Manners,
    inbox: std::sync::mpsc::Sender<Frame>,
    sockets: Arc<Mutex<Vec<Arc<Socket>>>>,
    infos: Arc<Mutex<Bytes>>,
    stop: Arc<AtomicBool>,
}

impl Acceptor {
    fn run(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(mut stream) = stream else { continue };
            let Some(rest) = http::accept(&mut stream) else { continue };
            let (identity, manners, inbox) = (self.identity.clone(), self.manners, self.inbox.clone());
            let infos = Arc::clone(&self.infos);
            let mut sockets = lock(&self.sockets);
            let socket = Socket::open(sockets.len(), End::Server, stream, rest, move |socket, heard| {
                let Heard::Message(bytes) = heard else { return };
                let frame = Frame::new(socket, bytes);
                if let Some(answer) = manners.answer(&frame.message, &identity, &lock(&infos).clone()) {
                    socket.send(&answer);
                    // Probes come when they come: the test body is not to count with them.
                    if frame.operation().is_some() {
                        return;
                    }
                }
                let _ = inbox.send(frame);
            });
            sockets.push(socket);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
