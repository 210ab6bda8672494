//! The owner's end of an endpoint.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::call::Executor;
use super::config::{Counts, EndpointConfig};
use super::hub::Hub;
use super::to_hub::ToHub;
use crate::driver::WebSocket;
use crate::driver::socket::CloseReason;
use crate::session::SocketId;

/// The owner's end of an endpoint. Dropping the last clone closes its sockets and ends it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    hub: mpsc::UnboundedSender<ToHub>,
}

/// A socket that an endpoint has adopted.
#[derive(Debug)]
pub struct Adopted {
    /// Resolves once the handshake is done, with the socket's id; with an error if the socket ended before.
    pub joined: oneshot::Receiver<SocketId>,
    /// Resolves when the socket has ended, with the reason.
    pub ended: oneshot::Receiver<CloseReason>,
}

impl Endpoint {
    /// Starts an endpoint that lets `executor` run its peers' calls.
    pub fn start(config: EndpointConfig, executor: Arc<dyn Executor>) -> Self {
        let (hub, received) = mpsc::unbounded_channel();
        tokio::spawn(Hub::new(config, executor, hub.downgrade()).run(received));
        Self { hub }
    }

    /// Adds a socket, accepted or dialled; the handshake follows. The receiver tells when and why it ended.
    pub fn adopt(&self, socket: WebSocket) -> oneshot::Receiver<CloseReason> {
        let (ended, end) = oneshot::channel();
        self.ask(ToHub::Adopt { socket: Box::new(socket), joined: None, ended });
        end
    }

    /// Adds a socket as [`Endpoint::adopt`] does, for an owner that retires it later.
    pub fn adopt_to_retire(&self, socket: WebSocket) -> Adopted {
        let (joined, join) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        self.ask(ToHub::Adopt { socket: Box::new(socket), joined: Some(joined), ended });
        Adopted { joined: join, ended: end }
    }

    /// Closes a socket without a loss: its peer may send on it until the end, new answers take other sockets of the peer, and the socket
    /// closes once no answer has begun on it, at the latest after [`RETIRING_MAX`](crate::driver::limits::RETIRING_MAX).
    pub fn retire(&self, socket: SocketId) {
        self.ask(ToHub::Retire { socket });
    }

    pub(super) fn ask(&self, message: ToHub) {
        // A hub that has ended drops the message, and with it whatever waits for its reply.
        let _ = self.hub.send(message);
    }

    /// Calls of peers that are running, and sessions that are known.
    pub async fn counts(&self) -> Counts {
        let (reply, counts) = oneshot::channel();
        self.ask(ToHub::Count { reply });
        counts.await.unwrap_or_default()
    }

    /// Refuses new calls, lets the running ones finish within `limit`, then closes every socket.
    pub async fn shut_down(&self, limit: Duration) -> Counts {
        let (reply, done) = oneshot::channel();
        self.ask(ToHub::ShutDown { limit, reply });
        done.await.unwrap_or_default()
    }
}
