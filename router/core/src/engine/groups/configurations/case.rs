//! A case: one configuration that members were lost with.

use std::time::Duration;

use rcs_proto::time::Moment;

use super::{Quarantine, Turned};
use crate::engine::note::ReleasedBy;
use crate::ids::{ConfigurationId, MemberId};
use crate::limits;

#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: ConfigurationId,
    pub(super) connector: String,
    /// The processes that were lost with the configuration.
    pub(super) losses: Vec<Loss>,
    /// When the last member was lost with the configuration.
    pub(super) lost_at: Moment,
    pub(super) state: State,
    /// The number of rounds of losses after which the configuration is held back.
    pub(super) enough: u8,
    pub(super) times: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) member: MemberId,
    /// The session id that the process showed.
    pub(super) remote: String,
    /// Losses of one round count once. The configuration was already at all members of the round when the first of them was lost.
    pub(super) round: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Fewer rounds of losses than are enough.
    Suspected,
    /// It is not known yet whether the lost processes live.
    HeldBack { until: Moment },
    /// Calls with the configuration are refused.
    Quarantined { since: Moment, until: Moment, refused: u64 },
    /// The configuration was released. The next member that is lost with it counts at once.
    OnProbation,
}

impl Case {
    pub(super) fn rounds(&self) -> u8 {
        let mut rounds: Vec<u8> = self.losses.iter().map(|loss| loss.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        u8::try_from(rounds.len()).unwrap_or(u8::MAX)
    }

    pub(super) fn is_quarantined(&self) -> bool {
        matches!(self.state, State::Quarantined { .. })
    }

    pub(super) fn has_lost_enough(&self) -> bool {
        self.rounds() >= self.enough
    }

    pub(super) fn quarantine(&self) -> Option<Quarantine> {
        let State::Quarantined { since, until, refused } = self.state else { return None };
        let mut members: Vec<MemberId> = self.losses.iter().map(|loss| loss.member).collect();
        members.sort_unstable();
        members.dedup();
        let (id, connector, times) = (self.id, self.connector.clone(), self.times);
        Some(Quarantine { id, connector, members, since, until, times, refused })
    }

    pub(super) fn released(&self, by: ReleasedBy) -> Turned {
        Turned::Released(self.id, self.connector.clone(), by)
    }

    /// Whether the case can be dropped at this moment.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        match self.state {
            State::Suspected => now.since(self.lost_at) >= limits::SUSPICION_KEPT,
            State::OnProbation => now.since(self.lost_at) >= limits::PROBATION_KEPT,
            State::HeldBack { .. } | State::Quarantined { .. } => false,
        }
    }
}

impl Case {
    pub(super) fn put_on_probation(&mut self, now: Moment) {
        (self.state, self.enough) = (State::OnProbation, 1);
        self.losses.clear();
        self.lost_at = now;
    }
}

/// How long the `times`-th quarantine of a configuration lasts.
pub(super) fn quarantine_time(times: u32) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    limits::QUARANTINE_BASE.saturating_mul(factor).min(limits::QUARANTINE_CAP)
}
