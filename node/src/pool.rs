//! Runs blocking calls on threads, with a limit of running and of waiting calls, and passes results on as fast as the caller reads.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use rcs_proto::driver::endpoint::{Responder, Watch};
use rcs_proto::messages::{OperationRequest, OperationResponse};
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use crate::connector::Flow;
use crate::error::ErrorClass;
use crate::executor::{Call, Executor, Failure, ResultSink};
use crate::limits::{CALLS_MAX, CALLS_WAITING_MAX, RESULTS_AHEAD_MAX, STREAMS_MAX, STREAMS_WAITING_MAX};

/// Where the frames of one call go.
pub trait Reply: Send {
    /// Sends a frame before the last one; comes back once there is room for more. [`Flow::Stop`] if the caller has
    /// cancelled or is gone.
    fn item(&mut self, response: OperationResponse) -> impl Future<Output = Flow> + Send;

    /// Comes back when the caller has cancelled or is gone.
    fn gone(&self) -> impl Future<Output = ()> + Send;

    /// Ends the call.
    fn end(self, last: Result<OperationResponse, Failure>);
}

/// Runs calls on an [`Executor`].
///
/// Streams have a lane of their own: they last as long as their caller likes, and must not keep short calls from running.
pub struct Pool {
    executor: Executor,
    started: Instant,
    calls: Lane,
    streams: Lane,
}

impl Pool {
    /// A pool with the bounds of [`crate::limits`].
    pub fn new(executor: Executor) -> Arc<Self> {
        let calls = Lane::new(CALLS_MAX, CALLS_WAITING_MAX);
        let streams = Lane::new(STREAMS_MAX, STREAMS_WAITING_MAX);
        Arc::new(Self { executor, started: Instant::now(), calls, streams })
    }

    /// What is run on.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Forgets connectors that nobody has used for long; to be called now and then.
    pub fn drop_idle(&self) {
        self.executor.drop_idle(self.now());
    }

    /// Runs one call to its end. Dropping the future does not stop what a connector is doing: writes finish (WIRE 4.2).
    pub async fn execute(&self, request: OperationRequest, mut reply: impl Reply) {
        let last = self.run(request, &mut reply).await;
        reply.end(last);
    }

    async fn run(
        &self,
        request: OperationRequest,
        reply: &mut impl Reply,
    ) -> Result<OperationResponse, Failure> {
        let call = self.executor.prepare(request, self.now())?;
        match call.operation() {
            Operation::Search | Operation::Sync => {
                let permit = self.streams.enter().await?;
                stream(call, permit, reply).await
            }
            _ => {
                let permit = self.calls.enter().await?;
                unary(call, permit).await
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }
}

async fn unary(call: Call, permit: OwnedSemaphorePermit) -> Result<OperationResponse, Failure> {
    let (limit, operation) = (call.time_limit(), call.operation());
    // The permit stays with the thread: a call that ran out of time still occupies one.
    let thread = spawn_blocking(move || {
        let _permit = permit;
        call.run(&mut NoResults)
    });
    let finished = match limit {
        None => thread.await,
        Some(limit) => timeout(limit, thread).await.map_err(|_| {
            let message = format!(
                "timeout: {operation} took longer than the {} ms that the connector's configuration allows",
                limit.as_millis()
            );
            Failure::new(ErrorClass::OperationTimeout, message)
        })?,
    };
    finished.map_err(panicked)?
}

async fn stream(
    call: Call,
    permit: OwnedSemaphorePermit,
    reply: &mut impl Reply,
) -> Result<OperationResponse, Failure> {
    let (results, mut queue) = mpsc::channel(RESULTS_AHEAD_MAX);
    let thread = spawn_blocking(move || {
        let _permit = permit;
        call.run(&mut Results(results))
    });
    // The queue ends when the connector is done. Dropping it makes the connector stop at its next result.
    loop {
        let response = tokio::select! {
            () = reply.gone() => break,
            response = queue.recv() => response,
        };
        let Some(response) = response else { break };
        if reply.item(response).await == Flow::Stop {
            break;
        }
    }
    drop(queue);
    thread.await.map_err(panicked)?
}

/// A connector's panic is its own affair: the thread is lost, the node lives, and its log has the place.
fn panicked(error: JoinError) -> Failure {
    tracing::error!(%error, "a connector panicked");
    Failure::new(
        ErrorClass::Connector,
        "internal error of the connector; look at the log of the connector server",
    )
}

/// The endpoint's own end of a call.
impl Reply for (Responder, Watch) {
    async fn item(&mut self, response: OperationResponse) -> Flow {
        if self.0.send(response).await.is_ok() { Flow::Continue } else { Flow::Stop }
    }

    async fn gone(&self) {
        self.1.gone().await;
    }

    fn end(self, last: Result<OperationResponse, Failure>) {
        match last {
            Ok(response) => self.0.finish(response),
            Err(failure) => self.0.fail(failure.class, &failure.message),
        }
    }
}

/// Results of a stream on their way from the connector's thread.
struct Results(mpsc::Sender<OperationResponse>);

impl ResultSink for Results {
    fn send(&mut self, response: OperationResponse) -> Flow {
        if self.0.blocking_send(response).is_ok() { Flow::Continue } else { Flow::Stop }
    }
}

/// For calls with one answer.
struct NoResults;

impl ResultSink for NoResults {
    fn send(&mut self, _: OperationResponse) -> Flow {
        Flow::Stop
    }
}

/// A bound on what runs, and one on what waits for it.
struct Lane {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Lane {
    fn new(running: usize, waiting: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running)), waiting: Semaphore::new(waiting) }
    }

    /// Waits for a turn. A call that is turned away here was not run.
    async fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| {
            let message =
                "overload: too many calls are waiting at this server; the call was not run, repeat it later";
            Failure::new(ErrorClass::Retryable, message)
        })?;
        Ok(self.running.clone().acquire_owned().await.expect("the semaphore is never closed"))
    }
}
