//! One call of a peer, from the executor's side, and who executes.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::to_hub::ToHub;
use crate::driver::socket::SocketHandle;
use crate::frames;
use crate::icf::exceptions;
use crate::messages::{OperationRequest, OperationResponse};

/// Runs the calls of peers.
pub trait Executor: Send + Sync + 'static {
    /// The answer to CONNECTOR_INFO: a legacy `List` of `ConnectorInfo` (WIRE 4.4).
    fn connector_infos(&self) -> Bytes;

    /// Takes a call. It is called on the endpoint's own task, so it must not block, and hands the work to somebody else.
    fn execute(&self, call: IncomingCall);
}

/// A call to run.
#[derive(Debug)]
pub struct IncomingCall {
    /// What is asked for.
    pub request: OperationRequest,
    /// Where the answer goes.
    pub responder: Responder,
    /// Tells when nobody waits for the answer any more.
    pub watch: Watch,
}

/// The caller has cancelled, or is gone: what is left of the answer interests nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller no longer waits for the answer")]
pub struct Gone;

/// Sends the answer of one call. Dropped without [`finish`](Responder::finish) or [`fail`](Responder::fail) it answers with an
/// error, so that no caller hangs (P1).
pub struct Responder {
    key: u64,
    /// The caller's id of the call.
    id: i64,
    state: Arc<CallState>,
    hub: mpsc::UnboundedSender<ToHub>,
    transit: Arc<Semaphore>,
    pause_backlog: usize,
    finished: bool,
}

/// Whether the caller still waits.
#[derive(Clone)]
pub struct Watch {
    state: Arc<CallState>,
}

/// What a call's executor and the hub both know.
pub(super) struct CallState {
    interest: AtomicU8,
    /// Rings when the state or the socket changes.
    changed: Notify,
    /// Where the frames of the answer go.
    pin: Mutex<SocketHandle>,
}

const WANTED: u8 = 0;
const CANCELLED: u8 = 1;
const OVER: u8 = 2;

impl CallState {
    pub(super) fn new(pin: SocketHandle) -> Arc<Self> {
        Arc::new(Self { interest: AtomicU8::new(WANTED), changed: Notify::new(), pin: Mutex::new(pin) })
    }

    /// Moves the answer to another socket.
    pub(super) fn repin(&self, pin: SocketHandle) {
        *self.pin.lock().unwrap_or_else(PoisonError::into_inner) = pin;
        self.changed.notify_waiters();
    }

    /// The caller has cancelled.
    pub(super) fn cancel(&self) {
        let _ = self.interest.compare_exchange(WANTED, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
        self.changed.notify_waiters();
    }

    /// The call has been answered by the hub, or its peer is forgotten.
    pub(super) fn end(&self) {
        self.interest.store(OVER, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn is_wanted(&self) -> bool {
        self.interest.load(Ordering::Acquire) == WANTED
    }

    fn pin(&self) -> SocketHandle {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Responder {
    pub(super) fn new(
        key: u64,
        id: i64,
        state: Arc<CallState>,
        hub: mpsc::UnboundedSender<ToHub>,
        transit: Arc<Semaphore>,
        pause_backlog: usize,
    ) -> Self {
        Self { key, id, state, hub, transit, pause_backlog, finished: false }
    }

    /// Sends a frame that is not the last one; waits while too much is queued towards the caller.
    ///
    /// # Errors
    /// [`Gone`]: stop; nothing more will be delivered, though `finish` still has to be called.
    pub async fn send(&mut self, response: OperationResponse) -> Result<(), Gone> {
        self.room().await?;
        // Given back by the hub, so that a slow hub bounds what is on the way to it.
        match self.transit.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(Gone),
        }
        let frame = frames::answer(self.id, &response);
        self.hub.send(ToHub::Item { call: self.key, frame }).map_err(|_| Gone)
    }

    /// Sends the last frame.
    pub fn finish(mut self, response: OperationResponse) {
        self.last(frames::answer(self.id, &response));
    }

    /// Ends the call with an error: `class` is the Java class name that IDM looks at (WIRE 5.1).
    pub fn fail(mut self, class: &str, message: &str) {
        self.last(frames::error(self.id, class, message));
    }

    fn last(&mut self, frame: Bytes) {
        self.finished = true;
        // A hub that has ended has closed the caller's sockets.
        let _ = self.hub.send(ToHub::Final { call: self.key, frame });
    }

    /// Waits until the socket of the answer has room, or there is a socket again.
    async fn room(&self) -> Result<(), Gone> {
        loop {
            let changed = self.state.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.state.is_wanted() {
                return Err(Gone);
            }
            let pin = self.state.pin();
            if !pin.is_closed() && pin.backlog_bytes() < self.pause_backlog {
                return Ok(());
            }
            if pin.is_closed() {
                changed.await;
            } else {
                tokio::select! {
                    () = changed => {}
                    () = pin.drained_below(self.pause_backlog) => {}
                }
            }
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.finished {
            self.last(frames::error(
                self.id,
                exceptions::CONNECTOR,
                "The connector server gave the call up without an answer",
            ));
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Watch {
    /// Whether the caller has cancelled or is gone.
    pub fn is_gone(&self) -> bool {
        !self.state.is_wanted()
    }

    /// Waits until it has, or is.
    pub async fn gone(&self) {
        loop {
            let changed = self.state.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_gone() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn new(state: Arc<CallState>) -> Self {
        Self { state }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("is_gone", &self.is_gone()).finish()
    }
}
