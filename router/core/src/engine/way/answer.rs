//! From a member's frame to the caller: order, exactly one final frame, and the end of the call.

use bytes::Bytes;
use rcs_proto::envelope::{BatchPart, Envelope, Kind, Part};
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::engine::callers::Waits;
use crate::engine::calls::{
    LastItem, Step, TellsOfCall, finding, is_answer_to, is_out_of_reach, not_run, told_by_router,
};
use crate::engine::facade::page;
use crate::engine::frame::Read;
use crate::engine::groups::Tail;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, MemberSessionKey};
use crate::engine::tables::Tables;
use crate::health::Finding;
use crate::ids::MemberId;
use crate::settings::StreamEnd;
use crate::verdict::{Cut, Fault, Outcome};

impl Tables {
    /// A frame of the answer to a call.
    pub(super) fn on_answer(
        &mut self,
        key: CallKey,
        session: MemberSessionKey,
        envelope: Envelope,
        read: &Read,
        now: Moment,
        io: &mut impl Io,
    ) {
        let error = match &envelope.kind {
            Kind::Answer(head) => {
                self.has_answered(key, session, now, io);
                return self.on_answer_part(key, head.part, &envelope, read, now, io);
            }
            Kind::Error(error) => error,
            _ => unreachable!("a session event Answer is an answer or an error"),
        };
        if self.members.via(session).is_some()
            && let Some(told) = told_by_router(error, envelope.message_id)
        {
            return match told {
                TellsOfCall::NotRun => {
                    self.failed_by(key, session, Fault::MemberShutsDown, envelope, now, io)
                }
                TellsOfCall::Lost => self.lost_in(key, session, Fault::MemberLost, now, io),
            };
        }
        if let Some(fault) = not_run(error, envelope.message_id) {
            if fault == Fault::MemberShutsDown
                && let Some(route) = self.calls.get(key).and_then(|call| call.route_in(session))
            {
                self.members.shuts_down(&route);
            }
            return self.failed_by(key, session, fault, envelope, now, io);
        }
        let route = self.calls.get(key).and_then(|call| call.route_in(session));
        self.note_health_at(key, route, finding(&error.class), now);
        self.clear(key, io);
        if is_out_of_reach(&error.class) {
            return self.failed_by(key, session, Fault::ResourceFailing, envelope, now, io);
        }
        self.has_answered(key, session, now, io);
        self.pass_last(key, &envelope, Outcome::ConnectorError, now, io);
    }

    /// A member's own error says that another member may do better. If another member has the call as well, the error is dropped.
    fn failed_by(
        &mut self,
        key: CallKey,
        session: MemberSessionKey,
        fault: Fault,
        error: Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        if !self.goes_on_at_other(key, session, fault, now, io) {
            self.calls.fault_by(key, fault, error);
        }
    }

    fn on_answer_part(
        &mut self,
        key: CallKey,
        part: Part,
        envelope: &Envelope,
        read: &Read,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(caller_id) = call.caller.map(|caller| caller.id()) else {
            // The caller has left, so nobody waits for this answer. Calls with many answer frames were cancelled when their
            // caller left.
            self.clear(key, io);
            return self.end(key, Outcome::Ok, now, io);
        };
        let tail = match part {
            Part::End { has_result, .. } if !call.has_end() && is_answer_to(call.operation, part) => {
                Some(Tail::of(has_result))
            }
            _ => None,
        };
        let Some(step) =
            self.calls.step(key, part, envelope.frame_bytes(), now, || envelope.rewrite_id(caller_id))
        else {
            return;
        };
        if let Part::End { .. } = part {
            self.remember_page(key, read.goes_on(), now);
        }
        if let Some(tail) = tail.filter(|_| !matches!(step, Step::Broken | Step::OutOfOrder))
            && let Some(reason) = self.end_looks_cut(key, tail, now)
        {
            return self.cut(key, reason, io);
        }
        match step {
            Step::Keep if self.last_item(key) == LastItem::Repeated => self.cut(key, Cut::LastRepeated, io),
            Step::Keep => {
                if let Part::End { .. } = part {
                    // The end overtook items that are still on their way, or were lost with a socket.
                    self.watch(key, now);
                }
            }
            Step::Broken => self.cut(key, Cut::Nonsense, io),
            Step::OutOfOrder => self.cut(key, Cut::OutOfOrder, io),
            Step::Pass => {
                self.remember_batch(key, part, read.goes_on(), now);
                self.pass(key, envelope.rewrite_id(caller_id), now, io);
            }
            Step::PassLast if matches!(part, Part::End { .. }) => {
                self.finish_stream(key, envelope.rewrite_id(caller_id), now, io);
            }
            Step::PassLast => {
                self.remember_batch(key, part, read.goes_on(), now);
                self.clear(key, io);
                self.note_health(key, Finding::Good, now);
                self.pass_last(key, envelope, Outcome::Ok, now, io);
            }
            Step::PassThenLast(last) => {
                if self.pass(key, envelope.rewrite_id(caller_id), now, io) {
                    self.finish_stream(key, last, now, io);
                }
            }
        }
    }

    /// Whether this end of a call's stream looks cut, by the settings of the group and the habit of such streams.
    fn end_looks_cut(&mut self, key: CallKey, tail: Tail, now: Moment) -> Option<Cut> {
        let call = self.calls.get(key)?;
        let kind = call.stream.filter(|_| call.forwarded_to.is_none())?;
        if self.view.group(call.group)?.settings.stream_end == StreamEnd::AsItCame {
            return None;
        }
        let cut = self.groups.looks_cut(call.group, kind, tail, now);
        cut.then_some(if call.operation == Operation::Sync { Cut::NoToken } else { Cut::NoResult })
    }

    /// Passes a frame on. If more would wait for the caller than may, the call is failed instead, and false is returned.
    fn pass(&mut self, key: CallKey, frame: Bytes, now: Moment, io: &mut impl Io) -> bool {
        let Some(caller) = self.calls.get(key).and_then(|call| call.caller) else { return false };
        if self.callers.is_backlogged(&caller, frame.len(), Waits::OnDisk, io) {
            self.calls.fault(key, Fault::CallerTooSlow);
            return false;
        }
        let end = self.callers.deliver(&caller, frame, now, io);
        self.calls.passed(key, end);
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
        if self.callers.is_backlogged(&caller, envelope.frame_bytes(), Waits::InMemory, io) {
            return self.calls.fault(key, Fault::CallerTooSlow);
        }
        self.finish_with(key, envelope.rewrite_id(caller.id()), outcome, now, io);
    }

    /// Remembers which member served the page with these cookies: the state of the next page is there.
    fn remember_page(&mut self, key: CallKey, cookies: &[u64], now: Moment) {
        if let Some(member) = self.remember_goes_on(key, cookies) {
            self.members.gave_page(member, now);
        }
    }

    /// Remembers which member ran the batch of these tokens, because the results are kept at that member.
    fn remember_batch(&mut self, key: CallKey, part: Part, tokens: &[u64], now: Moment) {
        let Some(member) = self.remember_goes_on(key, tokens) else { return };
        if let Part::Batch(BatchPart::Token { query_required: true, .. }) = part {
            self.members.gave_page(member, now);
        }
    }

    /// Remembers which member can go on after an answer with these cookies or tokens. Returns the member, if there are any.
    fn remember_goes_on(&mut self, key: CallKey, named: &[u64]) -> Option<MemberId> {
        let call = self.calls.get(key).filter(|_| !named.is_empty())?;
        let (member, caller, pages) = (call.member()?, call.caller?, call.pages?);
        for named in named {
            self.callers.remember_page(&caller, page(pages.facade, *named), member);
        }
        Some(member)
    }
}
