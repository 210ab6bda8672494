use std::sync::atomic::Ordering;

use rcs_proto::icf::Attribute;
use rcs_proto::legacy::Wire as _;
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

/// A pool with few places and short deadlines.
fn small_pool(deadline: Duration) -> (Arc<Pool>, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let running = Share { all: 4, each: 2, reserve: 2 };
    let bounds = Bounds { running, waiting: Share { all: 8, each: 4, reserve: 1 }, replaced: 4 };
    let deadlines = Deadlines { question: deadline, call: deadline };
    (Pool::with(Executor::new(testing::registry(&fake)), bounds, bounds, deadlines), fake)
}

async fn test_of(pool: &Pool, objects: i32) -> Result<OperationResponse, Failure> {
    call(pool, test_call(objects, &[]), 0, Duration::ZERO).await.1
}

/// Three resources that never answer would take all places of four, and then all calls of the others would wait.
#[tokio::test]
async fn resources_that_never_answer_take_no_place_from_others() {
    let (pool, fake) = small_pool(Duration::from_secs(600));
    let mut hanging = Vec::new();
    for configuration in [-1, -2, -3] {
        for _ in 0..3 {
            let pool = pool.clone();
            hanging.push(tokio::spawn(async move { test_of(&pool, configuration).await }));
        }
    }
    fake.wait_for_stuck(5).await;
    for _ in 0..20 {
        test_of(&pool, 1).await.expect("a healthy resource is asked at once");
    }
    assert!(hanging.iter().all(|call| !call.is_finished()));
    fake.release();
    for call in hanging {
        call.await.unwrap().expect("the resource answers at last");
    }
    assert_eq!(pool.hanging(), Hanging::default());
}

#[tokio::test]
async fn a_call_that_hangs_is_answered_at_its_deadline_and_its_place_is_given_away() {
    let (pool, fake) = small_pool(Duration::from_millis(50));
    for round in 0..2 {
        let failure = test_of(&pool, -1).await.expect_err("it never answers");
        assert!(failure.class.ends_with("OperationTimeoutException"), "{round}: {failure:?}");
    }
    // The whole share of the configuration hangs: a third call does not even wait.
    let failure = test_of(&pool, -1).await.expect_err("it never answers");
    assert!(failure.class.ends_with("RetryableException"), "{failure:?}");
    assert!(failure.message.contains("2 calls of this configuration"), "{failure:?}");
    assert!(failure.message.contains("not run"), "{failure:?}");
    assert_eq!(pool.hanging(), Hanging { calls: 2, configurations: 1 });
    fake.release();
    while pool.hanging().calls > 0 {
        tokio::task::yield_now().await;
    }
    test_of(&pool, -1).await.expect("it answers again");
}

/// A change that reached the connector is never reported as "not run". A change that only waited always is.
#[tokio::test]
async fn the_error_of_a_late_change_says_what_is_known() {
    let (pool, fake) = small_pool(Duration::from_millis(50));
    let create = |limit| {
        let create = m::CreateOpRequest {
            object_class: "__ACCOUNT__".to_owned(),
            create_attributes: vec![Attribute::text("__NAME__", "u7")].encode(),
            ..Default::default()
        };
        let timeouts: &[(&str, i32)] = if limit { &[("CreateApiOp", 20)] } else { &[] };
        OperationRequest { create: Some(create), ..request(&configuration(-1, timeouts)) }
    };
    for limit in [true, false] {
        let failure = call(&pool, create(limit), 0, Duration::ZERO).await.1.expect_err("late");
        assert!(failure.class.ends_with("OperationTimeoutException"), "{failure:?}");
        assert!(failure.message.contains("may have been made") && !failure.message.contains("not run"));
    }
    fake.release();

    let (pool, fake) = small_pool(Duration::from_secs(600));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn({
                let pool = pool.clone();
                async move { test_of(&pool, -1).await }
            })
        })
        .collect();
    fake.wait_for_stuck(2).await;
    // The timeouts are a part of the configuration, so this is another configuration with a place of its own. Its third call waits.
    let failures = [(); 3].map(|()| call(&pool, create(true), 0, Duration::ZERO));
    let [one, two, three] = failures;
    let (one, two, three) = tokio::join!(one, two, three);
    let messages = [one.1, two.1, three.1].map(|last| last.expect_err("late").message);
    let not_run = messages.iter().filter(|message| message.contains("not run")).count();
    let perhaps = messages.iter().filter(|message| message.contains("may have been made")).count();
    assert_eq!((not_run, perhaps), (1, 2), "{messages:?}");
    fake.release();
    for call in busy {
        call.await.unwrap().expect("an answer");
    }
}

#[tokio::test]
async fn a_search_without_a_result_ends_at_its_deadline_and_a_slow_caller_has_none() {
    let (pool, fake) = small_pool(Duration::from_millis(60));
    let (seen, last) =
        call(&pool, testing::search(&configuration(-1, &[])), usize::MAX, Duration::ZERO).await;
    assert!(seen == 0 && last.expect_err("silence").class.ends_with("OperationTimeoutException"));
    assert_eq!(pool.hanging().calls, 1);
    let slow = Duration::from_millis(90);
    let (seen, last) = call(&pool, testing::search(&configuration(3, &[])), usize::MAX, slow).await;
    assert!(seen == 3 && last.is_ok());
    fake.release();
}
