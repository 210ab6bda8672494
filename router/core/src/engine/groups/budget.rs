//! The retry limit of a group: a share of its calls, so that retries do not multiply the load of a group in which everything
//! fails (P10).
//!
//! The limit stops retry storms, but must not stop the burst of retries that follows the loss of one member. So the first retry
//! of a call whose member was lost is not counted, nor is a retry of a call that lost only a socket or was never sent: a member
//! with 2,000 calls in flight may die, and all its reads are answered (P3). Counted are all further moves, and each retry because
//! a member refused the call: refusals come back at once, from members that live, and could go on without end.

use std::time::Duration;

use rcs_proto::time::Moment;

use crate::limits::{RETRY_FLOOR, RETRY_WINDOW_SECONDS};
use crate::verdict::{Attempts, Fault, Stage};

/// Calls and retries of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct RetryBudget {
    seconds: [Second; RETRY_WINDOW_SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Which one since the start; what an older one holds is void.
    number: u64,
    calls: u32,
    retries: u32,
}

impl RetryBudget {
    /// A call arrived.
    pub(in crate::engine) fn called(&mut self, now: Moment) {
        let second = self.second(now);
        second.calls = second.calls.saturating_add(1);
    }

    /// Takes one retry, if retries stay within `percent` of the calls. 0 allows none. To any other share a fixed number of retries is
    /// added, as a share of few calls is nothing.
    pub(in crate::engine) fn take(&mut self, percent: u32, now: Moment) -> bool {
        let current = number(now);
        let is_recent = |second: &&Second| current - second.number.min(current) < RETRY_WINDOW_SECONDS as u64;
        let (mut calls, mut retries) = (0u64, 0u64);
        for second in self.seconds.iter().filter(is_recent) {
            calls += u64::from(second.calls);
            retries += u64::from(second.retries);
        }
        let floor = if percent == 0 { 0 } else { RETRY_FLOOR };
        if retries >= floor + calls * u64::from(percent) / 100 {
            return false;
        }
        self.second(now).retries += 1;
        true
    }

    fn second(&mut self, now: Moment) -> &mut Second {
        let number = number(now);
        let at = usize::try_from(number % RETRY_WINDOW_SECONDS as u64).expect("less than the window");
        let second = &mut self.seconds[at];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }
}

/// Whether a retry is exempt from the budget. Moves caused by one dying member are: its sockets close one by one, and its calls hop
/// from each to the next, so their number is bounded by its sockets.
pub(in crate::engine) fn is_free(fault: Fault, stage: Stage, attempts: Attempts) -> bool {
    match fault {
        Fault::SocketLost | Fault::MemberShutsDown => true,
        Fault::MemberLost => attempts.elsewhere == 0 || stage == Stage::Unsent,
        _ => false,
    }
}

/// Seconds since the start, from 1: no second is equal to that of an empty slot.
fn number(now: Moment) -> u64 {
    now.since(Moment::START).saturating_add(Duration::from_secs(1)).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn takes(budget: &mut RetryBudget, percent: u32, now: Moment) -> u64 {
        (0..100_000).take_while(|_| budget.take(percent, now)).count() as u64
    }

    #[test]
    fn retries_are_a_share_of_the_calls_and_a_floor() {
        for (calls, percent, allowed) in [
            (0, 20, RETRY_FLOOR),
            (1_000, 20, RETRY_FLOOR + 200),
            (1_000, 100, RETRY_FLOOR + 1_000),
            (1_000, 0, 0),
        ] {
            let mut budget = RetryBudget::default();
            (0..calls).for_each(|_| budget.called(at(0)));
            assert_eq!(takes(&mut budget, percent, at(0)), allowed, "{calls} calls, {percent} %");
            assert!(!budget.take(percent, at(0)));
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_second_by_second() {
        let mut budget = RetryBudget::default();
        (0..1_000).for_each(|_| budget.called(at(500)));
        assert_eq!(takes(&mut budget, 20, at(5_000)), RETRY_FLOOR + 200);
        assert_eq!(takes(&mut budget, 20, at(9_999)), 0);
        // The calls are out of the window, the retries are not.
        assert_eq!(takes(&mut budget, 20, at(10_500)), 0);
        assert_eq!(takes(&mut budget, 20, at(15_000)), RETRY_FLOOR);
        // Long after, in slots that were used before.
        assert_eq!(takes(&mut budget, 20, at(1_000_000)), RETRY_FLOOR);
    }

    #[test]
    fn the_first_move_after_a_loss_is_free_and_so_is_what_never_left() {
        let fresh = Attempts::default();
        let again = Attempts { elsewhere: 1, ..fresh };
        let same = Attempts { same: 1, ..fresh };
        for (fault, stage, attempts, free) in [
            (Fault::MemberLost, Stage::MaybeSent, fresh, true),
            (Fault::SocketLost, Stage::MaybeSent, fresh, true),
            (Fault::MemberLost, Stage::MaybeSent, again, false),
            (Fault::MemberLost, Stage::MaybeSent, same, true),
            (Fault::SocketLost, Stage::MaybeSent, same, true),
            (Fault::MemberLost, Stage::Unsent, again, true),
            (Fault::ConnectorNotFound, Stage::MaybeSent, fresh, false),
            (Fault::RefusedBeforeHandshake, Stage::MaybeSent, fresh, false),
            (Fault::IdInUse, Stage::MaybeSent, fresh, false),
        ] {
            assert_eq!(is_free(fault, stage, attempts), free, "{fault:?} {stage:?} {attempts:?}");
        }
    }
}
