//! A call leaves its member, its queue and its caller: undoes what `way::begin`, `place` and `send` did.

use bytes::Bytes;
use rcs_proto::operation::Operation;
use rcs_proto::session::Last;
use rcs_proto::time::Moment;

use crate::engine::calls::Call;
use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::members::Route;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::health::Finding;
use crate::ids::GroupId;
use crate::limits;
use crate::verdict::{Cut, Fault, Outcome, Stage};

impl Tables {
    /// Notes how a call went at its member, by the rules of the call's group.
    pub(in crate::engine) fn note_health(&mut self, key: CallKey, finding: Finding, now: Moment) {
        let route = self.calls.get(key).and_then(|call| call.route);
        self.note_health_at(key, route, finding, now);
    }

    /// The same at the member that this route leads to, where two members have the call.
    pub(in crate::engine) fn note_health_at(
        &mut self,
        key: CallKey,
        route: Option<Route>,
        finding: Finding,
        now: Moment,
    ) {
        let (Some(call), Some(route)) = (self.calls.get(key), route) else { return };
        let Some(group) = self.view.group(call.group) else { return };
        if finding == Finding::Good && is_compared(call.operation) {
            self.groups.took(call.group, route.member(), now.since(route.sent()));
        }
        self.members.called(route.member(), finding, &group.settings.ejection, now);
    }

    /// Gives the caller the final frame and forgets the call.
    pub(in crate::engine) fn finish_with(
        &mut self,
        key: CallKey,
        frame: Bytes,
        outcome: Outcome,
        now: Moment,
        io: &mut impl Io,
    ) {
        if let Some(call) = self.calls.get(key)
            && let Some(caller) = call.caller
        {
            // An error is complete in itself, but the end of a stream is worthless without the items before it.
            let is_whole = outcome != Outcome::Ok || call.stage() != Stage::PartlyAnswered;
            let again = is_whole.then(|| frame.clone());
            let last =
                Last { id: caller.id(), operation: call.operation, frame: again, since: now, refusals: 0 };
            self.callers.deliver_last(&caller, frame, last, now, io);
        }
        self.end(key, outcome, now, io);
    }

    /// Forgets a call at both ends.
    pub(in crate::engine) fn end(&mut self, key: CallKey, outcome: Outcome, now: Moment, io: &mut impl Io) {
        self.leave_queue(key);
        self.remember_given_up(key, outcome, now);
        let Some(ended) = self.calls.remove(key, outcome, now) else { return };
        let call = &ended.call;
        let is_subscription = call.operation.is_subscription();
        for route in call.routes() {
            self.close_route(&route, call.group, is_subscription);
        }
        if let Some(caller) = &call.caller {
            self.callers.finish(caller, is_subscription);
        }
        if outcome == Outcome::Unknown {
            self.note_unknown(call, io);
        }
        io.note(Note::CallEnded {
            call: call.number,
            group: Some(call.group),
            member: call.member(),
            operation: call.operation,
            outcome,
            took: ended.took,
        });
    }

    /// Notes a call that may have changed something, if nobody can say whether the call ran.
    fn note_unknown(&self, call: &Call, io: &mut impl Io) {
        let story = self.calls.story(call.number);
        let lost = call.losses.last().map(|loss| loss.member);
        let last = call.member().or(lost).or(call.touched).or(story.and_then(|story| story.member));
        let told = story.and_then(|story| story.told.as_ref());
        let about = story.map(|story| &story.about);
        io.note(Note::OutcomeUnknown {
            call: call.number,
            at: self.epoch.after(call.since),
            group: call.group,
            member: last,
            operation: call.operation,
            caller: about.and_then(|about| about.caller.as_deref()),
            connector: about.and_then(|about| about.connector.as_deref()),
            object_class: about.and_then(|about| about.object_class.as_deref()),
            class: told.map(|told| &*told.class),
            sentence: told.and_then(|told| told.sentence.as_deref()),
        });
    }

    /// Takes a call off its member, and drops what was held back of an answer. Late frames for the call are ignored from now on.
    pub(in crate::engine) fn take_off(&mut self, key: CallKey) -> Option<Route> {
        let call = self.calls.get(key)?;
        let (group, is_subscription) = (call.group, call.operation.is_subscription());
        let hedge = self.calls.leave_one(key, |_| false);
        let route = self.calls.take_back(key)?;
        for route in hedge.iter().chain([&route]) {
            self.close_route(route, group, is_subscription);
        }
        Some(route)
    }

    /// Takes a call off its member that certainly did not reach the member: the call goes on as if it had not been sent there.
    pub(in crate::engine) fn take_off_unsent(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let (group, is_subscription) = (call.group, call.operation.is_subscription());
        if let Some(route) = call.route {
            self.close_route(&route, group, is_subscription);
            self.calls.was_not_sent(key);
        }
    }

    /// Takes a call off one member.
    pub(in crate::engine) fn close_route(&mut self, route: &Route, group: GroupId, is_subscription: bool) {
        let freed = self.members.close(route, is_subscription);
        if !is_subscription {
            self.groups.give_back(group);
        }
        if freed.may_be_quiet {
            self.clock.set(Moment::START, Timer::Quiet(route.member()));
        }
        if freed.is_done {
            self.clock.set(Moment::START, Timer::LetGo(route.member()));
        }
    }

    /// A call waits for no place any more.
    pub(in crate::engine) fn leave_queue(&mut self, key: CallKey) {
        if self.calls.stop_waiting(key)
            && let Some(call) = self.calls.get(key)
            && let Some(caller) = call.caller
        {
            self.groups.leave_queue(call.group, caller.session(), key);
        }
    }

    /// Sends the members that have a call a cancel, since nobody waits for any more, if a cancel stops such a call.
    pub(in crate::engine) fn cancel_at_member(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Self { calls, members, .. } = self;
        let call = calls.get(key).filter(|call| call.is_cancellable());
        for route in call.into_iter().flat_map(Call::routes) {
            members.cancel(&route, now, io);
        }
    }

    /// Begins to watch for the rest of an answer. A socket died that carried the call's request or may have carried its answer, or
    /// the end of the answer came before some of its items.
    pub(in crate::engine) fn watch(&mut self, key: CallKey, now: Moment) {
        if self.calls.watch(key) {
            let sends = self.calls.get(key).map_or(0, |call| call.sends);
            self.clock.set(now + limits::ORPHAN_WAIT, Timer::Orphan { call: key, sends });
        }
    }

    /// The answer of a stream is cut: the caller must not take the answer for whole.
    pub(in crate::engine) fn cut(&mut self, key: CallKey, reason: Cut, io: &mut impl Io) {
        self.note_cut(key, reason, io);
        self.calls.fault(key, Fault::EndLooksCut);
    }

    /// Notes that the answer of a stream is not whole.
    pub(in crate::engine) fn note_cut(&self, key: CallKey, reason: Cut, io: &mut impl Io) {
        let Some(call) = self.calls.get(key).filter(|call: &&Call| call.stream.is_some()) else { return };
        let (group, member, operation) = (call.group, call.member(), call.operation);
        io.note(Note::StreamCut { group, member, operation, reason });
    }
}

/// The operations whose latency is compared between members: reads of one object. The latency of other operations depends on what
/// they ask for.
fn is_compared(operation: Operation) -> bool {
    matches!(operation, Operation::Get | Operation::ResolveUsername)
}
