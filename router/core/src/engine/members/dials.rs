//! The sockets that we keep open towards members that we dial: one for each slot.

use std::collections::btree_map::Entry;
use std::time::Duration;

use rcs_proto::time::Moment;

use super::{LastError, Members};
use crate::backoff::reconnect_wait;
use crate::engine::io::Io;
use crate::engine::keys::Slot;
use crate::ids::MemberId;
use crate::view::Link;

impl Members {
    /// Dials a member for a slot, unless the slot has a socket or a dial is under way: timers may be left from before the member was
    /// taken on anew.
    pub(in crate::engine) fn dial(&mut self, member: MemberId, slot: Slot, io: &mut impl Io) {
        let state = self.members.get(&member).and_then(|member| member.slots.get(usize::from(slot.0)));
        if state.is_some_and(|state| !state.open) {
            self.dial_anew(member, slot, io);
        }
    }

    /// Dials a member for a slot that may have a socket.
    pub(in crate::engine) fn dial_anew(&mut self, member: MemberId, slot: Slot, io: &mut impl Io) {
        let Some(state) = self.members.get(&member).filter(|state| state.wants_sockets()) else { return };
        // A member in client mode dials us.
        if let Link::Dial(endpoint) = &state.member.spec.link
            && let Entry::Vacant(vacant) = self.dials.entry((member, slot))
        {
            vacant.insert(endpoint.clone());
            io.dial(member, slot, endpoint);
        }
    }

    /// Dials all slots of a member.
    pub(in crate::engine) fn dial_all(&mut self, member: MemberId, io: &mut impl Io) {
        for slot in 0..self.slots_of(member) {
            self.dial(member, Slot(slot), io);
        }
    }

    /// How many sockets are kept open towards a member.
    pub(in crate::engine) fn slots_of(&self, member: MemberId) -> u8 {
        self.members.get(&member).map_or(0, |state| state.member.spec.sockets)
    }

    /// Notes the end of a dial; returns whether the dial was for the member's present endpoint. If not, the present endpoint is
    /// dialled.
    pub(in crate::engine) fn end_dial(&mut self, member: MemberId, slot: Slot, io: &mut impl Io) -> bool {
        let dialled = self.dials.remove(&(member, slot));
        let state = self.members.get(&member);
        let Some(state) = state.filter(|state| usize::from(slot.0) < state.slots.len()) else { return false };
        match (&state.member.spec.link, dialled) {
            (Link::Dial(endpoint), Some(dialled)) if *endpoint == dialled => true,
            _ => {
                self.dial(member, slot, io);
                false
            }
        }
    }

    /// A socket was opened for this slot; returns false if the member wants no socket any more.
    pub(in crate::engine) fn slot_opened(&mut self, member: MemberId, slot: Slot) -> bool {
        let state = self.members.get_mut(&member).filter(|state| state.wants_sockets());
        let Some(state) = state.and_then(|state| state.slots.get_mut(usize::from(slot.0))) else {
            return false;
        };
        state.open = true;
        true
    }

    /// The socket of this slot closed, or could not be opened. Returns how long to wait before the next attempt, if there is to be
    /// one.
    pub(in crate::engine) fn slot_closed(
        &mut self,
        member: MemberId,
        slot: Slot,
        random: u64,
    ) -> Option<Duration> {
        let state = self.members.get_mut(&member)?;
        let is_wanted = state.wants_sockets();
        let slot = state.slots.get_mut(usize::from(slot.0))?;
        slot.open = false;
        if !is_wanted {
            return None;
        }
        let wait = reconnect_wait(slot.attempts, random);
        slot.attempts = slot.attempts.saturating_add(1);
        Some(wait)
    }

    /// No socket could be opened for this slot. An old one may still be there, whose replacement is to be tried again.
    pub(in crate::engine) fn slot_failed(&mut self, member: MemberId, slot: Slot) {
        let state = self.members.get_mut(&member);
        if let Some(slot) = state.and_then(|state| state.slots.get_mut(usize::from(slot.0))) {
            slot.open = false;
        }
    }

    /// A member could not be reached, or the router closed its connection. `label` gives the reason in a few words, `text` in a sentence.
    pub(in crate::engine) fn failed(
        &mut self,
        member: MemberId,
        label: &'static str,
        text: &str,
        now: Moment,
    ) {
        let Some(state) = self.members.get_mut(&member) else { return };
        match &mut state.last_error {
            Some(error) if error.text == text => error.at = now,
            last => *last = Some(LastError { label, text: text.to_owned(), at: now }),
        }
    }

    /// An attempt to reach a member failed for this reason; returns whether the reason is new to the operator.
    pub(in crate::engine) fn is_new_failure(&mut self, member: MemberId, reason: &str) -> bool {
        let Some(state) = self.members.get_mut(&member) else { return false };
        let is_new = state.last_failure.as_deref() != Some(reason);
        if is_new {
            state.last_failure = Some(reason.to_owned());
        }
        is_new
    }
}
