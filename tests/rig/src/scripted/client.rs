//! A scripted connector server in client mode.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::frames::{self, Identity};

use super::inbox::{Frame, Inbox};
use super::socket::{End, Heard, Socket};
use super::{CONNECTOR_INFOS, Manners, http, identity};

/// A connector server that dials the router, and whose calls the test body answers.
pub struct FakeClient {
    identity: Identity,
    manners: Manners,
    server: SocketAddr,
    path: String,
    principal: String,
    token: Option<String>,
    sockets: Vec<Arc<Socket>>,
    /// What has come and was not answered by itself.
    pub inbox: Inbox,
}

impl FakeClient {
    /// A polite server with this session id and no socket yet. Its principal is the name of the member that it is.
    pub fn new(server: SocketAddr, name: &str, session: &str) -> Self {
        Self {
            identity: identity(session),
            manners: Manners::Polite,
            server,
            path: "/openicf".to_owned(),
            principal: name.to_owned(),
            token: None,
            sockets: Vec::new(),
            inbox: Inbox::new(),
        }
    }

    /// With another path than `/openicf`.
    #[must_use]
    pub fn at_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// With an access token, instead of its name and the key of development.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// With other manners than those of a polite server.
    #[must_use]
    pub fn with_manners(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    /// Dials so many sockets and shakes hands on each.
    #[must_use]
    pub fn connect(mut self, sockets: usize) -> Self {
        for _ in 0..sockets {
            self.dial();
        }
        self
    }

    /// Dials one more socket and shakes hands.
    pub fn dial(&mut self) -> Arc<Socket> {
        let socket = self.open();
        socket.send(&frames::handshake_request(&self.identity));
        self.inbox.next("the router's handshake", |frame| {
            frame.handshake().is_some() && Arc::ptr_eq(&frame.socket, &socket)
        });
        socket
    }

    /// Dials one more socket, without a handshake.
    pub fn open(&mut self) -> Arc<Socket> {
        let mut stream =
            TcpStream::connect(self.server).unwrap_or_else(|e| panic!("{} is not there: {e}", self.server));
        let token = self.token.as_deref();
        let authorization = token.map_or_else(|| http::basic(&self.principal, "changeit"), http::bearer);
        let rest = http::open(&mut stream, &self.path, &authorization);
        let (identity, manners, inbox) = (self.identity.clone(), self.manners, self.inbox.sender());
        let infos = Bytes::from_static(CONNECTOR_INFOS);
        let socket = Socket::open(self.sockets.len(), End::Client, stream, rest, move |socket, heard| {
            let Heard::Message(bytes) = heard else { return };
            let frame = Frame::new(socket, bytes);
            if let Some(answer) = manners.answer(&frame.message, &identity, &infos) {
                socket.send(&answer);
                // Probes come when they come: the test body is not to count with them.
                if frame.operation().is_some() {
                    return;
                }
            }
            let _ = inbox.send(frame);
        });
        self.sockets.push(Arc::clone(&socket));
        socket
    }

    /// The sockets in order of dialling.
    pub fn socket(&self, number: usize) -> &Arc<Socket> {
        &self.sockets[number]
    }

    /// Whether a socket was closed.
    pub fn lost_a_socket(&self) -> bool {
        self.sockets.iter().any(|socket| socket.is_closed())
    }

    /// Resets every socket: what a kill -9 looks like from outside.
    pub fn die(&self) {
        for socket in &self.sockets {
            socket.reset();
        }
    }
}

impl Drop for FakeClient {
    fn drop(&mut self) {
        for socket in &self.sockets {
            socket.release();
        }
    }
}
