//! What operators ask for one member, and why a mark is refused.

use super::Refusal;
use crate::bundles::in_use::Lost;
use crate::view::{AdminState, Mark, Member, NotListed};

/// What an operator asks for one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkChange {
    /// Mark the member as draining.
    Drain,
    /// Take the mark "draining" off.
    Undrain,
    /// Take any mark off.
    Enable,
    /// Mark the member as disabled.
    Disable,
}

/// Whether a change may leave a group, or a connector version in use, without a member that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastMember {
    /// The last member that serves is kept: the change is refused.
    Kept,
    /// The operator insists on the change.
    Released,
}

/// Why a mark is not set. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkRefusal {
    /// The group or the member does not exist.
    #[error(transparent)]
    NotListed(#[from] NotListed),
    /// The document says `enabled: false`.
    #[error(
        "{0:?} is disabled in the provider file (enabled: false), which no command overrides: set enabled to true there"
    )]
    DisabledInDocument(String),
    /// An operator disabled the member.
    #[error("{0:?} is disabled, and undrain takes off a drain only: enable it first")]
    Disabled(String),
    /// The change cannot be agreed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The routers of the cluster did not agree in time. The change may have been made all the same.
    #[error("the cluster has not confirmed the change: {0}")]
    NotAgreed(String),
    /// No other member of one of its groups serves.
    #[error(
        "{member:?} is the last member of group {group:?} that can serve: every call would fail. \
         Bring another member up, or go on all the same with --force (in the API: ?force=true)"
    )]
    LastOne {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// The member is the last one that has a connector in a version that callers use.
    #[error("{member:?} cannot be taken out now: {lost}")]
    LastWithVersion {
        /// The member.
        member: String,
        /// What callers would lose, and in which group.
        lost: Box<Lost>,
    },
}

impl MarkChange {
    /// The word for logs, the API and the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }

    /// The mark that a member would have after this change, whether or not other members serve.
    ///
    /// # Errors
    /// [`MarkRefusal::DisabledInDocument`], [`MarkRefusal::Disabled`]
    pub fn judge(self, member: &Member) -> Result<Mark, MarkRefusal> {
        let name = || member.spec.name.clone();
        if member.spec.admin == AdminState::Disabled {
            return Err(MarkRefusal::DisabledInDocument(name()));
        }
        match (self, member.mark) {
            (Self::Drain | Self::Undrain, Mark::Disabled) => Err(MarkRefusal::Disabled(name())),
            (Self::Drain, _) => Ok(Mark::Draining),
            (Self::Disable, _) => Ok(Mark::Disabled),
            (Self::Undrain | Self::Enable, _) => Ok(Mark::Enabled),
        }
    }
}
