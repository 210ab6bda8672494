//! The `test` probes of one member: when the next one is due, which configuration has its turn, and the warm-up of a fresh session.

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::time::Moment;

use crate::engine::facade::Facade;
use crate::engine::keys::MemberSessionKey;
use crate::limits;

/// The `test` that is under way at a member.
#[derive(Debug)]
pub(super) struct TestProbe {
    pub(super) session: MemberSessionKey,
    pub(super) id: i64,
    pub(super) since: Moment,
}

/// What a member's probes have to do.
#[derive(Debug, Default)]
pub(super) struct ProbePlan {
    pub(super) under_way: Option<TestProbe>,
    /// When the next one is due.
    next_at: Moment,
    /// Which of the configurations in use had its turn last.
    turn: usize,
    /// Configurations that are to be tested before the member serves, and the beginning of that warm-up.
    warm_up: Vec<Arc<Facade>>,
    warming_since: Option<Moment>,
}

/// What is probed next.
pub(super) enum Next {
    /// This configuration.
    Facade(Arc<Facade>),
    /// None is in use.
    Nothing,
}

impl ProbePlan {
    /// The plan of a fresh session: these configurations are tested first.
    pub(super) fn of_fresh_session(facades: Vec<Arc<Facade>>, now: Moment) -> Self {
        let warming_since = (!facades.is_empty()).then_some(now);
        Self { next_at: now, warm_up: facades, warming_since, ..Self::default() }
    }

    pub(super) fn is_warming(&self) -> bool {
        self.warming_since.is_some()
    }

    /// Whether the warm-up has nothing left to test.
    pub(super) fn has_tested_all(&self) -> bool {
        self.warm_up.is_empty()
    }

    pub(super) fn end_warm_up(&mut self) {
        self.warming_since = None;
        self.warm_up.clear();
    }

    pub(super) fn is_warm_up_late(&self, now: Moment) -> bool {
        self.warming_since.is_some_and(|since| now.since(since) >= limits::WARM_UP_MAX)
    }

    pub(super) fn is_probe_late(&self, now: Moment) -> bool {
        self.under_way.as_ref().is_some_and(|probe| now.since(probe.since) >= limits::TEST_PROBE_DEADLINE)
    }

    /// Whether the next probe may be sent.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.under_way.is_none() && (self.next_at <= now || self.is_warming())
    }

    /// Probes no later than after this time.
    pub(super) fn no_later_than(&mut self, at: Moment) {
        self.next_at = self.next_at.min(at);
    }

    /// Chooses what is probed now; the next probe comes after `every`.
    pub(super) fn choose(&mut self, in_use: &[Arc<Facade>], every: Duration, now: Moment) -> Next {
        self.next_at = now + every;
        match self.warm_up.pop() {
            Some(facade) => Next::Facade(facade),
            None if in_use.is_empty() => Next::Nothing,
            None => {
                self.turn = (self.turn + 1) % in_use.len();
                Next::Facade(Arc::clone(&in_use[self.turn]))
            }
        }
    }

    /// When something is to be done next; `is_linked`: whether probes can be sent.
    pub(super) fn due_at(&self, is_linked: bool) -> Option<Moment> {
        let late = self.under_way.as_ref().map(|probe| probe.since + limits::TEST_PROBE_DEADLINE);
        let warm = self.warming_since.map(|since| since + limits::WARM_UP_MAX);
        let next = (is_linked && self.under_way.is_none())
            .then(|| if self.is_warming() { Moment::START } else { self.next_at });
        late.into_iter().chain(warm).chain(next).min()
    }
}
