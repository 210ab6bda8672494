//! Real sockets on loopback: one end is pumped, the other one is a raw stream in the test's hands.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::driver::framing::{Inbound, Opcode, Role, frame_into};
use crate::driver::oversize::Overrun;
use crate::frames;
use crate::messages::{OperationRequest, TestOpRequest};

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
const ID: SocketId = SocketId(7);

struct Rig {
    handle: SocketHandle,
    events: Reports,
    peer: TcpStream,
}

/// A pumped server end, and the client's raw stream.
async fn rig(config: SocketConfig) -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    let (events, received) = mpsc::channel(256);
    let handle = spawn(ID, WebSocket::new(ours, Role::Server, Bytes::new()), &config, events);
    Rig { handle, events: received, peer }
}

impl Rig {
    async fn event(&mut self) -> SocketEvent {
        let (id, event) =
            timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("a report").open();
        assert_eq!(id, ID);
        event
    }

    async fn closed(&mut self) -> Closed {
        match self.event().await {
            SocketEvent::Closed(closed) => {
                let nothing = timeout(PATIENCE, self.events.recv()).await.expect("the tasks end");
                assert!(nothing.is_none(), "the end is the last report");
                closed
            }
            other => panic!("expected the end, got {other:?}"),
        }
    }

    async fn write(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame_into(&mut bytes, Role::Client, opcode, payload);
        timeout(PATIENCE, self.peer.write_all(&bytes)).await.expect("the peer's write ends").unwrap();
    }

    /// The next messages that the peer gets, as raw binary payloads.
    async fn read(&mut self, count: usize) -> Vec<Inbound> {
        let mut decoder = Decoder::new(Role::Client, Limits::default(), Bytes::new());
        let mut found = Vec::new();
        while found.len() < count {
            while let Some(inbound) = decoder.decode().unwrap() {
                found.push(inbound);
            }
            if found.len() < count {
                let read =
                    timeout(PATIENCE, self.peer.read_buf(decoder.space())).await.expect("bytes in time");
                assert!(read.unwrap() > 0, "the stream ended after {found:?}");
            }
        }
        found
    }
}

fn request(id: i64) -> Bytes {
    frames::operation(id, &OperationRequest { test: Some(TestOpRequest {}), ..Default::default() })
}

/// A message of our own that is `bytes` long: only its length and number matter to the pump.
fn numbered(number: u32, bytes: usize) -> Bytes {
    let mut message = vec![0xaa; bytes.max(4)];
    message[..4].copy_from_slice(&number.to_be_bytes());
    Bytes::from(message)
}

fn number(inbound: &Inbound) -> u32 {
    match inbound {
        Inbound::Binary(message) => u32::from_be_bytes(*message.first_chunk().unwrap()),
        other => panic!("expected a message, got {other:?}"),
    }
}

#[tokio::test]
async fn frames_go_both_ways_and_keep_their_order() {
    let mut rig = rig(SocketConfig::default()).await;
    for id in 1..=500 {
        rig.write(Opcode::Binary, &request(id)).await;
        match rig.event().await {
            SocketEvent::Frame(envelope) => assert_eq!(envelope.message_id, id),
            other => panic!("{other:?}"),
        }
    }
    // Small ones are batched, large ones are not copied, and neither overtakes the other.
    let sizes = [10, 100_000, 20, 30, 70_000, 16 * 1024, 16 * 1024 + 1, 0, 3_000_000, 5];
    for (number, size) in sizes.iter().enumerate() {
        rig.handle.send(numbered(number as u32, *size)).unwrap();
    }
    let got = rig.read(sizes.len()).await;
    for (expected, (inbound, size)) in got.iter().zip(sizes).enumerate() {
        assert_eq!(number(inbound), expected as u32);
        assert!(matches!(inbound, Inbound::Binary(message) if message.len() == size.max(4)));
    }
    timeout(PATIENCE, rig.handle.drained_below(1)).await.expect("all was written");
    assert_eq!(rig.handle.backlog_bytes(), 0);
}

#[tokio::test]
async fn reading_goes_on_while_the_peer_does_not_read_p13() {
    let mut rig = rig(SocketConfig::default()).await;
    // Far beyond what the kernel's buffers hold, so that the writer is stuck in the middle of a message.
    rig.handle.send(numbered(0, 32 << 20)).unwrap();
    rig.handle.send(numbered(1, 10)).unwrap();
    for id in 1..=2000 {
        rig.write(Opcode::Binary, &request(id)).await;
        assert!(matches!(rig.event().await, SocketEvent::Frame(envelope) if envelope.message_id == id));
    }
    assert!(rig.handle.backlog_bytes() > 10 << 20, "the writer is still stuck");
    // The peer goes away: the stuck message and the one behind it come back, as neither can have arrived whole.
    rig.peer.shutdown().await.unwrap();
    let closed = rig.closed().await;
    assert_eq!(closed.reason, CloseReason::Eof);
    let lengths: Vec<usize> = closed.unsent.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [32 << 20, 10]);
    assert_eq!(rig.handle.backlog_bytes(), 0);
    assert_eq!(rig.handle.send(numbered(2, 10)), Err(SendError::Closed));
}

#[tokio::test]
async fn the_backlog_has_a_limit_and_a_single_large_message_passes_it() {
    let rig = rig(SocketConfig { backlog_bytes: 1000, ..Default::default() }).await;
    // Nothing is written before the hold ends.
    rig.handle.hold(Instant::now() + Duration::from_secs(60)).unwrap();
    timeout(PATIENCE, rig.handle.drained_below(1)).await.expect("the hold itself is taken from the queue");
    rig.handle.send(numbered(0, 5000)).unwrap();
    assert_eq!(rig.handle.send(numbered(1, 10)), Err(SendError::Full));
    assert_eq!(
        rig.handle.backlog_bytes(),
        5000 + limits::FRAME_OVERHEAD_BYTES,
        "a refused frame does not count"
    );
}

#[tokio::test]
async fn nothing_passes_a_hold_but_what_was_queued_before_c07() {
    let mut rig = rig(SocketConfig::default()).await;
    let hold = Duration::from_millis(200);
    let start = Instant::now();
    rig.handle.send(numbered(0, 10)).unwrap();
    rig.handle.hold(start + hold).unwrap();
    rig.handle.send(numbered(1, 10)).unwrap();
    assert_eq!(number(&rig.read(1).await[0]), 0);
    assert_eq!(number(&rig.read(1).await[0]), 1);
    assert!(start.elapsed() >= hold, "held for {:?} only", start.elapsed());
}

#[tokio::test]
async fn garbage_and_text_are_counted_and_the_socket_lives() {
    let mut rig = rig(SocketConfig::default()).await;
    rig.write(Opcode::Text, b"hello").await;
    rig.write(Opcode::Binary, &[0xff; 20]).await;
    rig.write(Opcode::Binary, &[0x0b]).await;
    rig.write(Opcode::Binary, &request(1)).await;
    assert!(matches!(rig.event().await, SocketEvent::Garbage { count: 1, .. }));
    assert!(matches!(rig.event().await, SocketEvent::Garbage { count: 2, .. }));
    assert!(matches!(rig.event().await, SocketEvent::Frame(_)));
    assert_eq!(rig.handle.text_frames(), 1);
}

#[tokio::test]
async fn an_oversized_message_is_reported_with_its_call_and_the_socket_lives() {
    let message = Limits { message: 10_000, ..Limits::default() };
    let mut rig = rig(SocketConfig { message, ..Default::default() }).await;
    let big = OperationRequest { connector_facade_key: vec![b'x'; 50_000].into(), ..Default::default() };
    let big = frames::operation(42, &big);
    rig.write(Opcode::Binary, &big).await;
    rig.write(Opcode::Binary, &request(43)).await;
    match rig.event().await {
        SocketEvent::Oversize(head) => {
            assert_eq!((head.message_id, head.total), (Some(42), big.len() as u64));
            assert_eq!(head.side, crate::driver::oversize::Side::Request);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(rig.event().await, SocketEvent::Frame(envelope) if envelope.message_id == 43));
}

#[tokio::test]
async fn pings_are_answered_with_their_payload_and_ours_are_empty() {
    let mut rig = rig(SocketConfig::default()).await;
    rig.write(Opcode::Ping, b"abc").await;
    let mut head = [0; 5];
    timeout(PATIENCE, rig.peer.read_exact(&mut head)).await.expect("a pong").unwrap();
    assert_eq!(head, [0x8a, 3, b'a', b'b', b'c']);
    rig.handle.ping().unwrap();
    assert_eq!(rig.read(1).await, [Inbound::Ping(Bytes::new())]);
    rig.write(Opcode::Pong, b"").await;
    assert!(matches!(rig.event().await, SocketEvent::Pong));
}

#[tokio::test]
async fn a_ping_flood_from_a_peer_that_does_not_read_stays_within_the_backlog_p10() {
    let limit = 100_000;
    let mut rig = rig(SocketConfig { backlog_bytes: limit, ..Default::default() }).await;
    rig.handle.hold(Instant::now() + Duration::from_secs(60)).unwrap();
    for _ in 0..2000 {
        rig.write(Opcode::Ping, &[b'p'; 125]).await;
    }
    rig.write(Opcode::Binary, &request(1)).await;
    assert!(matches!(rig.event().await, SocketEvent::Frame(_)), "all pings were read");
    assert!(rig.handle.backlog_bytes() <= limit);
}

#[tokio::test]
async fn each_end_has_its_reason() {
    let cases: [(&str, &[u8], CloseReason); 4] = [
        ("close frame", &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9], CloseReason::PeerClose(Some(1001))),
        ("close without code", &[0x88, 0x80, 0, 0, 0, 0], CloseReason::PeerClose(None)),
        ("unmasked", &[0x82, 0x00], CloseReason::ProtocolError(Violation::Masking)),
        (
            "endless",
            &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            CloseReason::HardLimit(i64::MAX as u64),
        ),
    ];
    for (case, bytes, reason) in cases {
        let mut rig = rig(SocketConfig::default()).await;
        rig.write(Opcode::Binary, &request(1)).await;
        rig.peer.write_all(bytes).await.unwrap();
        assert!(matches!(rig.event().await, SocketEvent::Frame(_)), "{case}: what came before is reported");
        assert_eq!(rig.closed().await.reason, reason, "{case}");
        // A Close frame answers, then FIN.
        let mut rest = Vec::new();
        timeout(PATIENCE, rig.peer.read_to_end(&mut rest)).await.expect("the end").unwrap();
        assert_eq!(rest.first(), Some(&0x88), "{case}: {rest:x?}");
    }
}

#[tokio::test]
async fn a_reset_is_told_from_an_end() {
    let Rig { peer, mut events, handle: _handle } = rig(SocketConfig::default()).await;
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let (_, end) = timeout(PATIENCE, events.recv()).await.expect("in time").unwrap().open();
    assert!(matches!(end, SocketEvent::Closed(Closed { reason: CloseReason::Reset, .. })), "{end:?}");
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_hears_the_peers_last_words() {
    let mut rig = rig(SocketConfig::default()).await;
    rig.handle.send(numbered(0, 1_000_000)).unwrap();
    rig.handle.close();
    let got = rig.read(2).await;
    assert_eq!((number(&got[0]), &got[1]), (0, &Inbound::Close(Some(1000))));
    rig.write(Opcode::Binary, &request(5)).await;
    assert!(matches!(rig.event().await, SocketEvent::Frame(_)), "a frame that crossed our close is reported");
    rig.peer.shutdown().await.unwrap();
    let closed = rig.closed().await;
    assert_eq!((closed.reason, closed.unsent.len()), (CloseReason::Owner, 0));
}

#[tokio::test]
async fn a_close_that_the_peer_ignores_ends_in_time_and_an_abort_at_once() {
    for abort in [false, true] {
        let mut rig = rig(SocketConfig::default()).await;
        rig.handle.send(numbered(0, 32 << 20)).unwrap();
        let start = Instant::now();
        if abort {
            rig.handle.abort()
        } else {
            rig.handle.close()
        }
        let closed = rig.closed().await;
        assert_eq!((closed.reason, closed.unsent.len()), (CloseReason::Owner, 1));
        // What ignores a close would wait for ever, and an abort waits for no deadline.
        let limit = if abort { limits::CLOSE_DEADLINE } else { PATIENCE };
        assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_forgotten_socket_closes_itself() {
    let Rig { handle, mut events, mut peer } = rig(SocketConfig::default()).await;
    drop(handle);
    let mut rest = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut rest)).await.expect("the end").unwrap();
    assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
    drop(peer);
    let (_, end) = timeout(PATIENCE, events.recv()).await.expect("in time").unwrap().open();
    assert!(matches!(end, SocketEvent::Closed(Closed { reason: CloseReason::Owner, .. })), "{end:?}");
}

#[tokio::test]
async fn a_peer_that_never_pauses_does_not_outlive_its_close() {
    for abort in [false, true] {
        let Rig { handle, mut events, peer } = rig(SocketConfig::default()).await;
        let (mut read, mut write) = peer.into_split();
        let mut flood = Vec::new();
        for _ in 0..2000 {
            frame_into(&mut flood, Role::Client, Opcode::Binary, &request(1));
        }
        let flooding = tokio::spawn(async move { while write.write_all(&flood).await.is_ok() {} });
        let listening = tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        assert!(timeout(PATIENCE, events.recv()).await.is_ok(), "the flood has begun");
        if abort {
            handle.abort()
        } else {
            handle.close()
        }
        let end = async {
            loop {
                if let (_, SocketEvent::Closed(closed)) = events.recv().await.expect("a last report").open() {
                    return closed.reason;
                }
            }
        };
        assert_eq!(
            timeout(PATIENCE, end).await.expect("the end in time"),
            CloseReason::Owner,
            "abort: {abort}"
        );
        timeout(PATIENCE, flooding).await.expect("the connection is gone").unwrap();
        listening.abort();
    }
}

fn patient(inflow: &Arc<Inflow>) -> SocketConfig {
    SocketConfig { inflow: Arc::clone(inflow), reading: Reading::Patient, ..Default::default() }
}

/// A call of this length.
fn long_request(id: i64, bytes: usize) -> Bytes {
    let connector_facade_key = Bytes::from(vec![b'x'; bytes]);
    let test = Some(TestOpRequest {});
    frames::operation(id, &OperationRequest { connector_facade_key, test, ..Default::default() })
}

/// The WebSocket frame of a message.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame_into(&mut bytes, Role::Client, Opcode::Binary, payload);
    bytes
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

const LONG: Duration = Duration::from_secs(600);

/// A hostile caller announces large messages and sends half of each. Their memory is bounded for the process, small messages pass all the
/// while, and the message that finds no room fails alone.
#[tokio::test]
async fn half_messages_share_one_room_and_small_ones_always_pass_p10() {
    let inflow = Inflow::timed(4 << 20, Duration::from_millis(50), LONG);
    let (half, whole) = (2 << 20, 5 << 20);
    let mut stuck = rig(patient(&inflow)).await;
    stuck.peer.write_all(&framed(&long_request(1, whole))[..half]).await.unwrap();
    until("the half has its room", || inflow.taken() >= half).await;
    let mut others = rig(patient(&inflow)).await;
    others.write(Opcode::Binary, &long_request(2, whole)).await;
    match others.event().await {
        SocketEvent::Oversize(head) => assert_eq!((head.message_id, head.why), (Some(2), Overrun::Room)),
        other => panic!("{other:?}"),
    }
    for id in 3..40 {
        others.write(Opcode::Binary, &long_request(id, limits::UNFINISHED_FREE_BYTES / 2)).await;
        assert!(matches!(others.event().await, SocketEvent::Frame(envelope) if envelope.message_id == id));
    }
    assert!(inflow.taken() > 0 && inflow.taken() <= 4 << 20, "{}", inflow.taken());
    drop(stuck);
    others.write(Opcode::Binary, &long_request(50, 1 << 20)).await;
    let report = timeout(PATIENCE, others.events.recv()).await.expect("in time").unwrap();
    assert!(inflow.taken() >= 1 << 20, "it waits for the owner: its room is not free");
    assert!(matches!(report.open().1, SocketEvent::Frame(envelope) if envelope.message_id == 50));
    until("the room is free", || inflow.taken() == 0).await;
}

/// A message waits for room while other messages may still finish.
#[tokio::test]
async fn a_large_message_waits_for_room_and_nothing_of_it_is_lost() {
    let inflow = Inflow::timed(4 << 20, LONG, LONG);
    let (mut first, mut second) = (rig(patient(&inflow)).await, rig(patient(&inflow)).await);
    let request = framed(&long_request(1, 3 << 20));
    let (begin, rest) = request.split_at(2 << 20);
    first.peer.write_all(begin).await.unwrap();
    until("half of it is there", || inflow.taken() >= 2 << 20).await;
    let (_reads, mut writes) = second.peer.split();
    let writing = async { writes.write_all(&framed(&long_request(2, 3 << 20))).await.unwrap() };
    let finish = async {
        first.peer.write_all(rest).await.unwrap();
        let report = timeout(PATIENCE, first.events.recv()).await.expect("in time").unwrap();
        assert!(matches!(report.open().1, SocketEvent::Frame(envelope) if envelope.message_id == 1));
    };
    let waiting = async { timeout(PATIENCE, second.events.recv()).await.expect("in time").unwrap() };
    let ((), (), report) = tokio::join!(writing, finish, waiting);
    assert!(matches!(report.open().1, SocketEvent::Frame(envelope) if envelope.message_id == 2));
}

/// A member is read without pause (P13). Without room the member's message is dropped at once, and what follows is read.
#[tokio::test]
async fn a_members_message_without_room_is_dropped_and_its_socket_is_read_on() {
    let config = SocketConfig { inflow: Inflow::timed(1 << 20, LONG, LONG), ..Default::default() };
    let mut rig = rig(config).await;
    rig.write(Opcode::Binary, &long_request(1, 5 << 20)).await;
    match rig.event().await {
        SocketEvent::Oversize(head) => {
            assert_eq!((head.message_id, head.why), (Some(1), Overrun::Room));
            assert!(head.total > 5 << 20);
        }
        other => panic!("{other:?}"),
    }
    rig.write(Opcode::Binary, &request(2)).await;
    assert!(matches!(rig.event().await, SocketEvent::Frame(envelope) if envelope.message_id == 2));
}

/// A message in fragments, and one whose peer goes silent: the room is given back, and the socket stays.
#[tokio::test]
async fn a_message_that_makes_no_progress_gives_its_room_back() {
    let inflow = Inflow::timed(64 << 20, LONG, Duration::from_millis(100));
    for fragments in [1, 3] {
        let mut rig = rig(patient(&inflow)).await;
        let message = long_request(1, 1 << 20);
        let mut bytes = Vec::new();
        for (at, piece) in message.chunks(message.len().div_ceil(fragments)).enumerate() {
            let mut piece = framed(piece);
            // Only the last frame is final, and all frames but the first are continuations.
            let (last, opcode) = (u8::from(at + 1 == fragments) << 7, if at == 0 { 2 } else { 0 });
            piece[0] = last | opcode;
            bytes.extend_from_slice(&piece);
        }
        let (begin, rest) = bytes.split_at(bytes.len() - 1000);
        rig.peer.write_all(begin).await.unwrap();
        until("it takes room", || inflow.taken() > 0).await;
        until("the room is given back", || inflow.taken() == 0).await;
        rig.peer.write_all(rest).await.unwrap();
        match rig.event().await {
            SocketEvent::Oversize(head) => {
                let total = message.len() as u64;
                assert_eq!((head.message_id, head.why, head.total), (Some(1), Overrun::Pace, total));
            }
            other => panic!("{other:?}"),
        }
        rig.write(Opcode::Binary, &request(2)).await;
        assert!(matches!(rig.event().await, SocketEvent::Frame(envelope) if envelope.message_id == 2));
    }
}

#[tokio::test]
async fn little_is_taken_before_the_handshake() {
    let config = SocketConfig { greeting_bytes: limits::GREETING_BYTES, ..Default::default() };
    let garbage = vec![0xff; 1000];
    for (case, messages, half) in [
        (
            "one large message",
            vec![],
            framed(&long_request(1, 1 << 20))[..limits::GREETING_BYTES + 100].to_vec(),
        ),
        ("many small ones", vec![long_request(1, 1000); 70], vec![]),
        ("garbage", vec![Bytes::from(garbage); 70], vec![]),
    ] {
        let mut rig = rig(config.clone()).await;
        for message in messages {
            // The socket may end in any of these steps.
            let _ = rig.peer.write_all(&framed(&message)).await;
        }
        let _ = rig.peer.write_all(&half).await;
        let closed = loop {
            if let SocketEvent::Closed(closed) = rig.event().await {
                break closed;
            }
        };
        assert!(matches!(closed.reason, CloseReason::Greeting(_)), "{case}: {:?}", closed.reason);
    }
    let mut rig = rig(config).await;
    let identity = frames::Identity { session_id: "s".to_owned(), public_key: Bytes::new() };
    rig.write(Opcode::Binary, &request(1)).await;
    rig.write(Opcode::Binary, &frames::handshake_request(&identity)).await;
    rig.write(Opcode::Binary, &long_request(2, 1 << 20)).await;
    for expected in [1, 0, 2] {
        assert!(matches!(rig.event().await, SocketEvent::Frame(envelope) if envelope.message_id == expected));
    }
}

/// A caller that asks and does not read stops itself: its socket is no longer read, whatever the caller asks for.
#[tokio::test]
async fn a_caller_that_does_not_read_our_own_answers_is_not_read_on() {
    for pings in [true, false] {
        let mut rig = rig(patient(&Inflow::of(1 << 20))).await;
        rig.handle.hold(Instant::now() + LONG).unwrap();
        let message = match pings {
            true => {
                let mut bytes = Vec::new();
                frame_into(&mut bytes, Role::Client, Opcode::Ping, &[b'p'; 125]);
                bytes
            }
            false => framed(&request(1)),
        };
        let mut sent = 0;
        // Sends until the kernel accepts nothing more, because the other end does not read.
        while let Ok(written) = timeout(Duration::from_millis(500), rig.peer.write(&message)).await {
            sent += written.unwrap();
            while let Ok(report) = rig.events.try_recv() {
                assert!(matches!(report.open().1, SocketEvent::Frame(_)));
                rig.handle.reply(numbered(1, 10_000)).unwrap();
            }
        }
        assert!(sent > 0);
        let most = limits::OWN_ANSWERS_LOW_BYTES + limits::SHARE_UNITS * 11_000;
        assert!(rig.handle.backlog_bytes() <= most, "{} bytes wait", rig.handle.backlog_bytes());
    }
}

/// Towards a member the bound works differently: a pong is dropped, and for another answer the owner closes the socket.
#[tokio::test]
async fn a_member_that_does_not_read_our_own_answers_is_bounded_p13() {
    let mut rig = rig(SocketConfig::default()).await;
    rig.handle.hold(Instant::now() + LONG).unwrap();
    for _ in 0..20_000 {
        rig.write(Opcode::Ping, &[b'p'; 125]).await;
    }
    rig.write(Opcode::Binary, &request(1)).await;
    assert!(matches!(rig.event().await, SocketEvent::Frame(_)), "all pings were read");
    assert!(rig.handle.backlog_bytes() <= limits::OWN_ANSWERS_LOW_BYTES + 1000);
    let full = (0..1000).find(|_| rig.handle.reply(numbered(1, 10_000)) == Err(SendError::Full));
    assert!(full.is_some_and(|count| count > 300), "{full:?}");
}

/// The owner's queue is shared: a caller that asks as fast as it can gets a bounded part of the queue.
#[tokio::test]
async fn one_socket_has_its_share_of_the_owners_queue_and_no_more() {
    let mut rig = rig(patient(&Inflow::of(1 << 20))).await;
    for id in 1..=100 {
        rig.write(Opcode::Binary, &request(id)).await;
    }
    until("the share is used", || rig.events.len() == limits::SHARE_UNITS).await;
    // The rest lies in the kernel. A reader that went on would report the rest in one of these turns.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.events.len(), limits::SHARE_UNITS);
    for id in 1..=100 {
        assert!(matches!(rig.event().await, SocketEvent::Frame(envelope) if envelope.message_id == id));
    }
}
