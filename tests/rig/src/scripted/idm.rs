//! A scripted IDM.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames::{self, Ask, Identity};
use rcs_proto::messages::OperationRequest;
use socket2::{Domain, Socket as RawSocket, Type};

use super::inbox::{Frame, Inbox};
use super::socket::{End, Heard, Socket};
use super::{Manners, http, identity};

/// An empty legacy List, as an IDM answers when it is asked for connectors of its own (WIRE 4.4).
const NO_CONNECTORS: &[u8] = &[];

/// An IDM that dials the router and whose calls the test body makes.
pub struct FakeIdm {
    identity: Identity,
    manners: Manners,
    server: SocketAddr,
    path: String,
    principal: String,
    key: String,
    token: Option<String>,
    sockets: Vec<Arc<Socket>>,
    next_id: i64,
    /// What has come and was not answered by itself.
    pub inbox: Inbox,
}

impl FakeIdm {
    /// Dials `sockets` sockets and has their handshakes answered.
    pub fn connect(server: SocketAddr, path: &str, sockets: usize) -> Self {
        let mut idm = Self::new(server, path, Manners::Polite);
        for _ in 0..sockets {
            let socket = idm.dial();
            idm.shake_hands(&socket);
        }
        idm
    }

    /// An IDM with a session of its own and no socket yet.
    pub fn new(server: SocketAddr, path: &str, manners: Manners) -> Self {
        Self {
            identity: identity(&format!("scripted-idm-{:x}", unique())),
            manners,
            server,
            path: path.to_owned(),
            principal: "anonymous".to_owned(),
            key: "changeit".to_owned(),
            token: None,
            sockets: Vec::new(),
            next_id: 0,
            inbox: Inbox::new(),
        }
    }

    /// With another key than the default one.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// With another principal than the default one.
    #[must_use]
    pub fn with_principal(mut self, principal: &str) -> Self {
        principal.clone_into(&mut self.principal);
        self
    }

    /// With an access token, instead of a principal and key.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Dials one more socket, without a handshake.
    pub fn dial(&mut self) -> Arc<Socket> {
        let stream =
            TcpStream::connect(self.server).unwrap_or_else(|e| panic!("{} is not there: {e}", self.server));
        self.adopt(stream)
    }

    /// [`FakeIdm::dial`] with a small receive buffer, so that a stalled reader is felt soon.
    pub fn dial_with_receive_buffer(&mut self, bytes: usize) -> Arc<Socket> {
        let raw = RawSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        raw.set_recv_buffer_size(bytes).expect("a TCP socket has the option");
        raw.connect(&self.server.into()).unwrap_or_else(|e| panic!("{} is not there: {e}", self.server));
        self.adopt(raw.into())
    }

    /// Sends the handshake and waits for its answer.
    pub fn shake_hands(&mut self, socket: &Arc<Socket>) -> Frame {
        socket.send(&self.handshake());
        self.inbox.next("the answer to the handshake", |f| {
            f.handshake().is_some() && Arc::ptr_eq(&f.socket, socket)
        })
    }

    /// The handshake request of this IDM.
    pub fn handshake(&self) -> Bytes {
        frames::handshake_request(&self.identity)
    }

    /// The sockets in order of dialling.
    pub fn socket(&self, number: usize) -> &Arc<Socket> {
        &self.sockets[number]
    }

    /// An id that was not used yet.
    pub fn fresh_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// Asks for the connectors on the first socket; returns the answer.
    pub fn ask_for_connectors(&mut self, bound: Duration) -> Bytes {
        let id = self.fresh_id();
        self.socket(0).send(&frames::control_request(id, Ask::ConnectorInfo, &[], &[id]));
        let fits = |f: &Frame| f.id() == id && f.connector_infos().is_some();
        let answer = self.inbox.next_within("the answer to CONNECTOR_INFO", bound, fits);
        answer.connector_infos().cloned().unwrap_or_default()
    }

    /// Sends a call on socket `number`; returns its id.
    pub fn call_on(&mut self, number: usize, request: &OperationRequest) -> i64 {
        let id = self.fresh_id();
        self.socket(number).send(&frames::operation(id, request));
        id
    }

    /// Sends a call on the first socket; returns its id.
    pub fn call(&mut self, request: &OperationRequest) -> i64 {
        self.call_on(0, request)
    }

    /// The next frame of the answer to call `id`.
    #[track_caller]
    pub fn answer(&mut self, id: i64) -> Frame {
        self.inbox.next(&format!("an answer to call {id}"), |f| f.answers(id))
    }

    fn authorization(&self) -> String {
        self.token.as_deref().map_or_else(|| http::basic(&self.principal, &self.key), http::bearer)
    }

    fn adopt(&mut self, mut stream: TcpStream) -> Arc<Socket> {
        let rest = http::open(&mut stream, &self.path, &self.authorization());
        let (identity, manners, inbox) = (self.identity.clone(), self.manners, self.inbox.sender());
        let socket = Socket::open(self.sockets.len(), End::Client, stream, rest, move |socket, heard| {
            let Heard::Message(bytes) = heard else { return };
            let frame = Frame::new(socket, bytes);
            if let Some(answer) = manners.answer(&frame.message, &identity, NO_CONNECTORS) {
                socket.send(&answer);
            }
            let _ = inbox.send(frame);
        });
        self.sockets.push(Arc::clone(&socket));
        socket
    }
}

impl Drop for FakeIdm {
    fn drop(&mut self) {
        for socket in &self.sockets {
            socket.release();
        }
    }
}

/// A number that no other scripted IDM of this process has.
fn unique() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
