//! When something on the way of a call breaks, this file asks the verdict and carries it out.

use rcs_proto::time::Moment;

use crate::engine::calls::{Call, OpenFault};
use crate::engine::clock::Timer;
use crate::engine::groups::is_free;
use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::limits;
use crate::verdict::{Attempts, Budget, Cut, ErrorKind, Fault, Stage, Verdict, decide};

impl Tables {
    /// The answers of orphans did not come. If the member's session still holds the call, and the call may be sent there once more,
    /// the fault is a lost socket. For any other orphan the fault is a lost member.
    pub(super) fn judge_orphans(&mut self, now: Moment, io: &mut impl Io) {
        while let Some(key) = self.calls.next_orphan() {
            let session = self.calls.get(key).and_then(|call| call.route).map(|route| route.session());
            if session.is_some_and(|session| self.goes_on_at_other(key, session, Fault::SocketLost, now, io))
            {
                continue;
            }
            let Some(call) = self.calls.get(key) else { continue };
            let lives = call.route.is_some_and(|route| self.members.lives(&route));
            let verdict = decide(call.class(), call.stage(), Fault::SocketLost, call.attempts);
            let is_repeated = lives && call.caller.is_some() && verdict == Verdict::RetrySame;
            self.calls.fault(key, if is_repeated { Fault::SocketLost } else { Fault::MemberLost });
        }
    }

    /// Judges the fault that waits longest: the call is retried, held back, left alone or answered. Returns whether there was a fault.
    pub(super) fn judge_next_fault(&mut self, now: Moment, io: &mut impl Io) -> bool {
        let Some(open) = self.calls.next_fault() else { return false };
        if self.calls.get(open.call).is_some_and(|call| call.forwarded_to.is_some()) {
            self.end_forwarded(open, now, io);
            return true;
        }
        let OpenFault { call: key, fault, error } = open;
        let verdict = self.judge(key, fault, error.is_some(), now);
        if verdict != Verdict::Nothing {
            self.explain(key, fault, verdict, now);
        }
        // If the call ends with one of these faults, it may still run at the member, for nobody.
        let runs_on = matches!(fault, Fault::DeadlinePassed | Fault::Draining | Fault::MemberLost);
        match (verdict, error) {
            (Verdict::RetryElsewhere, _) => self.retry_elsewhere(key, fault, now, io),
            (Verdict::RetrySame, _) => self.retry_same(key, fault, now, io),
            (Verdict::Hedge, _) => self.hedge(key, now, io),
            // The member's own error says more than any error of ours.
            (_, Some(error)) => self.pass_error_on(key, fault, &error, now, io),
            (Verdict::Answer(kind), None) => {
                if runs_on {
                    self.cancel_at_member(key, now, io);
                }
                if (kind, fault) == (ErrorKind::StreamCut, Fault::MemberLost) {
                    let has_end = self.calls.get(key).is_some_and(Call::has_end);
                    self.note_cut(key, if has_end { Cut::MissingItems } else { Cut::MemberLost }, io);
                }
                self.answer_error(key, kind, now, io);
            }
            // Without a frame of the member's there is nothing to pass on.
            (Verdict::PassOn, None) => self.answer_error(key, ErrorKind::NoMember, now, io),
            (Verdict::Wait, None) => self.watch(key, now),
            (Verdict::HoldBack, None) => {
                self.cancel_at_member(key, now, io);
                self.take_off(key);
                self.calls.hold_back(key, now + limits::POISON_PROOF_WAIT);
            }
            (Verdict::Nothing, None) => {}
        }
        true
    }

    /// The verdict on a fault; `has_error`: whether the fault came as a member's own error.
    fn judge(&mut self, key: CallKey, fault: Fault, has_error: bool, now: Moment) -> Verdict {
        let Some(call) = self.calls.get(key) else { return Verdict::Nothing };
        let stage = call.stage_at(fault);
        if fault == Fault::MemberLost && stage != Stage::Unsent {
            let route = self.calls.get(key).and_then(|call| call.route);
            self.note_loss(key, route, now);
        }
        let Some(call) = self.calls.get(key) else { return Verdict::Nothing };
        if call.caller.is_none() {
            // Nobody waits for the answer, so the call is not retried.
            return Verdict::Answer(ErrorKind::AnswerLost);
        }
        let (class, attempts, group) = (call.class(), call.attempts, call.group);
        let verdict = decide(class, stage, fault, attempts);
        if (verdict, fault) == (Verdict::RetryElsewhere, Fault::ConnectorNotFound)
            && self.missing_version(key).is_some()
        {
            // The other members' lists lack the connector as well, so they would give the same answer.
            return Verdict::PassOn;
        }
        let says_something = has_error || fault == Fault::EndLooksCut;
        if verdict == Verdict::RetryElsewhere && says_something && !self.has_untried_member(key) {
            // The last member's own error says more than "no member is available".
            return if has_error { Verdict::PassOn } else { Verdict::Answer(ErrorKind::StreamCut) };
        }
        // A verdict to retry the call needs the group to have retries left.
        let repeats = matches!(verdict, Verdict::RetryElsewhere | Verdict::RetrySame | Verdict::Hedge);
        if !repeats || is_free(fault, stage, attempts) || self.groups.affords_retry(group, now) {
            return verdict;
        }
        decide(class, stage, fault, Attempts { budget: Budget::Spent, ..attempts })
    }

    /// Sends a call to another member.
    pub(super) fn retry_elsewhere(&mut self, key: CallKey, fault: Fault, now: Moment, io: &mut impl Io) {
        // A member that answered has nothing left to stop.
        if matches!(fault, Fault::MemberLost | Fault::SocketLost) {
            self.cancel_at_member(key, now, io);
        }
        let route = self.take_off(key);
        self.calls.goes_elsewhere(key);
        if let (Some(route), Some(call)) = (route, self.calls.get(key)) {
            let (call, operation, from) = (call.number, call.operation, route.member());
            io.note(Note::CallRetried { call, operation, from, fault });
        }
        self.dispatch(key, now, io);
    }

    fn retry_same(&mut self, key: CallKey, fault: Fault, now: Moment, io: &mut impl Io) {
        let lost_socket = fault == Fault::SocketLost;
        if lost_socket {
            self.cancel_at_member(key, now, io);
        }
        let route = self.take_off(key);
        self.calls.goes_again(key, route.filter(|_| lost_socket).map(|route| route.member()));
        let Some(route) = route else { return self.dispatch(key, now, io) };
        let Some(call) = self.calls.get(key) else { return };
        let (call, operation, from) = (call.number, call.operation, route.member());
        io.note(Note::CallRetried { call, operation, from, fault });
        if lost_socket {
            self.dispatch_at(key, Some(from), now, io);
        } else {
            // The member refused the call because it was not ready: it needs a moment (WIRE 7.1).
            self.clock.set(now + limits::RETRY_SAME_WAIT, Timer::Repeat(key, from));
        }
    }
}
