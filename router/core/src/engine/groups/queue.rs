//! Calls of one group that wait for a free place: in order of arrival for each caller, and in turn between callers, so that the
//! flood of one caller does not starve another caller (P10).

use std::collections::VecDeque;

use crate::engine::keys::{CallKey, CallerKey};
use crate::ids::MemberId;

/// What a waiting call waits for, in the order in which places are given away. The lanes [`Lane::Any`] and [`Lane::At`] take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Lane {
    /// A login, at any member: somebody waits at a login page (J06 to J08).
    Login(Among),
    /// A call that had a place before and lost it with its member.
    Again(Among),
    /// A place at any member.
    Any(Among),
    /// A place at this member: a page whose state the member holds, or a call that is retried at the member.
    At(MemberId),
}

impl Lane {
    fn rank(self) -> u8 {
        match self {
            Self::Login(_) => 0,
            Self::Again(_) => 1,
            Self::Any(_) | Self::At(_) => 2,
        }
    }
}

/// Which members "any member" means: a call that only some members can have must not hold up other calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Among {
    /// All members of the group.
    All,
    /// The takers of a connector, by a digest of its key (`versions`).
    Takers(u64),
}

/// Waiting calls, callers in turn.
#[derive(Debug, Default)]
struct Turns {
    /// Callers with waiting calls, the next caller first.
    callers: VecDeque<(CallerKey, VecDeque<CallKey>)>,
}

impl Turns {
    fn push(&mut self, caller: CallerKey, call: CallKey) {
        match self.callers.iter_mut().find(|(of, _)| *of == caller) {
            Some((_, calls)) => calls.push_back(call),
            None => self.callers.push_back((caller, VecDeque::from([call]))),
        }
    }

    fn front(&self) -> Option<CallKey> {
        self.callers.front().and_then(|(_, calls)| calls.front()).copied()
    }

    fn pop(&mut self) -> Option<CallKey> {
        let (caller, mut calls) = self.callers.pop_front()?;
        let call = calls.pop_front();
        if !calls.is_empty() {
            self.callers.push_back((caller, calls));
        }
        call
    }

    fn remove(&mut self, caller: CallerKey, call: CallKey) -> bool {
        let Some(place) = self.callers.iter().position(|(of, _)| *of == caller) else { return false };
        let calls = &mut self.callers[place].1;
        let Some(at) = calls.iter().position(|waiting| *waiting == call) else { return false };
        calls.remove(at);
        if calls.is_empty() {
            self.callers.remove(place);
        }
        true
    }
}

/// The queue of a group.
#[derive(Debug, Default)]
pub(in crate::engine) struct Queue {
    /// The lanes in which calls wait, the lane that gets places first in front.
    lanes: Vec<(Lane, Turns)>,
    logins: usize,
    others: usize,
}

impl Queue {
    /// Calls that wait.
    pub(in crate::engine) fn len(&self) -> usize {
        self.logins + self.others
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the queue is full for this lane. Logins have a limit of their own, equal to that of all other calls together, so
    /// that a flood of other calls cannot keep them out. Calls that lost their place are always admitted: there are never more
    /// of them than calls in flight.
    pub(in crate::engine) fn is_full(&self, lane: Lane, max: usize) -> bool {
        match lane {
            Lane::Login(_) => self.logins >= max,
            Lane::Again(_) => false,
            Lane::Any(_) | Lane::At(_) => self.others >= max,
        }
    }

    pub(in crate::engine) fn push(&mut self, lane: Lane, caller: CallerKey, call: CallKey) {
        *self.count(lane) += 1;
        match self.lanes.iter_mut().find(|(of, _)| *of == lane) {
            Some((_, turns)) => turns.push(caller, call),
            None => {
                let mut turns = Turns::default();
                turns.push(caller, call);
                let at = self.lanes.iter().take_while(|(of, _)| of.rank() <= lane.rank()).count();
                self.lanes.insert(at, (lane, turns));
            }
        }
    }

    /// Every call that waits.
    pub(in crate::engine) fn all(&self) -> Vec<CallKey> {
        let turns = self.lanes.iter().flat_map(|(_, turns)| &turns.callers);
        turns.flat_map(|(_, calls)| calls).copied().collect()
    }

    /// The call that is next in each lane, in the order in which they should get a place.
    pub(in crate::engine) fn heads(&self) -> impl Iterator<Item = (Lane, CallKey)> {
        self.lanes.iter().filter_map(|(lane, turns)| Some((*lane, turns.front()?)))
    }

    /// Takes the next call of this lane, and lets the other lanes of its rank have their turn.
    pub(in crate::engine) fn pop(&mut self, lane: Lane) -> Option<CallKey> {
        let at = self.lanes.iter().position(|(of, _)| *of == lane)?;
        let call = self.lanes[at].1.pop()?;
        *self.count(lane) -= 1;
        let (_, turns) = &self.lanes[at];
        let is_over = turns.callers.is_empty();
        let served = self.lanes.remove(at);
        if !is_over {
            let behind = self.lanes.iter().take_while(|(of, _)| of.rank() <= lane.rank()).count();
            self.lanes.insert(behind, served);
        }
        Some(call)
    }

    /// Takes a call out, wherever it waits.
    pub(in crate::engine) fn remove(&mut self, caller: CallerKey, call: CallKey) {
        let Some(at) = self.lanes.iter_mut().position(|(_, turns)| turns.remove(caller, call)) else {
            return;
        };
        let lane = self.lanes[at].0;
        *self.count(lane) -= 1;
        if self.lanes[at].1.callers.is_empty() {
            self.lanes.remove(at);
        }
    }

    fn count(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Login(_) => &mut self.logins,
            Lane::Again(_) | Lane::Any(_) | Lane::At(_) => &mut self.others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::{Arena, Key};

    const LOGIN: Lane = Lane::Login(Among::All);
    const AGAIN: Lane = Lane::Again(Among::All);
    const ANY: Lane = Lane::Any(Among::All);

    fn keys<K>(count: usize) -> Vec<Key<K>> {
        let mut arena = Arena::<K, ()>::default();
        (0..count).map(|_| arena.insert(())).collect()
    }

    fn calls(count: usize) -> Vec<CallKey> {
        keys(count)
    }

    fn callers(count: usize) -> Vec<CallerKey> {
        keys(count)
    }

    /// The calls in the order in which they get places, if every place is free.
    fn drain(queue: &mut Queue, calls: &[CallKey]) -> Vec<usize> {
        let mut order = Vec::new();
        loop {
            let Some((lane, head)) = queue.heads().next() else { break };
            let call = queue.pop(lane).unwrap();
            assert_eq!(call, head);
            order.push(calls.iter().position(|known| *known == call).unwrap());
        }
        assert!(queue.is_empty() && queue.lanes.is_empty());
        order
    }

    #[test]
    fn callers_take_turns_and_each_is_served_in_order() {
        let (calls, callers, mut queue) = (calls(7), callers(2), Queue::default());
        for (call, caller) in [0, 0, 0, 0, 1, 1, 0].into_iter().enumerate() {
            queue.push(ANY, callers[caller], calls[call]);
        }
        assert_eq!(drain(&mut queue, &calls), [0, 4, 1, 5, 2, 3, 6]);
    }

    #[test]
    fn logins_come_first_then_calls_that_lost_their_place() {
        let (calls, callers, mut queue) = (calls(6), callers(1), Queue::default());
        let at = Lane::At(MemberId(1));
        let lanes = [ANY, at, AGAIN, LOGIN, ANY, at];
        for (call, lane) in lanes.into_iter().enumerate() {
            queue.push(lane, callers[0], calls[call]);
        }
        assert_eq!(drain(&mut queue, &calls), [3, 2, 0, 1, 4, 5]);
    }

    #[test]
    fn a_lane_without_a_place_holds_up_no_other() {
        let (calls, callers, mut queue) = (calls(3), callers(1), Queue::default());
        for (call, lane) in [Lane::At(MemberId(1)), Lane::At(MemberId(1)), ANY].into_iter().enumerate() {
            queue.push(lane, callers[0], calls[call]);
        }
        let heads: Vec<_> = queue.heads().collect();
        assert_eq!(heads, [(Lane::At(MemberId(1)), calls[0]), (ANY, calls[2])]);
        assert_eq!(queue.pop(ANY), Some(calls[2]));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn lanes_of_some_members_have_the_rank_of_those_of_all_and_take_turns() {
        let (calls, callers, mut queue) = (calls(6), callers(1), Queue::default());
        let some = Among::Takers(7);
        let lanes = [ANY, Lane::Any(some), Lane::Login(some), LOGIN, ANY, Lane::Login(some)];
        for (call, lane) in lanes.into_iter().enumerate() {
            queue.push(lane, callers[0], calls[call]);
        }
        assert!(queue.is_full(Lane::Login(some), 3) && queue.is_full(Lane::Any(some), 3));
        assert_eq!(drain(&mut queue, &calls), [2, 3, 5, 0, 1, 4]);
    }

    #[test]
    fn what_is_taken_out_is_gone_and_the_rest_keeps_its_order() {
        let (calls, callers, mut queue) = (calls(4), callers(2), Queue::default());
        for (call, caller) in [0, 0, 0, 1].into_iter().enumerate() {
            queue.push(ANY, callers[caller], calls[call]);
        }
        queue.remove(callers[0], calls[1]);
        queue.remove(callers[0], calls[1]);
        queue.remove(callers[1], calls[3]);
        assert_eq!(queue.len(), 2);
        assert_eq!(drain(&mut queue, &calls), [0, 2]);
    }

    #[test]
    fn a_full_queue_still_has_room_for_logins_and_for_calls_that_had_a_place() {
        let (calls, callers, mut queue) = (calls(3), callers(1), Queue::default());
        queue.push(ANY, callers[0], calls[0]);
        for (lane, full) in [(ANY, true), (Lane::At(MemberId(0)), true), (LOGIN, false), (AGAIN, false)] {
            assert_eq!(queue.is_full(lane, 1), full, "{lane:?}");
        }
        queue.push(LOGIN, callers[0], calls[1]);
        assert!(queue.is_full(LOGIN, 1));
        assert!(queue.is_full(LOGIN, 0) && queue.is_full(ANY, 0));
    }
}
