//! Who gets a call (P4, P5, P10): which members could have it, which of them has a free place, and the queue where none has.
//!
//! A call of a caller over its limit was refused before. If the group or its members are full, the call waits in the group's queue,
//! for the callers are not to blame. If the queue is full as well, or no place comes in time, the caller gets an error that says
//! that the call was not run; an IDM may retry such a call by itself. Subscriptions stay open for good, so they take no places.
//!
//! The picker, the verdict on a fault and `call explain` all ask the same questions, which this file answers.

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::balance::Pick;
use crate::engine::calls::Call;
use crate::engine::groups::{Among, Bar, Candidates, Lane};
use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::members::{Asking, Members};
use crate::engine::out::Out;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::verdict::Fault;

/// What a call finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Found {
    /// A place at this member.
    Place(MemberId),
    /// Members that could have the call, but no free place at any of them: the call waits in this lane.
    NoPlace(Lane),
    /// No member.
    Nobody,
    /// Calls with this configuration are not sent.
    Barred(Bar),
}

impl Tables {
    /// Sends a call to the member that its group's picker, or the page that it continues, chooses; or lets it wait for a place.
    pub(in crate::engine) fn dispatch(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        if let Some(member) = self.calls.get(key).and_then(|call| call.forwarded_to) {
            return self.forward(key, member, now, io);
        }
        let page = self.calls.get(key).and_then(Call::page_at);
        self.dispatch_at(key, page, now, io);
    }

    /// The same for a call that should go to this member, if the member can have the call.
    pub(in crate::engine) fn dispatch_at(
        &mut self,
        key: CallKey,
        member: Option<MemberId>,
        now: Moment,
        io: &mut impl Io,
    ) {
        match self.find_place(key, member) {
            Some(Found::Place(member)) => self.send_to(key, member, now, io),
            Some(Found::NoPlace(lane)) => self.enqueue(key, lane, now),
            Some(Found::Nobody) => self.calls.fault(key, Fault::NoMember),
            Some(Found::Barred(bar)) => self.stop_at(key, bar),
            None => {}
        }
    }

    /// Holds back, or refuses, a call with a configuration that members were lost with.
    pub(in crate::engine) fn stop_at(&mut self, key: CallKey, bar: Bar) {
        match bar {
            Bar::HeldBack(until) => self.calls.hold_back(key, until),
            Bar::Quarantined => self.calls.fault(key, Fault::ConfigurationQuarantined),
        }
    }

    /// What a call finds now. `member`: where the call should go, if that is possible.
    pub(in crate::engine) fn find_place(&mut self, key: CallKey, member: Option<MemberId>) -> Option<Found> {
        let Self { calls, groups, members, .. } = self;
        let call = calls.get(key)?;
        if let Some(bar) = groups.configurations().bar(call.configuration) {
            return Some(Found::Barred(bar));
        }
        let connector = call.head().map(|head| &head.connector_key);
        // The group may have left the document while its calls were on the way.
        let Some(mut candidates) = groups.candidates(call.group, connector) else {
            return Some(Found::Nobody);
        };
        let is_subscription = call.operation.is_subscription();
        // A quarantined member finishes the calls that it has, and begins none: no page, no retry. A subscription begins only where
        // new calls go: at a member that is drained, the subscription would keep the drain waiting for ever.
        let asking = if is_subscription { Asking::InPanic } else { Asking::Begun };
        let wanted =
            member.filter(|id| members.takes(*id, asking).is_ok() && candidates.why_not(*id).is_none());
        let in_flight_max = candidates.member_in_flight_max();
        let group_is_full = candidates.is_full();
        let has_place =
            |id: MemberId| is_subscription || !group_is_full && members.has_place(id, in_flight_max).is_ok();
        Some(match (wanted, call.page_at()) {
            (Some(member), _) if has_place(member) => Found::Place(member),
            (Some(member), _) => Found::NoPlace(Lane::At(member)),
            // The page's state died with its member.
            (None, Some(_)) => Found::Nobody,
            (None, None) => match candidates.pick(&call.tried, has_place) {
                Pick::Member(member) => Found::Place(member),
                Pick::NoPlace => Found::NoPlace(lane(call, candidates.among())),
                Pick::AllTried | Pick::NoneAvailable => Found::Nobody,
            },
        })
    }

    /// Whether there is a member that a call could go to next, once a place is free there: a candidate for the connector that the
    /// call was not sent to before.
    pub(in crate::engine) fn has_untried_member(&mut self, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let connector = call.head().map(|head| &head.connector_key);
        let candidates = self.groups.candidates(call.group, connector);
        candidates.is_some_and(|candidates| candidates.has_other_than(&call.tried))
    }

    /// Whether another member would take a call at once that is at a member already.
    pub(in crate::engine) fn has_free_member(&mut self, key: CallKey) -> bool {
        let Self { calls, groups, members, .. } = self;
        let Some(call) = calls.get(key) else { return false };
        let connector = call.head().map(|head| &head.connector_key);
        let Some(candidates) = groups.candidates(call.group, connector) else { return false };
        let in_flight_max = candidates.member_in_flight_max();
        let is_free = |id: &MemberId| {
            !call.tried.contains(*id)
                && !candidates.waits_for_another(*id, &call.tried)
                && members.has_place(*id, in_flight_max).is_ok()
        };
        !candidates.is_full() && candidates.members().iter().any(is_free)
    }

    /// Each member of a group in list order, with the reason why the member could not have the call now. Without `call`: a call that
    /// just came.
    pub(in crate::engine) fn outs(
        &mut self,
        group: Option<GroupId>,
        call: Option<CallKey>,
    ) -> Vec<(MemberId, Option<Out>)> {
        let Self { calls, groups, members, view, .. } = self;
        let Some(listed) = group.and_then(|group| view.group(group)) else { return Vec::new() };
        let call = call.and_then(|key| calls.get(key));
        let connector = call.and_then(|call| call.head()).map(|head| &head.connector_key);
        let Some(candidates) = groups.candidates(listed.id, connector) else { return Vec::new() };
        listed.members.iter().map(|id| (*id, out(*id, call, &candidates, members))).collect()
    }

    /// Lets a call wait for a place.
    pub(in crate::engine) fn enqueue(&mut self, key: CallKey, lane: Lane, now: Moment) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(caller) = call.caller else { return };
        match self.groups.enqueue(call.group, lane, caller.session(), key) {
            Some(wait) => self.calls.wait(key, now + wait),
            None => self.calls.fault(key, Fault::QueueFull),
        }
    }
}

/// Why a member could not have a call now. Of several reasons, the reason that an operator would mend first.
fn out(id: MemberId, call: Option<&Call>, candidates: &Candidates<'_>, members: &Members) -> Option<Out> {
    let none = MemberSet::new();
    let tried = call.map_or(&none, |call| &call.tried);
    if call.is_some_and(|call| call.member() == Some(id)) {
        return Some(Out::Here);
    }
    if tried.contains(id) {
        return Some(Out::Tried);
    }
    // In a panic the unfit members are candidates as well.
    let is_candidate = candidates.members().contains(&id);
    let asking = if is_candidate { Asking::InPanic } else { Asking::New };
    let page = call.and_then(Call::page_at);
    let is_page_elsewhere = || page.is_some_and(|page| page != id).then_some(Out::PageElsewhere);
    match members.takes(id, asking) {
        Err(Out::Unfit(reason)) => return candidates.why_not(id).or(Some(Out::Unfit(reason))),
        Err(reason) => return Some(reason),
        Ok(()) => {}
    }
    let has_no_place = || {
        let is_full = candidates.is_full().then_some(Out::GroupFull);
        is_full.or_else(|| members.has_place(id, candidates.member_in_flight_max()).err())
    };
    let is_subscription = call.is_some_and(|call| call.operation.is_subscription());
    candidates
        .why_not(id)
        .or_else(is_page_elsewhere)
        .or_else(|| if is_subscription { None } else { has_no_place() })
        .or_else(|| candidates.waits_for_another(id, tried).then_some(Out::NotFirst))
}

/// What a call waits for.
fn lane(call: &Call, among: Among) -> Lane {
    if call.operation == Operation::Authenticate {
        Lane::Login(among)
    } else if call.attempts.elsewhere > 0 || call.attempts.same > 0 {
        Lane::Again(among)
    } else {
        Lane::Any(among)
    }
}
