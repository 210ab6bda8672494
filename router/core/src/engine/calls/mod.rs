//! The table of calls in flight: every call, the bytes of requests that are kept, the faults that wait to be judged, and when calls
//! are given up.

mod call;
mod deadline;
mod due;
mod error;
mod explained;
mod hedge;
mod step;
mod stories;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::{BatchPart, Envelope, Part};
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

pub(super) use self::call::{Call, Loss};
pub(super) use self::deadline::Deadline;
use self::due::DueCalls;
pub(super) use self::error::{TellsOfCall, finding, is_out_of_reach, not_run, told_by_router};
use self::explained::Explained;
pub(super) use self::explained::{About, Story, StoryStep, Told, What};
use self::step::Progress;
pub(super) use self::step::{LastItem, Step, is_answer_to};
use super::callers::CallerEnd;
use super::facade::{ConfigurationDigest, Pages, StreamKind};
use super::keys::{CallId, CallKey, CallTag};
use super::members::Route;
use crate::arena::Arena;
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::limits;
use crate::verdict::{Fault, Outcome};

/// A call that arrives.
pub(super) struct NewCall {
    /// Where its answer goes.
    pub(super) caller: CallerEnd,
    /// The group it is routed in.
    pub(super) group: GroupId,
    /// The configuration that the call names.
    pub(super) configuration: ConfigurationDigest,
    /// What is asked.
    pub(super) operation: Operation,
    /// The request as it came.
    pub(super) request: Envelope,
    /// For searches.
    pub(super) pages: Option<Pages>,
    /// For searches and syncs.
    pub(super) stream: Option<StreamKind>,
    /// When it is given up.
    pub(super) deadline: Deadline,
    /// Time without an answer after which it may go to a second member as well, if it is a read.
    pub(super) hedge_after: Option<Duration>,
    /// The member that another router forwards the call to, if another router does.
    pub(super) forwarded_to: Option<MemberId>,
}

/// A fault that waits to be judged.
#[derive(Debug)]
pub(super) struct OpenFault {
    /// The call.
    pub(super) call: CallKey,
    /// What went wrong.
    pub(super) fault: Fault,
    /// The member's own error, if the fault came as one. The error is passed on if the call is not retried.
    pub(super) error: Option<Envelope>,
}

/// A suspect: a call that lost two members, held back without a member until it is known whether these members live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The call.
    pub(super) call: CallKey,
    /// Until when a sign of life is awaited.
    pub(super) until: Moment,
}

/// A call whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Its deadline has passed.
    Deadline,
    /// The time that it may wait for a free place has passed.
    Wait,
    /// The caller has ended the call by itself: a batch without a further result.
    Quiet,
    /// Nothing of its answer came for so long that another member may be asked as well.
    Answer,
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The call as it was.
    pub(super) call: Call,
    /// How long it took.
    pub(super) took: Duration,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Calls {
    entries: Arena<CallTag, Call>,
    /// Bytes of the requests that are kept.
    request_bytes: usize,
    /// Bytes that are kept because parts of answers came out of order.
    out_of_order_bytes: usize,
    /// Why calls were refused or repeated.
    explained: Explained,
    /// Calls with a fault that waits to be judged, each once, with the member's own error if the fault came as one.
    faulty: VecDeque<(CallKey, Option<Envelope>)>,
    /// Calls whose answer, or the rest of it, may have died with a socket, and did not come in time.
    orphans: Vec<CallKey>,
    /// Calls that are held back.
    held: Vec<Held>,
    /// Whether it is time to look at the calls that are held back.
    asks_about_held: bool,
    /// When calls are given up.
    due: DueCalls,
}

impl Calls {
    /// A table of calls that are numbered by this router.
    pub(super) fn of_router(router: u16) -> Self {
        Self { explained: Explained::of_router(router), ..Self::default() }
    }

    // --- what is there ---

    pub(super) fn get(&self, key: CallKey) -> Option<&Call> {
        self.entries.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (CallKey, &Call)> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the requests that are kept.
    pub(super) fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Whether one more call, with a request of `bytes`, may come in.
    pub(super) fn have_room_for(&self, bytes: usize) -> bool {
        self.len() < limits::CALLS_MAX && self.request_bytes + bytes <= limits::REQUEST_BYTES_MAX
    }

    // --- how a call goes ---

    /// Takes a call in.
    pub(super) fn insert(&mut self, new: NewCall, now: Moment) -> CallKey {
        self.request_bytes += new.request.frame_bytes();
        let mut call = Call {
            number: self.explained.next_id(),
            is_explained: false,
            fault: None,
            caller: Some(new.caller),
            group: new.group,
            configuration: new.configuration,
            operation: new.operation,
            request: Some(new.request),
            pages: new.pages,
            stream: new.stream,
            forwarded_to: new.forwarded_to,
            route: None,
            hedge: None,
            hedge_at: None,
            sends: 0,
            socket_lost_at: None,
            is_watched: false,
            waiting_until: None,
            tried: MemberSet::new(),
            touched: None,
            deadline: new.deadline,
            quiet_at: None,
            planned: None,
            attempts: Default::default(),
            is_innocent: false,
            losses: Vec::new(),
            answer: Progress::Nothing,
            is_out_of_order: false,
            since: now,
            progressed_at: now,
        };
        let may_be_hedged = |_: &Duration| call.class().may_be_hedged();
        call.hedge_at = new.hedge_after.filter(may_be_hedged).map(|after| now + after);
        let key = self.entries.insert(call);
        self.plan(key, now);
        key
    }

    /// The call was sent to this member; without a route the member could not take it.
    pub(super) fn sent(&mut self, key: CallKey, member: MemberId, route: Option<Route>) {
        let Some(call) = self.entries.get_mut(key) else { return };
        call.tried.insert(member);
        call.touched = call.touched.filter(|touched| *touched == member);
        call.route = route;
        call.sends += 1;
        (call.is_watched, call.is_innocent) = (false, false);
    }

    /// The route of a call, to be changed by its owner.
    pub(super) fn route_mut(&mut self, key: CallKey) -> Option<&mut Route> {
        self.entries.get_mut(key)?.route.as_mut()
    }

    /// Takes a call off its member, with what was held back of an answer.
    pub(super) fn take_back(&mut self, key: CallKey) -> Option<Route> {
        self.change_answer(key, |call, _| {
            call.answer = Progress::Nothing;
            (call.is_watched, call.is_out_of_order) = (false, false);
            call.socket_lost_at = None;
            call.route.take()
        })
        .flatten()
    }

    /// A socket of the member's session was lost while the member has the call.
    pub(super) fn lost_socket(&mut self, key: CallKey, now: Moment) {
        if let Some(call) = self.entries.get_mut(key).filter(|call| call.stream.is_some()) {
            call.socket_lost_at = Some(now);
        }
    }

    /// The call goes on as if it had not been sent to the member.
    pub(super) fn was_not_sent(&mut self, key: CallKey) {
        let Some(call) = self.entries.get_mut(key) else { return };
        if let Some(route) = call.route.take() {
            call.tried.remove(route.member());
        }
    }

    /// The call will be sent to another member.
    pub(super) fn goes_elsewhere(&mut self, key: CallKey) {
        if let Some(call) = self.entries.get_mut(key) {
            call.attempts.elsewhere = call.attempts.elsewhere.saturating_add(1);
        }
    }

    /// The call will be sent to the same member again; `touched`: the member may have it already.
    pub(super) fn goes_again(&mut self, key: CallKey, touched: Option<MemberId>) {
        if let Some(call) = self.entries.get_mut(key) {
            call.attempts.same = call.attempts.same.saturating_add(1);
            call.touched = touched.or(call.touched);
        }
    }

    /// The call waits for a free place until this moment at most.
    pub(super) fn wait(&mut self, key: CallKey, until: Moment) {
        if let Some(call) = self.entries.get_mut(key) {
            call.waiting_until = Some(until);
            self.plan(key, Moment::START);
        }
    }

    /// The call no longer waits for a place; returns whether it did.
    pub(super) fn stop_waiting(&mut self, key: CallKey) -> bool {
        let Some(call) = self.entries.get_mut(key) else { return false };
        let waited = call.waiting_until.take().is_some();
        if waited {
            self.plan(key, Moment::START);
        }
        waited
    }

    /// Notes a part of the answer and says what to do with its frame, which has this many bytes. `frame` makes the frame as the caller
    /// gets it.
    pub(super) fn step(
        &mut self,
        key: CallKey,
        part: Part,
        bytes: usize,
        now: Moment,
        frame: impl FnOnce() -> Bytes,
    ) -> Option<Step> {
        let call = self.entries.get_mut(key)?;
        call.deadline.progressed(now);
        let pause = now.since(std::mem::replace(&mut call.progressed_at, now));
        if matches!(part, Part::Batch(BatchPart::Result { .. })) {
            let is_first = call.quiet_at.replace(now + limits::BATCH_QUIET).is_none();
            if is_first {
                self.plan(key, now);
            }
        }
        self.change_answer(key, |call, room| {
            if !is_answer_to(call.operation, part) {
                return Step::Broken;
            }
            let step = call.answer.step(part, pause, bytes, room, frame);
            call.is_out_of_order |= matches!(step, Step::OutOfOrder);
            step
        })
    }

    /// Holds the end of a stream back until so many pongs have come. Returns false if there is no room for it.
    pub(super) fn hold_end(&mut self, key: CallKey, end: Bytes, pongs: usize) -> bool {
        let held = self.change_answer(key, |call, room| {
            call.is_out_of_order |= end.len() > room;
            if !call.is_out_of_order {
                call.answer.hold_end(end, pongs);
            }
            !call.is_out_of_order
        });
        held.unwrap_or(false)
    }

    /// A pong came that the end of a stream waits for; returns the end if no other pong is awaited.
    pub(super) fn ponged(&mut self, key: CallKey) -> Option<Bytes> {
        self.change_answer(key, |call, _| call.answer.ponged()).flatten()
    }

    /// No further pong is waited for; returns the end of the stream if it was held back for pongs.
    pub(super) fn give_up_pongs(&mut self, key: CallKey) -> Option<Bytes> {
        self.change_answer(key, |call, _| call.answer.give_up_pongs()).flatten()
    }

    /// Changes what came of a call's answer. `change` gets the number of bytes that may be kept of the answer out of order.
    fn change_answer<T>(&mut self, key: CallKey, change: impl FnOnce(&mut Call, usize) -> T) -> Option<T> {
        let call = self.entries.get_mut(key)?;
        let others = self.out_of_order_bytes - call.answer.out_of_order_bytes();
        let free = limits::OUT_OF_ORDER_BYTES_MAX.saturating_sub(others);
        let room = free.clamp(limits::OUT_OF_ORDER_TIGHT_BYTES, limits::OUT_OF_ORDER_CALL_BYTES_MAX);
        let changed = change(call, room);
        self.out_of_order_bytes = others + call.answer.out_of_order_bytes();
        Some(changed)
    }

    /// A part of the answer was passed on; from here on the call is never sent again. `end` is where the next part goes.
    pub(super) fn passed(&mut self, key: CallKey, end: CallerEnd) {
        let Some(call) = self.entries.get_mut(key) else { return };
        call.caller = call.caller.map(|_| end);
        self.request_bytes -= drop_request(call);
    }

    /// The rest of the answer may go out on any socket of its caller.
    pub(super) fn unpin(&mut self, key: CallKey) {
        if let Some(call) = self.entries.get_mut(key) {
            call.caller = call.caller.map(CallerEnd::unpinned);
        }
    }

    /// Nobody waits for the answer any more; returns the caller's end of the call.
    pub(super) fn forget_caller(&mut self, key: CallKey) -> Option<CallerEnd> {
        self.entries.get_mut(key)?.caller.take()
    }

    /// Takes an ended call out.
    pub(super) fn remove(&mut self, key: CallKey, outcome: Outcome, now: Moment) -> Option<Ended> {
        self.unplan(key);
        let mut call = self.entries.remove(key)?;
        self.request_bytes -= drop_request(&mut call);
        self.out_of_order_bytes -= call.answer.out_of_order_bytes();
        let took = now.since(call.since);
        if call.is_explained {
            self.explained.end(call.number, outcome, took);
        }
        Some(Ended { call, took })
    }

    // --- what goes wrong ---

    /// Leaves a fault of a call to be judged at the end of the event. Of several faults the first counts, with two exceptions: the
    /// loss of the member replaces the loss of a socket, and any fault replaces an answer that is overdue.
    pub(super) fn fault(&mut self, call: CallKey, fault: Fault) {
        self.leave(call, fault, None);
    }

    /// Leaves a fault that came as a member's own error.
    pub(super) fn fault_by(&mut self, call: CallKey, fault: Fault, error: Envelope) {
        self.leave(call, fault, Some(error));
    }

    fn leave(&mut self, key: CallKey, fault: Fault, error: Option<Envelope>) {
        let Some(call) = self.entries.get_mut(key) else { return };
        match call.fault {
            None => {
                call.fault = Some(fault);
                self.faulty.push_back((key, error));
            }
            Some(Fault::SocketLost) if fault == Fault::MemberLost => call.fault = Some(fault),
            Some(Fault::AnswerOverdue) => call.fault = Some(fault),
            Some(_) => {}
        }
    }

    /// The fault that is judged next. Faults of calls that have ended meanwhile are dropped.
    pub(super) fn next_fault(&mut self) -> Option<OpenFault> {
        loop {
            let (call, error) = self.faulty.pop_front()?;
            if let Some(fault) = self.entries.get_mut(call).and_then(|entry| entry.fault.take()) {
                return Some(OpenFault { call, fault, error });
            }
        }
    }

    /// The member that has the call is being lost because of another configuration. This loss will not count for the call.
    pub(super) fn excuse(&mut self, key: CallKey) {
        if let Some(call) = self.entries.get_mut(key) {
            call.is_innocent = true;
        }
    }

    /// A member was lost while it may have run the call: `loss` says which of its processes, if that is known. A router that is gone is one
    /// loss, whatever members were used through it.
    pub(super) fn lost(&mut self, key: CallKey, loss: Option<Loss>) {
        let Some(call) = self.entries.get_mut(key) else { return };
        if std::mem::take(&mut call.is_innocent) {
            return;
        }
        let way = loss.as_ref().and_then(|loss| loss.way);
        if way.is_some() && call.losses.iter().any(|before| before.way == way) {
            return;
        }
        call.attempts.losses = call.attempts.losses.saturating_add(1);
        call.losses.extend(loss);
    }

    /// Strikes off the losses of processes that live after all.
    pub(super) fn strike_off(&mut self, key: CallKey, lives: impl Fn(&Loss) -> bool) {
        let Some(call) = self.entries.get_mut(key) else { return };
        let (tried, attempts) = (&mut call.tried, &mut call.attempts);
        call.losses.retain(|loss| {
            let lives = lives(loss);
            if lives {
                attempts.losses -= 1;
                tried.remove(loss.member);
            }
            !lives
        });
    }

    /// Begins to watch for the rest of an answer; returns false if the call is watched already, or is at no member.
    pub(super) fn watch(&mut self, key: CallKey) -> bool {
        let call = self.entries.get_mut(key).filter(|call| call.route.is_some());
        call.is_some_and(|call| !std::mem::replace(&mut call.is_watched, true))
    }

    /// Ends the watch over the call that began when the call had been sent `sends` times; returns false if the call was sent again
    /// since.
    pub(super) fn unwatch(&mut self, key: CallKey, sends: u32) -> bool {
        let call = self.entries.get_mut(key).filter(|call| call.route.is_some() && call.sends == sends);
        call.is_some_and(|call| std::mem::replace(&mut call.is_watched, false))
    }

    /// The answer of a call, or the rest of it, may have died with a socket, and did not come in time.
    pub(super) fn is_orphaned(&mut self, call: CallKey) {
        self.orphans.push(call);
    }

    /// The next call whose answer, or the rest of it, may have died with a socket.
    pub(super) fn next_orphan(&mut self) -> Option<CallKey> {
        self.orphans.pop()
    }

    // --- calls that are held back ---

    /// Holds a call back that is at no member.
    pub(super) fn hold_back(&mut self, call: CallKey, until: Moment) {
        self.held.push(Held { call, until });
    }

    /// The router stood still for this time, which does not count for the signs of life that calls are held back for.
    pub(super) fn stood_still(&mut self, time: Duration) {
        for held in &mut self.held {
            held.until = held.until + time;
        }
    }

    /// It is time to look at the calls that are held back.
    pub(super) fn ask_about_held(&mut self) {
        self.asks_about_held = !self.held.is_empty();
    }

    /// The calls that are held back, taken out, if it is time to look at them; else none.
    pub(super) fn held_to_ask_about(&mut self) -> Vec<Held> {
        match std::mem::take(&mut self.asks_about_held) {
            true => std::mem::take(&mut self.held),
            false => Vec::new(),
        }
    }

    // --- when calls are given up ---

    /// The calls whose time is over. A call that then neither ends nor finds a place is found again in the next tick.
    pub(super) fn overdue(&mut self, now: Moment) -> Vec<(CallKey, Overdue)> {
        let mut overdue = Vec::new();
        for key in self.due.take(now) {
            let Some(call) = self.entries.get_mut(key) else { continue };
            call.planned = None;
            if call.deadline.is_past(now) {
                overdue.push((key, Overdue::Deadline));
            } else if call.quiet_at.is_some_and(|at| at <= now) {
                overdue.push((key, Overdue::Quiet));
            } else if call.waiting_until.is_some_and(|until| until <= now) {
                overdue.push((key, Overdue::Wait));
            } else if call.hedge_at.is_some_and(|at| at <= now) {
                let is_open = call.request.is_some() && call.is_untouched() && call.caller.is_some();
                call.hedge_at = is_open.then_some(now + limits::HEDGE_LOOK_AGAIN);
                if is_open && call.route.is_some() {
                    overdue.push((key, Overdue::Answer));
                }
            }
            // Its answer may have progressed meanwhile, which moved the deadline.
            self.plan(key, now + limits::TICK);
        }
        overdue
    }

    /// A deadline that moves away is planned anew only when its old moment comes: rows of a search cost nothing here.
    fn plan(&mut self, key: CallKey, not_before: Moment) {
        self.unplan(key);
        if let Some(call) = self.entries.get_mut(key) {
            call.planned = call.due_at().map(|at| self.due.insert(key, at.max(not_before)));
        }
    }

    fn unplan(&mut self, key: CallKey) {
        let planned = self.entries.get_mut(key).and_then(|call| call.planned.take());
        let Some(planned) = planned else { return };
        if let Some(moved) = self.due.remove(planned).and_then(|moved| self.entries.get_mut(moved)) {
            moved.planned = Some(planned);
        }
    }

    /// What must be true between two events.
    #[cfg(test)]
    pub(super) fn assert_settled(&self) {
        assert!(
            self.faulty.is_empty() && self.orphans.is_empty() && !self.asks_about_held,
            "faults are open"
        );
        let bytes = |call: &Call| call.request.as_ref().map_or(0, Envelope::frame_bytes);
        let kept: usize = self.iter().map(|(_, call)| bytes(call)).sum();
        assert_eq!(self.request_bytes, kept, "bytes of requests");
        let out_of_order: usize = self.iter().map(|(_, call)| call.answer.out_of_order_bytes()).sum();
        assert_eq!(self.out_of_order_bytes, out_of_order, "bytes that came out of order");
        assert_eq!(self.due.len(), self.iter().filter(|(_, call)| call.planned.is_some()).count());
        for (key, call) in self.iter() {
            assert!(call.fault.is_none(), "{key:?} has a fault that is not in the table");
            assert_eq!(call.planned.is_some(), call.due_at().is_some(), "{key:?}");
            assert!(
                call.planned.is_none_or(|planned| self.due.holds(key, planned)),
                "{key:?} is not where it is"
            );
            assert!(call.route.is_none() || call.waiting_until.is_none(), "{key:?} waits at a member");
            call.assert_hedge();
        }
    }
}

/// Lets go of a request; returns how many bytes it had.
fn drop_request(call: &mut Call) -> usize {
    call.request.take().map_or(0, |request| request.frame_bytes())
}

#[cfg(test)]
mod tests;
