//! A runtime for what stands for many other machines. On the drill's own machine it would take the processors from those whose
//! answers are timed: its threads step back for them.

use rcs_cli::{Exit, Failure};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

/// How far its threads step back: under load they get about a tenth of what the others get.
const NICE: i32 = 10;

/// The runtime. What runs on it ends with this value.
pub(crate) struct Far(Option<Runtime>);

impl Far {
    /// Starts it, on one thread.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().thread_name("far").on_thread_start(|| {
            // On Linux of this thread alone. Without it the drill is only less fair.
            let _ = rustix::process::setpriority_process(None, NICE);
        });
        let runtime =
            builder.build().map_err(|error| Exit::Internal.with(format!("no further runtime: {error}")))?;
        Ok(Self(Some(runtime)))
    }

    /// Runs something there.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let runtime = self.0.as_ref().expect("it is taken when this is dropped");
        let broken = |error: JoinError| Exit::Internal.with(format!("far away: {error}"));
        runtime.spawn(work).await.map_err(broken)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
