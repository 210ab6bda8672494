//! Calls connectors at one address: keeps sockets open, sends calls, gives their answers in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::answer::{self, RemoteError, Source};
use super::call::{Executor, IncomingCall};
use super::config::EndpointConfig;
use super::handle::Endpoint;
use super::to_hub::ToHub;
use crate::driver::dial::{DialError, DialTarget, dial};
use crate::envelope::Envelope;
use crate::icf::exceptions;
use crate::legacy::Wire as _;
use crate::limits;
use crate::messages::{OperationRequest, OperationResponse, RemoteMessage};

/// Shortest and longest pause before a lost socket is dialled again.
const REDIAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The dial failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The WebSocket opened, and no handshake followed.
    #[error("the peer opened the WebSocket but did not introduce itself within {} s", limits::HANDSHAKE_DEADLINE.as_secs())]
    NoHandshake,
}

/// The calling end of one address. Dropping it closes the sockets.
#[derive(Debug)]
pub struct Caller {
    endpoint: Endpoint,
    last_key: AtomicU64,
    /// Keep the sockets open; end with the caller.
    _keepers: JoinSet<()>,
}

impl Caller {
    /// Opens `sockets` sockets and waits for the peer's handshake on one of them. Lost sockets are dialled again.
    ///
    /// # Errors
    /// [`ConnectError`]: the first dial's, if none succeeded.
    pub async fn connect(
        target: DialTarget,
        sockets: usize,
        config: EndpointConfig,
    ) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::start(config, Arc::new(NoConnectors));
        let (failed, mut failures) = mpsc::channel(1);
        let mut keepers = JoinSet::new();
        for _ in 0..sockets {
            keepers.spawn(keep(target.clone(), endpoint.clone(), failed.clone()));
        }
        drop(failed);
        let (reply, joined) = oneshot::channel();
        endpoint.ask(ToHub::AwaitPeer { reply });
        let deadline = target.connect_timeout * 2 + limits::HANDSHAKE_DEADLINE;
        let outcome = async {
            tokio::select! {
                _ = joined => Ok(()),
                Some(error) = failures.recv() => Err(ConnectError::Dial(error)),
            }
        };
        timeout(deadline, outcome).await.unwrap_or(Err(ConnectError::NoHandshake))?;
        Ok(Self { endpoint, last_key: AtomicU64::new(0), _keepers: keepers })
    }

    /// The peer's connectors, as the legacy `List` of `ConnectorInfo` that it sends; waits until it does.
    pub async fn connector_infos(&self) -> Result<Bytes, RemoteError> {
        let (reply, infos) = oneshot::channel();
        self.endpoint.ask(ToHub::Infos { reply });
        infos.await.map_err(|_| RemoteError::NotSent)
    }

    /// Sends a call. Dropping the stream before its end cancels it.
    pub fn call(&self, request: OperationRequest) -> CallStream {
        let key = self.last_key.fetch_add(1, Ordering::Relaxed) + 1;
        let many = request.search.is_some()
            || request.sync.is_some()
            || request.batch.is_some()
            || request.connector_event_subscription.is_some()
            || request.sync_event_subscription.is_some();
        let (sink, source) = if many { answer::many() } else { answer::one() };
        self.endpoint.ask(ToHub::Call { key, request: Box::new(request), sink });
        CallStream { key, source, endpoint: self.endpoint.clone() }
    }

    /// Sends a call with one answer and waits for it.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn ask(&self, request: OperationRequest) -> Result<OperationResponse, RemoteError> {
        self.call(request).next().await.unwrap_or(Err(RemoteError::ConnectionLost))
    }

    /// Closes the sockets, and waits until they are.
    pub async fn close(mut self) {
        self._keepers.shutdown().await;
        self.endpoint.shut_down(Duration::ZERO).await;
    }
}

/// The answer of one call.
#[derive(Debug)]
pub struct CallStream {
    key: u64,
    source: Source,
    endpoint: Endpoint,
}

impl CallStream {
    /// The next frame of the answer, in order; the last one of a stream is its end. `None` behind it, and behind an error.
    pub async fn next(&mut self) -> Option<Result<OperationResponse, RemoteError>> {
        let answer = self.source.next().await.map(|answer| answer.and_then(|envelope| decode(&envelope)));
        if !matches!(answer, Some(Ok(_))) {
            self.source = Source::Over;
        }
        answer
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        if self.source.is_open() {
            self.endpoint.ask(ToHub::Cancel { call: self.key });
        }
    }
}

fn decode(envelope: &Envelope) -> Result<OperationResponse, RemoteError> {
    let message = RemoteMessage::decode(envelope.frame().clone()).map_err(|_| RemoteError::Garbled)?;
    message.response.and_then(|response| response.operation).ok_or(RemoteError::Garbled)
}

/// Dials, hands the socket over, waits for its end, and dials again.
async fn keep(target: DialTarget, endpoint: Endpoint, failed: mpsc::Sender<DialError>) {
    let (shortest, longest) = REDIAL;
    let mut pause = shortest;
    loop {
        let dialled = Instant::now();
        match dial(&target).await {
            Ok((socket, _)) => {
                // It resolves when the socket, or the endpoint, has ended.
                let _ = endpoint.adopt(socket).await;
            }
            Err(error) => {
                // Only the first failure of a connect is heard.
                let _ = failed.try_send(error);
            }
        }
        pause = if dialled.elapsed() > longest { shortest } else { (pause * 2).min(longest) };
        // Full jitter: callers that lost one peer together must not come back together.
        sleep(pause.mul_f64(fastrand::f64())).await;
    }
}

/// A caller has no connectors of its own (WIRE 4.4: an empty List).
#[derive(Debug)]
pub struct NoConnectors;

impl Executor for NoConnectors {
    fn connector_infos(&self) -> Bytes {
        Vec::<crate::icf::ConnectorInfo>::new().encode()
    }

    fn execute(&self, call: IncomingCall) {
        call.responder.fail(exceptions::CONNECTOR, "Connector not found: this end has none");
    }
}
