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

/// The owner's end of an endpoint. Dropping the last clone closes its sockets and ends it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    hub: mpsc::UnboundedSender<ToHub>,
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
        self.ask(ToHub::Adopt { socket: Box::new(socket), ended });
        end
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
