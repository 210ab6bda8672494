//! Suspects: calls that lost two members. Either the call ended the members' processes (poison), or a network took both members.
//! Whether the processes live shows which (P3).
//!
//! A process has one session id for as long as it lives (WIRE 4.1). So if a member comes back under the session id that it had, no
//! call ended the member. For a moment the suspect is held back, without a member. All suspects are looked at together, on each
//! tick: the loss of a busy member may make thousands of suspects at once.

use rcs_proto::time::Moment;

use crate::engine::calls::Held;
use crate::engine::groups::Bar;
use crate::engine::io::Io;
use crate::engine::tables::Tables;
use crate::limits;
use crate::verdict::{ErrorKind, Fault, Verdict};

impl Tables {
    /// Lets the suspects go on whose members live, and fails the suspects whose members showed no sign of life in time. Returns
    /// whether any call went on or ended.
    pub(super) fn ask_about_held(&mut self, now: Moment, io: &mut impl Io) -> bool {
        let held = self.calls.held_to_ask_about();
        if held.is_empty() {
            return false;
        }
        let living = self.members.living();
        for Held { call, .. } in &held {
            self.calls
                .strike_off(*call, |loss| living.contains(&(loss.member, loss.remote.as_str(), loss.way)));
        }
        let mut has_moved = false;
        for Held { call: key, until } in held {
            // The caller or the deadline may have ended the call.
            let Some(call) = self.calls.get(key) else { continue };
            let (is_new, losses) = (call.sends == 0, call.attempts.losses);
            let bar = self.groups.configurations().bar(call.configuration);
            match bar {
                // A moment later it is known whether the configuration is to blame.
                Some(Bar::HeldBack(until)) => {
                    self.calls.hold_back(key, until);
                    continue;
                }
                // The call was held back for its configuration alone. A call that itself lost enough members is judged by its own losses.
                Some(Bar::Quarantined) if losses < limits::POISON_LOSSES_MAX => {
                    self.stop_at(key, Bar::Quarantined);
                    has_moved = true;
                    continue;
                }
                None if is_new => {
                    self.dispatch(key, now, io);
                    has_moved = true;
                    continue;
                }
                Some(Bar::Quarantined) | None => {}
            }
            let is_cleared = bar.is_none() && losses < limits::POISON_LOSSES_MAX;
            let is_over = now >= until;
            if is_cleared && (is_over || self.has_untried_member(key)) {
                self.explain(key, Fault::MemberLost, Verdict::RetryElsewhere, now);
                self.retry_elsewhere(key, Fault::MemberLost, now, io);
                has_moved = true;
            } else if is_over {
                self.explain(key, Fault::MemberLost, Verdict::Answer(ErrorKind::Poison), now);
                self.answer_error(key, ErrorKind::Poison, now, io);
                has_moved = true;
            } else {
                self.calls.hold_back(key, until);
            }
        }
        has_moved
    }
}
