//! When something on the way of a call breaks: the verdict is asked, and carried out here.

use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::budget::is_free;
use super::timers::Timer;
use super::{CallKey, Engine, Io, Note};
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::{
    Attempts, Budget, Circumstances, Cut, ErrorKind, Fault, Outcome, Stage, Verdict, decide,
};

impl Engine {
    /// A call met a fault: repeats it, leaves it, or answers it.
    pub(super) fn fail(&mut self, key: CallKey, fault: Fault, now: Moment, io: &mut impl Io) {
        let verdict = match self.judge(key, fault) {
            // What its last member said is told, and not that there is no other.
            Some(Verdict::RetryElsewhere) if fault == Fault::EndLooksCut && !self.has_untried_member(key) => {
                Some(Verdict::Answer(ErrorKind::StreamCut))
            }
            verdict => verdict,
        };
        let verdict = verdict.map(|verdict| self.afford(key, fault, verdict, now));
        if let Some(verdict) = verdict {
            self.explain(key, fault, verdict, now);
        }
        match verdict {
            Some(Verdict::Answer(ErrorKind::StreamCut)) if fault == Fault::MemberLost => {
                let has_end = self.calls.get(key).is_some_and(super::Call::has_end);
                self.note_cut(key, if has_end { Cut::MissingItems } else { Cut::MemberLost }, io);
                self.answer_error(key, ErrorKind::StreamCut, now, io);
            }
            Some(Verdict::Answer(kind)) => self.answer_error(key, kind, now, io),
            // Without a frame of the member's there is nothing to pass on.
            Some(Verdict::PassOn) => self.answer_error(key, ErrorKind::NoMember, now, io),
            Some(Verdict::RetryElsewhere) => self.retry_elsewhere(key, fault, now, io),
            Some(Verdict::RetrySame) => self.retry_same(key, fault, now, io),
            Some(Verdict::Wait) => self.await_orphan(key, now),
            Some(Verdict::HoldBack) => self.suspect(key, now),
            Some(Verdict::Nothing) | None => {}
        }
    }

    /// The same, where the fault came as a member's own error.
    pub(super) fn fail_or_pass(
        &mut self,
        key: CallKey,
        fault: Fault,
        envelope: &Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let verdict = match self.judge(key, fault) {
            Some(Verdict::RetryElsewhere) if !self.has_untried_member(key) => Some(Verdict::PassOn),
            verdict => verdict.map(|verdict| self.afford(key, fault, verdict, now)),
        };
        if let Some(verdict) = verdict {
            self.explain(key, fault, verdict, now);
        }
        match verdict {
            Some(Verdict::RetryElsewhere) => self.retry_elsewhere(key, fault, now, io),
            Some(Verdict::RetrySame) => self.retry_same(key, fault, now, io),
            // The member's error says more than any of ours.
            Some(_) => {
                let Some(caller) = self.calls.get(key).and_then(|call| call.caller) else {
                    return self.end(key, Outcome::ConnectorError, now, io);
                };
                self.finish_with(key, envelope.rewrite_id(caller.id), Outcome::ConnectorError, now, io);
            }
            None => {}
        }
    }

    fn judge(&mut self, key: CallKey, fault: Fault) -> Option<Verdict> {
        let stage = self.calls.get(key)?.stage_at(fault);
        if fault == Fault::MemberLost && stage != Stage::Unsent {
            self.note_loss(key);
        }
        let call = self.calls.get(key)?;
        if call.caller.is_none() {
            // Nobody waits: nothing is repeated.
            return Some(Verdict::Answer(ErrorKind::AnswerLost));
        }
        Some(decide(call.class(), stage, fault, call.attempts))
    }

    /// The verdict, or another where it is to repeat the call and the group has no retries left.
    fn afford(&mut self, key: CallKey, fault: Fault, verdict: Verdict, now: Moment) -> Verdict {
        let Some(call) = self.calls.get(key) else { return verdict };
        let stage = call.stage_at(fault);
        let repeats = matches!(verdict, Verdict::RetryElsewhere | Verdict::RetrySame);
        if !repeats || is_free(fault, stage, call.attempts) {
            return verdict;
        }
        let Some(group) = self.groups.get_mut(&call.group) else { return verdict };
        if group.budget.take(group.places.bounds.retry_percent, now) {
            return verdict;
        }
        let attempts = Attempts { budget: Budget::Spent, ..call.attempts };
        decide(call.class(), stage, fault, attempts)
    }

    pub(super) fn has_untried_member(&self, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let group = self.groups.get(&call.group);
        group
            .is_some_and(|group| group.picker.candidates().iter().any(|member| !call.tried.contains(*member)))
    }

    pub(super) fn retry_elsewhere(&mut self, key: CallKey, fault: Fault, now: Moment, io: &mut impl Io) {
        // A member that answered has nothing left to stop.
        if matches!(fault, Fault::MemberLost | Fault::SocketLost) {
            self.cancel_at_member(key, now, io);
        }
        self.close_route(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.attempts.elsewhere = call.attempts.elsewhere.saturating_add(1);
        if let Some(route) = call.take_back() {
            io.note(Note::CallRetried {
                call: call.number,
                operation: call.operation,
                from: route.member,
                fault,
            });
        }
        self.dispatch(key, now, io);
    }

    fn retry_same(&mut self, key: CallKey, fault: Fault, now: Moment, io: &mut impl Io) {
        if fault == Fault::SocketLost {
            self.cancel_at_member(key, now, io);
        }
        self.close_route(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.attempts.same = call.attempts.same.saturating_add(1);
        if let Some(route) = call.route.filter(|_| fault == Fault::SocketLost) {
            call.touched = Some(route.member);
        }
        let Some(route) = call.take_back() else { return self.dispatch(key, now, io) };
        io.note(Note::CallRetried {
            call: call.number,
            operation: call.operation,
            from: route.member,
            fault,
        });
        if fault == Fault::SocketLost {
            self.repeat(key, route.member, now, io);
        } else {
            // It refused the call because it was not ready: it needs a moment (WIRE 7.1).
            self.timers.set(now + limits::RETRY_SAME_WAIT, Timer::Repeat(key, route.member));
        }
    }

    /// Sends a call again to the member that it was at.
    pub(super) fn repeat(&mut self, key: CallKey, member: MemberId, now: Moment, io: &mut impl Io) {
        // It may have ended while it waited for this.
        if self.calls.get(key).is_none_or(|call| call.route.is_some() || call.waiting.is_some()) {
            return;
        }
        self.dispatch_at(key, Some(member), now, io);
    }

    /// A socket of a member is gone while others of its session live: calls that it carried may be lost, and so may answers to
    /// others, which take any socket (WIRE 4.2).
    pub(super) fn on_member_socket_lost(
        &mut self,
        key: CallKey,
        socket: SocketId,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(route) = call.route else { return };
        if route.socket == socket {
            return self.fail(key, Fault::SocketLost, now, io);
        }
        // Changes and logins are left to their deadlines: that an answer is lost looks like that it takes long, and "outcome
        // unknown" is the worst of answers.
        if call.class().is_read() {
            self.await_orphan(key, now);
        }
    }

    pub(super) fn await_orphan(&mut self, key: CallKey, now: Moment) {
        // One look-out is enough, however many sockets are lost meanwhile.
        if let Some(route) = self.calls.get_mut(key).and_then(|call| call.route.as_mut())
            && !std::mem::replace(&mut route.is_watched, true)
        {
            self.timers.set(now + limits::ORPHAN_WAIT, Timer::Orphan { call: key, id: route.id });
        }
    }

    /// The answer of a call did not come in time, or no more of it, after a socket died that had the request, or may have had the
    /// answer while the request's own socket lives.
    pub(super) fn on_orphan_overdue(&mut self, key: CallKey, id: i64, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(route) = call.route.as_mut().filter(|route| route.id == id) else { return };
        route.is_watched = false;
        if super::dispatch::is_subscription(call.operation) {
            return;
        }
        // It still comes: what was lost with the socket is missing for good so long after the last of it.
        let until = call.progressed_at + limits::ORPHAN_WAIT;
        if until > now {
            route.is_watched = true;
            return self.timers.set(until, Timer::Orphan { call: key, id });
        }
        let (session, socket) = (route.session, route.socket);
        let lives = self
            .upstreams
            .get(session)
            .is_some_and(|upstream| upstream.session.sockets().any(|open| open == socket));
        // The member has the call, and only its answer is gone: it is asked again.
        if lives && self.judge(key, Fault::SocketLost) == Some(Verdict::RetrySame) {
            return self.fail(key, Fault::SocketLost, now, io);
        }
        self.cancel_at_member(key, now, io);
        self.fail(key, Fault::MemberLost, now, io);
    }

    /// The caller gives a call up. There is no answer to a cancel; calls that cannot be stopped are answered (WIRE 5.4).
    pub(super) fn on_cancel(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        self.cancel_at_member(key, now, io);
        if self.calls.get(key).is_some_and(super::Call::is_cancellable) {
            self.end(key, Outcome::Cancelled, now, io);
        }
    }

    /// Nobody waits for the call any more. What can be stopped is stopped; a change runs on, and is only forgotten with its
    /// answer (WIRE 11.6).
    pub(super) fn abandon(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        if call.is_cancellable() || call.route.is_none() {
            self.cancel_at_member(key, now, io);
            return self.end(key, Outcome::Cancelled, now, io);
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(caller) = call.caller.take()
            && let Some(downstream) = self.downstreams.get_mut(caller.session)
        {
            downstream.session.finish(caller.id);
        }
    }

    /// A caller's socket is gone; `left` others of its session live.
    pub(super) fn on_caller_socket_lost(
        &mut self,
        key: CallKey,
        socket: SocketId,
        left: usize,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        if left == 0 && call.is_cancellable() {
            return self.abandon(key, now, io);
        }
        let pinned = call.caller.is_some_and(|caller| caller.socket == Some(socket));
        if pinned && call.stage() == Stage::PartlyAnswered {
            // Items that were on the dead socket are missing for good: an end would be a lie (P13).
            self.cancel_at_member(key, now, io);
            self.cut(key, Cut::LostOnTheWay, now, io);
        }
    }

    /// The process ends: what its callers are told now is the last they hear of it.
    pub(super) fn on_drain_over(&mut self, now: Moment, io: &mut impl Io) {
        let left: Vec<CallKey> = self.calls.iter().map(|(key, _)| key).collect();
        for key in left {
            self.cancel_at_member(key, now, io);
            self.fail(key, Fault::Draining, now, io);
        }
    }

    pub(super) fn answer_error(&mut self, key: CallKey, kind: ErrorKind, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        // What still runs there runs for nobody.
        let (number, caller, of, operation) = (call.number, call.caller, call.group, call.operation);
        let group = self.view.group(call.group).map(|group| group.name.as_str());
        let last = call.route.map(|route| route.member).or(call.losses.last().map(|loss| loss.member));
        let member = last.and_then(|member| self.members.get(&member));
        let error = kind.to_error(&Circumstances {
            operation: call.operation,
            group,
            member: member.map(|state| state.member.spec.name.as_str()),
        });
        if matches!(kind, ErrorKind::CallerTooSlow | ErrorKind::StreamCut | ErrorKind::AnswerTooLarge) {
            self.cancel_at_member(key, now, io);
        }
        if kind.is_refusal() {
            io.note(Note::CallRefused { call: number, group: Some(of), operation, reason: kind });
        }
        match caller {
            Some(caller) => {
                let text = format!("{} (call {number})", error.message);
                let frame = frames::error(caller.id, error.class, &text);
                self.finish_with(key, frame, error.outcome, now, io);
            }
            None => self.end(key, error.outcome, now, io),
        }
    }
}
