//! A whole end of the protocol for programs that are not a proxy: the node executes calls with it, the bench sends them.
//!
//! One task, the hub, owns all sockets and sessions of an endpoint: it selects the next input and applies it, without locks
//! and without ever waiting for a peer. Executors get each call with a [`Responder`]; callers use a [`Caller`].

mod call;
mod caller;
mod hub;
mod incoming;
mod moving;
mod outgoing;
mod peer;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::WebSocket;
use super::socket::{CloseReason, SocketConfig};
use crate::frames::Identity;

pub use call::{Gone, IncomingCall, Responder, Watch};
pub use caller::{CallStream, Caller, ConnectError, RemoteError};
use hub::{Command, Hub};

/// Runs the calls of peers.
pub trait Executor: Send + Sync + 'static {
    /// The answer to CONNECTOR_INFO: a legacy `List` of `ConnectorInfo` (WIRE 4.4).
    fn connector_infos(&self) -> Bytes;

    /// Takes a call. It is called on the endpoint's own task, so it must not block, and hands the work to somebody else.
    fn execute(&self, call: IncomingCall);
}

/// What an endpoint is and allows.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Who we are towards every peer.
    pub identity: Identity,
    /// Limits of each socket.
    pub socket: SocketConfig,
    /// Streams pause while more than this is queued on their socket, bytes.
    pub pause_backlog_bytes: usize,
    /// Most calls of one peer at a time; over it they are refused.
    pub calls_max: usize,
    /// How long a peer without sockets is remembered, with its calls running on (WIRE 4.2).
    pub keep_lost: Duration,
    /// Rhythm of pings, if any; a socket that is silent for three of them is dead. An executor had better not: a 1.8.0 dialler
    /// whose socket is closed never comes back (WIRE 7.5), and TCP's own keep-alive finds dead hosts.
    pub ping_every: Option<Duration>,
}

impl EndpointConfig {
    /// The defaults of an executor.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            socket: SocketConfig::default(),
            pause_backlog_bytes: 4 << 20,
            calls_max: 65_536,
            keep_lost: Duration::from_secs(60),
            ping_every: None,
        }
    }

    /// An identity as Java makes it: 40 upper-case hex digits at random (WIRE 4.1). The key is used by nobody.
    pub fn random_identity() -> Identity {
        let session_id = format!("{:032X}{:08X}", fastrand::u128(..), fastrand::u32(..));
        Identity { session_id, public_key: Bytes::from_static(b"unused") }
    }
}

/// The owner's end of an endpoint. Dropping the last clone closes its sockets and ends it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    commands: mpsc::UnboundedSender<Command>,
}

impl Endpoint {
    /// Starts an endpoint that lets `executor` run its peers' calls.
    pub fn start(config: EndpointConfig, executor: Arc<dyn Executor>) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let transit = Arc::new(Semaphore::new(hub::FRAMES_IN_TRANSIT));
        tokio::spawn(Hub::new(config, executor, commands.downgrade(), transit).run(received));
        Self { commands }
    }

    /// Adds a socket, accepted or dialled; the handshake follows. The receiver tells when and why it ended.
    pub fn adopt(&self, socket: WebSocket) -> oneshot::Receiver<CloseReason> {
        let (ended, end) = oneshot::channel();
        self.ask(Command::Adopt { socket: Box::new(socket), ended });
        end
    }

    fn ask(&self, command: Command) {
        // A hub that has ended drops the command, and with it whatever waits for its reply.
        let _ = self.commands.send(command);
    }

    /// Calls of peers that are running, and sessions that are known.
    pub async fn counts(&self) -> Counts {
        let (reply, counts) = oneshot::channel();
        self.ask(Command::Count { reply });
        counts.await.unwrap_or_default()
    }

    /// Refuses new calls, lets the running ones finish within `limit`, then closes every socket.
    pub async fn shut_down(&self, limit: Duration) -> Counts {
        let (reply, done) = oneshot::channel();
        self.ask(Command::ShutDown { limit, reply });
        done.await.unwrap_or_default()
    }
}

/// What an endpoint has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of peers that are executed here.
    pub executing: usize,
    /// Peers, those included that have lost their sockets.
    pub sessions: usize,
    /// Open sockets.
    pub sockets: usize,
}
