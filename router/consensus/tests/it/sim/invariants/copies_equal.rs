//! Copies are equal: whatever applies a command at an index does the same as whoever did first, so at equal index all copies are
//! equal. It follows that a command is applied once (its place in the list is its first place), and that what was acknowledged stays.

use std::collections::BTreeMap;

use super::{Applied, Broken};
use crate::sim::ledger::{View, WriteId, chain};

#[derive(Default)]
pub(super) struct CopiesEqual {
    /// The first that was applied at each index and place in the entry.
    applied: BTreeMap<(u64, u32), Applied>,
    /// The list, in the order of its first application.
    list: Vec<WriteId>,
    places: BTreeMap<WriteId, u64>,
    /// The list's hash at each length.
    hashes: Vec<u64>,
    /// The longest list at the highest index.
    last: View,
}

impl CopiesEqual {
    pub(super) fn applied(&mut self, run: &str, now: Applied) -> Result<(), Broken> {
        let key = (now.index, now.nth);
        if let Some(first) = self.applied.get(&key) {
            if *first != now {
                return Err(format!("copies equal: {run} does {now:x?}, and another did {first:x?}"));
            }
            return Ok(());
        }
        if self.applied.last_key_value().is_some_and(|(last, _)| *last > key) {
            return Err(format!("copies equal: {run} applies {now:x?}, which the others left out"));
        }
        self.applied.insert(key, now);
        self.last = now.view;
        if now.view.len == self.list.len() as u64 + 1 {
            self.list.push(now.id);
            self.hashes.push(now.view.hash);
            if let Some(before) = self.places.insert(now.id, now.view.len) {
                return Err(format!("applied once: {:x} is at {before} and at {}", now.id, now.view.len));
            }
        }
        self.known(run, now.view)?;
        if self.places.get(&now.id) != Some(&now.place) {
            return Err(format!("applied once: {run} says that {:x} is at {}", now.id, now.place));
        }
        Ok(())
    }

    pub(super) fn restored(&mut self, run: &str, view: View) -> Result<(), Broken> {
        self.known(run, view)
    }

    /// Whether the list looked like this once.
    fn known(&self, who: &str, view: View) -> Result<(), Broken> {
        let hash = match view.len {
            0 => Some(&0),
            len => self.hashes.get(len as usize - 1),
        };
        if hash == Some(&view.hash) {
            return Ok(());
        }
        Err(format!("copies equal: {who} has a list of {} that nobody else had", view.len))
    }

    pub(super) fn read(&self, view: View) -> Result<(), Broken> {
        self.known("a reader", view)
    }

    /// An acknowledged write is where its client was told that it is; every other copy is checked against this.
    pub(super) fn acknowledged(&self, id: WriteId, index: u64, place: u64) -> Result<(), Broken> {
        let is_there = self.list.get((place as usize).wrapping_sub(1)) == Some(&id);
        let applied = self.applied.range((index, 0)..(index + 1, 0)).any(|(_, applied)| applied.id == id);
        if is_there && applied {
            return Ok(());
        }
        Err(format!(
            "acknowledged stays: {id:x} was acknowledged at {place} by entry {index}, and nobody applied it there"
        ))
    }

    pub(super) fn last(&self) -> View {
        self.last
    }

    pub(super) fn list(&self) -> &[WriteId] {
        debug_assert_eq!(self.list.iter().fold(0, |hash, id| chain(hash, *id)), self.last.hash);
        &self.list
    }
}
