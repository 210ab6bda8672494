//! Linearizable: the clients' history is one that a single list without copies could have shown.
//!
//! A general checker has to search for an order of the operations, because it sees only their answers. Here the order is known. Each
//! write that took effect has its place p in the final list, and each read was a view of the first n elements of that list (both are
//! checked where they are told, `copies_equal`). So in any legal order writes stand by their place, and a read of n stands behind
//! write n and before write n + 1; two reads of the same n commute. Give a write the key 2p and a read the key 2n + 1: the legal
//! orders are exactly those sorted by key. One of them respects real time if and only if no operation ends before another begins
//! that has a smaller key. (If: sort by key, then by beginning. Only if: such a pair stands the wrong way round in every legal order.)
//! Two different writes never share a key. A write without an acknowledgement that is in the list has no end, so it binds only
//! those after it: it must not stand before what had ended when it began. One that is not in the list binds nothing.
//!
//! A general checker has the last word on the same history: [`Linearizable::history`] is for Porcupine.

use std::collections::BTreeMap;
use std::time::Duration;

use rcs_rig::porcupine::History;

use super::Broken;
use crate::sim::ledger::{View, WriteId};

#[derive(Clone, Copy, Debug)]
struct Operation {
    began: Duration,
    ended: Option<Duration>,
    key: u64,
}

#[derive(Default)]
pub(super) struct Linearizable {
    begun: BTreeMap<WriteId, Duration>,
    ended: BTreeMap<WriteId, (u64, Duration)>,
    reads: Vec<(Operation, View)>,
}

impl Linearizable {
    pub(super) fn write_begins(&mut self, id: WriteId, now: Duration) {
        self.begun.insert(id, now);
    }

    pub(super) fn write_ends(&mut self, id: WriteId, place: u64, now: Duration) {
        self.ended.insert(id, (place, now));
    }

    pub(super) fn read(&mut self, began: Duration, view: View, now: Duration) {
        self.reads.push((Operation { began, ended: Some(now), key: 2 * view.len + 1 }, view));
    }

    pub(super) fn conclude(&self, list: &[WriteId]) -> Result<(), Broken> {
        let mut operations: Vec<Operation> = self.reads.iter().map(|(read, _)| *read).collect();
        for (at, id) in list.iter().enumerate() {
            let began = *self.begun.get(id).ok_or_else(|| format!("linearizable: nobody wrote {id:x}"))?;
            let ended = self.ended.get(id).map(|(_, ended)| *ended);
            operations.push(Operation { began, ended, key: 2 * (at as u64 + 1) });
        }
        check(&operations)
    }

    /// The same for a checker that knows no places but those that clients were told. `list` was read when all else was over.
    pub(super) fn history(&self, list: &[WriteId]) -> History {
        let mut history = History::default();
        for (id, began) in &self.begun {
            let told = self.ended.get(id);
            history.write(*began, told.map(|(_, ended)| *ended), *id, told.map(|(place, _)| *place));
        }
        for (read, view) in &self.reads {
            history.read(read.began, read.ended.unwrap_or(read.began), view.len, view.hash);
        }
        history.list(list.iter().copied());
        history
    }
}

/// Whether no operation ends before another begins that has a smaller key.
fn check(operations: &[Operation]) -> Result<(), Broken> {
    let mut by_begin: Vec<&Operation> = operations.iter().collect();
    by_begin.sort_by_key(|operation| operation.began);
    let mut by_end: Vec<(Duration, &Operation)> =
        operations.iter().filter_map(|operation| Some((operation.ended?, operation))).collect();
    by_end.sort_by_key(|(ended, _)| *ended);
    let mut ends = by_end.into_iter().peekable();
    let mut highest: Option<&Operation> = None;
    for operation in by_begin {
        while let Some((_, over)) = ends.next_if(|(ended, _)| *ended < operation.began) {
            if highest.is_none_or(|highest| highest.key < over.key) {
                highest = Some(over);
            }
        }
        if let Some(before) = highest.filter(|before| before.key > operation.key) {
            let name = |operation: &Operation| match operation.key % 2 {
                0 => format!(
                    "the write at place {} ({:?} to {:?})",
                    operation.key / 2,
                    operation.began,
                    operation.ended
                ),
                _ => format!(
                    "a read of {} ({:?} to {:?})",
                    operation.key / 2,
                    operation.began,
                    operation.ended
                ),
            };
            return Err(format!("linearizable: {} was over before {} began", name(before), name(operation)));
        }
    }
    Ok(())
}

/// Tries every order: what `check` claims to decide.
#[test]
fn the_check_agrees_with_a_search_of_all_orders() {
    fn search(left: &[Operation], len: u64) -> bool {
        left.iter().all(|operation| operation.ended.is_none())
            || left.iter().enumerate().any(|(at, next)| {
                let first = left.iter().all(|other| other.ended.is_none_or(|ended| ended >= next.began));
                let legal = next.key == if next.key % 2 == 0 { 2 * (len + 1) } else { 2 * len + 1 };
                let rest = [&left[..at], &left[at + 1..]].concat();
                first && legal && search(&rest, len + u64::from(next.key % 2 == 0))
            })
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let mut counts = [0; 2];
    for _ in 0..20_000 {
        let writes = rng.u64(1..4);
        let mut operations = Vec::new();
        let mut keys: Vec<u64> = (1..=writes).map(|place| 2 * place).collect();
        for _ in 0..rng.u64(0..4) {
            keys.push(2 * rng.u64(0..=writes) + 1);
        }
        for key in keys {
            let began = rng.u64(..12);
            // The last write alone may be without an end: a write without an end may also stand after all that is seen.
            let open = key == 2 * writes && rng.bool();
            let ended = (!open).then(|| Duration::from_secs(began + rng.u64(..6)));
            operations.push(Operation { began: Duration::from_secs(began), ended, key });
        }
        let (fast, slow) = (check(&operations).is_ok(), search(&operations, 0));
        assert_eq!(fast, slow, "{operations:?}");
        counts[usize::from(fast)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 1_000), "{counts:?}");
}
