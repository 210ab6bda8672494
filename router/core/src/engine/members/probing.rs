//! The `test` probes of one member: when the next one is due, which configuration has its turn, and the warm-up of a fresh session.
//!
//! A `test` that is not answered in time counts as failed, and is still remembered: it hangs at the member, and occupies a thread there.
//! Until the `test` is answered, or its session ends, its configuration is not tested there again (G17).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::time::Moment;

use crate::engine::facade::Facade;
use crate::engine::keys::MemberSessionKey;
use crate::limits;

/// A `test` that was sent to a member and has no answer yet.
#[derive(Clone, Debug)]
pub(super) struct TestProbe {
    pub(super) session: MemberSessionKey,
    pub(super) id: i64,
    /// The number of the `test` at its member.
    pub(super) number: u32,
    pub(super) since: Moment,
    pub(super) facade: Arc<Facade>,
}

impl TestProbe {
    fn is(&self, session: MemberSessionKey, id: i64) -> bool {
        (self.session, self.id) == (session, id)
    }
}

/// What a member's probes have to do.
#[derive(Debug, Default)]
pub(super) struct ProbePlan {
    under_way: Option<TestProbe>,
    /// `test`s that were given up and may still run at the member, the oldest first.
    hanging: VecDeque<TestProbe>,
    /// The number of the last `test`.
    last_number: u32,
    /// Whether the warm-up left out a group's configurations, because the member may not serve in that group (P5).
    pub(super) is_withheld: bool,
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
    /// The last `test` of the configuration whose turn it is hangs at the member, so no other one is sent.
    Hangs,
    /// None is in use.
    Nothing,
}

impl ProbePlan {
    /// Begins a new plan: these configurations are tested first. Unanswered `test`s are still remembered.
    pub(super) fn begin_warm_up(&mut self, facades: Vec<Arc<Facade>>, now: Moment) {
        let warming_since = (!facades.is_empty()).then_some(now);
        let before = std::mem::take(self);
        let (hanging, last_number) = (before.hanging, before.last_number);
        *self =
            Self { next_at: now, warm_up: facades, warming_since, hanging, last_number, ..Self::default() };
        before.under_way.into_iter().for_each(|probe| drop(self.hangs_on(probe)));
    }

    /// Begins a `test`. `open` makes an id from its number.
    pub(super) fn begin(
        &mut self,
        session: MemberSessionKey,
        facade: &Arc<Facade>,
        now: Moment,
        open: impl FnOnce(u32) -> i64,
    ) -> i64 {
        self.last_number = self.last_number.wrapping_add(1);
        let (id, number) = (open(self.last_number), self.last_number);
        self.under_way = Some(TestProbe { session, id, number, since: now, facade: Arc::clone(facade) });
        id
    }

    /// Ends the `test` under way if it has this id. Returns whether it has.
    pub(super) fn end(&mut self, session: MemberSessionKey, id: i64) -> bool {
        self.under_way.take_if(|probe| probe.is(session, id)).is_some()
    }

    /// Gives up the `test` under way if it is late: from now on it hangs. Returns the `test`, and an older one that is dropped to make
    /// room.
    pub(super) fn give_up(&mut self, now: Moment) -> Option<(TestProbe, Option<TestProbe>)> {
        let late = self.under_way.take_if(|probe| now.since(probe.since) >= limits::TEST_PROBE_DEADLINE)?;
        Some((late.clone(), self.hangs_on(late)))
    }

    /// This much time does not count for what is under way. Returns whether anything is.
    pub(super) fn stood_still(&mut self, time: Duration) -> bool {
        let test = self.under_way.iter_mut().map(|probe| &mut probe.since);
        test.chain(&mut self.warming_since).map(|since| *since = *since + time).count() > 0
    }

    fn hangs_on(&mut self, probe: TestProbe) -> Option<TestProbe> {
        let is_full = self.hanging.len() >= limits::HANGING_TESTS_MAX;
        let oldest = if is_full { self.hanging.pop_front() } else { None };
        self.hanging.push_back(probe);
        oldest
    }

    /// A `test` that hung was answered.
    pub(super) fn hangs_no_longer(&mut self, session: MemberSessionKey, id: i64) {
        self.hanging.retain(|probe| !probe.is(session, id));
    }

    /// The unanswered `test`s of a session.
    pub(super) fn unanswered_in(&self, session: MemberSessionKey) -> impl Iterator<Item = &TestProbe> {
        self.under_way.iter().chain(&self.hanging).filter(move |probe| probe.session == session)
    }

    /// Whether a `test` is under way in a session and is not given up yet.
    pub(super) fn is_under_way_in(&self, session: MemberSessionKey) -> bool {
        self.under_way.as_ref().is_some_and(|probe| probe.session == session)
    }

    /// A session has ended, and its `test`s with it.
    pub(super) fn forget_session(&mut self, session: MemberSessionKey) {
        self.hanging.retain(|probe| probe.session != session);
        self.under_way.take_if(|probe| probe.session == session);
    }

    fn hangs(&self, facade: &Facade) -> bool {
        self.hanging.iter().any(|probe| probe.facade.configuration == facade.configuration)
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
        let facade = match self.warm_up.pop() {
            Some(facade) => facade,
            None if in_use.is_empty() => return Next::Nothing,
            None => {
                self.turn = (self.turn + 1) % in_use.len();
                Arc::clone(&in_use[self.turn])
            }
        };
        if self.hangs(&facade) { Next::Hangs } else { Next::Facade(facade) }
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
