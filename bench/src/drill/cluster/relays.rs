//! The network between the routers of a drill: one TCP relay before each router, by which all others reach it. A relay knows who dials, so
//! that what one router sends to another can be swallowed, in one direction or in both.
//!
//! This is a black hole as networks make it: no end of a connection is told anything, what was on its way arrives once the hole is gone, and a
//! new connection comes about only if both directions are open. It takes no rights of root and no namespaces, so it runs wherever the tests do.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use super::dialler::dialler;

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// What of a router's traffic with all others is swallowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it.
    Both,
    /// What others send to it.
    Incoming,
    /// What it sends.
    Outgoing,
}

impl Cut {
    /// The word for reports.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Both => "cut_both_ways",
            Self::Incoming => "cut_incoming",
            Self::Outgoing => "cut_outgoing",
        }
    }
}

/// From the router at one place to the router at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    from: usize,
    to: usize,
}

impl Way {
    fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// The relays, by the place of the router behind each. They end with this value.
pub(crate) struct Relays {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    accepting: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The processes of the routers.
    pids: Mutex<Vec<Option<u32>>>,
    /// The ways on which nothing arrives.
    swallowed: watch::Sender<BTreeSet<Way>>,
}

impl Relays {
    /// One before each of these addresses.
    pub(crate) async fn start(routers: &[SocketAddr]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            pids: Mutex::new(vec![None; routers.len()]),
            swallowed: watch::Sender::new(BTreeSet::new()),
        });
        let mut relays = Self { addresses: Vec::new(), shared, accepting: Vec::new() };
        for (place, router) in routers.iter().enumerate() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            relays.addresses.push(listener.local_addr()?);
            relays.accepting.push(tokio::spawn(accept(listener, place, *router, relays.shared.clone())));
        }
        Ok(relays)
    }

    /// Where others reach each router.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The router at this place is this process from now on, or none.
    pub(crate) fn belongs(&self, place: usize, pid: Option<u32>) {
        self.shared.pids()[place] = pid;
    }

    /// Swallows this traffic of the router at this place, and no other.
    pub(crate) fn cut(&self, place: usize, cut: Cut) {
        let others = (0..self.addresses.len()).filter(|other| *other != place);
        let ways = others.flat_map(|other| {
            let out = Way { from: place, to: other };
            match cut {
                Cut::Both => vec![out, out.back()],
                Cut::Incoming => vec![out.back()],
                Cut::Outgoing => vec![out],
            }
        });
        self.shared.swallowed.send_replace(ways.collect());
    }

    /// Lets everything through.
    pub(crate) fn heal(&self) {
        self.shared.swallowed.send_replace(BTreeSet::new());
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn pids(&self) -> MutexGuard<'_, Vec<Option<u32>>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes back once bytes get through on this way.
    async fn passable(&self, way: Way) {
        // The sender is part of what is shared, so it outlives this.
        let _ = self.swallowed.subscribe().wait_for(|swallowed| !swallowed.contains(&way)).await;
    }
}

/// The connections are tasks of the accepting one, and end with it.
async fn accept(listener: TcpListener, place: usize, router: SocketAddr, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
        };
        if let Ok((near, _)) = accepted {
            links.spawn(link(near, place, router, shared.clone()));
        }
    }
}

/// Leads one connection to the router, to its end. A connection of nobody that the drill knows is reset.
async fn link(mut near: TcpStream, place: usize, router: SocketAddr, shared: Arc<Shared>) {
    let outcome = async {
        let (theirs, ours) = (near.peer_addr()?, near.local_addr()?);
        let pids = shared.pids().clone();
        let from = spawn_blocking(move || dialler(&pids, theirs, ours)).await.map_err(io::Error::other)?;
        let from = from.ok_or_else(|| io::Error::other("no router has this connection"))?;
        let way = Way { from, to: place };
        shared.passable(way).await;
        shared.passable(way.back()).await;
        let mut far = TcpStream::connect(router).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ended = {
            let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
            tokio::try_join!(
                flow(near_in, far_out, way, &shared),
                flow(far_in, near_out, way.back(), &shared)
            )
        };
        if ended.is_err() {
            reset(&far);
        }
        ended
    };
    if outcome.await.is_err() {
        reset(&near);
    }
}

/// Moves bytes until the sender ends them. Neither bytes nor the end of a connection pass where the way is cut.
async fn flow(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, shared: &Shared) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = from.read(&mut buffer).await;
        shared.passable(way).await;
        let written = match read? {
            0 => return to.shutdown().await,
            count => to.write_all(&buffer[..count]).await,
        };
        if written.is_err() {
            shared.passable(way.back()).await;
        }
        written?;
    }
}

/// Makes the next close of a connection an RST.
fn reset(stream: &TcpStream) {
    // A connection that is gone needs none.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay before a listener; this process is the router at place 0, the listener the router at place 1.
    async fn relayed() -> (Relays, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = "127.0.0.1:1".parse().unwrap();
        let relays = Relays::start(&[nobody, listener.local_addr().unwrap()]).await.unwrap();
        relays.belongs(0, Some(std::process::id()));
        let near = TcpStream::connect(relays.addresses()[1]).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (relays, near, far)
    }

    async fn read(from: &mut TcpStream) -> u8 {
        from.read_u8().await.unwrap()
    }

    #[tokio::test]
    async fn a_cut_swallows_one_way_until_it_is_healed() {
        let (relays, mut near, mut far) = relayed().await;
        near.write_u8(1).await.unwrap();
        far.write_u8(2).await.unwrap();
        assert_eq!((read(&mut far).await, read(&mut near).await), (1, 2));
        for (cut, deaf_far) in [(Cut::Outgoing, true), (Cut::Incoming, false)] {
            relays.cut(0, cut);
            let (talks, hears) = if deaf_far { (&mut near, &mut far) } else { (&mut far, &mut near) };
            talks.write_u8(3).await.unwrap();
            hears.write_u8(4).await.unwrap();
            assert_eq!(read(talks).await, 4, "the other way is open: {cut:?}");
            assert!(hears.try_read(&mut [0]).is_err(), "nothing arrives: {cut:?}");
            relays.heal();
            assert_eq!(read(hears).await, 3, "what was on its way arrives: {cut:?}");
        }
        relays.cut(1, Cut::Both);
        drop(near);
        assert!(far.try_read(&mut [0]).is_err(), "no end of a connection passes a cut");
        relays.heal();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_stranger_is_reset() {
        let (relays, _near, _far) = relayed().await;
        relays.belongs(0, Some(1));
        let mut stranger = TcpStream::connect(relays.addresses()[1]).await.unwrap();
        assert!(stranger.read_u8().await.is_err());
    }
}
