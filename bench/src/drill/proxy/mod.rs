//! A TCP proxy of our own between the router and one member, whichever of the two dials, which makes bad weather: latency, little bandwidth, black holes,
//! resets, bytes in slices, half-closed connections, refused ones, and cuts at a chosen point of a call's life.
//!
//! Bytes come in on one side and are cut into units (the upgrade's heads, WebSocket frames); each waits for its time, is shown to
//! the trap, and leaves on the other side as the weather lets it. Randomness is seeded, so that a run can be repeated as far
//! as processes and networks can.

mod flow;
mod link;
#[cfg(test)]
mod tests;
mod trap;
mod units;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::cluster::Servers;

pub(crate) use trap::{Point, Trap};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the router to the member.
    In,
    /// From the member to the router.
    Out,
}

/// Which end opens the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialler {
    /// The member listens.
    Router,
    /// The member is in client mode.
    Member,
}

/// What one way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sky {
    /// Each unit takes at least so long.
    pub(crate) latency: Duration,
    /// And up to so much longer.
    pub(crate) jitter: Duration,
    /// Bytes a second, if there is a bound.
    pub(crate) bandwidth: Option<u64>,
    /// Most bytes of one write, if there is a bound.
    pub(crate) slice: Option<usize>,
    /// Nothing leaves; it is kept until the hole is gone.
    pub(crate) hole: Hole,
}

/// Whether bytes get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hole {
    /// They do.
    Open,
    /// They do not, and nobody is told.
    Black,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newcomers {
    /// They are led to the other end.
    Welcome,
    /// They are reset.
    Refused,
}

/// The weather of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) inward: Sky,
    pub(crate) outward: Sky,
    pub(crate) newcomers: Newcomers,
}

impl Sky {
    /// As if nothing stood between.
    pub(crate) const CLEAR: Self = Self {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        bandwidth: None,
        slice: None,
        hole: Hole::Open,
    };
    /// A black hole.
    pub(crate) const BLACK: Self = Self { hole: Hole::Black, ..Self::CLEAR };

    /// How long so many bytes occupy the line.
    fn takes(&self, bytes: usize) -> Duration {
        match self.bandwidth {
            Some(bandwidth) => Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64),
            None => Duration::ZERO,
        }
    }
}

impl Weather {
    /// As if nothing stood between.
    pub(crate) const CLEAR: Self =
        Self { inward: Sky::CLEAR, outward: Sky::CLEAR, newcomers: Newcomers::Welcome };

    fn of(&self, way: Way) -> &Sky {
        match way {
            Way::In => &self.inward,
            Way::Out => &self.outward,
        }
    }
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// RST on both sides.
    Reset,
    /// FIN on both sides.
    Close,
    /// FIN towards the router; what it sends still reaches the member.
    HalfClose,
}

/// Where new connections are led.
enum Target {
    /// They are reset.
    Nowhere,
    /// To this port of the loopback: the member's, which changes when it is started again, or the router's.
    Port(u16),
    /// To the first server that runs, from this place on.
    OneOf(Servers, usize),
}

impl Target {
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Nowhere => None,
            Self::Port(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))),
            Self::OneOf(servers, place) => servers.from(*place),
        }
    }
}

/// A running proxy. Its connections die with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What the proxy and its connections share. The mutexes guard whole values, so a panic leaves nothing half-done.
struct Shared {
    dialler: Dialler,
    target: Mutex<Target>,
    weather: watch::Sender<Weather>,
    trap: Mutex<Option<Trap>>,
    links: Mutex<BTreeMap<u64, mpsc::UnboundedSender<Order>>>,
    /// Connections that were led on so far.
    led: AtomicU64,
    /// When a call was last led to the member.
    last_call: Mutex<Option<Instant>>,
    dice: Mutex<fastrand::Rng>,
}

impl Proxy {
    /// Listens on a free port. Connections are reset until they can be led somewhere.
    pub(crate) async fn start(dialler: Dialler, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            dialler,
            target: Mutex::new(Target::Nowhere),
            weather: watch::Sender::new(Weather::CLEAR),
            trap: Mutex::new(None),
            links: Mutex::new(BTreeMap::new()),
            led: AtomicU64::new(0),
            last_call: Mutex::new(None),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, accepting })
    }

    /// Where the dialler dials.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Leads new connections to this port of the loopback.
    pub(crate) fn lead_to(&self, port: u16) {
        *lock(&self.shared.target) = Target::Port(port);
    }

    /// Leads new connections to the server at this place, or to the next one that runs, as a load balancer in front of routers does.
    pub(crate) fn lead_to_one_of(&self, servers: Servers, place: usize) {
        *lock(&self.shared.target) = Target::OneOf(servers, place);
    }

    /// Changes the weather, at once and for all connections.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Lays a trap in the place of the one that was there.
    pub(crate) fn arm(&self, trap: Trap) {
        *lock(&self.shared.trap) = Some(trap);
    }

    /// Takes the trap away; false if it has sprung.
    pub(crate) fn disarm(&self) -> bool {
        lock(&self.shared.trap).take().is_some()
    }

    /// Connections that are open, oldest first.
    pub(crate) fn links(&self) -> Vec<u64> {
        lock(&self.shared.links).keys().copied().collect()
    }

    /// Tells one connection what to do; one that is gone does not hear it.
    pub(crate) fn order(&self, link: u64, order: Order) {
        if let Some(orders) = lock(&self.shared.links).get(&link) {
            // A link that is just ending is gone soon.
            let _ = orders.send(order);
        }
    }

    /// Tells all of them. Gives their number.
    pub(crate) fn order_all(&self, order: Order) -> usize {
        let links = self.links();
        links.iter().for_each(|link| self.order(*link, order));
        links.len()
    }

    /// Connections that were led on since the proxy was started.
    pub(crate) fn led(&self) -> u64 {
        self.shared.led.load(Ordering::Relaxed)
    }

    /// When a call was last led to the member.
    pub(crate) fn last_call(&self) -> Option<Instant> {
        *lock(&self.shared.last_call)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The connections are tasks of the accepting one, and end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    for number in 0u64.. {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
        };
        if let Ok((near, _)) = accepted {
            links.spawn(link::run(number, near, shared.clone()));
        }
    }
}

/// Makes the next close of a connection an RST.
fn reset(stream: &TcpStream) {
    // A connection that is gone needs none.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
