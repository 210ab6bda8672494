//! The order of a stream: frames overtake each other between sockets, and may come twice (WIRE 5.3).

use std::collections::{BTreeMap, BTreeSet};

use crate::limits;

/// Why a stream makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Numbers start at 1.
    #[error("a stream has an item of number {0}; numbers start at 1")]
    Sequence(i64),
    /// Too far ahead of a missing one.
    #[error("a stream is {} items ahead of a missing one", limits::STREAM_AHEAD_MAX)]
    TooFarAhead,
    /// An item behind the end.
    #[error("a stream has an item of number {0}, behind its end")]
    Beyond(i64),
    /// Two ends that differ, one below zero, or one below the items that came.
    #[error("a stream has an end of {0} items that contradicts what came before")]
    End(i64),
}

/// Which numbers of a stream were seen. It is complete when its end was seen and nothing before it is missing.
#[derive(Clone, Debug, Default)]
pub struct StreamOrder {
    /// All numbers up to this one were seen.
    seen_to: i64,
    /// Numbers beyond it that were seen.
    ahead: BTreeSet<i64>,
    end: Option<i64>,
    /// The highest number that was seen twice; 0: none was.
    repeated: i64,
}

impl StreamOrder {
    /// Notes an item; false for one that was seen already.
    pub fn item(&mut self, sequence: i64) -> Result<bool, StreamError> {
        if sequence < 1 {
            return Err(StreamError::Sequence(sequence));
        }
        if self.end.is_some_and(|end| sequence > end) {
            return Err(StreamError::Beyond(sequence));
        }
        if sequence == self.seen_to + 1 {
            self.seen_to = sequence;
            while self.ahead.first() == Some(&(self.seen_to + 1)) {
                self.ahead.pop_first();
                self.seen_to += 1;
            }
            return Ok(true);
        }
        if sequence <= self.seen_to || self.ahead.contains(&sequence) {
            self.repeated = self.repeated.max(sequence);
            return Ok(false);
        }
        if self.ahead.len() >= limits::STREAM_AHEAD_MAX {
            return Err(StreamError::TooFarAhead);
        }
        self.ahead.insert(sequence);
        Ok(true)
    }

    /// Notes the end; false for one that was seen already. One that counts fewer items than came is no end of this stream:
    /// the receiver would stop at its count (P13).
    pub fn end(&mut self, count: i64) -> Result<bool, StreamError> {
        let seen = self.ahead.last().copied().unwrap_or(self.seen_to);
        match self.end {
            Some(end) if end == count => Ok(false),
            None if count >= seen => {
                self.end = Some(count);
                Ok(true)
            }
            _ => Err(StreamError::End(count)),
        }
    }

    /// Whether the end and all before it were seen.
    pub fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.seen_to >= end)
    }

    /// Whether the last item before the end was seen twice. A Java server writes an item again if it could not write the item for
    /// 100 ms, and if the second try fails as well, it ends the stream behind that item as if the stream were complete (WIRE 5.3).
    pub fn ends_in_a_repeat(&self) -> bool {
        self.repeated > 0 && self.end == Some(self.repeated)
    }

    /// Whether the end was seen, and counts no items.
    pub fn is_empty(&self) -> bool {
        self.end == Some(0)
    }

    /// How many numbers beyond a missing one were seen.
    pub fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Distinct items seen so far.
    pub fn items(&self) -> u64 {
        self.seen_to as u64 + self.ahead.len() as u64
    }
}

/// Gives the items of a stream back in their order.
#[derive(Clone, Debug)]
pub struct Reorder<T> {
    order: StreamOrder,
    /// The number of the next item to give.
    next: i64,
    waiting: BTreeMap<i64, T>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { order: StreamOrder::default(), next: 1, waiting: BTreeMap::new() }
    }
}

impl<T> Reorder<T> {
    /// Takes an item; one that was seen already is dropped.
    pub fn item(&mut self, sequence: i64, item: T) -> Result<(), StreamError> {
        if self.order.item(sequence)? {
            self.waiting.insert(sequence, item);
        }
        Ok(())
    }

    /// Takes the end.
    pub fn end(&mut self, count: i64) -> Result<(), StreamError> {
        self.order.end(count).map(|_| ())
    }

    /// The next item in order, if it is here.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }

    /// Whether the end was seen and every item was given.
    pub fn is_finished(&self) -> bool {
        self.order.is_complete() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_overtakes_its_items_waits_for_them() {
        let mut order = StreamOrder::default();
        for (sequence, fresh) in [(1, true), (3, true), (3, false), (1, false)] {
            assert_eq!(order.item(sequence), Ok(fresh), "{sequence}");
        }
        assert_eq!(order.end(4), Ok(true));
        assert!(!order.is_complete());
        assert_eq!((order.item(2), order.is_complete()), (Ok(true), false));
        assert_eq!((order.item(4), order.is_complete()), (Ok(true), true));
        assert_eq!(order.items(), 4);
        assert_eq!((order.end(4), order.end(5)), (Ok(false), Err(StreamError::End(5))));
    }

    #[test]
    fn an_empty_stream_is_complete_with_its_end() {
        let mut order = StreamOrder::default();
        assert!(!order.is_complete());
        order.end(0).unwrap();
        assert!(order.is_complete());
        assert_eq!(StreamOrder::default().end(-1), Err(StreamError::End(-1)));
        assert_eq!(StreamOrder::default().item(0), Err(StreamError::Sequence(0)));
    }

    #[test]
    fn an_end_below_its_items_and_an_item_behind_the_end_are_errors() {
        let mut order = StreamOrder::default();
        order.item(1).unwrap();
        order.item(3).unwrap();
        assert_eq!(order.end(2), Err(StreamError::End(2)));
        assert_eq!(order.end(4), Ok(true));
        assert_eq!(order.item(5), Err(StreamError::Beyond(5)));
        let mut order = StreamOrder::default();
        order.item(1).unwrap();
        assert_eq!(order.end(0), Err(StreamError::End(0)));
    }

    #[test]
    fn a_hole_bounds_what_may_come_behind_it() {
        let mut order = StreamOrder::default();
        for sequence in 2..2 + limits::STREAM_AHEAD_MAX as i64 {
            order.item(sequence).unwrap();
        }
        assert_eq!(order.item(i64::MAX), Err(StreamError::TooFarAhead));
        assert_eq!(order.item(1), Ok(true));
        assert_eq!(order.items(), 1 + limits::STREAM_AHEAD_MAX as u64);
    }

    #[test]
    fn reorder_gives_each_item_once_and_in_order() {
        let mut reorder = Reorder::default();
        for sequence in [2, 1, 1, 4, 3, 2] {
            reorder.item(sequence, sequence).unwrap();
        }
        reorder.end(4).unwrap();
        let given: Vec<i64> = std::iter::from_fn(|| reorder.pop()).collect();
        assert_eq!(given, [1, 2, 3, 4]);
        assert!(reorder.is_finished());
    }
}
