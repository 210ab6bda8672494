//! Places for calls (P10): how many may be in flight of a caller, in a group and at a member, and what becomes of those that
//! find no place.
//!
//! A caller over its limit is refused at once: the flood is its own. Where the group or its members are full the call waits in
//! the group's queue, for the callers are not to blame; if that is full as well, or no place comes in time, the caller gets an
//! error that says that the call was not run, and that IDM may repeat by itself.
//!
//! A place that becomes free is given away at the end of the same event, and only there: so no waiting call could go while the
//! next event is applied, and a new call that finds a place overtakes nobody. That call pays two comparisons and no allocation.
//! Subscriptions stay open for good, so they take no places.

use rcs_proto::envelope::OperationHead;
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use super::dispatch::{GroupState, is_subscription};
use super::queue::{Among, Lane, Queue};
use super::{Call, CallKey, DownstreamKey, Engine, Io, Phase};
use crate::balance::Pick;
use crate::ids::{GroupId, MemberId};
use crate::limits;
use crate::settings::GroupSettings;
use crate::verdict::{ErrorKind, Fault};

/// Since when, and for what, a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When it is given up, if its own deadline does not come first.
    until: Moment,
}

/// The bounds of a group, as its settings say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    in_flight: usize,
    member_in_flight: usize,
    queue: usize,
    wait: std::time::Duration,
    pub(super) retry_percent: u32,
}

impl Bounds {
    pub(super) fn of(settings: &GroupSettings) -> Self {
        Self {
            in_flight: settings.in_flight_max,
            member_in_flight: settings.member_in_flight_max,
            queue: settings.queue_max,
            wait: settings.queue_wait,
            retry_percent: settings.retry_percent,
        }
    }
}

/// The places of a group.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) bounds: Bounds,
    /// Calls that are at a member, subscriptions apart.
    pub(super) in_flight: usize,
    pub(super) queue: Queue,
}

/// What there is for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// A place at this member.
    Place(MemberId),
    /// Members, and no free place at any of them.
    NoPlace(Lane),
    /// No member.
    Nobody,
}

impl Engine {
    /// Whether a call may enter, and in which group.
    pub(super) fn admit(
        &self,
        caller: DownstreamKey,
        head: &OperationHead,
        bytes: usize,
    ) -> Result<GroupId, (ErrorKind, Option<GroupId>)> {
        let Some(downstream) = self.downstreams.get(caller) else { return Err((ErrorKind::NoMember, None)) };
        let group = self.group_of(downstream.id.0, head).map_err(|kind| (kind, None))?;
        let open = downstream.session.executing_count().saturating_sub(downstream.subscriptions);
        let is_over = match is_subscription(head.operation) {
            true => downstream.subscriptions >= limits::SUBSCRIPTIONS_PER_SESSION_MAX,
            false => open >= self.view.router().caller_in_flight_max,
        };
        match self.phase {
            Phase::Draining | Phase::Leaving => Err((ErrorKind::Draining, Some(group))),
            Phase::Serving if is_over || self.takes_too_much(caller, bytes) => {
                Err((ErrorKind::TooManyCalls, Some(group)))
            }
            Phase::Serving
                if self.calls.len() >= limits::CALLS_MAX
                    || self.request_bytes + bytes > limits::REQUEST_BYTES_MAX =>
            {
                Err((ErrorKind::RouterFull, Some(group)))
            }
            Phase::Serving => Ok(group),
        }
    }

    /// Whether the requests that are kept for this caller are more than its share, while room is short. They are added up only
    /// then.
    fn takes_too_much(&self, caller: DownstreamKey, bytes: usize) -> bool {
        if self.request_bytes + bytes <= limits::REQUEST_BYTES_MAX / 2 {
            return false;
        }
        let open = self.downstreams.get(caller).map(|of| of.session.executing_keys()).unwrap_or_default();
        let kept = open.into_iter().filter_map(|call| self.calls.get(call)?.request.as_ref());
        kept.map(|request| request.frame_bytes()).sum::<usize>() + bytes
            > limits::REQUEST_BYTES_PER_SESSION_MAX
    }

    /// Sends a call to the member that its group's picker, or the page that it continues, chooses; or lets it wait for a place.
    pub(super) fn dispatch(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let page = self.calls.get(key).and_then(|call| call.pages).and_then(|pages| pages.member);
        self.dispatch_at(key, page, now, io);
    }

    /// The same for a call that should go to this member, if it is there.
    pub(super) fn dispatch_at(
        &mut self,
        key: CallKey,
        member: Option<MemberId>,
        now: Moment,
        io: &mut impl Io,
    ) {
        match self.find_place(key, member) {
            Some(Found::Place(member)) => self.send_to(key, member, now, io),
            Some(Found::NoPlace(lane)) => self.enqueue(key, lane, now, io),
            Some(Found::Nobody) => self.fail(key, Fault::NoMember, now, io),
            None => {}
        }
    }

    fn find_place(&mut self, key: CallKey, member: Option<MemberId>) -> Option<Found> {
        let call = self.calls.get(key)?;
        // The group may have left the document while its calls were on the way.
        let Some(group) = self.groups.get_mut(&call.group) else { return Some(Found::Nobody) };
        let GroupState { picker, cursor, places, versions, sets, .. } = group;
        let takers = versions.as_mut().and_then(|versions| versions.takers(&call.head()?.connector_key));
        let picker = takers.map_or(&*picker, |takers| &takers.picker);
        let bounds = &places.bounds;
        let unbounded = is_subscription(call.operation);
        let group_has_place = unbounded || places.in_flight < bounds.in_flight;
        let members = &self.members;
        let has_place = |id: MemberId| {
            group_has_place
                && (unbounded
                    || members
                        .get(&id)
                        .is_some_and(|state| state.busy < bounds.member_in_flight && !state.rest.is_on()))
        };
        let takes = |id: MemberId| takers.is_none_or(|takers| takers.contains(id));
        // A member that is quarantined finishes what it has, and begins nothing: no page, no repetition.
        let may_begin = |id: &MemberId| {
            members.get(id).is_some_and(|state| state.finishes_calls()) && sets.may_serve(*id) && takes(*id)
        };
        let linked = member.filter(may_begin);
        Some(match (linked, call.pages.and_then(|pages| pages.member)) {
            (Some(member), _) if has_place(member) => Found::Place(member),
            (Some(member), _) => Found::NoPlace(Lane::At(member)),
            // The page's state died with it.
            (None, Some(_)) => Found::Nobody,
            (None, None) => match picker.pick_free(cursor, &call.tried, has_place) {
                Pick::Member(member) => Found::Place(member),
                Pick::NoPlace => Found::NoPlace(
                    call.lane(takers.map_or(Among::All, |takers| Among::Takers(takers.digest))),
                ),
                Pick::AllTried | Pick::NoneAvailable => Found::Nobody,
            },
        })
    }

    fn enqueue(&mut self, key: CallKey, lane: Lane, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(group) = self.groups.get_mut(&call.group) else { return };
        let Some(caller) = call.caller else { return };
        let places = &mut group.places;
        if places.queue.is_full(lane, places.bounds.queue) {
            return self.fail(key, Fault::QueueFull, now, io);
        }
        if places.queue.is_empty() && !self.waiting_groups.contains(&call.group) {
            self.waiting_groups.push(call.group);
        }
        places.queue.push(lane, caller.session, key);
        call.waiting = Some(Waiting { until: now + places.bounds.wait });
    }

    /// A call has ended, or is given up: it waits no longer.
    pub(super) fn leave_queue(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.waiting.take().is_some()
            && let Some(caller) = call.caller
            && let Some(group) = self.groups.get_mut(&call.group)
        {
            group.places.queue.remove(caller.session, key);
        }
    }

    /// Gives the places that became free to the calls that wait for them. A group that was served first is last the next time:
    /// groups may share members (C12).
    pub(super) fn give_places(&mut self, now: Moment, io: &mut impl Io) {
        if !std::mem::take(&mut self.places_freed) || self.waiting_groups.is_empty() {
            return;
        }
        self.waiting_groups.rotate_left(1);
        for group in self.waiting_groups.clone() {
            match self.groups.contains_key(&group) {
                true => while self.give_place(group, now, io) {},
                false => self.end_waits(|call| call.group == group, Fault::NoMember, now, io),
            }
        }
        let groups = &self.groups;
        self.waiting_groups.retain(|id| groups.get(id).is_some_and(|group| !group.places.queue.is_empty()));
    }

    /// Gives one call of the group what it waits for, or tells it that there is nothing to wait for any more (G15).
    fn give_place(&mut self, group: GroupId, now: Moment, io: &mut impl Io) -> bool {
        let Some(state) = self.groups.get(&group) else { return false };
        // Few lanes: one for each member that holds pages, and three more; three for each connector that is called while the
        // members have different ones.
        let heads: Vec<(Lane, CallKey)> = state.places.queue.heads().collect();
        for (lane, key) in heads {
            let member = match lane {
                Lane::At(member) => Some(member),
                Lane::Login(_) | Lane::Again(_) | Lane::Any(_) => None,
            };
            let found = self.find_place(key, member);
            if found == Some(Found::NoPlace(lane)) {
                continue;
            }
            if let Some(state) = self.groups.get_mut(&group) {
                state.places.queue.pop(lane);
            }
            if let Some(call) = self.calls.get_mut(key) {
                call.waiting = None;
            }
            match found {
                Some(Found::Place(member)) => self.send_to(key, member, now, io),
                // The member that it waited for is gone, and the others are full: it waits on among them.
                Some(Found::NoPlace(lane)) => self.enqueue(key, lane, now, io),
                Some(Found::Nobody) => self.fail(key, Fault::NoMember, now, io),
                None => {}
            }
            return true;
        }
        false
    }

    /// Ends the waits that took too long. Looked at on each tick.
    pub(super) fn end_overdue_waits(&mut self, now: Moment, io: &mut impl Io) {
        if !self.waiting_groups.is_empty() {
            let is_over = |call: &Call| call.waiting.is_some_and(|waiting| waiting.until <= now);
            self.end_waits(is_over, Fault::QueueTimeout, now, io);
        }
    }

    fn end_waits(&mut self, which: impl Fn(&Call) -> bool, fault: Fault, now: Moment, io: &mut impl Io) {
        let over = self.calls.iter().filter(|(_, call)| call.waiting.is_some() && which(call));
        let over: Vec<CallKey> = over.map(|(key, _)| key).collect();
        for key in over {
            self.leave_queue(key);
            self.fail(key, fault, now, io);
        }
    }
}

impl Call {
    fn lane(&self, among: Among) -> Lane {
        if self.operation == Operation::Authenticate {
            Lane::Login(among)
        } else if self.attempts.elsewhere > 0 || self.attempts.same > 0 {
            Lane::Again(among)
        } else {
            Lane::Any(among)
        }
    }
}
