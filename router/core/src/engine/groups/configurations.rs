//! Configurations that members were lost with, in all groups, whoever uses them. This table decides which configuration is to blame, and
//! which are quarantined (P3, G17).
//!
//! One lost member says little: every configuration that was at the member is a suspect. A suspect is cleared when a member answers a call
//! with it. If a second member is lost with a suspect that came to the member after the first loss, that suspect is to blame. Its calls
//! are then held back until it is known whether the lost processes live (as with calls, decision 018). If they do not, the configuration
//! is quarantined.

mod case;

use std::collections::BTreeMap;

use rcs_proto::time::Moment;

use self::case::{Case, Loss, State, quarantine_time};
use crate::engine::facade::ConfigurationDigest;
use crate::engine::note::ReleasedBy;
use crate::ids::{ConfigurationId, MemberId};
use crate::limits;

/// One configuration that was under way at a member that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Suspect {
    pub(in crate::engine) configuration: ConfigurationDigest,
    /// The configuration's name towards operators.
    pub(in crate::engine) id: ConfigurationId,
    /// The configuration's connector, fit for a line of a log.
    pub(in crate::engine) connector: String,
    /// When the configuration was sent to the member.
    pub(in crate::engine) sent: Moment,
    /// Whether the configuration was at another member that was lost before.
    pub(in crate::engine) has_moved: bool,
    /// Whether a member has answered a call with this configuration before.
    pub(in crate::engine) is_known: bool,
}

/// Why calls with a configuration are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Bar {
    /// It is not known yet whether the processes of the lost members live. Calls wait, until this moment at most.
    HeldBack(Moment),
    /// Calls are refused.
    Quarantined,
}

/// What happened to a configuration, to be noted for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Turned {
    /// The configuration was quarantined.
    Quarantined(Quarantine),
    /// The configuration is quarantined no longer.
    Released(ConfigurationId, String, ReleasedBy),
}

/// One configuration that is quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Quarantine {
    pub(in crate::engine) id: ConfigurationId,
    pub(in crate::engine) connector: String,
    /// The members that were lost with the configuration, each once.
    pub(in crate::engine) members: Vec<MemberId>,
    pub(in crate::engine) since: Moment,
    pub(in crate::engine) until: Moment,
    /// How often the configuration was quarantined, this time included.
    pub(in crate::engine) times: u32,
    /// Calls that were refused since the quarantine began.
    pub(in crate::engine) refused: u64,
}

/// The table.
#[derive(Debug, Default)]
pub(in crate::engine) struct Configurations {
    cases: BTreeMap<ConfigurationDigest, Case>,
}

impl Configurations {
    // --- what is there ---

    /// The reason why calls with a configuration are not sent, if there is a reason.
    pub(in crate::engine) fn bar(&self, configuration: ConfigurationDigest) -> Option<Bar> {
        // Nearly always there is no case.
        if self.cases.is_empty() {
            return None;
        }
        match self.cases.get(&configuration)?.state {
            State::HeldBack { until } => Some(Bar::HeldBack(until)),
            State::Quarantined { .. } => Some(Bar::Quarantined),
            State::Suspected | State::OnProbation => None,
        }
    }

    /// Whether members were lost with a configuration, and no answer has cleared the configuration since. Members are not tested with such
    /// a configuration.
    pub(in crate::engine) fn is_suspected(&self, configuration: ConfigurationDigest) -> bool {
        !self.cases.is_empty() && self.cases.contains_key(&configuration)
    }

    /// The case of the configuration, if it is quarantined.
    pub(in crate::engine) fn quarantine(&self, configuration: ConfigurationDigest) -> Option<Quarantine> {
        self.cases.get(&configuration)?.quarantine()
    }

    /// All configurations that are quarantined.
    pub(in crate::engine) fn quarantined(&self) -> impl Iterator<Item = Quarantine> {
        self.cases.values().filter_map(Case::quarantine)
    }

    // --- what happens ---

    /// A process of a member was lost while these configurations were under way there. Returns the configurations that are to blame and
    /// that no member has ever answered: then all others there are innocent. Returns nothing if it is not known yet who is to blame. A
    /// configuration that works elsewhere may have been there by chance, so the others are not innocent because of it.
    pub(in crate::engine) fn member_lost(
        &mut self,
        member: MemberId,
        remote: &str,
        there: Vec<Suspect>,
        now: Moment,
        turned: &mut Vec<Turned>,
    ) -> Vec<ConfigurationDigest> {
        let came_after = |suspect: &&Suspect| {
            let case = self.cases.get(&suspect.configuration);
            case.is_some_and(|case| suspect.has_moved || suspect.sent > case.lost_at)
        };
        let mut blamed: Vec<ConfigurationDigest> =
            there.iter().filter(came_after).map(|suspect| suspect.configuration).collect();
        // A configuration that works elsewhere is less suspicious than one that never worked.
        let known = there.iter().filter(|suspect| suspect.is_known);
        let known: Vec<ConfigurationDigest> = known.map(|suspect| suspect.configuration).collect();
        if blamed.iter().any(|configuration| !known.contains(configuration)) {
            blamed.retain(|configuration| !known.contains(configuration));
        }
        blamed.sort_unstable();
        blamed.dedup();
        for suspect in there {
            let is_blamed = blamed.contains(&suspect.configuration);
            if is_blamed || blamed.is_empty() {
                self.book(member, remote, suspect, is_blamed, now, turned);
            }
        }
        for configuration in &blamed {
            let case = self.cases.get_mut(configuration);
            if let Some(case) = case.filter(|case| case.has_lost_enough() && !case.is_quarantined()) {
                case.state = State::HeldBack { until: now + limits::POISON_PROOF_WAIT };
            }
        }
        blamed.retain(|configuration| !known.contains(configuration));
        blamed
    }

    fn book(
        &mut self,
        member: MemberId,
        remote: &str,
        suspect: Suspect,
        is_blamed: bool,
        now: Moment,
        turned: &mut Vec<Turned>,
    ) {
        if !self.cases.contains_key(&suspect.configuration) && !self.make_room(turned) {
            return;
        }
        let case = self.cases.entry(suspect.configuration).or_insert_with(|| Case {
            id: suspect.id,
            connector: suspect.connector,
            losses: Vec::new(),
            lost_at: now,
            state: State::Suspected,
            enough: match suspect.is_known {
                true => limits::LOSSES_OF_KNOWN_CONFIGURATION_MAX,
                false => limits::POISON_LOSSES_MAX,
            },
            times: 0,
        });
        case.lost_at = now;
        let is_booked = case.losses.iter().any(|loss| loss.member == member && loss.remote == remote);
        if !is_booked && case.losses.len() < limits::LOSSES_PER_CONFIGURATION_MAX {
            let last = case.losses.iter().map(|loss| loss.round).max();
            let round = last.map_or(0, |last| last.saturating_add(u8::from(is_blamed)));
            case.losses.push(Loss { member, remote: remote.to_owned(), round });
        }
    }

    /// Makes room for one more case. The suspect with the oldest loss is dropped, or else the quarantine that ends first. Returns whether
    /// there is room.
    fn make_room(&mut self, turned: &mut Vec<Turned>) -> bool {
        if self.cases.len() < limits::SUSPECTED_CONFIGURATIONS_MAX {
            return true;
        }
        let order = |case: &Case| match case.state {
            State::Suspected | State::OnProbation => (0, case.lost_at),
            State::Quarantined { until, .. } => (1, until),
            State::HeldBack { until } => (2, until),
        };
        let first = self.cases.iter().min_by_key(|(_, case)| order(case)).map(|(key, _)| *key);
        let Some(case) = first.and_then(|key| self.cases.remove(&key)) else { return false };
        if case.is_quarantined() {
            turned.push(case.released(ReleasedBy::Room));
        }
        true
    }

    /// A member answered a call with this configuration, which clears the configuration. Returns whether its calls were held back.
    pub(in crate::engine) fn was_answered(
        &mut self,
        configuration: ConfigurationDigest,
        turned: &mut Vec<Turned>,
    ) -> bool {
        if self.cases.is_empty() {
            return false;
        }
        let Some(case) = self.cases.remove(&configuration) else { return false };
        if case.is_quarantined() {
            turned.push(case.released(ReleasedBy::Answer));
        }
        matches!(case.state, State::HeldBack { .. })
    }

    /// A call with this configuration was refused.
    pub(in crate::engine) fn was_refused(&mut self, configuration: ConfigurationDigest) {
        if let Some(Case { state: State::Quarantined { refused, .. }, .. }) =
            self.cases.get_mut(&configuration)
        {
            *refused = refused.saturating_add(1);
        }
    }

    /// Whether there is no case, and so nothing to do with time.
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Removes the losses of processes that live after all, and does what is due by now.
    pub(in crate::engine) fn review(
        &mut self,
        lives: impl Fn(MemberId, &str) -> bool,
        now: Moment,
        turned: &mut Vec<Turned>,
    ) {
        self.cases.retain(|_, case| {
            case.losses.retain(|loss| !lives(loss.member, &loss.remote));
            match case.state {
                State::HeldBack { .. } if !case.has_lost_enough() => case.state = State::Suspected,
                State::Quarantined { .. } if !case.has_lost_enough() => {
                    turned.push(case.released(ReleasedBy::Life));
                    case.state = State::Suspected;
                }
                State::HeldBack { until } if until <= now => {
                    case.times = case.times.saturating_add(1);
                    let until = now + quarantine_time(case.times);
                    case.state = State::Quarantined { since: now, until, refused: 0 };
                    turned.extend(case.quarantine().map(Turned::Quarantined));
                }
                State::Quarantined { until, .. } if until <= now => {
                    turned.push(case.released(ReleasedBy::Time));
                    case.put_on_probation(now);
                }
                _ => {}
            }
            let is_cleared = case.losses.is_empty() && case.state == State::Suspected;
            !is_cleared && !case.is_over(now)
        });
    }

    /// An operator releases a configuration. Returns whether the configuration was quarantined.
    pub(in crate::engine) fn release(
        &mut self,
        id: ConfigurationId,
        now: Moment,
        turned: &mut Vec<Turned>,
    ) -> bool {
        let case = self.cases.values_mut().find(|case| case.id == id && case.is_quarantined());
        let Some(case) = case else { return false };
        turned.push(case.released(ReleasedBy::Operator));
        case.put_on_probation(now);
        true
    }
}

#[cfg(test)]
mod tests;
