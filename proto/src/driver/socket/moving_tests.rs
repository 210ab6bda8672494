//! A socket moves to another process while frames are under way in both directions. Both "processes" are in this test.

use super::tests::PATIENCE;
use super::*;
use crate::driver::framing::{Inbound, Limits, Opcode, Role, frame_into};
use crate::driver::relay::{self, Relay};
use crate::frames;
use crate::messages::{OperationRequest, TestOpRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (peer, listener.accept().await.unwrap().0)
}

fn request(id: i64) -> Bytes {
    frames::operation(id, &OperationRequest { test: Some(TestOpRequest {}), ..Default::default() })
}

fn start(id: u64, socket: WebSocket) -> (SocketHandle, Reports) {
    let (events, reports) = mpsc::channel(1024);
    (spawn(SocketId(id), socket, &SocketConfig::default(), events), reports)
}

async fn next_id(reports: &mut Reports) -> i64 {
    match timeout(PATIENCE, reports.recv()).await.expect("a report in time").expect("a report").open().1 {
        SocketEvent::Frame(frame) => frame.message_id,
        other => panic!("a frame, not {other:?}"),
    }
}

/// Reads the next messages at the peer, which reads slowly at first.
async fn read(peer: &mut TcpStream, count: usize) -> Vec<Bytes> {
    let mut decoder = Decoder::new(Role::Client, Limits::default(), Bytes::new());
    let mut found = Vec::new();
    while found.len() < count {
        match decoder.decode().unwrap() {
            Some(Inbound::Binary(message)) => found.push(message),
            Some(other) => panic!("a message, not {other:?}"),
            None => {
                let read = timeout(PATIENCE, peer.read_buf(decoder.space())).await.expect("bytes in time");
                assert!(read.unwrap() > 0, "the stream ended after {} messages", found.len());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_frozen_socket_goes_on_where_it_stood() {
    let (mut peer, ours) = connected().await;
    let (handle, mut reports) = start(1, WebSocket::movable(ours, Role::Server, Bytes::new()));
    assert!(handle.is_movable());
    let mut bytes = Vec::new();
    frame_into(&mut bytes, Role::Client, Opcode::Binary, &request(1));
    let second = bytes.len();
    frame_into(&mut bytes, Role::Client, Opcode::Binary, &request(2));
    peer.write_all(&bytes[..second + 5]).await.unwrap();
    assert_eq!(next_id(&mut reports).await, 1);
    let frozen = timeout(PATIENCE, handle.freeze()).await.unwrap().expect("it can move");
    // Whatever of the second frame was read by then is in both places.
    assert!(frozen.unread.len() <= 32, "{} bytes", frozen.unread.len());
    handle.send(request(9)).unwrap();
    peer.write_all(&bytes[second + 5..]).await.unwrap();
    assert!(handle.freeze().await.is_none(), "it stands still already");
    handle.thaw();
    assert_eq!(next_id(&mut reports).await, 2);
    assert_eq!(read(&mut peer, 1).await, [request(9)]);
    // And so again.
    assert!(timeout(PATIENCE, handle.freeze()).await.unwrap().is_some());
    handle.close();
    handle.thaw();
    assert!(timeout(PATIENCE, reports.recv()).await.unwrap().is_some());
}

/// The first process has written a part of a large frame, and has more to say; the peer has sent a part of a request.
#[tokio::test]
async fn both_ends_of_a_moved_socket_hear_every_frame_once() {
    for (large, cut) in [(0, 3), (3 << 20, 9), (8 << 20, 1)] {
        let (mut peer, ours) = connected().await;
        let (first, mut first_reports) = start(1, WebSocket::movable(ours, Role::Server, Bytes::new()));
        let big = Bytes::from(vec![6; large + 1]);
        first.send(big.clone()).unwrap();
        first.send(request(100)).unwrap();
        let mut bytes = Vec::new();
        for id in 1..=2 {
            frame_into(&mut bytes, Role::Client, Opcode::Binary, &request(id));
        }
        let second = bytes.len() / 2;
        peer.write_all(&bytes[..second + cut]).await.unwrap();
        assert_eq!(next_id(&mut first_reports).await, 1);

        let frozen = timeout(PATIENCE, first.freeze()).await.unwrap().expect("it can move");
        first.send(request(101)).unwrap();
        let (there, mut here) = UnixStream::pair().unwrap();
        let connection = std::net::TcpStream::from(frozen.connection);
        first.lead_through(there);

        // The second process. The peer reads while the rest of the large frame is written.
        let mut connection = TcpStream::from_std(connection).unwrap();
        let rest = tokio::spawn(async move {
            let surplus = relay::finish_frame(&mut here, &mut connection, frozen.under_way).await.unwrap();
            (surplus, connection, here)
        });
        let reading = tokio::spawn(async move {
            let found = read(&mut peer, 4).await;
            (found, peer)
        });
        let (surplus, connection, here) = timeout(PATIENCE, rest).await.unwrap().unwrap();
        let (next, mut next_reports) = start(2, WebSocket::movable(connection, Role::Server, frozen.unread));
        let (ended, mut ends) = mpsc::channel::<()>(1);
        let relay = Relay::start(here, surplus, Limits::default(), next.clone(), ended);
        next.send(request(200)).unwrap();
        let (found, mut peer) = timeout(PATIENCE, reading).await.unwrap().unwrap();
        let own = found.iter().position(|message| *message == request(200)).expect("its own frame");
        let passed: Vec<_> =
            found.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, one)| one).collect();
        assert_eq!(passed, [&big, &request(100), &request(101)]);

        peer.write_all(&bytes[second + cut..]).await.unwrap();
        assert_eq!(next_id(&mut next_reports).await, 2, "begun before, ended after");
        assert!(relay.hand_back(frames::cancel(1)));
        assert_eq!(next_id(&mut first_reports).await, 1, "the cancel of a call that the first process has");

        // The first process ends, and says Close as to any peer: the peer hears nothing of it.
        first.close();
        assert!(timeout(PATIENCE, ends.recv()).await.expect("the relay ends").is_none());
        drop(relay);
        next.send(request(201)).unwrap();
        assert_eq!(read(&mut peer, 1).await, [request(201)]);
        let mut last = timeout(PATIENCE, first_reports.recv()).await.unwrap().expect("its end").open().1;
        while !matches!(last, SocketEvent::Closed(_)) {
            last = timeout(PATIENCE, first_reports.recv()).await.unwrap().expect("its end").open().1;
        }
    }
}

/// A caller that does not read leaves the rows with the process that has them.
#[tokio::test]
async fn rows_for_a_peer_that_does_not_read_stay_with_the_first_process() {
    let (peer, ours) = connected().await;
    let (first, _first_reports) = start(1, WebSocket::movable(ours, Role::Server, Bytes::new()));
    let frozen = timeout(PATIENCE, first.freeze()).await.unwrap().expect("it can move");
    let (there, here) = UnixStream::pair().unwrap();
    first.lead_through(there);
    let connection = TcpStream::from_std(frozen.connection.into()).unwrap();
    let (next, _next_reports) = start(2, WebSocket::movable(connection, Role::Server, frozen.unread));
    let _relay = Relay::start(here, Bytes::new(), Limits::default(), next.clone(), ());
    let row = Bytes::from(vec![1; 64 * 1024]);
    let rows = 512;
    for _ in 0..rows {
        first.send(row.clone()).unwrap();
    }
    let all = rows * row.len();
    let is_full = async {
        while next.backlog_bytes() < limits::RELAYED_BACKLOG_BYTES {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_full).await.expect("rows that wait in the second process");
    for _ in 0..10_000 {
        assert!(next.backlog_bytes() < 2 * limits::RELAYED_BACKLOG_BYTES);
        tokio::task::yield_now().await;
    }
    assert!(first.backlog_bytes() > all / 2);
    let mut peer = peer;
    let reading = tokio::spawn(async move { read(&mut peer, rows).await.len() });
    assert_eq!(timeout(PATIENCE, reading).await.unwrap().unwrap(), rows);
}
