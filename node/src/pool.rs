//! Runs blocking calls on threads, and passes results on as fast as the caller reads. Every caller gets an answer at its deadline,
//! though a connector's thread cannot be stopped; `lane` says who may run.

mod lane;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::driver::endpoint::{Responder, Watch};
use rcs_proto::messages::{OperationRequest, OperationResponse};
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};

use crate::connector::Flow;
use crate::error::ErrorClass;
use crate::executor::{Call, Executor, Failure, ResultSink};
use crate::limits::{
    CALL_DEADLINE, CALLS_EACH_MAX, CALLS_MAX, CALLS_WAITING_EACH_MAX, CALLS_WAITING_MAX,
    HANGING_REPLACED_MAX, QUESTION_DEADLINE, RESERVE_MAX, RESULTS_AHEAD_MAX, STREAMS_EACH_MAX, STREAMS_MAX,
    STREAMS_WAITING_EACH_MAX, STREAMS_WAITING_MAX,
};
use lane::{Bounds, Lane, Place, Share, Who};

pub use lane::Hanging;

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
    calls: Arc<Lane>,
    streams: Arc<Lane>,
    deadlines: Deadlines,
}

/// How long calls may take if their configuration sets no timeout.
#[derive(Clone, Copy)]
struct Deadlines {
    /// For a question about the connector itself: test, validate, schema.
    question: Duration,
    /// For any other call with one answer; and how long a search or sync may go without a result.
    call: Duration,
}

impl Pool {
    /// A pool with the bounds of [`crate::limits`].
    pub fn new(executor: Executor) -> Arc<Self> {
        let calls = Bounds {
            running: Share { all: CALLS_MAX, each: CALLS_EACH_MAX, reserve: RESERVE_MAX },
            waiting: Share { all: CALLS_WAITING_MAX, each: CALLS_WAITING_EACH_MAX, reserve: RESERVE_MAX },
            replaced: HANGING_REPLACED_MAX,
        };
        let streams = Bounds {
            running: Share { all: STREAMS_MAX, each: STREAMS_EACH_MAX, reserve: RESERVE_MAX },
            waiting: Share { all: STREAMS_WAITING_MAX, each: STREAMS_WAITING_EACH_MAX, reserve: RESERVE_MAX },
            replaced: HANGING_REPLACED_MAX,
        };
        let deadlines = Deadlines { question: QUESTION_DEADLINE, call: CALL_DEADLINE };
        Self::with(executor, calls, streams, deadlines)
    }

    fn with(executor: Executor, calls: Bounds, streams: Bounds, deadlines: Deadlines) -> Arc<Self> {
        let (calls, streams) = (Lane::new(calls), Lane::new(streams));
        Arc::new(Self { executor, started: Instant::now(), calls, streams, deadlines })
    }

    /// The calls that hang at the moment: over their time, with a connector that has not come back.
    pub fn hanging(&self) -> Hanging {
        let [calls, streams] = [&self.calls, &self.streams].map(|lane| lane.hanging());
        Hanging {
            calls: calls.calls + streams.calls,
            configurations: calls.configurations.max(streams.configurations),
        }
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
                let place = enter(&self.streams, &call, self.deadlines.call, reply).await?;
                stream(call, place, self.deadlines.call, reply).await
            }
            operation => {
                let usual = match operation {
                    Operation::Test | Operation::Validate | Operation::Schema => self.deadlines.question,
                    _ => self.deadlines.call,
                };
                let begun = Instant::now();
                let limit = call.time_limit().unwrap_or(usual);
                let place = enter(&self.calls, &call, limit, reply).await?;
                unary(call, place, begun + limit, limit).await
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }
}

/// Waits for a place. A call that ends in this function was not run.
async fn enter(lane: &Arc<Lane>, call: &Call, limit: Duration, reply: &impl Reply) -> Result<Place, Failure> {
    let who = Who { configuration: call.configuration(), connector: call.connector_name() };
    let not_run = |why: String| Failure::new(ErrorClass::Retryable, format!("{why}; the call was not run"));
    tokio::select! {
        entered = timeout(limit, lane.enter(&who)) => entered.map_err(|_| {
            not_run(format!("overload: the call waited {} s for calls before it to end", limit.as_secs_f32()))
        })?,
        () = reply.gone() => Err(not_run("the caller is gone".to_owned())),
    }
}

async fn unary(
    call: Call,
    place: Place,
    deadline: Instant,
    limit: Duration,
) -> Result<OperationResponse, Failure> {
    let (operation, watch) = (call.operation(), place.watch());
    // The place stays with the thread: a call that ran out of time still occupies one.
    let thread = spawn_blocking(move || {
        let _place = place;
        call.run(&mut NoResults)
    });
    match timeout_at(deadline, thread).await {
        Ok(finished) => finished.map_err(panicked)?,
        Err(_) => {
            watch.hangs(operation, limit);
            Err(overdue(operation, limit))
        }
    }
}

/// The connector has the call, and did not come back in time.
fn overdue(operation: Operation, limit: Duration) -> Failure {
    let outcome = match operation {
        Operation::Create | Operation::Update | Operation::Delete | Operation::ScriptOnConnector => {
            "; the connector goes on with it, so the change may have been made or may still be made: look at the object before the \
             call is repeated"
        }
        _ => "",
    };
    let message = format!(
        "timeout: {operation} took longer than {} ms and the connector has not come back: its resource is slow or does not answer{outcome}",
        limit.as_millis()
    );
    Failure::new(ErrorClass::OperationTimeout, message)
}

async fn stream(
    call: Call,
    place: Place,
    silence: Duration,
    reply: &mut impl Reply,
) -> Result<OperationResponse, Failure> {
    let (operation, watch) = (call.operation(), place.watch());
    let (results, mut queue) = mpsc::channel(RESULTS_AHEAD_MAX);
    let thread = spawn_blocking(move || {
        let _place = place;
        call.run(&mut Results(results))
    });
    let mut heard = Instant::now();
    // The queue ends when the connector is done. Dropping it makes the connector stop at its next result.
    loop {
        let response = tokio::select! {
            () = reply.gone() => break,
            response = timeout(silence, queue.recv()) => response,
        };
        // Only the connector's silence counts. The caller may read results as slowly as it likes.
        let Ok(Some(response)) = response else { break };
        let flow = reply.item(response).await;
        heard = Instant::now();
        if flow == Flow::Stop {
            break;
        }
    }
    drop(queue);
    match timeout_at(heard + silence, thread).await {
        Ok(finished) => finished.map_err(panicked)?,
        Err(_) => {
            watch.hangs(operation, silence);
            Err(overdue(operation, silence))
        }
    }
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
