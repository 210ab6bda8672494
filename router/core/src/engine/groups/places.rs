//! Places: calls that are at members, and calls that wait.

use std::time::Duration;

use super::{Groups, Lane};
use crate::engine::keys::{CallKey, CallerKey};
use crate::ids::GroupId;

impl Groups {
    /// A call is at a member now.
    pub(in crate::engine) fn take_place(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.in_flight += 1;
        }
    }

    /// A call has left its member.
    pub(in crate::engine) fn give_back(&mut self, id: GroupId) {
        self.places_freed = true;
        if let Some(group) = self.groups.get_mut(&id) {
            group.in_flight -= 1;
        } else if let Some(left) = self.left.get_mut(&id) {
            *left -= 1;
            if *left == 0 {
                self.left.remove(&id);
            }
        }
    }

    /// A place at some member may have become free.
    pub(in crate::engine) fn places_freed(&mut self) {
        self.places_freed = true;
    }

    /// A call waits for a place. Returns how long the call may wait; none if the queue is full.
    pub(in crate::engine) fn enqueue(
        &mut self,
        id: GroupId,
        lane: Lane,
        caller: CallerKey,
        call: CallKey,
    ) -> Option<Duration> {
        let group = self.groups.get_mut(&id)?;
        if group.queue.is_full(lane, group.bounds.queue) {
            return None;
        }
        group.queue.push(lane, caller, call);
        let wait = group.bounds.wait;
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
        Some(wait)
    }

    /// A call no longer waits, in whatever lane it was.
    pub(in crate::engine) fn leave_queue(&mut self, id: GroupId, caller: CallerKey, call: CallKey) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.queue.remove(caller, call);
            if group.queue.is_empty() {
                self.waiting.retain(|waiting| *waiting != id);
            }
        }
    }

    /// The groups in which calls wait, if a place may have become free. The group that comes first is last the next time, for groups
    /// may share members (C12).
    pub(in crate::engine) fn take_turns(&mut self) -> Vec<GroupId> {
        if !std::mem::take(&mut self.places_freed) || self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.rotate_left(1);
        self.waiting.clone()
    }

    /// The call that is next in each lane of a group's queue, in the order in which they should get a place.
    pub(in crate::engine) fn heads(&self, id: GroupId) -> Vec<(Lane, CallKey)> {
        self.groups.get(&id).map(|group| group.queue.heads().collect()).unwrap_or_default()
    }

    /// Takes the next call of this lane out.
    pub(in crate::engine) fn pop(&mut self, id: GroupId, lane: Lane) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.queue.pop(lane);
        }
    }

    /// Forgets the groups in which nobody waits any more.
    pub(in crate::engine) fn forget_idle_queues(&mut self) {
        let groups = &self.groups;
        self.waiting.retain(|id| groups.get(id).is_some_and(|group| !group.queue.is_empty()));
    }

    /// Calls that wait in a group.
    pub(in crate::engine) fn queued(&self, id: GroupId) -> usize {
        self.groups.get(&id).map_or(0, |group| group.queue.len())
    }
}
