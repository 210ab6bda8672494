//! How far an operator's drain of a member is.

use rcs_proto::time::Moment;

use crate::limits;
use crate::view::Mark;

/// How far a member's drain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Drain {
    /// The member is not drained.
    #[default]
    Off,
    /// The member's calls go on, until this moment at most.
    Ending(Option<Moment>),
    /// The member's sockets are being closed.
    Closing,
    /// The member has no socket left.
    Over,
}

impl Drain {
    /// The drain of a member that is taken on with this mark.
    pub(super) fn at_start(mark: Mark) -> Self {
        if mark == Mark::Enabled { Self::Off } else { Self::Over }
    }

    /// The drain of a member that gets this mark now, and whether a drain begins.
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

    /// Whether calls may go on that have to be at the member: pages, and calls that the member refused a moment ago.
    pub(super) fn lets_calls_go_on(self) -> bool {
        matches!(self, Self::Off | Self::Ending(_))
    }

    /// Whether there is something to be done on each tick.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::Ending(_) | Self::Closing)
    }
}
