//! A whole listener: TCP, TLS if asked for, and the upgrade, many connections at a time and each within its deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, rustls};

use super::accept::{AcceptError, Pending, Refusal, UpgradeRequest, accept};
use super::{WebSocket, limits, tune};

/// Pause after a failed `accept`: the process is out of file descriptors, and only closing some will help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The right of a connection that proves nothing yet to be among the [`limits::PENDING_SOCKETS`] of its [`Intake`]. Keep it
/// until the socket has shown that it speaks the protocol: while all are taken, further connections wait in the kernel's queue.
#[derive(Debug)]
pub struct Unproven {
    _permit: OwnedSemaphorePermit,
}

/// A connection that went through its upgrade, or did not.
#[derive(Debug)]
pub struct Arrival<T> {
    /// Where it came from.
    pub peer: SocketAddr,
    /// The socket, what it asked for and what the decider found out; or why there is none (the peer has been told).
    pub outcome: Result<(WebSocket, UpgradeRequest, T), AcceptError>,
    /// Its place among those that prove nothing yet.
    pub unproven: Unproven,
}

/// Listens with a queue for [`limits::LISTEN_BACKLOG`] connections: those of a reconnect storm wait there for their turn, where
/// a short queue would have them come back after seconds. Who loses patience in it takes no turn.
///
/// # Errors
/// If the address cannot be listened on.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // As the standard library does: a listener that is started again need not wait for old connections.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What the listeners of one process share: places for connections that prove nothing yet, and the pace at which connections are
/// taken. A listener that waits for its next connection holds one place.
#[derive(Debug)]
pub struct Intake {
    places: Arc<Semaphore>,
    pace: Mutex<Pace>,
    /// Tells the listeners that the pace was given turns back.
    given_back: Notify,
}

/// How fast connections are taken: `per_second`, and after a pause those of [`limits::ACCEPT_BURST`] at once.
#[derive(Debug)]
struct Pace {
    /// When the next one may be taken.
    next: Instant,
    /// Turns of connections that were no work.
    spared: u32,
}

impl Default for Intake {
    fn default() -> Self {
        Self::new(limits::PENDING_SOCKETS)
    }
}

impl Intake {
    fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            pace: Mutex::new(Pace { next: Instant::now(), spared: 0 }),
            given_back: Notify::new(),
        }
    }

    /// A place for the next connection, as soon as the pace allows that connection.
    async fn turn(&self, per_second: u32) -> Unproven {
        let permit = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            let next = {
                let mut pace = self.pace();
                pace.settle(per_second);
                pace.next
            };
            if next <= Instant::now() {
                return Unproven { _permit: permit };
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.given_back.notified() => {}
            }
        }
    }

    fn took_one(&self, per_second: u32) {
        self.pace().took_one(per_second, Instant::now());
    }

    /// A connection that was taken was no work.
    fn spare_one(&self) {
        self.pace().spared += 1;
        self.given_back.notify_one();
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().expect("nothing panics while the pace is locked")
    }
}

impl Pace {
    fn took_one(&mut self, per_second: u32, now: Instant) {
        let earliest = now.checked_sub(limits::ACCEPT_BURST).unwrap_or(self.next);
        self.next = self.next.max(earliest) + Duration::from_secs(1) / per_second.max(1);
    }

    /// Gives the turns back that were spared.
    fn settle(&mut self, per_second: u32) {
        let time = Duration::from_secs(1) / per_second.max(1) * std::mem::take(&mut self.spared);
        self.next = self.next.checked_sub(time).unwrap_or(self.next);
    }
}

/// Accepts for ever, as fast as it can. Aborting the task ends the connections whose upgrade is under way, not those handed
/// over.
pub async fn serve<T, D>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    decide: D,
    arrivals: mpsc::Sender<Arrival<T>>,
) where
    T: Send + 'static,
    D: Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync + 'static,
{
    serve_at_pace(listener, tls, Arc::default(), || u32::MAX, decide, arrivals).await;
}

/// The same, with at most `per_second` connections a second over all listeners that share `intake`: the work of a storm is spread,
/// so that those that are there already feel little of it. `per_second` is asked for each connection.
pub async fn serve_at_pace<T, D>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    intake: Arc<Intake>,
    per_second: impl Fn() -> u32,
    decide: D,
    arrivals: mpsc::Sender<Arrival<T>>,
) where
    T: Send + 'static,
    D: Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync + 'static,
{
    let decide = Arc::new(decide);
    // Owns the upgrades under way.
    let mut upgrades = JoinSet::new();
    loop {
        let per_second = per_second();
        let unproven = intake.turn(per_second).await;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; retrying");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        intake.took_one(per_second);
        let (tls, decide, arrivals, intake) = (tls.clone(), decide.clone(), arrivals.clone(), intake.clone());
        upgrades.spawn(async move {
            let outcome = upgrade(stream, peer, tls, &*decide).await;
            if let Err(AcceptError::Closed) = outcome {
                intake.spare_one();
            }
            // Nobody to hand it to: the owner is shutting down.
            let _ = arrivals.send(Arrival { peer, outcome, unproven }).await;
        });
        while upgrades.try_join_next().is_some() {}
    }
}

async fn upgrade<T>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    decide: &(dyn Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync),
) -> Result<(WebSocket, UpgradeRequest, T), AcceptError> {
    tune(&stream, limits::ACCEPTED_USER_TIMEOUT)?;
    match tls {
        None => {
            let pending = Pending::read(stream, peer).await?;
            if pending.is_given_up() {
                return Err(AcceptError::Closed);
            }
            pending.settle(decide).await
        }
        Some(tls) => {
            let handshake = timeout(limits::UPGRADE_DEADLINE, tls.accept(stream)).await;
            let stream = handshake.map_err(io::Error::from)?.map_err(tls_error)?;
            accept(stream, peer, decide).await
        }
    }
}

fn tls_error(error: io::Error) -> AcceptError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => AcceptError::PlainOnTls,
        _ => AcceptError::Tls(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn connections_are_taken_at_the_pace_and_few_at_once_after_a_pause() {
        let start = Instant::now();
        let mut pace = Pace { next: start, spared: 0 };
        let mut now = start;
        let mut take = |now: &mut Instant| {
            *now = pace.next.max(*now);
            pace.took_one(1_000, *now);
        };
        (0..500).for_each(|_| take(&mut now));
        assert_eq!(now - start, Duration::from_millis(499), "the first one at once");
        let later = now + Duration::from_secs(60);
        now = later;
        let at_once = (0..500).take_while(|_| {
            take(&mut now);
            now == later
        });
        assert_eq!(at_once.count(), 6, "those of the burst, and the next, of a minute's worth");
    }

    const ASKS: &[u8] = b"GET /openicf HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    /// A queue of those that gave up is passed over at once, and the one that still waits behind them is served.
    #[tokio::test]
    async fn those_that_gave_up_take_nobodys_turn() {
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..100 {
            let mut impatient = TcpStream::connect(address).await.unwrap();
            impatient.write_all(ASKS).await.unwrap();
        }
        let mut patient = TcpStream::connect(address).await.unwrap();
        patient.write_all(ASKS).await.unwrap();
        let (arrivals, mut arrived) = mpsc::channel(4);
        let began = Instant::now();
        let serving = tokio::spawn(serve_at_pace(listener, None, Arc::default(), || 1, |_| Ok(()), arrivals));
        let mut served = async || {
            loop {
                let arrival = arrived.recv().await.unwrap();
                match arrival.outcome {
                    Err(AcceptError::Closed) => {}
                    other => return (arrival.peer, other.is_err()),
                }
            }
        };
        // A hundred seconds if each took its turn.
        let served = timeout(Duration::from_secs(50), served()).await;
        assert_eq!(served.expect("in time"), (patient.local_addr().unwrap(), false));
        println!("after {:?}", began.elapsed());
        serving.abort();
    }

    #[tokio::test]
    async fn those_that_prove_nothing_keep_the_next_ones_waiting_and_close_none() {
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrivals, mut arrived) = mpsc::channel(4);
        let intake = Arc::new(Intake::new(2));
        let serving = tokio::spawn(serve_at_pace(listener, None, intake, || u32::MAX, |_| Ok(()), arrivals));
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(TcpStream::connect(address).await.unwrap());
        }
        let mut last = open.pop().unwrap();
        // Nothing refuses it: it waits, and is served as soon as one of the others is gone.
        let mut byte = [0];
        last.try_read(&mut byte).expect_err("neither closed nor answered");
        drop(open.remove(0));
        let gone = timeout(Duration::from_secs(5), arrived.recv()).await.expect("in time").unwrap();
        assert!(gone.outcome.is_err());
        drop(gone);
        last.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let answer = timeout(Duration::from_secs(5), last.read(&mut byte)).await.expect("in time");
        assert_eq!(answer.unwrap(), 1, "it has its turn");
        serving.abort();
    }
}
