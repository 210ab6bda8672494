//! From a member's frame to the caller: order, exactly one final frame, and the end of the call.

use bytes::Bytes;
use rcs_proto::envelope::{AnswerHead, Envelope, ErrorHead, Kind, Part};
use rcs_proto::frames;
use rcs_proto::operation::Operation;
use rcs_proto::session::{Last, StreamOrder};
use rcs_proto::time::Moment;

use super::affinity::page;
use super::call::BatchProgress;
use super::dispatch::is_subscription;
use super::stream_ends::Tail;
use super::timers::Timer;
use super::{Backlog, Call, CallKey, Caller, Engine, Io, Note, Progress, UpstreamKey, Work};
use crate::health::Finding;
use crate::limits::{self, Room};
use crate::verdict::{Cut, Fault, Outcome, Stage};

/// What becomes of one frame of an answer.
enum Step {
    /// Pass it on; more will come.
    Pass,
    /// Pass it on: it is the last.
    PassLast,
    /// It is passed on, and this one after it, which is the last.
    PassThenLast(Bytes),
    /// Keep it back or drop it.
    Keep,
    /// The answer makes no sense.
    Broken,
}

/// Where a frame waits for a caller that does not read (`rcs_proto::driver`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// A part of an answer of many frames: on disk, if there is room.
    OnDisk,
    /// The last frame of an answer: nothing that lies on disk is in its way.
    InMemory,
}

impl Engine {
    pub(super) fn on_answer(&mut self, key: CallKey, envelope: Envelope, now: Moment, io: &mut impl Io) {
        match &envelope.kind {
            Kind::Error(error) => match not_run(error, envelope.message_id) {
                Some(fault) => {
                    if fault == Fault::MemberShutsDown {
                        self.on_shutting_down(key, now, io);
                    }
                    self.fail_or_pass(key, fault, &envelope, now, io);
                }
                None => {
                    self.note_health(key, finding(&error.class), now, io);
                    match is_out_of_reach(&error.class) {
                        true => self.fail_or_pass(key, Fault::ResourceFailing, &envelope, now, io),
                        false => self.pass_last(key, &envelope, Outcome::ConnectorError, now, io),
                    }
                }
            },
            Kind::Answer(head) => self.on_answer_part(key, head, &envelope, now, io),
            _ => unreachable!("a session event Answer is an answer or an error"),
        }
    }

    fn on_answer_part(
        &mut self,
        key: CallKey,
        head: &AnswerHead,
        envelope: &Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(caller_id) = call.caller.map(|caller| caller.id) else {
            // Nobody waits any more. Calls with more than one frame were cancelled when their caller left.
            return self.end(key, Outcome::Ok, now, io);
        };
        call.deadline.progressed(now);
        call.progressed_at = now;
        let tail = match head.part {
            Part::End { has_result, .. } if !call.has_end() => Some(Tail::of(has_result)),
            _ => None,
        };
        let step = match is_answer_to(call.operation, head.part) {
            true => call.step(head.part, || envelope.rewrite_id(caller_id)),
            false => Step::Broken,
        };
        if let Part::End { .. } = head.part {
            self.remember_page(key, head, now);
        }
        if let Some(tail) = tail.filter(|_| !matches!(step, Step::Broken))
            && let Some(reason) = self.end_looks_cut(key, tail, now)
        {
            return self.cut(key, reason, now, io);
        }
        match step {
            Step::Keep => {
                if let Part::End { .. } = head.part {
                    // It overtook items, which are on their way or were lost with a socket.
                    self.await_orphan(key, now);
                }
            }
            Step::Broken => self.cut(key, Cut::Nonsense, now, io),
            Step::Pass => {
                self.pass(key, envelope.rewrite_id(caller_id), now, io);
            }
            Step::PassLast => {
                self.note_health(key, Finding::Good, now, io);
                self.pass_last(key, envelope, Outcome::Ok, now, io);
            }
            Step::PassThenLast(last) => {
                if self.pass(key, envelope.rewrite_id(caller_id), now, io) {
                    self.finish_with(key, last, Outcome::Ok, now, io);
                }
            }
        }
    }

    /// Notes how a call went at its member, by its group's rules.
    fn note_health(&mut self, key: CallKey, finding: Finding, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(route) = call.route else { return };
        let Some(group) = self.view.group(call.group) else { return };
        if finding == Finding::Good
            && is_compared(call.operation)
            && let Some(state) = self.groups.get_mut(&call.group)
        {
            state.outliers.note(route.member, now.since(route.sent));
        }
        let Some(state) = self.members.get_mut(&route.member) else { return };
        state.health.called(finding, &group.settings.ejection, now);
        if finding == Finding::Bad {
            self.review(route.member, now, io);
        }
    }

    /// Puts members out that are far slower than the others of their group. Looked at on each tick.
    pub(super) fn compare_members(&mut self, now: Moment, io: &mut impl Io) {
        let view = std::sync::Arc::clone(&self.view);
        for group in view.groups().iter().filter(|group| group.members.len() > 1) {
            let Some(state) = self.groups.get_mut(&group.id) else { continue };
            let ejection = &group.settings.ejection;
            for member in state.outliers.look(ejection.latency_percent, &group.members, now) {
                if let Some(state) = self.members.get_mut(&member) {
                    state.health.too_slow(ejection, now);
                }
                self.review(member, now, io);
            }
        }
    }

    /// Passes a frame on. Past the bound of what may wait for the caller the call is failed instead: answers false.
    fn pass(&mut self, key: CallKey, frame: Bytes, now: Moment, io: &mut impl Io) -> bool {
        let Some(caller) = self.calls.get(key).and_then(|call| call.caller) else { return false };
        if self.is_backlogged(&caller, frame.len(), Waits::OnDisk, io) {
            self.fail(key, Fault::CallerTooSlow, now, io);
            return false;
        }
        let socket = self.deliver(caller.session, caller.socket, frame, now, io);
        if let Some(call) = self.calls.get_mut(key) {
            if let Some(caller) = &mut call.caller {
                caller.socket = socket;
            }
            // Something was passed on: from here on the call is never sent again.
            self.request_bytes -= call.drop_request();
        }
        true
    }

    fn pass_last(
        &mut self,
        key: CallKey,
        envelope: &Envelope,
        outcome: Outcome,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(caller) = self.calls.get(key).and_then(|call| call.caller) else {
            return self.end(key, outcome, now, io);
        };
        if self.is_backlogged(&caller, envelope.frame_bytes(), Waits::InMemory, io) {
            return self.fail(key, Fault::CallerTooSlow, now, io);
        }
        self.finish_with(key, envelope.rewrite_id(caller.id), outcome, now, io);
    }

    /// Whether a frame of so many bytes would be more than may wait: for the call (that is, for its socket), for its session, or
    /// in the process. Callers that read do not suffer for those that do not: the sums count only if the call's own socket has
    /// a backlog.
    fn is_backlogged(&self, caller: &Caller, more: usize, waits: Waits, io: &impl Io) -> bool {
        let total = io.backlog_total();
        if total.bytes() + more <= limits::SOCKET_BACKLOG_LOW {
            return false;
        }
        let Some(downstream) = self.downstreams.get(caller.session) else { return false };
        let sockets = || downstream.session.sockets().map(|socket| io.backlog(socket));
        let of_call = match caller.socket {
            Some(socket) => io.backlog(socket),
            None => sockets().min_by_key(|backlog| backlog.bytes()).unwrap_or_default(),
        };
        let is_over = |backlog: Backlog, room: Room| {
            backlog.memory + more > room.memory || waits == Waits::OnDisk && backlog.disk + more > room.disk
        };
        is_over(of_call, limits::CALL_BACKLOG_MAX)
            || of_call.bytes() > limits::SOCKET_BACKLOG_LOW
                && (is_over(sockets().sum(), limits::SESSION_BACKLOG_MAX)
                    || is_over(total, limits::PROCESS_BACKLOG_MAX))
    }

    /// Gives the caller the final frame and forgets the call.
    pub(super) fn finish_with(
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
            // An error says all there is to say; the end of a stream says nothing without its items.
            let is_whole = outcome != Outcome::Ok || call.stage() != Stage::PartlyAnswered;
            let again = is_whole.then(|| frame.clone());
            let last = Last { id: caller.id, operation: call.operation, frame: again, since: now };
            self.deliver_last(caller.session, frame, last, caller.socket, now, io);
        }
        self.end(key, outcome, now, io);
    }

    /// Forgets a call at both ends.
    pub(super) fn end(&mut self, key: CallKey, outcome: Outcome, now: Moment, io: &mut impl Io) {
        self.close_route(key);
        self.leave_queue(key);
        let Some(mut call) = self.calls.remove(key) else { return };
        self.request_bytes -= call.drop_request();
        if let Some(caller) = call.caller
            && let Some(downstream) = self.downstreams.get_mut(caller.session)
        {
            downstream.session.finish(caller.id);
            if is_subscription(call.operation) {
                downstream.subscriptions = downstream.subscriptions.saturating_sub(1);
            }
        }
        let took = now.since(call.since);
        if call.is_explained {
            self.explained.end(call.number, outcome, took);
        }
        io.note(Note::CallEnded {
            call: call.number,
            group: Some(call.group),
            member: call.route.map(|route| route.member),
            operation: call.operation,
            outcome,
            took,
        });
    }

    /// Takes a call off its member: late frames for it are ignored from now on.
    pub(super) fn close_route(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(route) = call.route else { return };
        let Some(upstream) = self.upstreams.get_mut(route.session) else { return };
        if upstream.session.close(route.id).is_none() {
            return;
        }
        let takes_place = !is_subscription(call.operation);
        if takes_place {
            self.places_freed = true;
            if let Some(group) = self.groups.get_mut(&call.group) {
                group.places.in_flight = group.places.in_flight.saturating_sub(1);
            }
        }
        if let Some(state) = self.members.get_mut(&route.member) {
            if state.rest.is_on() {
                self.timers.set(Moment::START, Timer::Quiet(route.member));
            }
            state.in_flight = state.in_flight.saturating_sub(1);
            state.busy = state.busy.saturating_sub(usize::from(takes_place));
            if state.leaving && state.in_flight == 0 {
                self.timers.set(Moment::START, Timer::LetGo(route.member));
            }
        }
    }

    /// Tells the member that nobody waits for the call any more: on the socket that carried the request, as a cancel that
    /// overtakes its call is lost (WIRE 7.3).
    pub(super) fn cancel_at_member(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Some(route) =
            self.calls.get(key).filter(|call| call.is_cancellable()).and_then(|call| call.route)
        else {
            return;
        };
        if let Some(upstream) = self.upstreams.get_mut(route.session)
            && let Some(socket) = upstream.session.socket_for(Some(route.socket), now)
        {
            io.send(socket, frames::cancel(route.id));
        }
    }

    pub(super) fn on_answer_oversize(
        &mut self,
        session: UpstreamKey,
        id: i64,
        now: Moment,
        io: &mut impl Io,
    ) {
        let work = self.upstreams.get(session).and_then(|upstream| upstream.session.open_key(id));
        if let Some(Work::Call(call)) = work {
            self.fail(call, Fault::TooLarge, now, io);
        }
    }

    /// The next page of this search has its state where this one was served.
    fn remember_page(&mut self, key: CallKey, head: &AnswerHead, now: Moment) {
        let cookie = head.paged_results_cookie();
        let Some(call) = self.calls.get(key).filter(|_| !cookie.is_empty()) else { return };
        let (Some(route), Some(caller), Some(pages)) = (call.route, call.caller, call.pages) else { return };
        if let Some(downstream) = self.downstreams.get_mut(caller.session) {
            downstream.pages.remember(page(pages.facade, &cookie), route.member);
        }
        if let Some(state) = self.members.get_mut(&route.member) {
            state.paged_at = Some(now);
        }
    }
}

impl Call {
    /// Notes a part of the answer and says what to do with its frame. `frame` makes the frame as the caller gets it.
    fn step(&mut self, part: Part, frame: impl FnOnce() -> Bytes) -> Step {
        match part {
            Part::Only => Step::PassLast,
            Part::Event { completed: true } => Step::PassLast,
            Part::Event { completed: false } => {
                self.answer = Progress::Events;
                Step::Pass
            }
            Part::Batch(part) => {
                if !matches!(self.answer, Progress::Batch(_)) {
                    self.answer = Progress::Batch(BatchProgress::default());
                }
                match &mut self.answer {
                    Progress::Batch(progress) => {
                        if progress.note(part) {
                            Step::PassLast
                        } else {
                            Step::Pass
                        }
                    }
                    _ => unreachable!("set above"),
                }
            }
            Part::Item { sequence } => {
                let (order, end) = self.stream();
                match order.item(sequence) {
                    Err(_) => Step::Broken,
                    // Seen already: two sockets may bring one frame twice (WIRE 5.3).
                    Ok(false) => Step::Keep,
                    Ok(true) if order.is_complete() => end.take().map_or(Step::Pass, Step::PassThenLast),
                    Ok(true) => Step::Pass,
                }
            }
            Part::End { count, .. } => {
                let (order, end) = self.stream();
                match order.end(count) {
                    Err(_) => Step::Broken,
                    Ok(false) => Step::Keep,
                    Ok(true) if order.is_complete() => Step::PassLast,
                    Ok(true) => {
                        *end = Some(frame());
                        Step::Keep
                    }
                }
            }
        }
    }

    fn stream(&mut self) -> (&mut StreamOrder, &mut Option<Bytes>) {
        if !matches!(self.answer, Progress::Stream { .. }) {
            self.answer = Progress::Stream { order: StreamOrder::default(), end: None };
        }
        match &mut self.answer {
            Progress::Stream { order, end } => (order, end),
            _ => unreachable!("set above"),
        }
    }
}

/// The operations by whose time members are compared: reads of one object. Others take as long as what they ask for.
fn is_compared(operation: Operation) -> bool {
    matches!(operation, Operation::Get | Operation::ResolveUsername)
}

/// What an error says of the member: an account that is not there is the caller's business, a resource that cannot be reached
/// is not.
fn finding(class: &str) -> Finding {
    let is_bad = is_out_of_reach(class)
        || matches!(simple_name(class), "OperationTimeoutException" | "OutOfMemoryError");
    if is_bad { Finding::Bad } else { Finding::Good }
}

/// Whether the member says that it cannot reach its resource. A call that ran out of time or memory there is not meant: it
/// would do the same to the next member.
fn is_out_of_reach(class: &str) -> bool {
    matches!(
        simple_name(class),
        "ConnectionFailedException" | "ConnectionBrokenException" | "ConnectorIOException"
    )
}

fn simple_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or_default()
}

/// Whether a part of this form can be in the answer to the operation. A caller would drop any other, and wait for ever.
fn is_answer_to(operation: Operation, part: Part) -> bool {
    match part {
        Part::Item { .. } | Part::End { .. } => matches!(operation, Operation::Search | Operation::Sync),
        Part::Event { .. } => is_subscription(operation),
        Part::Batch(_) => operation == Operation::Batch,
        Part::Only => {
            !matches!(operation, Operation::Search | Operation::Sync | Operation::Batch)
                && !is_subscription(operation)
        }
    }
}

/// Errors that say that the member did not run the call (WIRE 4.3, 5.1, 5.7). Class and text are compared: a script may fail
/// with any text after it has changed something.
fn not_run(error: &ErrorHead, id: i64) -> Option<Fault> {
    let (class, message) = (error.class.as_str(), error.message.as_str());
    if class.ends_with(".ConnectorException") && message.starts_with("Connector not found: ") {
        Some(Fault::ConnectorNotFound)
    } else if frames::is_shutting_down(class, message, id) {
        Some(Fault::MemberShutsDown)
    } else {
        let named = message.strip_prefix("Request has been registered with id")?;
        let is_ours = named.trim_start_matches([':', ' ']) == id.to_string();
        (is_ours && class.ends_with(".IllegalStateException")).then_some(Fault::IdInUse)
    }
}
