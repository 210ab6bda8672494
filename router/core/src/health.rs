//! Whether a member is fit for calls, as far as can be observed: hysteresis over probe results, hold-down after flapping, and
//! ejection for what its calls report. What the operator wants is another fact and not in here.

use std::time::Duration;

use rcs_proto::time::Moment;

use crate::limits::{HOLD_DOWN_BASE, HOLD_DOWN_CAP, PROBE_FALL, PROBE_RISE, STABLE_AFTER};
use crate::settings::Ejection;

/// Why a member with a link is out of rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unfit {
    /// It came back a moment ago after it had come and gone in a row.
    HeldDown,
    /// It is warmed up: its connectors are tested once before they get traffic (X02).
    WarmingUp,
    /// Its framework does not answer session checks, though its sockets live.
    ChecksUnanswered,
    /// A connector's own `test` fails: the resource behind it is down (G17).
    TestFailing,
    /// Its calls failed in a row with errors of the resource or the connection.
    Ejected,
    /// Its calls take many times as long as those of the other members of a group.
    Slow,
    /// It said that it shuts down.
    ShuttingDown,
}

impl Unfit {
    /// The word for logs and the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::HeldDown => "held_down",
            Self::WarmingUp => "warming_up",
            Self::ChecksUnanswered => "checks_unanswered",
            Self::TestFailing => "test_failing",
            Self::Ejected => "ejected",
            Self::Slow => "slow",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

/// A probe's kind; each has a standing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A session check: does the framework live?
    Check,
    /// A connector's `test`: does its resource live?
    Test,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Answered, and well.
    Good,
    /// Answered with an error, or not in time.
    Bad,
}

/// Results in a row, and what they amount to: only so many equal ones in a row change it.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    failing: bool,
    /// Results in a row that contradict `failing`.
    against: u32,
}

impl Streak {
    fn note(&mut self, finding: Finding) {
        if (finding == Finding::Bad) == self.failing {
            self.against = 0;
            return;
        }
        self.against += 1;
        let enough = if self.failing { PROBE_RISE } else { PROBE_FALL };
        if self.against >= enough {
            *self = Self { failing: !self.failing, against: 0 };
        }
    }
}

/// The health of one member over its links.
#[derive(Clone, Debug)]
pub struct Health {
    /// When the link came up; none while there is none.
    linked_at: Option<Moment>,
    held_until: Moment,
    /// Losses in a row without a stable time between them.
    flaps: u32,
    warming: bool,
    shutting_down: bool,
    check: Streak,
    test: Streak,
    /// Failed calls in a row.
    failures: u32,
    ejected_until: Moment,
    ejected_for: Unfit,
    ejection: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            linked_at: None,
            held_until: Moment::START,
            flaps: 0,
            warming: false,
            shutting_down: false,
            check: Streak::default(),
            test: Streak::default(),
            failures: 0,
            ejected_until: Moment::START,
            ejected_for: Unfit::Ejected,
            ejection: Duration::ZERO,
        }
    }
}

impl Health {
    /// The member can be reached. A member that was stable, or was lost once, serves at once; one that comes and goes waits
    /// longer each time.
    pub fn linked(&mut self, now: Moment) {
        self.linked_at = Some(now);
        self.shutting_down = false;
        self.held_until = now + hold_down(self.flaps);
        self.check = Streak::default();
        self.test = Streak::default();
        self.failures = 0;
    }

    /// The member can no longer be reached.
    pub fn lost(&mut self, now: Moment) {
        let Some(linked_at) = self.linked_at.take() else { return };
        let stable = now.since(linked_at.max(self.held_until)) >= STABLE_AFTER && now > self.held_until;
        self.flaps = if stable { 0 } else { self.flaps.saturating_add(1) };
        self.warming = false;
    }

    /// It said that it shuts down.
    pub fn shuts_down(&mut self) {
        self.shutting_down = true;
    }

    /// Its connectors are being tested before it gets traffic.
    pub fn warm_up(&mut self) {
        self.warming = true;
    }

    /// One of them was tested: nothing is known of a fresh member but this, so one result counts.
    pub fn warm_up_probed(&mut self, finding: Finding) {
        self.test = Streak { failing: self.test.failing || finding == Finding::Bad, against: 0 };
    }

    /// They were tested, or took too long.
    pub fn warmed_up(&mut self) {
        self.warming = false;
    }

    /// Notes a probe's result.
    pub fn probed(&mut self, probe: Probe, finding: Finding) {
        match probe {
            Probe::Check => self.check.note(finding),
            Probe::Test => self.test.note(finding),
        }
    }

    /// Nothing is known of its resource any more: nobody uses a connector that could be tested.
    pub fn test_unknown(&mut self) {
        self.test = Streak::default();
    }

    /// Notes how a call went. A connector's own business error is a good call: the member has done its work. `bounds` are those of the
    /// call's group.
    pub fn called(&mut self, finding: Finding, bounds: &Ejection, now: Moment) {
        if finding == Finding::Good {
            self.failures = 0;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if bounds.failures > 0 && self.failures >= bounds.failures {
            self.eject(Unfit::Ejected, bounds, now);
        }
    }

    /// Its calls are far slower than those of others, by [`crate::outlier`].
    pub fn too_slow(&mut self, bounds: &Ejection, now: Moment) {
        self.eject(Unfit::Slow, bounds, now);
    }

    /// Puts the member out for a while, and for longer if it has just come back from that. One that is out already, and gets
    /// calls all the same (panic threshold), is not put out for longer by them.
    fn eject(&mut self, reason: Unfit, bounds: &Ejection, now: Moment) {
        if self.ejected_until > now {
            return;
        }
        let again = now.since(self.ejected_until) < STABLE_AFTER && self.ejected_until > Moment::START;
        self.ejection = if again { (self.ejection * 2).min(bounds.cap) } else { bounds.base };
        self.ejected_until = now + self.ejection;
        self.ejected_for = reason;
        self.failures = 0;
    }

    /// Why the member should get no calls, if there is a reason. Whether it has a link is not asked here.
    pub fn unfit(&self, now: Moment) -> Option<Unfit> {
        if self.shutting_down {
            Some(Unfit::ShuttingDown)
        } else if self.check.failing {
            Some(Unfit::ChecksUnanswered)
        } else if self.warming {
            Some(Unfit::WarmingUp)
        } else if self.held_until > now {
            Some(Unfit::HeldDown)
        } else if self.test.failing {
            Some(Unfit::TestFailing)
        } else {
            (self.ejected_until > now).then_some(self.ejected_for)
        }
    }

    /// When this reason ends by itself; none if only an observation ends it.
    pub fn ends_at(&self, reason: Unfit) -> Option<Moment> {
        match reason {
            Unfit::HeldDown => Some(self.held_until),
            Unfit::Ejected | Unfit::Slow => Some(self.ejected_until),
            Unfit::WarmingUp | Unfit::ChecksUnanswered | Unfit::TestFailing | Unfit::ShuttingDown => None,
        }
    }
}

fn hold_down(flaps: u32) -> Duration {
    match flaps {
        0 | 1 => Duration::ZERO,
        more => {
            HOLD_DOWN_BASE.saturating_mul(1u32.checked_shl(more - 2).unwrap_or(u32::MAX)).min(HOLD_DOWN_CAP)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn probes_change_the_standing_only_in_a_row() {
        let mut health = Health::default();
        health.linked(at(1));
        for (finding, unfit) in [
            (Finding::Bad, None),
            (Finding::Good, None),
            (Finding::Bad, None),
            (Finding::Bad, Some(Unfit::TestFailing)),
            (Finding::Good, Some(Unfit::TestFailing)),
            (Finding::Bad, Some(Unfit::TestFailing)),
            (Finding::Good, Some(Unfit::TestFailing)),
            (Finding::Good, None),
        ] {
            health.probed(Probe::Test, finding);
            assert_eq!(health.unfit(at(2)), unfit, "{finding:?}");
        }
    }

    #[test]
    fn a_first_return_is_served_at_once_and_a_flapping_one_ever_later() {
        let mut health = Health::default();
        health.linked(at(0));
        health.lost(at(100));
        health.linked(at(101));
        assert_eq!(health.unfit(at(101)), None);
        let mut waits = Vec::new();
        for flap in 0..8 {
            let start = 102 + 2 * flap;
            health.lost(at(start));
            health.linked(at(start + 1));
            waits.push(health.held_until.since(at(start + 1)).as_secs());
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
        // It stays for long enough: the next return is at once again.
        health.lost(at(117 + 30 + 30));
        health.linked(at(178));
        assert_eq!(health.unfit(at(178)), None);
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_each_time_and_a_good_call_between_them_forgives() {
        let bounds = Ejection::default();
        let mut health = Health::default();
        health.linked(at(0));
        let fail = |health: &mut Health, times: u32, now| {
            (0..times).for_each(|_| health.called(Finding::Bad, &bounds, now));
        };
        fail(&mut health, bounds.failures - 1, at(1));
        health.called(Finding::Good, &bounds, at(1));
        fail(&mut health, bounds.failures - 1, at(1));
        assert_eq!(health.unfit(at(1)), None);
        fail(&mut health, 1, at(1));
        assert_eq!(health.unfit(at(1)), Some(Unfit::Ejected));
        assert_eq!(health.unfit(at(1) + bounds.base), None);
        fail(&mut health, bounds.failures, at(12));
        assert_eq!(health.unfit(at(12) + bounds.base), Some(Unfit::Ejected));
        assert_eq!(health.unfit(at(12) + bounds.base * 2), None);
    }

    #[test]
    fn a_group_says_how_many_failures_and_for_how_long_and_may_say_never() {
        let (base, cap) = (Duration::from_secs(3), Duration::from_secs(5));
        for (failures, unfit) in [(0, None), (1, Some(Unfit::Ejected)), (1_001, None)] {
            let bounds = Ejection { failures, base, cap, ..Ejection::default() };
            let mut health = Health::default();
            health.linked(at(0));
            (0..1_000).for_each(|_| health.called(Finding::Bad, &bounds, at(1)));
            assert_eq!(health.unfit(at(3)), unfit, "{failures}");
            assert_eq!(health.unfit(at(4)), None);
        }
    }

    #[test]
    fn a_slow_member_is_out_for_a_while_and_for_longer_if_it_stays_slow() {
        let bounds = Ejection::default();
        let mut health = Health::default();
        health.linked(at(0));
        let mut now = at(10);
        for seconds in [10, 20, 40, 60, 60] {
            health.too_slow(&bounds, now);
            let time = Duration::from_secs(seconds);
            assert_eq!(health.unfit(now), Some(Unfit::Slow));
            health.too_slow(&bounds, now + time / 2);
            assert_eq!(health.unfit(now + time), None, "the calls it gets by then do not count");
            now = now + time + Duration::from_secs(10);
        }
        health.too_slow(&bounds, now + Duration::from_secs(100));
        assert_eq!(health.unfit(now + Duration::from_secs(111)), None, "it was well for a long time");
    }
}
