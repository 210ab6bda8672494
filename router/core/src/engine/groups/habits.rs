//! What the end of a stream must look like (P13). A member that cannot write for 100 ms ends a search as if it were complete,
//! and leaves out the `result` (WIRE 5.3). A connector may leave the `result` out as well. So the ends that a configuration sends
//! are learned, and an end that lacks what all ends before had is an error.

use std::collections::BTreeMap;

use rcs_proto::time::Moment;

use crate::engine::facade::StreamKind;
use crate::limits;

/// Whether an end had its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Tail {
    /// With a `result`, or a token.
    Given,
    /// Without.
    Missing,
}

impl Tail {
    /// The tail of an end.
    pub(in crate::engine) fn of(has_result: bool) -> Self {
        if has_result { Self::Given } else { Self::Missing }
    }
}

/// What is known of the ends of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// This number of ends came with a tail, none without.
    Learning(u32),
    /// All ends come with a tail: an end without a tail looks cut.
    Always,
    /// An end came without a tail before enough had come with one: ends of this kind are never judged.
    Mixed,
}

/// The habits of a group's streams.
#[derive(Debug, Default)]
pub(in crate::engine) struct StreamHabits {
    known: BTreeMap<StreamKind, (Habit, Moment)>,
}

impl StreamHabits {
    /// Learns from an end; returns whether the end looks cut.
    pub(in crate::engine) fn looks_cut(&mut self, kind: StreamKind, tail: Tail, now: Moment) -> bool {
        if !self.known.contains_key(&kind) && self.known.len() >= limits::STREAM_HABITS_MAX {
            self.forget_oldest();
        }
        let (habit, used) = self.known.entry(kind).or_insert((Habit::Learning(0), now));
        *used = now;
        match (*habit, tail) {
            (Habit::Learning(ends), Tail::Given) if ends + 1 < limits::STREAM_ENDS_LEARNED => {
                *habit = Habit::Learning(ends + 1);
            }
            (Habit::Learning(_), Tail::Given) => *habit = Habit::Always,
            (Habit::Learning(_), Tail::Missing) => *habit = Habit::Mixed,
            (Habit::Always, Tail::Missing) => return true,
            (Habit::Always, Tail::Given) | (Habit::Mixed, _) => {}
        }
        false
    }

    fn forget_oldest(&mut self) {
        let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(kind, _)| *kind);
        if let Some(kind) = oldest {
            self.known.remove(&kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    /// `+` an end with a result, `-` one without; `!` where it looks cut.
    #[test]
    fn an_end_looks_cut_only_where_all_before_it_were_whole() {
        for (ends, expected) in [
            ("+++-+-", "...!.!"),
            ("++-+++++-", "........."),
            ("-++++-", "......"),
            ("++++++++++-", "..........!"),
            ("---", "..."),
        ] {
            let mut habits = StreamHabits::default();
            let judged: String = ends
                .chars()
                .map(|end| if end == '+' { Tail::Given } else { Tail::Missing })
                .map(|tail| if habits.looks_cut(StreamKind::numbered(7), tail, at(1)) { '!' } else { '.' })
                .collect();
            assert_eq!(judged, expected, "{ends}");
        }
    }

    #[test]
    fn kinds_are_learned_apart_and_the_one_that_was_not_used_for_longest_is_forgotten_p10() {
        let mut habits = StreamHabits::default();
        for kind in 0..limits::STREAM_HABITS_MAX as u64 {
            for _ in 0..limits::STREAM_ENDS_LEARNED {
                habits.looks_cut(StreamKind::numbered(kind), Tail::Given, at(kind));
            }
        }
        assert!(habits.looks_cut(StreamKind::numbered(0), Tail::Missing, at(9_999)));
        assert!(!habits.looks_cut(StreamKind::numbered(1 << 40), Tail::Missing, at(9_999)));
        assert_eq!(habits.known.len(), limits::STREAM_HABITS_MAX);
        assert!(!habits.known.contains_key(&StreamKind::numbered(1)), "the oldest");
        assert!(
            habits.known.contains_key(&StreamKind::numbered(0))
                && habits.known.contains_key(&StreamKind::numbered(2))
        );
    }
}
