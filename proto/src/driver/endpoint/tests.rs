//! An endpoint on real sockets, against another one and against peers scripted frame by frame.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::*;
use crate::driver::accept::Credentials;
use crate::driver::dial::{DialAuthorization, DialTarget, dial};
use crate::driver::listen::{Arrival, serve};
use crate::driver::socket::{self, Report, SocketEvent, SocketHandle};
use crate::envelope::{Envelope, Kind, Part};
use crate::frames::{self, Identity};
use crate::icf::Secret;
use crate::messages::*;
use crate::session::SocketId;

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Hands every call to the test.
pub(super) struct Handed(pub(super) mpsc::UnboundedSender<IncomingCall>);

impl Executor for Handed {
    fn connector_infos(&self) -> Bytes {
        Bytes::from_static(b"the list")
    }

    fn execute(&self, call: IncomingCall) {
        self.0.send(call).unwrap();
    }
}

/// Answers `test`; streams as many objects as the object class says for a search.
struct Simple;

impl Executor for Simple {
    fn connector_infos(&self) -> Bytes {
        Bytes::from_static(b"the list")
    }

    fn execute(&self, call: IncomingCall) {
        let IncomingCall { request, mut responder, .. } = call;
        tokio::spawn(async move {
            let Some(search) = request.search else { return responder.finish(test_answer()) };
            let count: i64 = search.object_class.parse().unwrap();
            for sequence in 1..=count {
                if responder.send(item(sequence, 100)).await.is_err() {
                    break;
                }
            }
            responder.finish(end(count));
        });
    }
}

pub(super) fn item(sequence: i64, bytes: usize) -> OperationResponse {
    let object = ConnectorObject { object_class: "x".repeat(bytes), ..Default::default() };
    let search = SearchOpResponse { sequence, connector_object: Some(object), ..Default::default() };
    OperationResponse { search: Some(search), ..Default::default() }
}

pub(super) fn end(count: i64) -> OperationResponse {
    let search =
        SearchOpResponse { sequence: count, result: Some(SearchResult::default()), ..Default::default() };
    OperationResponse { search: Some(search), ..Default::default() }
}

pub(super) fn test_answer() -> OperationResponse {
    OperationResponse { test: Some(TestOpResponse {}), ..Default::default() }
}

pub(super) fn test_request() -> OperationRequest {
    OperationRequest { test: Some(TestOpRequest {}), ..Default::default() }
}

pub(super) fn search_request(count: usize) -> OperationRequest {
    let search = SearchOpRequest { object_class: count.to_string(), ..Default::default() };
    OperationRequest { search: Some(search), ..Default::default() }
}

pub(super) fn config() -> EndpointConfig {
    EndpointConfig::new(EndpointConfig::random_identity())
}

/// A listening endpoint.
async fn server(config: EndpointConfig, executor: impl Executor) -> (Endpoint, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint::start(config, Arc::new(executor));
    let (arrivals, mut arrived) = mpsc::channel(16);
    tokio::spawn(serve(listener, None, |_| Ok(()), arrivals));
    let adopting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(Arrival { outcome, .. }) = arrived.recv().await {
            let (socket, _, ()) = outcome.unwrap();
            adopting.adopt(socket);
        }
    });
    (endpoint, address)
}

async fn handed_server(
    config: EndpointConfig,
) -> (Endpoint, SocketAddr, mpsc::UnboundedReceiver<IncomingCall>) {
    let (calls, received) = mpsc::unbounded_channel();
    let (endpoint, address) = server(config, Handed(calls)).await;
    (endpoint, address, received)
}

pub(super) fn target(address: SocketAddr) -> DialTarget {
    DialTarget {
        host: address.ip().to_string(),
        port: address.port(),
        path: "/openicf".to_owned(),
        tls: None,
        authorization: DialAuthorization::Basic(Credentials {
            principal: "p".to_owned(),
            secret: Secret::new("k".to_owned()),
        }),
        connect_timeout: PATIENCE,
    }
}

/// A caller scripted frame by frame, with any number of sockets of one session.
struct Scripted {
    identity: Identity,
    address: SocketAddr,
    events: (socket::Events, socket::Reports),
    sockets: Vec<SocketHandle>,
}

impl Scripted {
    async fn new(address: SocketAddr, sockets: usize) -> Self {
        let identity = EndpointConfig::random_identity();
        let mut scripted = Self { identity, address, events: mpsc::channel(10_000), sockets: Vec::new() };
        for _ in 0..sockets {
            scripted.open().await;
        }
        scripted
    }

    async fn open(&mut self) {
        let (socket, _) = dial(&target(self.address)).await.unwrap();
        let id = SocketId(self.sockets.len() as u64);
        let handle = socket::spawn(id, socket, &Default::default(), self.events.0.clone());
        handle.send(frames::handshake_request(&self.identity)).unwrap();
        self.sockets.push(handle);
        let (from, answer) = self.frame().await;
        assert_eq!(from, id);
        assert!(matches!(answer.kind, Kind::HandshakeResponse(_)), "{answer:?}");
    }

    fn call(&self, socket: usize, id: i64, request: &OperationRequest) {
        self.sockets[socket].send(frames::operation(id, request)).unwrap();
    }

    /// The next frame; what else sockets report is passed over.
    async fn frame(&mut self) -> (SocketId, Envelope) {
        loop {
            if let (id, SocketEvent::Frame(envelope)) =
                within("a frame", self.events.1.recv()).await.unwrap().open()
            {
                return (id, envelope);
            }
        }
    }
}

#[tokio::test]
async fn calls_get_their_answers_and_streams_their_order() {
    let (_server, address) = server(config(), Simple).await;
    let caller = within("the connection", Caller::connect(target(address), 2, config())).await.unwrap();
    assert_eq!(within("connectors", caller.connector_infos()).await.unwrap(), "the list");
    assert_eq!(within("connectors, known", caller.connector_infos()).await.unwrap(), "the list");
    let calls = (0..200).map(|_| caller.ask(test_request()));
    for answer in within("200 calls", futures(calls)).await {
        assert!(answer.unwrap().test.is_some());
    }
    for count in [0, 1, 5000] {
        let mut stream = caller.call(search_request(count));
        for sequence in 1..=count as i64 {
            let search = within("an item", stream.next()).await.unwrap().unwrap().search.unwrap();
            assert_eq!((search.sequence, search.connector_object.is_some()), (sequence, true));
        }
        let last = within("the end", stream.next()).await.unwrap().unwrap().search.unwrap();
        assert_eq!((last.sequence, last.result.is_some()), (count as i64, true));
        assert!(within("nothing", stream.next()).await.is_none());
    }
}

async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut outputs = Vec::new();
    for future in all {
        outputs.push(future.await);
    }
    outputs
}

#[tokio::test]
async fn a_failed_and_a_forgotten_call_are_errors() {
    let (_server, address, mut calls) = handed_server(config()).await;
    let caller = Caller::connect(target(address), 1, config()).await.unwrap();
    let mut stream = caller.call(test_request());
    within("the call", calls.recv()).await.unwrap().responder.fail("some.Class", "why");
    let error = within("the error", stream.next()).await.unwrap().unwrap_err();
    assert_eq!(error, RemoteError::Peer { class: "some.Class".to_owned(), message: "why".to_owned() });
    assert_eq!(error.to_string(), "some.Class", "P9: the text may hold a connector's values");

    let mut stream = caller.call(test_request());
    drop(within("the call", calls.recv()).await.unwrap());
    assert!(matches!(within("an error", stream.next()).await, Some(Err(RemoteError::Peer { .. }))));
}

#[tokio::test]
async fn a_dropped_stream_is_cancelled_at_the_executor() {
    let (server, address, mut calls) = handed_server(config()).await;
    let caller = Caller::connect(target(address), 2, config()).await.unwrap();
    let mut stream = caller.call(search_request(9));
    let IncomingCall { mut responder, watch, .. } = within("the call", calls.recv()).await.unwrap();
    responder.send(item(1, 10)).await.unwrap();
    within("an item", stream.next()).await.unwrap().unwrap();
    assert!(!watch.is_gone());
    drop(stream);
    within("the cancel", watch.gone()).await;
    assert_eq!(responder.send(item(2, 10)).await, Err(Gone));
    responder.finish(end(1));
    assert_eq!(server.counts().await.executing, 0);
}

#[tokio::test]
async fn an_answer_whose_socket_died_goes_out_on_another_one() {
    let (_server, address, mut calls) = handed_server(config()).await;
    let mut peer = Scripted::new(address, 2).await;
    peer.call(0, 1, &test_request());
    let call = within("the call", calls.recv()).await.unwrap();
    peer.sockets[0].abort();
    // The answer may be queued before or after the server notices; both must do.
    call.responder.finish(test_answer());
    let (socket, envelope) = peer.frame().await;
    assert_eq!((socket, envelope.message_id), (SocketId(1), 1));
    assert!(matches!(envelope.kind, Kind::Answer(_)));
}

#[tokio::test]
async fn an_answer_without_any_socket_waits_for_one() {
    let (server, address, mut calls) = handed_server(config()).await;
    let mut peer = Scripted::new(address, 1).await;
    peer.call(0, 1, &test_request());
    peer.call(0, 2, &search_request(3));
    let unary = within("the first call", calls.recv()).await.unwrap();
    let mut stream = within("the second call", calls.recv()).await.unwrap();
    peer.sockets[0].abort();
    while server.counts().await.sockets > 0 {
        tokio::task::yield_now().await;
    }
    unary.responder.finish(test_answer());
    let sending = tokio::spawn(async move {
        stream.responder.send(item(1, 10)).await.unwrap();
        stream.responder.finish(end(1));
    });
    peer.open().await;
    let mut got = Vec::new();
    for _ in 0..3 {
        let (socket, envelope) = peer.frame().await;
        assert_eq!(socket, SocketId(1));
        got.push(envelope.message_id);
    }
    got.sort_unstable();
    assert_eq!(got, [1, 2, 2]);
    within("the stream's end", sending).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_may_have_lost_a_part_ends_in_an_error_p13() {
    let (_server, address, mut calls) = handed_server(config()).await;
    let mut peer = Scripted::new(address, 2).await;
    peer.call(0, 1, &search_request(3));
    let IncomingCall { mut responder, watch, .. } = within("the call", calls.recv()).await.unwrap();
    responder.send(item(1, 10)).await.unwrap();
    assert!(matches!(peer.frame().await, (SocketId(0), _)));
    peer.sockets[0].abort();
    within("the end of the call", watch.gone()).await;
    assert_eq!(responder.send(item(2, 10)).await, Err(Gone));
    responder.finish(end(2));
    match peer.frame().await {
        (SocketId(1), Envelope { message_id: 1, kind: Kind::Error(error), .. }) => {
            assert!(error.class.ends_with("ConnectionBrokenException"), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_pauses_for_a_slow_caller_and_loses_nothing() {
    let mut config = config();
    config.pause_backlog_bytes = 100_000;
    let (_server, address, mut calls) = handed_server(config).await;
    // A peer that upgrades and shakes hands, and then reads only when told to.
    let mut peer = Scripted::new(address, 0).await;
    peer.events = mpsc::channel(1);
    peer.open().await;
    peer.call(0, 1, &search_request(1));
    let IncomingCall { mut responder, .. } = within("the call", calls.recv()).await.unwrap();
    let (count, bytes) = (2000, 10_000);
    let sent = Arc::new(Mutex::new(0));
    let progress = sent.clone();
    let sending = tokio::spawn(async move {
        for sequence in 1..=count {
            responder.send(item(sequence, bytes)).await.unwrap();
            *progress.lock().unwrap() = sequence;
        }
        responder.finish(end(count));
    });
    // Stuck: far from done, and no further on two looks in a row.
    let mut before = -1;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = *sent.lock().unwrap();
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before < count, "nothing was held back");
    for expected in 1..=count {
        let (_, envelope) = peer.frame().await;
        assert!(
            matches!(&envelope.kind, Kind::Answer(head) if head.part == Part::Item { sequence: expected })
        );
    }
    assert!(matches!(peer.frame().await.1.kind, Kind::Answer(_)));
    within("the sender", sending).await.unwrap();
}

#[tokio::test]
async fn calls_of_a_lost_peer_fail_at_once_and_the_next_peer_is_found() {
    let (first, address, mut calls) = handed_server(config()).await;
    let caller = Caller::connect(target(address), 2, config()).await.unwrap();
    let mut open = caller.call(test_request());
    let call = within("the call", calls.recv()).await.unwrap();
    // It shuts down without waiting for its call.
    first.shut_down(Duration::ZERO).await;
    let start = Instant::now();
    let error = within("the error", open.next()).await.unwrap().unwrap_err();
    assert_eq!(error, RemoteError::ConnectionLost);
    assert!(start.elapsed() < Duration::from_secs(5), "P2: {:?}", start.elapsed());
    assert_eq!(caller.ask(test_request()).await, Err(RemoteError::NotSent), "nobody is there");
    drop(call);
}

#[tokio::test]
async fn a_restarted_peer_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrivals, mut arrived) = mpsc::channel(16);
    tokio::spawn(serve(listener, None, |_| Ok(()), arrivals));
    // Each restart is another endpoint, with another identity, behind the same listener.
    let first = Endpoint::start(config(), Arc::new(Simple));
    let current = Arc::new(Mutex::new(first.clone()));
    let adopting = current.clone();
    tokio::spawn(async move {
        while let Some(Arrival { outcome: Ok((socket, ..)), .. }) = arrived.recv().await {
            adopting.lock().unwrap().adopt(socket);
        }
    });
    let caller = Caller::connect(target(address), 2, config()).await.unwrap();
    caller.ask(test_request()).await.unwrap();
    *current.lock().unwrap() = Endpoint::start(config(), Arc::new(Simple));
    first.shut_down(Duration::ZERO).await;
    let again = async {
        while caller.ask(test_request()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("the new peer", again).await;
}

#[tokio::test]
async fn a_shutdown_finishes_what_runs_and_refuses_what_comes() {
    let (server, address, mut calls) = handed_server(config()).await;
    let mut peer = Scripted::new(address, 1).await;
    peer.call(0, 1, &test_request());
    let call = within("the call", calls.recv()).await.unwrap();
    let closing = tokio::spawn(async move { server.shut_down(PATIENCE).await });
    let refused = loop {
        peer.call(0, 2, &test_request());
        // Calls that were quicker than the shutdown are run.
        tokio::select! {
            quick = calls.recv() => quick.unwrap().responder.finish(test_answer()),
            (_, envelope) = peer.frame() => match envelope.kind {
                Kind::Error(error) => break error,
                _ => continue,
            },
        }
    };
    assert!(frames::is_shutting_down(&refused.class, &refused.message, 2), "{refused:?}");
    call.responder.finish(test_answer());
    // What was on its way when the last call ended is refused as well, not lost.
    peer.call(0, 3, &test_request());
    let mut left = HashSet::from([1, 3]);
    while !left.is_empty() {
        left.remove(&peer.frame().await.1.message_id);
    }
    let left = within("the shutdown", closing).await.unwrap();
    assert_eq!(left.executing, 0);
    loop {
        if let (_, SocketEvent::Closed(_)) = within("the close", peer.events.1.recv()).await.unwrap().open() {
            break;
        }
    }
}

/// An acceptor scripted frame by frame: gives the socket behind its handshake.
async fn scripted_acceptor(
    listener: TcpListener,
    mut frame: impl FnMut(&SocketHandle, Envelope) + Send + 'static,
) {
    let identity = EndpointConfig::random_identity();
    let (events, mut received) = mpsc::channel(100);
    tokio::spawn(async move {
        let mut handles = Vec::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, peer) = accepted.unwrap();
                    let (socket, ..) = crate::driver::accept::accept(stream, peer, |_| Ok(())).await.unwrap();
                    let id = SocketId(handles.len() as u64);
                    handles.push(socket::spawn(id, socket, &Default::default(), events.clone()));
                }
                Some((SocketId(id), event)) = async { received.recv().await.map(Report::open) } => match event {
                    SocketEvent::Frame(envelope) if matches!(envelope.kind, Kind::HandshakeRequest(_)) => {
                        handles[id as usize].send(frames::handshake_response(&identity)).unwrap();
                    }
                    SocketEvent::Frame(envelope) => frame(&handles[id as usize], envelope),
                    _ => {}
                }
            }
        }
    });
}

#[tokio::test]
async fn a_call_refused_before_the_handshake_was_stored_is_sent_again_wire_7_1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut refusals = 0;
    scripted_acceptor(listener, move |socket, envelope| {
        let id = envelope.message_id;
        let answer = if refusals < 3 {
            refusals += 1;
            frames::error(id, "x.ConnectorException", "Connection received request before handshake")
        } else {
            frames::answer(id, &test_answer())
        };
        socket.send(answer).unwrap();
    })
    .await;
    let caller = Caller::connect(target(address), 1, config()).await.unwrap();
    within("the answer", caller.ask(test_request())).await.unwrap();
}

#[tokio::test]
async fn nothing_but_the_handshake_is_sent_in_the_first_moments_wire_7_9() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    scripted_acceptor(listener, move |socket, envelope| {
        socket.send(frames::answer(envelope.message_id, &test_answer())).unwrap();
    })
    .await;
    let start = Instant::now();
    let caller = Caller::connect(target(address), 1, config()).await.unwrap();
    within("the answer", caller.ask(test_request())).await.unwrap();
    assert!(start.elapsed() >= crate::limits::HOLD_OFF, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_oversized_call_fails_alone() {
    let mut config = config();
    config.socket.message.message = 10_000;
    let (_server, address) = server(config, Simple).await;
    let caller = Caller::connect(target(address), 1, super::tests::config()).await.unwrap();
    let big = OperationRequest { connector_facade_key: vec![b'x'; 20_000].into(), ..test_request() };
    let error = within("the error", caller.ask(big)).await.unwrap_err();
    assert!(matches!(error, RemoteError::Peer { message, .. } if message.contains("10000")));
    within("the next call", caller.ask(test_request())).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_come_back_is_forgotten_with_its_calls() {
    let mut config = config();
    config.keep_lost = Duration::from_millis(100);
    let (server, address, mut calls) = handed_server(config).await;
    let peer = Scripted::new(address, 1).await;
    peer.call(0, 1, &search_request(1));
    let IncomingCall { mut responder, watch, .. } = within("the call", calls.recv()).await.unwrap();
    peer.sockets[0].abort();
    within("the end", watch.gone()).await;
    assert_eq!(responder.send(item(1, 1)).await, Err(Gone));
    assert_eq!(server.counts().await, Counts::default());
}

#[tokio::test]
async fn a_caller_learns_why_it_cannot_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = within("the error", Caller::connect(target(address), 2, config())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Dial(_)), "{error}");
}
