//! The clock: timers for what has to be done at its own moment and is in no table's agenda.
//!
//! Many timers judge a peer by what did not come. A router that stood still, because its machine was overloaded or paused, has not read what
//! came meanwhile. So after a standstill all timers are put off for a moment, in which the router reads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::keys::{CallKey, CallerKey, MemberSessionKey, Slot};
use crate::ids::MemberId;
use crate::limits;

/// Something to be done later. If the object of the timer is gone by then, the timer does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Close the socket if its handshake is not done.
    Handshake(SocketId),
    /// Dial the member again.
    Redial(MemberId, Slot),
    /// Send the session check that is due.
    CheckMember(MemberSessionKey),
    /// Send a call to the member again that did not run the call.
    Repeat(CallKey, MemberId),
    /// Give up the answer of a call, unless parts of the answer still come, or the call was sent more often than `sends` by then.
    Orphan { call: CallKey, sends: u32 },
    /// Wait no longer for pongs that would prove that a stream is whole, unless the call was sent more often than `sends` by then.
    Proof { call: CallKey, sends: u32 },
    /// Forget a caller that did not come back.
    Linger(CallerKey),
    /// See whether a caller opened a socket in place of one that closed.
    Redials(CallerKey),
    /// Close what is left of a member that left the document, or changed in the document.
    LetGo(MemberId),
    /// See whether a member that rests has no call left.
    Quiet(MemberId),
    /// Close a retired socket that the router dialled to a caller, whose threads wait for answers by now.
    Part(SocketId),
    /// End the rest of a member, so that the member gets calls again.
    RestOver(MemberId),
    /// Look for a way to a member in client mode through another router, or end such a way.
    Via(MemberId),
    /// Look after sockets, members and deadlines.
    Tick,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Moment,
    /// Keeps timers of one moment in the order in which they were set.
    number: u64,
    timer: Timer,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Timers in the order of their moments.
///
/// A timer is never taken back: the handler of a timer asks whether the timer's object still needs it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    heap: BinaryHeap<Reverse<Entry>>,
    set: u64,
    /// When the next tick is due.
    tick_at: Moment,
    /// Set after a standstill: no timer fires before this moment.
    put_off_until: Option<Moment>,
}

impl Clock {
    pub(super) fn set(&mut self, at: Moment, timer: Timer) {
        self.set += 1;
        if timer == Timer::Tick {
            self.tick_at = at;
        }
        self.heap.push(Reverse(Entry { at, number: self.set, timer }));
    }

    pub(super) fn next(&self) -> Option<Moment> {
        let first = self.heap.peek().map(|Reverse(entry)| entry.at)?;
        Some(self.put_off_until.map_or(first, |until| until.max(first)))
    }

    /// Puts all timers off for [`limits::STANDSTILL_GRACE`] if the router stood still until now. Returns for how long the router stood
    /// still. The timers are put off once: however late the next wake is, they fire then.
    pub(super) fn put_off(&mut self, now: Moment) -> Option<Duration> {
        if self.put_off_until.is_some_and(|until| until <= now) {
            self.put_off_until = None;
            return None;
        }
        let late = now.since(self.tick_at);
        let stood_still = self.put_off_until.is_none() && late >= limits::STANDSTILL;
        stood_still.then(|| {
            self.put_off_until = Some(now + limits::STANDSTILL_GRACE);
            late
        })
    }

    /// How many wait for answers that may be lost.
    #[cfg(test)]
    pub(super) fn of_orphans(&self) -> usize {
        let timers = self.heap.iter().map(|Reverse(entry)| entry.timer);
        timers.filter(|timer| matches!(timer, Timer::Orphan { .. })).count()
    }

    pub(super) fn pop(&mut self, now: Moment) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry.timer)
    }
}
