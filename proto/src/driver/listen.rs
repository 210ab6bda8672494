//! A whole listener: TCP, TLS if asked for, and the upgrade, many connections at a time and each within its deadline.
//!
//! Connections are taken from the kernel as fast as they come, and their requests are read at once. A request that is let in then waits
//! for its turn. So strangers that send nothing, or a bad request, keep nobody waiting. They only take places among
//! [`limits::REQUESTING_SOCKETS`], and the slowest of them lose their places ([`super::places`]).

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::accept::{AcceptError, Pending, Refusal, RefusalStatus, UpgradeRequest};
use super::descriptors::Descriptors;
use super::handshakes::Handshakes;
use super::places::{Place, Places};
use super::shares::Shown;
use super::tally::Tally;
use super::tls::{ClientCertificate, ListenTls};
use super::turns::{Pace, Turns};
use super::{Transport, WebSocket, limits, tune};

/// Pause after a failed `accept`: the process is out of file descriptors, and only closing some will help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The right of a connection that proves nothing yet to be among the [`limits::PENDING_SOCKETS`] of its [`Intake`]. Keep this value until
/// the socket has shown that it speaks the protocol. While all places are taken, further connections wait for their turn.
#[derive(Debug)]
pub struct Unproven {
    _permit: Option<OwnedSemaphorePermit>,
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
    /// Keep this value until the socket is where it belongs: [`Intake::stand_still`] waits for it.
    pub under_way: UnderWay,
}

/// A connection that was taken from the kernel, and is not where it belongs yet.
#[derive(Debug)]
pub struct UnderWay {
    _counts: Arc<()>,
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

/// What the listeners of one process share: places for connections that are not sockets yet, the pace at which requests become sockets,
/// and the process's descriptors.
#[derive(Debug)]
pub struct Intake {
    /// Connections whose request is not let in yet.
    requesting: Arc<Places>,
    requesting_max: usize,
    turns: Turns,
    /// How fast TLS handshakes begin.
    handshakes: Handshakes,
    /// How fast connections are taken from the kernel.
    taking: Mutex<Pace>,
    /// The highest number that a connection's descriptor may have.
    descriptor_max: i32,
    /// Whether connections are taken from the kernel.
    is_open: watch::Sender<bool>,
    /// As many holders as connections are under way, and one more.
    under_way: Arc<()>,
}

impl Default for Intake {
    fn default() -> Self {
        Self::new(Descriptors::unchanged())
    }
}

impl Intake {
    /// An intake for a process with these descriptors, some of which are kept free.
    pub fn new(descriptors: Descriptors) -> Self {
        Self::with_room(limits::REQUESTING_SOCKETS, limits::PENDING_SOCKETS, descriptors)
    }

    fn with_room(requesting_max: usize, unproven_max: usize, descriptors: Descriptors) -> Self {
        Self {
            requesting: Places::new(0),
            requesting_max,
            turns: Turns::new(unproven_max),
            handshakes: Handshakes::default(),
            taking: Mutex::new(Pace::new()),
            descriptor_max: descriptors.highest_from_outside(),
            is_open: watch::channel(true).0,
            under_way: Arc::default(),
        }
    }

    /// Takes no more connections from the kernel, which keeps them meanwhile, and waits until those that were taken are where they belong:
    /// sockets of the owner, or refused. Returns false if some are not after this time. Then, as before, [`Intake::go_on`] is to be called.
    pub async fn stand_still(&self, time: Duration) -> bool {
        self.is_open.send_replace(false);
        let until = Instant::now() + time;
        while Arc::strong_count(&self.under_way) > 1 {
            if Instant::now() >= until {
                return false;
            }
            sleep(limits::STAND_STILL_LOOK_EVERY).await;
        }
        true
    }

    /// Takes connections from the kernel again.
    pub fn go_on(&self) {
        self.is_open.send_replace(true);
    }

    /// The next connection at this listener. The wait for it counts as one under way, so that none is taken unseen.
    async fn next(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr, UnderWay)> {
        let mut is_open = self.is_open.subscribe();
        loop {
            // The sender is this intake's own.
            let _ = is_open.wait_for(|is_open| *is_open).await;
            let under_way = UnderWay { _counts: Arc::clone(&self.under_way) };
            tokio::select! {
                biased;
                _ = is_open.wait_for(|is_open| !*is_open) => {}
                accepted = listener.accept() => {
                    let (stream, peer) = accepted?;
                    return Ok((stream, peer, under_way));
                }
            }
        }
    }

    /// Whether a descriptor with this number leaves enough descriptors free. The system gives out the lowest free number, so all lower
    /// ones are in use. If too few are free, the slowest connection loses its place.
    async fn has_room_for(&self, descriptor: i32) -> bool {
        if descriptor <= self.descriptor_max {
            return true;
        }
        let has_room = self.requesting.end_slowest();
        // The connection that lost its place closes its descriptor now.
        yield_now().await;
        has_room
    }

    fn taking(&self) -> MutexGuard<'_, Pace> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Judges upgrade requests. A function or closure that judges at once is such a judge too.
pub trait Decide<T>: Send + Sync + 'static {
    /// Whether the sender is let in, and anything that was found out about the sender. The judge may wait, for at most
    /// [`limits::DECISION_DEADLINE`]. The future is dropped if the connection ends meanwhile.
    fn decide(&self, request: &UpgradeRequest) -> impl Future<Output = Result<T, Refusal>> + Send;
}

impl<T: Send, F: Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync + 'static> Decide<T> for F {
    fn decide(&self, request: &UpgradeRequest) -> impl Future<Output = Result<T, Refusal>> + Send {
        ready(self(request))
    }
}

/// Accepts for ever, as fast as it can. Aborting the task ends the connections whose upgrade is under way, not those handed
/// over.
pub async fn serve<T, D>(
    listener: TcpListener,
    tls: Option<ListenTls>,
    decide: D,
    arrivals: mpsc::Sender<Arrival<T>>,
) where
    T: Send + 'static,
    D: Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync + 'static,
{
    serve_at_pace(listener, tls, Arc::default(), || u32::MAX, decide, arrivals).await;
}

/// Like [`serve`], with at most `per_second` sockets a second over all listeners that share `intake`. So the work of a storm is spread, and
/// existing sockets hardly feel it. `per_second` is called for each connection.
pub async fn serve_at_pace<T, D, P>(
    listener: TcpListener,
    tls: Option<ListenTls>,
    intake: Arc<Intake>,
    per_second: P,
    decide: D,
    arrivals: mpsc::Sender<Arrival<T>>,
) where
    T: Send + 'static,
    D: Decide<T>,
    P: Fn() -> u32 + Send + Sync + 'static,
{
    let door = Arc::new(Door { tls, decide, per_second, intake });
    let intake = &door.intake;
    let mut failures = Tally::default();
    // Owns the upgrades under way.
    let mut upgrades = JoinSet::new();
    loop {
        let next = intake.taking().next();
        sleep_until(next).await;
        let (stream, peer, under_way) = match intake.next(&listener).await {
            Ok(accepted) => accepted,
            Err(error) => {
                if failures.note((), (), Instant::now()) {
                    tracing::warn!(%error, "cannot accept connections; retrying");
                }
                sleep(ACCEPT_PAUSE).await;
                failures.due(Instant::now());
                continue;
            }
        };
        intake.taking().took_one(limits::ACCEPTS_PER_SECOND_MAX, limits::ACCEPT_BURST, Instant::now());
        while upgrades.try_join_next().is_some() {}
        if !intake.has_room_for(stream.as_raw_fd()).await {
            drop(stream);
            let unproven = Unproven { _permit: None };
            // If the owner's queue is full, this refusal may be lost: more important events wait there.
            let _ = arrivals.try_send(Arrival {
                peer,
                outcome: Err(AcceptError::NoDescriptors),
                unproven,
                under_way,
            });
            continue;
        }
        let (place, mut lost) = intake.requesting.take(peer.ip(), intake.requesting_max).await;
        let (door, arrivals) = (Arc::clone(&door), arrivals.clone());
        upgrades.spawn(async move {
            let let_in = tokio::select! {
                let_in = door.let_in(stream, peer, place) => let_in,
                () = lost.wait() => Err(AcceptError::Crowded),
            };
            let (outcome, permit) = match let_in {
                Ok((arrived, permit)) => (Ok(arrived), Some(permit)),
                Err(error) => (Err(error), None),
            };
            let unproven = Unproven { _permit: permit };
            // Nobody to hand it to: the owner is shutting down.
            let _ = arrivals.send(Arrival { peer, outcome, unproven, under_way }).await;
        });
    }
}

/// Decides who gets in, and when.
struct Door<D, P> {
    tls: Option<ListenTls>,
    decide: D,
    per_second: P,
    intake: Arc<Intake>,
}

/// A socket with its request and what the decider found out, and its place among connections that prove nothing yet.
type LetIn<T> = ((WebSocket, UpgradeRequest, T), OwnedSemaphorePermit);

impl<D, P: Fn() -> u32> Door<D, P> {
    async fn let_in<T: Send>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
    ) -> Result<LetIn<T>, AcceptError>
    where
        D: Decide<T>,
    {
        tune(&stream, limits::ACCEPTED_USER_TIMEOUT)?;
        let due = Instant::now() + limits::REQUEST_DEADLINE;
        // HTTP and TLS both begin with the peer. If the peer stays silent, the next read fails at once, because its time is over.
        let _ = timeout_at(due, stream.readable()).await;
        place.note(Shown::Something);
        match &self.tls {
            None => {
                let pending = Pending::read_by(stream, peer, due).await?;
                self.judge(pending, &place, Pending::is_given_up).await
            }
            Some(tls) => {
                let stream = self.intake.handshakes.shake(tls, stream, due).await?;
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = shown.and_then(ClientCertificate::of).map(Arc::new);
                let pending = Pending::read_by(stream, peer, due).await?.with_certificate(certificate);
                self.judge(pending, &place, |_| false).await
            }
        }
    }

    async fn judge<T: Send, S: Transport>(
        &self,
        pending: Pending<S>,
        place: &Place,
        is_given_up: impl Fn(&Pending<S>) -> bool + Sync,
    ) -> Result<LetIn<T>, AcceptError>
    where
        D: Decide<T>,
    {
        // Until the request is let in, the connection may lose its place, also while the judge waits.
        let decided = tokio::select! {
            biased;
            decided = self.decide.decide(pending.request()) => decided,
            () = sleep(limits::DECISION_DEADLINE) => Err(Refusal::new(
                RefusalStatus::Unavailable,
                "the credentials could not be checked in time: try again",
            )),
            () = given_up(|| is_given_up(&pending)) => return Err(AcceptError::Closed),
        };
        let found = match decided {
            Ok(found) => found,
            Err(refusal) => return Err(pending.refuse(refusal).await),
        };
        place.note(Shown::Enough);
        let permit = self
            .intake
            .turns
            .next(&self.per_second, || is_given_up(&pending))
            .await
            .ok_or(AcceptError::Closed)?;
        let (socket, request) = pending.accept().await?;
        Ok(((socket, request, found), permit))
    }
}

/// Waits until the peer has closed its connection. Judges that need no time never come here.
async fn given_up(is_given_up: impl Fn() -> bool) {
    loop {
        sleep(limits::GIVEN_UP_LOOK_EVERY).await;
        if is_given_up() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

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
        let serving = tokio::spawn(serve_at_pace(
            listener,
            None,
            Arc::default(),
            || 1,
            |_: &UpgradeRequest| Ok(()),
            arrivals,
        ));
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

    /// Waits for whoever asks for the path `/openicf/slow`, for ever.
    struct Slow;

    impl Decide<()> for Slow {
        async fn decide(&self, request: &UpgradeRequest) -> Result<(), Refusal> {
            match request.path.as_str() {
                "/openicf/slow" => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn a_judge_that_waits_keeps_nobody_else_waiting_and_forgets_those_that_gave_up() {
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrivals, mut arrived) = mpsc::channel(4);
        let serving =
            tokio::spawn(serve_at_pace(listener, None, Arc::default(), || u32::MAX, Slow, arrivals));
        let slow = String::from_utf8_lossy(ASKS).replace("/openicf", "/openicf/slow");
        let mut waits = TcpStream::connect(address).await.unwrap();
        waits.write_all(slow.as_bytes()).await.unwrap();
        let mut quick = TcpStream::connect(address).await.unwrap();
        quick.write_all(ASKS).await.unwrap();
        let first = next(&mut arrived).await;
        assert_eq!((first.peer, first.outcome.is_ok()), (quick.local_addr().unwrap(), true));
        let from = waits.local_addr().unwrap();
        drop(waits);
        let gone = next(&mut arrived).await;
        assert_eq!(gone.peer, from);
        assert!(matches!(gone.outcome, Err(AcceptError::Closed)), "{:?}", gone.outcome);
        serving.abort();
    }

    fn listening(
        requesting_max: usize,
        unproven_max: usize,
    ) -> (SocketAddr, mpsc::Receiver<Arrival<()>>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrivals, arrived) = mpsc::channel(4);
        let intake = Arc::new(Intake::with_room(requesting_max, unproven_max, Descriptors::unchanged()));
        let serving =
            serve_at_pace(listener, None, intake, || u32::MAX, |_: &UpgradeRequest| Ok(()), arrivals);
        (address, arrived, tokio::spawn(serving))
    }

    async fn next(arrived: &mut mpsc::Receiver<Arrival<()>>) -> Arrival<()> {
        timeout(Duration::from_secs(60), arrived.recv()).await.expect("in time").expect("it listens")
    }

    #[tokio::test]
    async fn those_that_prove_nothing_keep_the_next_ones_waiting_and_close_none() {
        let (address, mut arrived, serving) = listening(100, 2);
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(TcpStream::connect(address).await.unwrap());
            open.last_mut().unwrap().write_all(ASKS).await.unwrap();
        }
        let (first, second) = (next(&mut arrived).await, next(&mut arrived).await);
        assert!(first.outcome.is_ok() && second.outcome.is_ok());
        // The third connection is not refused. It waits, and is served as soon as one of the others has proved itself.
        let waiting = open.iter().find(|stream| {
            let own = stream.local_addr().unwrap();
            own != first.peer && own != second.peer
        });
        waiting.unwrap().try_read(&mut [0]).expect_err("neither closed nor answered");
        drop(first.unproven);
        assert!(next(&mut arrived).await.outcome.is_ok(), "it has its turn");
        serving.abort();
    }

    #[tokio::test]
    async fn silent_ones_make_room_for_those_who_ask() {
        let (address, mut arrived, serving) = listening(3, 2);
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(ASKS).await.unwrap();
        let mut crowded = 0;
        let served = loop {
            let arrival = next(&mut arrived).await;
            match arrival.outcome {
                Err(AcceptError::Crowded) => crowded += 1,
                outcome => break (arrival.peer, outcome.is_ok()),
            }
        };
        assert_eq!(served, (asks.local_addr().unwrap(), true));
        assert!(crowded >= 10, "only {crowded} of the silent ones made room");
        assert_eq!(silent[0].read(&mut [0]).await.unwrap_or(0), 0, "the oldest one is closed");
        serving.abort();
    }

    /// A connection whose upgrade is under way when the intake is to stand still gets its socket. One that comes later waits in the kernel.
    #[tokio::test]
    async fn an_intake_stands_still_once_nothing_is_under_way() {
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (arrivals, mut arrived) = mpsc::channel(4);
        let intake = Arc::new(Intake::default());
        let decide = |_: &UpgradeRequest| Ok(());
        let serving =
            tokio::spawn(serve_at_pace(listener, None, Arc::clone(&intake), || u32::MAX, decide, arrivals));
        let (half, rest) = ASKS.split_at(ASKS.len() / 2);
        let mut begun = TcpStream::connect(address).await.unwrap();
        begun.write_all(half).await.unwrap();
        // Taken, if the wait for the next connection is not the only one under way.
        while Arc::strong_count(&intake.under_way) < 3 {
            yield_now().await;
        }
        assert!(!intake.stand_still(Duration::from_millis(20)).await, "one is under way");
        let mut later = TcpStream::connect(address).await.unwrap();
        later.write_all(ASKS).await.unwrap();
        begun.write_all(rest).await.unwrap();
        let arrival = next(&mut arrived).await;
        assert_eq!(arrival.peer, begun.local_addr().unwrap());
        assert!(arrival.outcome.is_ok());
        drop(arrival.under_way);
        assert!(intake.stand_still(limits::REQUEST_DEADLINE).await);
        assert!(arrived.try_recv().is_err(), "the other one waits in the kernel");
        intake.go_on();
        assert_eq!(next(&mut arrived).await.peer, later.local_addr().unwrap());
        serving.abort();
    }
}
