//! The engine's time: what has passed since the process began.

use rcs_proto::time::Moment;
use tokio::time::Instant;

/// Reads the clock once for each [`Moment`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now.
    pub(crate) fn now(self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// When a moment is, for timers.
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        self.start + moment.since_start()
    }
}
