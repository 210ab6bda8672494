//! The one word for a member of a group: what the member does for the group's calls now. The table of `member list`, the API, the metrics
//! and messages all use these words.

use std::fmt;

use crate::health::Unfit;

/// What a member does for the calls of one group, in one word. A member of two groups may be in two states, because each group judges the
/// member's bundle set for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberState {
    /// The member gets calls.
    Serving,
    /// The member's connectors are tested before it gets calls (X02).
    Warming,
    /// The member's bundle set keeps it out of the group.
    Quarantined,
    /// The member gets no new calls: an operator drains the member, or the member changed in the document. Its last calls are ending, or
    /// its sockets are being closed.
    Draining,
    /// The drain is over: the member has no calls and no sockets.
    Drained,
    /// An operator or the document disabled the member.
    Disabled,
    /// The member came and went several times, and waits before it gets calls again.
    HeldDown,
    /// The member is left out for a time, because its calls failed in a row or are far slower than those of other members.
    Ejected,
    /// The member can be reached, and its health checks say that it should get no calls, or it said that it shuts down.
    Unfit,
    /// The member cannot be reached, or has not reported its connectors.
    Down,
}

impl MemberState {
    /// Every state, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Serving,
        Self::Warming,
        Self::Quarantined,
        Self::Draining,
        Self::Drained,
        Self::Disabled,
        Self::HeldDown,
        Self::Ejected,
        Self::Unfit,
        Self::Down,
    ];

    /// The word for tables, the API, metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Warming => "warming",
            Self::Quarantined => "quarantined",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
            Self::HeldDown => "held_down",
            Self::Ejected => "ejected",
            Self::Unfit => "unfit",
            Self::Down => "down",
        }
    }

    /// The state of a member that can be reached and gets no calls for this reason.
    pub const fn of(reason: Unfit) -> Self {
        match reason {
            Unfit::WarmingUp => Self::Warming,
            Unfit::HeldDown => Self::HeldDown,
            Unfit::Ejected | Unfit::Slow => Self::Ejected,
            Unfit::ChecksUnanswered | Unfit::TestFailing | Unfit::ShuttingDown => Self::Unfit,
        }
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
