//! Keeps sockets to dialled URLs open (client mode): a node has them to its callers, and a router to the IDMs that the router dials.
//!
//! One future for each URL ([`keep`]) does what a plan without I/O decides: it dials at once, then with growing pauses, replaces each socket
//! before its time to live is over, and never gives up. The sockets themselves belong to a [`Home`], and outlive the future.

mod dials;
mod fault;
mod plan;
pub mod probe;
mod told;

use std::future::pending;
use std::pin::Pin;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use self::dials::{Dials, Opened, Peer};
pub use self::fault::{Fault, Names};
pub use self::plan::Rhythm;
use self::plan::{MendedBy, Sockets, Step};
pub use self::told::Kept;
use self::told::Told;
use super::WebSocket;
use super::endpoint::{Adopted, Endpoint};
use super::socket::CloseReason;
use crate::session::SocketId;

/// What is wanted of one URL, by somebody who dials like `D`.
#[derive(Clone, Debug)]
pub struct Wanted<D> {
    /// The address.
    pub peer: Peer,
    /// Who dials.
    pub who: D,
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

/// A dial under way: in the end a socket, or why there is none.
type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Joined, Fault>> + Send + 'a>>;

/// A socket whose peer is known.
struct Joined {
    socket: SocketId,
    /// The word of its end.
    end: oneshot::Receiver<CloseReason>,
    /// When another one has to replace it at the latest.
    replaced_at: Option<Instant>,
}

/// Keeps sockets to one URL as `wanted` says, whose changes count from the next dial on. Once the sender of `wanted` is dropped, the URL is
/// left: nothing is dialled any more, each socket retires, and the future ends with the last socket. Before that the future never ends.
///
/// What changes is logged in the words of `names`, once, and shown in `kept`.
pub async fn keep<D: Dials>(
    mut wanted: watch::Receiver<Wanted<D>>,
    home: &impl Home,
    names: &'static Names,
    kept: watch::Sender<Kept>,
) {
    let first = wanted.borrow_and_update().clone();
    let mut sockets = Sockets::new(first.rhythm, fastrand::Rng::new());
    let mut told = Told::new(first.peer.url.to_string(), first.who.name(), names, kept);
    let mut dialling: Option<Dialling<'_>> = None;
    let mut ends = JoinSet::new();
    let mut is_left = false;
    while !(is_left && sockets.is_empty()) {
        let until = match sockets.step(Instant::now()) {
            Step::Dial => {
                let Wanted { peer, who, .. } = wanted.borrow().clone();
                dialling = Some(Box::pin(open(peer, who, home, names)));
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
                    Ok(Joined { socket, end, replaced_at }) => {
                        ends.spawn(async move { (socket, end.await.ok()) });
                        sockets.opened_until(socket, replaced_at, Instant::now());
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
                    told.follow(now.who.name());
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
async fn open(peer: Peer, who: impl Dials, home: &impl Home, names: &'static Names) -> Result<Joined, Fault> {
    let Opened { socket, replaced_at } = who.dial(&peer, names).await?;
    let Adopted { joined, ended } = home.adopt(socket).await;
    match joined.await {
        Ok(socket) => Ok(Joined { socket, end: ended, replaced_at }),
        Err(_) => Err(Fault::NoHandshake(ended.await.ok())),
    }
}

async fn running(dialling: &mut Option<Dialling<'_>>) -> Result<Joined, Fault> {
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
