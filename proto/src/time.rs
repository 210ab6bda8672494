//! Time as the state machines see it: a number that comes in as an argument. Nothing here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: what has passed since the process, or the simulation, began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The beginning.
    pub const START: Moment = Moment(Duration::ZERO);

    /// The moment so long after the beginning.
    pub const fn after_start(passed: Duration) -> Self {
        Self(passed)
    }

    /// What has passed since the beginning.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// What has passed since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, passed: Duration) -> Moment {
        Moment(self.0.saturating_add(passed))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    fn sub(self, passed: Duration) -> Moment {
        Moment(self.0.saturating_sub(passed))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}
