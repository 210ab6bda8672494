//! One member as its group sees it.

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::time::Moment;

use super::Reports;
use super::SetDigest;
use super::set::Basis;
use crate::agreed::sets::Content;
use crate::bundles::diff::{Difference, Manifest};
use crate::limits::{BUNDLES_FLIPS_FREE, BUNDLES_HOLD_BASE, BUNDLES_HOLD_CAP, BUNDLES_STABLE_AFTER};

/// The standing of a member as far as its bundle set goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BundleStanding {
    /// The member has not reported its set since it joined: no calls.
    #[default]
    Unknown,
    /// The member has the accepted set and serves.
    Matching,
    /// The member has the next set and serves.
    MatchingNext,
    /// The member has a right set, but changed its set too often: no calls for some time.
    Held {
        /// When the member may serve again.
        until: Moment,
    },
    /// The member has a wrong set, and serves because no member has the right one ([`super::NoneLeft::KeepLast`]).
    Kept(Cause),
    /// The member does not serve.
    Quarantined(Cause),
}

impl BundleStanding {
    /// Whether the member may get calls.
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Matching | Self::MatchingNext | Self::Kept(_))
    }

    /// Whether the member reported a set and gets no calls because of the set.
    pub const fn keeps_out(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Quarantined(_))
    }

    /// The word for logs, metrics and the API.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Matching => "matching",
            Self::MatchingNext => "matching_next",
            Self::Held { .. } => "held",
            Self::Kept(_) => "kept",
            Self::Quarantined(_) => "quarantined",
        }
    }

    /// Why the member should not serve, if there is a reason.
    pub const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Kept(cause) | Self::Quarantined(cause) => Some(cause),
            _ => None,
        }
    }
}

/// Why a member should not serve.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// Its set is not the group's.
    Differs {
        /// The member's set.
        found: SetDigest,
        /// The set of the group with which the member's set was compared: the closer one.
        against: Against,
        /// What differs; empty if no member ever had the group's set, so that only its digest is known.
        difference: Arc<Difference>,
    },
    /// The group requires reports of agents, and the member's agent has not reported.
    MissingAgentReport,
    /// The member's list of connectors cannot be read.
    Unreadable(String),
}

impl Cause {
    /// The word for logs, metrics and the API.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Differs { .. } => "differs",
            Self::MissingAgentReport => "missing_agent_report",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// One of the two sets of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Against {
    /// The accepted one.
    Accepted,
    /// The next one.
    Next,
}

/// What a member's server is (B09).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// Its product, such as `java` or `rcs-node`.
    pub product: String,
    /// Its version, if it is known.
    pub version: Option<String>,
}

/// What follows from a member's manifest alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judgement {
    Unknown,
    Accepted,
    Next,
    Out(Cause),
}

/// Everything that a group knows of one member.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) manifest: Manifest,
    /// Why what it told cannot be read.
    pub(super) unreadable: Option<String>,
    /// When its agent said something last.
    pub(super) heard: Moment,
    /// Whether the member could not be reached, or is not wanted, since its last report.
    pub(super) is_absent: bool,
    pub(super) server: Option<Server>,
    pub(super) standing: BundleStanding,
    /// What an operator knows of it; how it stands while nothing is known of it is not told.
    pub(super) told: Option<BundleStanding>,
    /// What it had when it was last known.
    settled: Option<SetDigest>,
    /// Changes to a right set in a row, without a stable time between them.
    returns: u32,
    returned_at: Moment,
    pub(super) held_until: Moment,
    /// The difference worked out last, and between what.
    pub(super) compared: Option<Compared>,
}

#[derive(Clone, Debug)]
pub(super) struct Compared {
    /// The group's sets, and how much of their content was known.
    pub(super) sets: [Option<Basis>; 2],
    pub(super) found: SetDigest,
    pub(super) against: Against,
    pub(super) difference: Arc<Difference>,
}

impl Record {
    /// What it has, to the depth that is compared; none if that is not known.
    pub(super) fn shown(&self, reports: Reports) -> Option<SetDigest> {
        let wire = *self.manifest.wire.as_ref()?.digest();
        match reports {
            Reports::WireOnly => Some(SetDigest { wire, files: None }),
            Reports::RequireAgent => {
                let files = self.manifest.files.as_ref()?.digest();
                Some(SetDigest { wire, files: Some(files) })
            }
        }
    }

    /// Whether the member reported what is compared, or a list that cannot be read.
    pub(super) fn has_reported(&self, reports: Reports) -> bool {
        self.unreadable.is_some() || self.shown(reports).is_some()
    }

    /// Whether its set has connectors, if that is known.
    pub(super) fn content(&self) -> Option<Content> {
        let wire = self.manifest.wire.as_ref()?;
        Some(if wire.is_empty() { Content::Empty } else { Content::Some })
    }

    /// Notes what the member has now and whether that is right. One that comes to a right set from another one again and again
    /// is held for longer each time; what the operator changes is not held against it.
    pub(super) fn settle(&mut self, shown: SetDigest, judgement: &Judgement, now: Moment) {
        let before = self.settled.replace(shown);
        let is_right = matches!(judgement, Judgement::Accepted | Judgement::Next);
        if !is_right || before.is_none_or(|before| before.agrees(&shown)) {
            return;
        }
        if now.since(self.returned_at.max(self.held_until)) >= BUNDLES_STABLE_AFTER {
            self.returns = 0;
        }
        self.returns = self.returns.saturating_add(1);
        self.returned_at = now;
        self.held_until = now + hold(self.returns);
    }
}

fn hold(returns: u32) -> Duration {
    match returns.checked_sub(BUNDLES_FLIPS_FREE + 1) {
        None => Duration::ZERO,
        Some(more) => {
            let times = 1u32.checked_shl(more).unwrap_or(u32::MAX);
            BUNDLES_HOLD_BASE.saturating_mul(times).min(BUNDLES_HOLD_CAP)
        }
    }
}
