//! tokio as openraft sees it, with random numbers of the run's seed: turmoil runs each host on a tokio of its own, on one thread.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use openraft::{AsyncRuntime, TokioRuntime};

thread_local! {
    static RANDOM: RefCell<fastrand::Rng> = const { RefCell::new(fastrand::Rng::with_seed(0)) };
}

/// Everything random that follows on this thread follows from the seed. What tokio and TLS draw does not: tokio's `select!` draws the
/// order in which it looks at its branches, TLS draws its keys.
pub(super) fn seed(seed: u64) {
    RANDOM.with_borrow_mut(|random| *random = fastrand::Rng::with_seed(seed));
    // The pauses between dials.
    fastrand::seed(seed);
}

/// The runtime of routers on turmoil's hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seeded;

/// Random numbers of the run's seed.
pub(super) struct Random;

impl rand::RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        RANDOM.with_borrow_mut(|random| random.u32(..))
    }

    fn next_u64(&mut self) -> u64 {
        RANDOM.with_borrow_mut(|random| random.u64(..))
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        RANDOM.with_borrow_mut(|random| random.fill(to));
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

type Tokio = TokioRuntime;

impl AsyncRuntime for Seeded {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: Send + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Tokio as AsyncRuntime>::Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, F: Future<Output = R> + Send> = <Tokio as AsyncRuntime>::Timeout<R, F>;
    type ThreadLocalRng = Random;
    type OneshotSender<T: Send> = <Tokio as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: Send> = <Tokio as AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = <Tokio as AsyncRuntime>::OneshotReceiverError;

    fn spawn<F>(future: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Tokio::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Tokio::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Tokio::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        Tokio::is_panic(error)
    }

    fn thread_rng() -> Random {
        Random
    }

    fn oneshot<T: Send>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>) {
        Tokio::oneshot()
    }
}
