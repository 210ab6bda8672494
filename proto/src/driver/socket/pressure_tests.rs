//! Peers that do not read, on real sockets (P10, P13).

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::driver::backlog::tests::{end, row, unary};
use crate::driver::framing::{Inbound, Role};
use crate::driver::spill::Waiting;

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(180);
const CALL: i64 = 7;

struct Rig {
    handle: SocketHandle,
    events: Reports,
    peer: TcpStream,
    decoder: Decoder,
}

impl Rig {
    async fn start(spill: &Arc<Spill>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        let (events, received) = mpsc::channel(64);
        let config = SocketConfig { spill: Arc::clone(spill), ..Default::default() };
        let handle = spawn(SocketId(1), WebSocket::new(ours, Role::Server, Bytes::new()), &config, events);
        let decoder = Decoder::new(Role::Client, Limits::default(), Bytes::new());
        Self { handle, events: received, peer, decoder }
    }

    /// The next message that the peer gets.
    async fn read(&mut self) -> Bytes {
        loop {
            match self.decoder.decode().unwrap() {
                Some(Inbound::Binary(message)) => return message,
                Some(other) => panic!("{other:?}"),
                None => {
                    let read = self.peer.read_buf(self.decoder.space());
                    let count = timeout(PATIENCE, read).await.expect("bytes in time").unwrap();
                    assert!(count > 0, "the stream ended");
                    self.decoder.note_read(count);
                }
            }
        }
    }

    /// Queues rows as a member sends them, letting the writer have its turns; returns the most that waited in memory.
    async fn queue_rows(&self, count: i64, bytes: usize) -> usize {
        let mut most = 0;
        for sequence in 1..=count {
            self.handle.send(row(CALL, sequence, bytes)).unwrap();
            if sequence % 64 == 0 {
                // Not faster than a disk may be: what waits for it is the bound of the call, not of the socket.
                while self.memory() > 12 << 20 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::task::yield_now().await;
            }
            most = most.max(self.memory());
        }
        self.handle.send(end(CALL, count)).unwrap();
        most
    }

    fn memory(&self) -> usize {
        self.handle.inner.counts.memory()
    }
}

fn spill(disk_max: u64) -> (tempfile::TempDir, Arc<Spill>) {
    let directory = tempfile::tempdir().unwrap();
    let spill = Spill::into(directory.path(), disk_max).unwrap();
    (directory, spill)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_gets_200_000_rows_in_order_and_memory_stays_small_p13() {
    const ROWS: i64 = 200_000;
    let (_directory, spill) = spill(1 << 30);
    let mut rig = Rig::start(&spill).await;
    let most = rig.queue_rows(ROWS, 300).await;
    assert!(most < 16 << 20, "{most} bytes in memory");
    until("what waits is on disk", || {
        rig.memory() < limits::SPILL_FROM_BYTES + 3 * limits::SPILL_CHUNK_BYTES
    })
    .await;
    assert!(spill.waiting().disk > 40 << 20, "{:?}", spill.waiting());
    for sequence in 1..=ROWS {
        assert_eq!(rig.read().await, row(CALL, sequence, 300), "row {sequence}");
    }
    assert_eq!(rig.read().await, end(CALL, ROWS));
    until("nothing waits", || spill.waiting() == Waiting::default() && rig.handle.backlog_bytes() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_calls_answer_overtakes_the_rows_on_the_only_socket() {
    let (_directory, spill) = spill(1 << 30);
    let mut rig = Rig::start(&spill).await;
    rig.queue_rows(50_000, 1000).await;
    rig.handle.send(unary(8)).unwrap();
    let (mut next, mut overtaken) = (1, None);
    while next <= 50_000 {
        let frame = rig.read().await;
        if frame == unary(8) {
            overtaken = Some(next);
        } else {
            assert_eq!(frame, row(CALL, next, 1000));
            next += 1;
        }
    }
    // Before it went only what the kernel had.
    assert!(overtaken.is_some_and(|at| at < 25_000), "{overtaken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_dies_with_rows_on_disk_leaves_nothing_and_owes_its_end() {
    let (_directory, spill) = spill(1 << 30);
    let mut rig = Rig::start(&spill).await;
    let other = Rig::start(&spill).await;
    rig.queue_rows(50_000, 1000).await;
    other.queue_rows(20_000, 1000).await;
    until("both have spilled", || {
        rig.handle.spilled_bytes() > 20 << 20 && other.handle.spilled_bytes() > 1 << 20
    })
    .await;
    drop(rig.peer);
    let (_, closed) = timeout(PATIENCE, rig.events.recv()).await.expect("in time").unwrap().open();
    let SocketEvent::Closed(closed) = closed else { panic!("{closed:?}") };
    assert!(closed.unsent.contains(&end(CALL, 50_000)));
    assert_eq!((rig.handle.backlog_bytes(), rig.handle.spilled_bytes()), (0, 0));
    let of_other = other.handle.spilled_bytes() as u64;
    until("its space is given back", || spill.waiting().disk < of_other + 2 * limits::SPILL_SEGMENT_BYTES)
        .await;
    drop(other);
    until("nothing waits", || spill.waiting() == Waiting::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_closed_with_rows_on_disk_ends_in_time() {
    let (_directory, spill) = spill(1 << 30);
    let mut rig = Rig::start(&spill).await;
    rig.queue_rows(50_000, 1000).await;
    rig.handle.close();
    let end = timeout(PATIENCE, rig.events.recv()).await.expect("the peer never reads").unwrap().open();
    assert!(matches!(end.1, SocketEvent::Closed(Closed { reason: CloseReason::Owner, .. })), "{end:?}");
    until("nothing waits", || spill.waiting() == Waiting::default()).await;
}

#[cfg(target_os = "linux")]
mod user_timeout {
    use super::*;
    use crate::driver::tune;

    async fn pair(user_timeout: Duration) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        tune(&ours, user_timeout).unwrap();
        (ours, peer)
    }

    #[tokio::test]
    async fn it_is_set_on_both_sides() {
        for set in [limits::DIALLED_USER_TIMEOUT, limits::ACCEPTED_USER_TIMEOUT] {
            let (ours, _peer) = pair(set).await;
            assert_eq!(socket2::SockRef::from(&ours).tcp_user_timeout().unwrap(), Some(set));
        }
    }

    /// Why callers have a long one: the kernel ends also a connection whose peer lives, acknowledges, and does not read.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_ends_a_peer_that_does_not_read_and_the_callers_outlasts_the_stall() {
        let short = Duration::from_secs(1);
        let mut ends = Vec::new();
        for set in [short, limits::ACCEPTED_USER_TIMEOUT] {
            let (ours, peer) = pair(set).await;
            let (events, received) = mpsc::channel(64);
            let socket = WebSocket::new(ours, Role::Server, Bytes::new());
            let handle = spawn(SocketId(1), socket, &SocketConfig::default(), events);
            handle.send(vec![0; 32 << 20].into()).unwrap();
            ends.push((handle, received, peer));
        }
        let [(_short, short_events, _peer), (long, long_events, _long_peer)] = &mut ends[..] else {
            panic!("two were made")
        };
        let (_, end) =
            timeout(PATIENCE, short_events.recv()).await.expect("the kernel ends it").unwrap().open();
        assert!(matches!(end, SocketEvent::Closed(_)), "{end:?}");
        assert!(long_events.try_recv().is_err() && !long.is_closed(), "a caller outlasts its stall");
    }
}
