//! How far an operator's drain of a member is.

use rcs_proto::time::Moment;

use crate::limits;
use crate::view::Mark;

/// How far a member's drain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Drain {
    /// It is not drained.
    #[default]
    Off,
    /// Its calls go on, until this moment at most.
    Ending(Option<Moment>),
    /// Its sockets are being closed.
    Closing,
    /// It has none.
    Over,
}

impl Drain {
    /// That of a member that is taken on with this mark.
    pub(super) fn at_start(mark: Mark) -> Self {
        if mark == Mark::Enabled { Self::Off } else { Self::Over }
    }

    /// That of a member which is marked now. Whether a drain begins is returned as well.
    pub(super) fn marked(self, mark: Mark, now: Moment) -> (Self, bool) {
        match (mark, self) {
            (Mark::Enabled, _) => (Self::Off, false),
            (Mark::Draining, Self::Off | Self::Ending(_)) => (Self::Ending(None), true),
            (Mark::Disabled, Self::Off | Self::Ending(_)) => {
                (Self::Ending(Some(now + limits::DRAIN_TIME)), true)
            }
            (_, Self::Closing | Self::Over) => (self, false),
        }
    }

    /// Whether calls may go on that have to be at the member: pages, and what it refused a moment ago.
    pub(super) fn lets_calls_go_on(self) -> bool {
        matches!(self, Self::Off | Self::Ending(_))
    }

    /// Whether there is something to be done on each tick.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::Ending(_) | Self::Closing)
    }
}
