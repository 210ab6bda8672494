use std::sync::atomic::Ordering;

use rcs_proto::messages as m;
use tokio::sync::oneshot;

use std::time::Duration;

use super::*;
use crate::testing::{self, Fake, configuration, request};

/// A caller that takes so many frames and tells the last one.
struct Caller {
    takes: usize,
    seen: usize,
    slow: Duration,
    last: oneshot::Sender<(usize, Result<OperationResponse, Failure>)>,
}

impl Reply for Caller {
    async fn item(&mut self, _: OperationResponse) -> Flow {
        tokio::time::sleep(self.slow).await;
        self.seen += 1;
        if self.seen >= self.takes { Flow::Stop } else { Flow::Continue }
    }

    async fn gone(&self) {
        std::future::pending().await
    }

    fn end(self, last: Result<OperationResponse, Failure>) {
        self.last.send((self.seen, last)).expect("the test waits");
    }
}

async fn call(
    pool: &Pool,
    request: OperationRequest,
    takes: usize,
    slow: Duration,
) -> (usize, Result<OperationResponse, Failure>) {
    let (last, answer) = oneshot::channel();
    pool.execute(request, Caller { takes, seen: 0, slow, last }).await;
    answer.await.expect("every call ends")
}

fn pool() -> (Arc<Pool>, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    (Pool::new(Executor::new(testing::registry(&fake))), fake)
}

fn test_call(objects: i32, timeouts_ms: &[(&str, i32)]) -> OperationRequest {
    OperationRequest { test: Some(m::TestOpRequest {}), ..request(&configuration(objects, timeouts_ms)) }
}

#[tokio::test]
async fn a_slow_caller_gets_every_result() {
    let (pool, fake) = pool();
    let request = testing::search(&configuration(300, &[]));
    let (seen, last) = call(&pool, request, usize::MAX, Duration::from_millis(1)).await;
    assert_eq!((seen, last.unwrap().search.unwrap().sequence), (300, 300));
    assert_eq!(fake.handed.load(Ordering::SeqCst), 300);
}

#[tokio::test]
async fn a_caller_that_stops_stops_the_connector() {
    let (pool, fake) = pool();
    let (seen, last) = call(&pool, testing::search(&configuration(100_000, &[])), 5, Duration::ZERO).await;
    assert_eq!(seen, 5);
    assert!(last.unwrap().search.unwrap().result.is_none());
    let handed = fake.handed.load(Ordering::SeqCst);
    assert!(handed <= 5 + RESULTS_AHEAD_MAX + 2, "{handed} objects after the caller had enough");
}

#[tokio::test]
async fn a_call_over_its_time_fails_and_a_panic_is_contained() {
    let (pool, _) = pool();
    let (_, last) = call(&pool, test_call(5, &[("TestApiOp", 20)]), 0, Duration::ZERO).await;
    assert!(last.expect_err("too long").class.ends_with("OperationTimeoutException"));
    let (_, last) = call(&pool, test_call(13, &[]), 0, Duration::ZERO).await;
    assert!(last.expect_err("panic").class.ends_with("ConnectorException"));
    let (_, last) = call(&pool, test_call(1, &[]), 0, Duration::ZERO).await;
    assert!(last.unwrap().test.is_some());
}

#[tokio::test]
async fn a_full_lane_turns_calls_away() {
    let lane = Lane::new(1, 1);
    let running = lane.enter().await.unwrap();
    let waits = lane.enter();
    tokio::pin!(waits);
    assert!(futures_poll(waits.as_mut()).await.is_none(), "the second waits");
    assert!(lane.enter().await.expect_err("the third is too many").class.ends_with("RetryableException"));
    drop(running);
    drop(waits.await.unwrap());
}

/// The future's value if it has one at once.
async fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(move |context| {
        let polled = future.take().expect("polled once").poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
