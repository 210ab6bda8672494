//! The executor as openraft sees it: `AsyncRuntime` with the simulation's tasks, clocks and random numbers.

use std::fmt;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use openraft::{AsyncRuntime, TokioRuntime};

use super::executor::{self, Firing, Group, nanos};

/// The runtime of simulated nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SimRuntime;

/// A moment of the clock of the group that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SimInstant(u64);

impl openraft::Instant for SimInstant {
    fn now() -> SimInstant {
        SimInstant(executor::group_now())
    }
}

impl Add<Duration> for SimInstant {
    type Output = SimInstant;
    fn add(self, by: Duration) -> SimInstant {
        SimInstant(self.0.saturating_add(nanos(by)))
    }
}

impl AddAssign<Duration> for SimInstant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub<Duration> for SimInstant {
    type Output = SimInstant;
    fn sub(self, by: Duration) -> SimInstant {
        SimInstant(self.0.saturating_sub(nanos(by)))
    }
}

impl SubAssign<Duration> for SimInstant {
    fn sub_assign(&mut self, by: Duration) {
        *self = *self - by;
    }
}

impl Sub<SimInstant> for SimInstant {
    type Output = Duration;
    fn sub(self, earlier: SimInstant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Sleeps until a moment of its group's clock; starts its timer at the first poll, as tokio's does.
pub(crate) struct Sleep {
    number: u64,
    deadline: SimInstant,
    firing: Option<Arc<Mutex<Firing>>>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.firing {
            Some(firing) => executor::poll_firing(firing, cx.waker()),
            None => {
                self.firing = Some(executor::start_timer(self.number, self.deadline.0, cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(firing) = &self.firing {
            executor::forget(firing);
        }
    }
}

/// Too late.
#[derive(Debug)]
pub(crate) struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

/// A future with a deadline.
pub(crate) struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

/// Why a task has no value.
#[derive(Debug, PartialEq)]
pub(crate) enum JoinError {
    /// Its group was killed.
    Killed,
    /// It panicked, with these words.
    Panicked(String),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Killed => f.write_str("the task was killed"),
            JoinError::Panicked(words) => write!(f, "the task panicked: {words}"),
        }
    }
}

struct Seat<T> {
    value: Option<Result<T, JoinError>>,
    waker: Option<Waker>,
}

/// The end of a task. Dropping it lets the task go on alone.
pub(crate) struct JoinHandle<T>(Arc<Mutex<Seat<T>>>);

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut seat = self.0.lock().unwrap();
        if let Some(value) = seat.value.take() {
            return Poll::Ready(value);
        }
        seat.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// What the executor polls: a task that catches panics, as tokio's do, and leaves its value in its seat.
struct Running<F: Future> {
    future: Option<Pin<Box<F>>>,
    seat: Arc<Mutex<Seat<F::Output>>>,
}

impl<F: Future> Running<F> {
    fn end(&mut self, value: Result<F::Output, JoinError>) {
        // What the task holds goes before its end is told.
        self.future = None;
        let waker = {
            let mut seat = self.seat.lock().unwrap();
            seat.value = Some(value);
            seat.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<F: Future> Future for Running<F> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else { return Poll::Ready(()) };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => self.end(Ok(value)),
            Err(panic) => {
                let words = panic_words(&*panic);
                executor::keep_panic(words.clone());
                self.end(Err(JoinError::Panicked(words)));
            }
        }
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Running<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            self.end(Err(JoinError::Killed));
        }
    }
}

/// The words of a panic.
pub(crate) fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}

/// Spawns a task into `group`.
pub(crate) fn spawn_in<F>(group: Group, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let seat = Arc::new(Mutex::new(Seat { value: None, waker: None }));
    let running = Running { future: Some(Box::pin(future)), seat: Arc::clone(&seat) };
    executor::spawn_boxed(group, Box::pin(running));
    JoinHandle(seat)
}

/// Sleeps by the clock of the group that runs.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    SimRuntime::sleep(duration)
}

/// Random numbers of the run's seed.
pub(crate) struct SimRng;

impl rand::RngCore for SimRng {
    fn next_u32(&mut self) -> u32 {
        executor::random(|rng| rng.u32(..))
    }

    fn next_u64(&mut self) -> u64 {
        executor::random(|rng| rng.u64(..))
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        executor::random(|rng| rng.fill(to));
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

impl AsyncRuntime for SimRuntime {
    type JoinError = JoinError;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = SimInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, F: Future<Output = R> + Send> = Timeout<F>;
    type ThreadLocalRng = SimRng;
    // Channels need no runtime: tokio's do.
    type OneshotSender<T: Send> = <TokioRuntime as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: Send> = <TokioRuntime as AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = <TokioRuntime as AsyncRuntime>::OneshotReceiverError;

    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_in(executor::current(), future)
    }

    fn sleep(duration: Duration) -> Sleep {
        Self::sleep_until(<SimInstant as openraft::Instant>::now() + duration)
    }

    fn sleep_until(deadline: SimInstant) -> Sleep {
        Sleep { number: executor::timer_number(), deadline, firing: None }
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: SimInstant, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep_until(deadline) }
    }

    fn is_panic(error: &JoinError) -> bool {
        matches!(error, JoinError::Panicked(_))
    }

    fn thread_rng() -> SimRng {
        SimRng
    }

    fn oneshot<T: Send>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>) {
        TokioRuntime::oneshot()
    }
}
