//! The machine of simulated clusters: a list that commands append their id to, once each however often they are applied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rcs_consensus::{Machine, Unreadable};
pub(crate) use rcs_rig::porcupine::chain;

use super::invariants::{Applied, Watch};
use super::mistakes::Mistake;

/// The id of a write: its client and the client's count.
pub(crate) type WriteId = u64;

/// What a reader sees of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct View {
    /// The index of the last command.
    pub(crate) index: u64,
    /// How long the list is.
    pub(crate) len: u64,
    /// A hash over the list.
    pub(crate) hash: u64,
}

/// One copy of the list, in one run of one router.
pub(crate) struct Ledger {
    order: Vec<WriteId>,
    places: BTreeMap<WriteId, u64>,
    view: View,
    /// Commands so far in the entry of `view.index`.
    nth: u32,
    run: Run,
    published: View,
    /// A view that is kept back, to be published too late.
    kept_back: Option<View>,
}

/// Which copy this is, and who watches it.
#[derive(Clone)]
pub(crate) struct Run {
    /// `n1#2.0`: router, life, run.
    pub(crate) name: String,
    pub(crate) watch: Watch,
    pub(crate) mistake: Option<Mistake>,
    /// For mistakes that are made now and then.
    pub(crate) rng: Arc<Mutex<fastrand::Rng>>,
}

/// A write as a command.
pub(crate) fn command(id: WriteId) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// The same with so many bytes.
pub(crate) fn large_command(id: WriteId, bytes: usize) -> Bytes {
    let mut command = id.to_be_bytes().to_vec();
    command.resize(bytes, 0);
    command.into()
}

/// The place in the list that a write was told: the first is 1.
pub(crate) fn place(outcome: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(outcome.try_into().ok()?))
}

impl Ledger {
    pub(crate) fn new(run: Run) -> Ledger {
        Ledger {
            order: Vec::new(),
            places: BTreeMap::new(),
            view: View::default(),
            nth: 0,
            run,
            published: View::default(),
            kept_back: None,
        }
    }

    /// What readers see.
    pub(crate) fn shown(&self) -> View {
        self.published
    }

    /// The list itself.
    pub(crate) fn list(&self) -> Vec<WriteId> {
        self.order.clone()
    }

    fn append(&mut self, id: WriteId) -> u64 {
        self.order.push(id);
        self.view.len += 1;
        self.view.hash = chain(self.view.hash, id);
        self.places.insert(id, self.view.len);
        self.view.len
    }

    fn publish(&mut self) {
        let swaps = self.run.mistake == Some(Mistake::ViewsOutOfOrder);
        if swaps && self.kept_back.is_none() && self.run.rng.lock().unwrap().u8(..50) == 0 {
            self.kept_back = Some(self.view);
            return;
        }
        self.show(self.view);
        if let Some(late) = self.kept_back.take() {
            self.show(late);
        }
    }

    fn show(&mut self, view: View) {
        self.published = view;
        self.run.watch.published(&self.run.name, view);
    }
}

impl Machine for Ledger {
    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let id = command
            .get(..8)
            .and_then(place)
            .ok_or_else(|| Unreadable("a command that nobody proposed".to_owned()))?;
        self.nth = if index == self.view.index { self.nth + 1 } else { 0 };
        self.view.index = index;
        let place = match self.places.get(&id) {
            Some(place) if self.run.mistake != Some(Mistake::AppliesTwice) => *place,
            _ => self.append(id),
        };
        self.run.watch.applied(&self.run.name, Applied { index, nth: self.nth, id, place, view: self.view });
        self.publish();
        Ok(place.to_be_bytes().to_vec())
    }

    fn snapshot(&self) -> Vec<u8> {
        [self.view.index].iter().chain(&self.order).flat_map(|number| number.to_be_bytes()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Unreadable> {
        let mut numbers = snapshot.chunks(8).map_while(place);
        let index = numbers.next().ok_or_else(|| Unreadable("an empty snapshot".to_owned()))?;
        let run = self.run.clone();
        *self = Ledger { published: self.published, ..Ledger::new(run) };
        for id in numbers {
            self.append(id);
        }
        self.view.index = index;
        self.run.watch.restored(&self.run.name, self.view);
        self.publish();
        Ok(())
    }
}
