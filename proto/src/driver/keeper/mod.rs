//! Keeps sockets to dialled URLs open (client mode): a node has them to its callers, and a router to the IDMs that the router dials.
//!
//! One future for each URL ([`keep`]) does what a plan without I/O decides: it dials at once, then with growing pauses, replaces each socket
//! before its time to live is over, and never gives up. The sockets themselves belong to a [`Home`], and outlive the future.

mod fault;
mod plan;
mod told;

use std::future::pending;
use std::pin::Pin;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::fault::Fault;
pub use self::fault::Names;
pub use self::plan::Rhythm;
use self::plan::{MendedBy, Sockets, Step};
pub use self::told::Kept;
use self::told::Told;
use super::WebSocket;
use super::dial::{DialExtras, DialTarget, dial_with};
use super::endpoint::{Adopted, Endpoint};
use super::socket::CloseReason;
use super::url::WsUrl;
use crate::session::SocketId;

/// One address to dial.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address as the file says it, for the log.
    pub url: WsUrl,
    /// How it is dialled.
    pub target: DialTarget,
    /// The proxy, and what else goes with the request.
    pub extras: DialExtras,
}

/// What is wanted of one URL.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The address.
    pub peer: Peer,
    /// How its sockets are kept.
    pub rhythm: Rhythm,
}

/// Where dialled sockets live.
pub trait Home: Send + Sync {
    /// Takes a socket in. The handshake follows.
    fn adopt(&self, socket: WebSocket) -> impl Future<Output = Adopted> + Send;

    /// Closes a socket once no answer needs it. Nothing new is sent on it, and what the peer sends until the end is read.
    fn retire(&self, socket: SocketId) -> impl Future<Output = ()> + Send;
}

impl Home for Endpoint {
    async fn adopt(&self, socket: WebSocket) -> Adopted {
        self.adopt_to_retire(socket)
    }

    async fn retire(&self, socket: SocketId) {
        Self::retire(self, socket);
    }
}

/// A dial under way: in the end a socket with the word of its end, or why there is none.
type Dialling<'a> =
    Pin<Box<dyn Future<Output = Result<(SocketId, oneshot::Receiver<CloseReason>), Fault>> + Send + 'a>>;

/// Keeps sockets to one URL as `wanted` says, whose changes count from the next dial on. Once the sender of `wanted` is dropped, the URL is
/// left: nothing is dialled any more, each socket retires, and the future ends with the last socket. Before that the future never ends.
///
/// What changes is logged in the words of `names`, once, and shown in `kept`.
pub async fn keep(
    mut wanted: watch::Receiver<Wanted>,
    home: &impl Home,
    names: &'static Names,
    kept: watch::Sender<Kept>,
) {
    let first = wanted.borrow_and_update().clone();
    let mut sockets = Sockets::new(first.rhythm, fastrand::Rng::new());
    let mut told = Told::new(&first.peer, names, kept);
    let mut dialling: Option<Dialling<'_>> = None;
    let mut ends = JoinSet::new();
    let mut is_left = false;
    while !(is_left && sockets.is_empty()) {
        let until = match sockets.step(Instant::now()) {
            Step::Dial => {
                let peer = wanted.borrow().peer.clone();
                dialling = Some(Box::pin(open(peer, home)));
                continue;
            }
            Step::Retire(socket) => {
                told.retires(socket, sockets.serving());
                home.retire(socket).await;
                continue;
            }
            Step::Wait(until) => until,
        };
        tokio::select! {
            outcome = running(&mut dialling) => {
                dialling = None;
                match outcome {
                    Ok((socket, end)) => {
                        ends.spawn(async move { (socket, end.await.ok()) });
                        sockets.opened(socket, Instant::now());
                        told.opened(sockets.serving(), wanted.borrow().rhythm.sockets);
                    }
                    Err(fault) => {
                        let mended_by = if fault.is_lasting() { MendedBy::People } else { MendedBy::Time };
                        sockets.failed(mended_by, Instant::now());
                        told.failed(&fault, sockets.serving());
                    }
                }
            }
            Some(Ok((socket, reason))) = ends.join_next() => {
                sockets.ended(socket, Instant::now());
                told.ended(reason, sockets.serving());
            }
            changed = wanted.changed(), if !is_left => match changed {
                Ok(()) => {
                    let now = wanted.borrow_and_update().clone();
                    sockets.follow(now.rhythm);
                    told.follow(&now.peer);
                }
                Err(_) => {
                    is_left = true;
                    sockets.leave();
                }
            },
            () = passed(until) => {}
        }
    }
}

/// Dials, and waits for the peer's handshake. The home closes a socket whose handshake is late.
async fn open(peer: Peer, home: &impl Home) -> Result<(SocketId, oneshot::Receiver<CloseReason>), Fault> {
    let (socket, _) = dial_with(&peer.target, &peer.extras).await.map_err(Fault::Dial)?;
    let Adopted { joined, ended } = home.adopt(socket).await;
    match joined.await {
        Ok(socket) => Ok((socket, ended)),
        Err(_) => Err(Fault::NoHandshake(ended.await.ok())),
    }
}

async fn running(
    dialling: &mut Option<Dialling<'_>>,
) -> Result<(SocketId, oneshot::Receiver<CloseReason>), Fault> {
    match dialling {
        Some(dial) => dial.await,
        None => pending().await,
    }
}

async fn passed(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
