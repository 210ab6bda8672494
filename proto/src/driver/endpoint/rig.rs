//! For the tests of the tables: frames, and a net whose sockets end in memory, in the test's hands.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::config::EndpointConfig;
use super::net::{Net, PeerNo};
use crate::driver::WebSocket;
use crate::driver::framing::Role;
use crate::driver::socket::{self, Report, SocketEvent, SocketHandle};
use crate::envelope::{Envelope, Kind};
use crate::frames::{self, Identity};
use crate::messages::{
    ConnectorObject, OperationRequest, OperationResponse, SearchOpRequest, SearchOpResponse, SearchResult,
    TestOpRequest, TestOpResponse,
};
use crate::session::SocketId;

const PATIENCE: Duration = Duration::from_secs(60);

type Reports = (socket::Events, socket::Reports);

/// A net, and the far ends of its sockets.
pub(super) struct Rig {
    pub(super) net: Net,
    near: Reports,
    far: Reports,
    /// The peers' ends, by the numbers of ours.
    handles: HashMap<SocketId, SocketHandle>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let near = mpsc::channel(1000);
        let net = Net::new(&config(), near.0.clone());
        Self { net, near, far: mpsc::channel(1000), handles: HashMap::new() }
    }

    /// Opens a socket, and shakes hands as this peer.
    pub(super) async fn join(&mut self, session_id: &str) -> (PeerNo, SocketId) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let id = self.net.adopt(WebSocket::new(ours, Role::Server, Bytes::new()), oneshot::channel().0);
        let theirs = WebSocket::new(theirs, Role::Client, Bytes::new());
        let handle = socket::spawn(id, theirs, &Default::default(), self.far.0.clone());
        let identity = Identity { session_id: session_id.to_owned(), public_key: Bytes::new() };
        handle.send(frames::handshake_request(&identity)).unwrap();
        self.handles.insert(id, handle);
        let (from, SocketEvent::Frame(envelope)) = self.report().await else { panic!("a handshake") };
        assert_eq!(from, id);
        let (no, parked) = self.net.shake(id, envelope).expect("the handshake is done");
        assert!(parked.is_empty());
        let (_, envelope) = self.frame().await;
        assert!(matches!(envelope.kind, Kind::HandshakeResponse(_)), "{envelope:?}");
        (no, id)
    }

    /// What one of our sockets reports next.
    pub(super) async fn report(&mut self) -> (SocketId, SocketEvent) {
        timeout(PATIENCE, self.near.1.recv()).await.expect("a report in time").expect("a report").open()
    }

    /// The next frame that reaches a peer.
    pub(super) async fn frame(&mut self) -> (SocketId, Envelope) {
        loop {
            let report = timeout(PATIENCE, self.far.1.recv()).await.expect("a frame in time");
            if let Some((id, SocketEvent::Frame(envelope))) = report.map(Report::open) {
                return (id, envelope);
            }
        }
    }

    /// Sends a frame as the peer.
    pub(super) fn send(&self, socket: SocketId, frame: Bytes) {
        self.handles[&socket].send(frame).unwrap();
    }

    /// Ends a socket, and waits until it takes nothing any more. The net has not heard of it yet.
    pub(super) async fn kill(&mut self, id: SocketId) {
        self.net.handle(id).expect("it is open").abort();
        while self.net.is_open(id) {
            tokio::task::yield_now().await;
        }
    }

    /// Has the net hear of the end of a killed socket; gives what was not sent.
    pub(super) async fn bury(&mut self, id: SocketId) -> Vec<Bytes> {
        loop {
            if let (from, SocketEvent::Closed(closed)) = self.report().await
                && from == id
            {
                let no = self.net.remove(id, closed.reason).expect("it had joined");
                self.net.leave(no, id).expect("its peer is known");
                return closed.unsent;
            }
        }
    }
}

pub(super) fn config() -> EndpointConfig {
    EndpointConfig::new(EndpointConfig::random_identity())
}

pub(super) fn test_request() -> OperationRequest {
    OperationRequest { test: Some(TestOpRequest {}), ..Default::default() }
}

pub(super) fn search_request() -> OperationRequest {
    OperationRequest { search: Some(SearchOpRequest::default()), ..Default::default() }
}

/// The frame that answers a test.
pub(super) fn test_answer(id: i64) -> Bytes {
    frames::answer(id, &OperationResponse { test: Some(TestOpResponse {}), ..Default::default() })
}

/// The frame of an object of a search.
pub(super) fn item(id: i64, sequence: i64) -> Bytes {
    let object = Some(ConnectorObject::default());
    let search = SearchOpResponse { sequence, connector_object: object, ..Default::default() };
    frames::answer(id, &OperationResponse { search: Some(search), ..Default::default() })
}

/// The frame that ends a search of so many objects.
pub(super) fn end(id: i64, count: i64) -> Bytes {
    let result = Some(SearchResult::default());
    let search = SearchOpResponse { sequence: count, result, ..Default::default() };
    frames::answer(id, &OperationResponse { search: Some(search), ..Default::default() })
}

pub(super) fn parsed(frame: Bytes) -> Envelope {
    Envelope::parse(frame).unwrap()
}
