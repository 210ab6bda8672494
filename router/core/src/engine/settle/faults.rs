//! When something on the way of a call breaks, this file asks the verdict and carries it out.

use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::time::Moment;

use crate::engine::calls::{Call, OpenFault};
use crate::engine::clock::Timer;
use crate::engine::groups::is_free;
use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::limits;
use crate::verdict::{
    Attempts, Budget, Circumstances, Cut, ErrorKind, Fault, Outcome, QuarantinedConfiguration, Stage,
    Verdict, decide,
};

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

    fn pass_error_on(&mut self, key: CallKey, fault: Fault, error: &Envelope, now: Moment, io: &mut impl Io) {
        let not_found = match &error.kind {
            Kind::Error(head) if fault == Fault::ConnectorNotFound => Some(head),
            _ => None,
        };
        let not_found = not_found.filter(|_| self.missing_version(key).is_some());
        match (self.calls.get(key).and_then(|call| call.caller), not_found) {
            (None, _) => self.end(key, Outcome::ConnectorError, now, io),
            (Some(caller), Some(head)) => {
                let text = self.with_missing_version(key, &head.message, now);
                let frame = frames::error(caller.id(), &head.class, &text);
                self.finish_with(key, frame, Outcome::Unavailable, now, io);
            }
            (Some(caller), None) => {
                let number = self.calls.get(key).map(|call| call.number);
                if let (Some(number), Kind::Error(head)) = (number, &error.kind) {
                    self.explain_error(number, &head.class, None);
                }
                let frame = error.rewrite_id(caller.id());
                self.finish_with(key, frame, Outcome::ConnectorError, now, io);
            }
        }
    }

    /// Answers a call with an error of ours.
    pub(super) fn answer_error(&mut self, key: CallKey, kind: ErrorKind, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        let (number, caller, of, operation) = (call.number, call.caller, call.group, call.operation);
        // A call may still be open when its group has left the document.
        let has_left = kind == ErrorKind::NoMember && self.view.group(call.group).is_none();
        let kind = if has_left { ErrorKind::GroupLeft } else { kind };
        let group = Some(self.book.group_name(call.group));
        let last = call.member().or(call.losses.last().map(|loss| loss.member));
        let member = last.and_then(|member| self.members.get(member)).map(|member| member.name());
        let configurations = self.groups.configurations();
        let quarantine = configurations.quarantine(call.configuration);
        let quarantine = quarantine.filter(|_| kind == ErrorKind::ConfigurationQuarantined);
        let names: Vec<&str> =
            quarantine.iter().flat_map(|of| &of.members).map(|id| self.book.member_name(*id)).collect();
        let names = names.join(", ");
        let quarantine = quarantine.as_ref().map(|of| QuarantinedConfiguration {
            id: of.id,
            connector: &of.connector,
            members: &names,
            left: of.until.since(now),
        });
        let configuration = call.configuration;
        let is_out_of_order = call.is_out_of_order;
        let error = kind.to_error(&Circumstances { operation, group, member, quarantine });
        if quarantine.is_some() {
            self.groups.configurations_mut().was_refused(configuration);
        }
        self.explain_error(number, error.class, Some(&error.message));
        // What still runs at the member runs for nobody.
        if matches!(kind, ErrorKind::CallerTooSlow | ErrorKind::StreamCut | ErrorKind::AnswerTooLarge) {
            self.cancel_at_member(key, now, io);
        }
        if kind.is_refusal() {
            io.note(Note::CallRefused { call: number, group: Some(of), operation, reason: kind });
        }
        match caller {
            Some(caller) => {
                let text = match kind {
                    ErrorKind::NoMember => self.with_missing_version(key, &error.message, now),
                    ErrorKind::StreamCut if is_out_of_order => {
                        format!("{} {} (call {number})", error.message, out_of_order())
                    }
                    _ => format!("{} (call {number})", error.message),
                };
                let frame = frames::error(caller.id(), error.class, &text);
                self.finish_with(key, frame, error.outcome, now, io);
            }
            None => self.end(key, error.outcome, now, io),
        }
    }

    /// The text of an error. If no member has the version that the call asks for, the text names this version, and the call is counted.
    fn with_missing_version(&mut self, key: CallKey, text: &str, now: Moment) -> String {
        let Some(call) = self.calls.get(key) else { return text.to_owned() };
        let (number, group, caller) = (call.number, call.group, call.caller);
        let Some((asked, sentence)) = self.missing_version(key) else {
            return format!("{text} (call {number})");
        };
        if let Some(caller) = caller {
            self.count_unserved(Some(group), &asked, caller.session(), now);
        }
        format!("{}. {sentence} (call {number})", text.trim_end_matches('.'))
    }
}

/// The sentence that the error of a cut answer gets if too much of the answer came out of order.
fn out_of_order() -> String {
    format!(
        "One of the member's connections brought nothing for too long, while others brought the rest: up to {} MiB of one \
         answer, and {} MiB of all answers, may come out of order. Look for a network device that stalls connections.",
        limits::OUT_OF_ORDER_CALL_BYTES_MAX >> 20,
        limits::OUT_OF_ORDER_BYTES_MAX >> 20
    )
}
