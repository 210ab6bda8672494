//! Keeps the sockets of one URL open, and logs what changes.

use std::future::pending;
use std::pin::Pin;

use rcs_proto::driver::endpoint::{Adopted, Endpoint};
use rcs_proto::driver::socket::CloseReason;
use rcs_proto::session::SocketId;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Peer;
use super::plan::{Rhythm, Sockets, Step};
use super::who::{Opened, Who};
use super::words::Fault;

/// A dial under way: in the end a socket, or why there is none.
type Dialling = Pin<Box<dyn Future<Output = Result<Joined, Fault>> + Send>>;

/// A socket whose peer is known.
struct Joined {
    socket: SocketId,
    /// The word of its end.
    end: oneshot::Receiver<CloseReason>,
    /// When another one has to replace it at the latest.
    replaced_at: Option<Instant>,
}

/// Keeps sockets to one peer for ever. The sockets belong to the endpoint, so they outlive this future.
pub(super) async fn keep(peer: Peer, who: Who, rhythm: Rhythm, endpoint: Endpoint) {
    let mut sockets = Sockets::new(rhythm, fastrand::Rng::new());
    let mut dialling: Option<Dialling> = None;
    let mut ends = JoinSet::new();
    let mut told = Told { url: peer.url.to_string(), principal: who.name().to_owned(), state: State::New };
    loop {
        let until = match sockets.step(Instant::now()) {
            Step::Dial => {
                dialling = Some(Box::pin(open(peer.clone(), who.clone(), endpoint.clone())));
                continue;
            }
            Step::Retire(socket) => {
                tracing::debug!(url = told.url, %socket, "a connection is replaced");
                endpoint.retire(socket);
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
                        told.opened(sockets.serving(), rhythm.sockets);
                    }
                    Err(fault) => {
                        sockets.failed(Instant::now());
                        told.failed(&fault, sockets.serving());
                    }
                }
            }
            Some(Ok((socket, reason))) = ends.join_next() => {
                sockets.ended(socket, Instant::now());
                told.ended(reason, sockets.serving());
            }
            () = passed(until) => {}
        }
    }
}

/// Dials, and waits for the peer's handshake. The endpoint closes a socket whose handshake is late.
async fn open(peer: Peer, who: Who, endpoint: Endpoint) -> Result<Joined, Fault> {
    let Opened { socket, replaced_at } = who.dial(&peer).await?;
    let Adopted { joined, ended } = endpoint.adopt_to_retire(socket);
    match joined.await {
        Ok(socket) => Ok(Joined { socket, end: ended, replaced_at }),
        Err(_) => Err(Fault::NoHandshake(ended.await.ok())),
    }
}

async fn running(dialling: &mut Option<Dialling>) -> Result<Joined, Fault> {
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

/// What the log says about one URL: a line for each change, and none for a repetition.
struct Told {
    url: String,
    /// The principal, or the OAuth2 client.
    principal: String,
    state: State,
}

/// What was told last.
#[derive(Debug, PartialEq, Eq)]
enum State {
    New,
    /// Calls can come.
    Connected,
    /// No socket is left.
    Lost,
    /// Dials fail, for this reason.
    Failing(String),
}

impl Told {
    fn opened(&mut self, serving: usize, wanted: usize) {
        match self.state {
            State::Connected => {
                tracing::debug!(url = self.url, connections = serving, wanted, "a connection was opened")
            }
            _ => tracing::info!(url = self.url, connections = serving, wanted, "connected"),
        }
        self.state = State::Connected;
    }

    fn failed(&mut self, fault: &Fault, serving: usize) {
        let words = fault.in_words(&self.principal);
        let is_news = !matches!(&self.state, State::Failing(told) if *told == words);
        match (is_news, serving) {
            (false, _) => tracing::debug!(url = self.url, "still no connection: {words}"),
            (true, 0) => tracing::warn!(url = self.url, "no connection: {words}; retrying"),
            (true, connections) => {
                tracing::warn!(url = self.url, connections, "no further connection: {words}; retrying")
            }
        }
        self.state = State::Failing(words);
    }

    fn ended(&mut self, reason: Option<CloseReason>, serving: usize) {
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        if serving > 0 {
            tracing::debug!(url = self.url, connections = serving, "a connection has ended{reason}");
        } else if !matches!(self.state, State::Failing(_)) {
            tracing::warn!(url = self.url, "the last connection has ended{reason}; dialling again");
            self.state = State::Lost;
        }
    }
}
