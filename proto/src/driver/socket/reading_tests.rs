//! What the owner gets of a message, and on which thread it is read (P10).

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::driver::caller::Callers;
use crate::driver::framing::{Opcode, Role, frame_into};
use crate::frames::{self, Identity};
use crate::messages::{OperationRequest, TestOpRequest};

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(180);

/// The peer's end of a socket whose messages are read by `read`.
async fn peer<F: Send + 'static>(
    id: u64,
    events: &Events<F>,
    read: impl FnMut(Envelope) -> F + Send + 'static,
) -> (TcpStream, SocketHandle) {
    let (peer, ours) = pair().await;
    let socket = WebSocket::new(ours, Role::Server, Bytes::new());
    let handle = spawn_reading(SocketId(id), socket, &SocketConfig::default(), events.clone(), read);
    (peer, handle)
}

/// The sockets of a caller with this session id, through with their handshakes.
async fn caller(
    session_id: &str,
    sockets: std::ops::Range<u64>,
    callers: &Arc<Callers>,
    (events, reports): (&Events, &mut Reports),
) -> Vec<(TcpStream, SocketHandle)> {
    let among = Some(Among { callers: Arc::clone(callers), way_in: "g".into() });
    let config = SocketConfig { among, reading: Reading::Patient, ..Default::default() };
    let identity = Identity { session_id: session_id.to_owned(), public_key: Bytes::new() };
    let mut opened = Vec::new();
    for id in sockets {
        let (mut peer, ours) = pair().await;
        let socket = WebSocket::new(ours, Role::Server, Bytes::new());
        let handle = spawn(SocketId(id), socket, &config, events.clone());
        let mut handshake = Vec::new();
        frame_into(&mut handshake, Role::Client, Opcode::Binary, &frames::handshake_request(&identity));
        peer.write_all(&handshake).await.unwrap();
        assert_eq!(next(reports).await.0, SocketId(id));
        opened.push((peer, handle));
    }
    opened
}

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    (peer, ours)
}

/// The WebSocket frame of a request of about this length.
fn request(id: i64, bytes: usize) -> Vec<u8> {
    let connector_facade_key = Bytes::from(vec![b'x'; bytes]);
    let test = Some(TestOpRequest {});
    let request = OperationRequest { connector_facade_key, test, ..Default::default() };
    let mut framed = Vec::new();
    frame_into(&mut framed, Role::Client, Opcode::Binary, &frames::operation(id, &request));
    framed
}

async fn next<F>(reports: &mut Reports<F>) -> (SocketId, F) {
    match timeout(PATIENCE, reports.recv()).await.expect("a report in time").expect("a report").open() {
        (id, SocketEvent::Frame(frame)) => (id, frame),
        _ => panic!("a frame was expected"),
    }
}

/// One thread moves all frames here. If it read the large message itself, the small one would never arrive.
#[tokio::test]
async fn while_a_large_message_is_read_other_sockets_are_served_and_its_own_order_stays() {
    let (events, mut reports) = mpsc::channel(64);
    let (go_on, wait): (Sender<()>, Receiver<()>) = channel();
    let slow = move |envelope: Envelope| {
        let is_large = envelope.frame_bytes() > limits::READ_APART_BYTES;
        let waited = if is_large { wait.recv_timeout(PATIENCE) } else { Ok(()) };
        assert_ne!(waited, Err(RecvTimeoutError::Timeout), "the other socket is served meanwhile");
        envelope.message_id * 10
    };
    let (mut large, _kept) = peer(1, &events, slow).await;
    large.write_all(&request(1, limits::READ_APART_BYTES + 1)).await.unwrap();
    large.write_all(&request(2, 10)).await.unwrap();
    let (mut small, _kept_too) = peer(2, &events, |envelope| envelope.message_id).await;
    small.write_all(&request(3, 10)).await.unwrap();
    assert_eq!(next(&mut reports).await, (SocketId(2), 3));
    go_on.send(()).unwrap();
    assert_eq!(next(&mut reports).await, (SocketId(1), 10));
    assert_eq!(next(&mut reports).await, (SocketId(1), 20));
}

/// A caller that opens more sockets gets no larger part of the owner's queue.
#[tokio::test]
async fn the_sockets_of_one_caller_have_one_share_of_the_owners_queue_p10() {
    const EACH: i64 = 40;
    let (events, mut reports) = mpsc::channel(1_024);
    let callers = Arc::default();
    let mut greedy = caller("greedy", 0..8, &callers, (&events, &mut reports)).await;
    let mut other = caller("other", 100..101, &callers, (&events, &mut reports)).await;
    for (peer, _) in &mut greedy {
        for id in 1..=EACH {
            peer.write_all(&request(id, 10)).await.unwrap();
        }
    }
    let waiting = async {
        while reports.len() < limits::SHARE_UNITS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the share is used");
    // The rest lies in the kernel. Readers that went on would report the rest in these turns.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reports.len(), limits::SHARE_UNITS);
    other[0].0.write_all(&request(1, 10)).await.unwrap();
    let mut came = None;
    for at in 0..=8 * EACH as usize {
        if next(&mut reports).await.0 == SocketId(100) {
            came = Some(at);
        }
    }
    // It came behind what was there, and behind another share at most.
    assert!(came.is_some_and(|at| at <= 2 * limits::SHARE_UNITS), "{came:?}");
}

/// A slow machine makes the time longer, and never shorter.
#[tokio::test]
async fn questions_of_a_caller_are_read_at_a_pace_and_those_of_a_member_as_they_come() {
    for (reading, is_paced) in [(Reading::Patient, true), (Reading::Steady, false)] {
        let (events, mut reports) = mpsc::channel(64);
        let (mut peer, ours) = pair().await;
        let config = SocketConfig { reading, ..Default::default() };
        let socket = WebSocket::new(ours, Role::Server, Bytes::new());
        let _handle = spawn_reading(SocketId(1), socket, &config, events, |envelope| envelope.message_id);
        let over = i64::from(limits::QUESTIONS_PER_SECOND) / 2;
        let last = limits::QUESTIONS_BURST.as_secs() as i64 * i64::from(limits::QUESTIONS_PER_SECOND) + over;
        let mut framed = Vec::new();
        for id in 0..=last {
            let question = frames::control_request(id, frames::Ask::ConnectorInfo, &[], &[id]);
            frame_into(&mut framed, Role::Client, Opcode::Binary, &question);
        }
        let began = Instant::now();
        let write = tokio::spawn(async move { peer.write_all(&framed).await.map(|()| peer) });
        while next(&mut reports).await.1 != last {}
        let least = Duration::from_millis(400);
        assert!(!is_paced || began.elapsed() >= least, "{:?}", began.elapsed());
        drop(write.await.unwrap().unwrap());
    }
}
