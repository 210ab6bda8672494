//! What the end of a stream must look like (P13). A member that cannot write for 100 ms ends a search as if it were complete,
//! and leaves out the `result` (WIRE 5.3); a connector may leave it out as well. So the ends that a configuration sends are
//! learned, and one that lacks what all before it had is an error.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rcs_proto::envelope::OperationHead;
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use super::affinity::Facade;
use super::{CallKey, Engine, Io, Note};
use crate::limits;
use crate::settings::StreamEnd;
use crate::verdict::{Cut, Fault};

/// Searches or syncs whose ends look alike: of one configuration of one connector, for one object class, paged or not. A
/// digest; scripted connectors differ from class to class, and some send a result only for pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKind(u64);

/// Whether a search asks for pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Paged {
    /// It does.
    Yes,
    /// It does not, or it is a sync.
    No,
}

impl StreamKind {
    /// The kind of a call; none of one that is no stream.
    pub(super) fn of(head: &OperationHead, facade: &Facade, paged: Paged) -> Option<Self> {
        if !matches!(head.operation, Operation::Search | Operation::Sync) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (head.operation, facade.digest, &facade.connector_key, head.object_class(), paged).hash(&mut hasher);
        Some(Self(hasher.finish()))
    }
}

/// How an end came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// With a `result`, or a token.
    Given,
    /// Without.
    Missing,
}

impl Tail {
    /// Of an end.
    pub(super) fn of(has_result: bool) -> Self {
        if has_result { Self::Given } else { Self::Missing }
    }
}

/// What is known of the ends of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// So many came with a tail, none without.
    Learning(u32),
    /// All come with one: an end without looks cut.
    Always,
    /// One came without before enough had come with one: none is judged, whatever comes.
    Mixed,
}

/// The habits of a group's streams.
#[derive(Debug, Default)]
pub(super) struct StreamHabits {
    known: HashMap<StreamKind, (Habit, Moment)>,
}

impl StreamHabits {
    /// Learns from an end; answers whether it looks cut.
    pub(super) fn looks_cut(&mut self, kind: StreamKind, tail: Tail, now: Moment) -> bool {
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

impl Engine {
    /// Whether this end of a call's stream looks cut, by what its group is set to and by what was learned.
    pub(super) fn end_looks_cut(&mut self, key: CallKey, tail: Tail, now: Moment) -> Option<Cut> {
        let call = self.calls.get(key)?;
        let kind = call.stream?;
        if self.view.group(call.group)?.settings.stream_end == StreamEnd::AsItCame {
            return None;
        }
        let cut = self.groups.get_mut(&call.group)?.habits.looks_cut(kind, tail, now);
        cut.then_some(if call.operation == Operation::Sync { Cut::NoToken } else { Cut::NoResult })
    }

    /// The answer of a stream is cut: its caller must not take it for whole.
    pub(super) fn cut(&mut self, key: CallKey, reason: Cut, now: Moment, io: &mut impl Io) {
        self.note_cut(key, reason, io);
        self.fail(key, Fault::EndLooksCut, now, io);
    }

    pub(super) fn note_cut(&self, key: CallKey, reason: Cut, io: &mut impl Io) {
        let Some(call) = self.calls.get(key).filter(|call| call.stream.is_some()) else { return };
        let member = call.route.map(|route| route.member);
        io.note(Note::StreamCut { group: call.group, member, operation: call.operation, reason });
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
                .map(|tail| if habits.looks_cut(StreamKind(7), tail, at(1)) { '!' } else { '.' })
                .collect();
            assert_eq!(judged, expected, "{ends}");
        }
    }

    #[test]
    fn kinds_are_learned_apart_and_the_one_that_was_not_used_for_longest_is_forgotten_p10() {
        let mut habits = StreamHabits::default();
        for kind in 0..limits::STREAM_HABITS_MAX as u64 {
            for _ in 0..limits::STREAM_ENDS_LEARNED {
                habits.looks_cut(StreamKind(kind), Tail::Given, at(kind));
            }
        }
        assert!(habits.looks_cut(StreamKind(0), Tail::Missing, at(9_999)));
        assert!(!habits.looks_cut(StreamKind(1 << 40), Tail::Missing, at(9_999)));
        assert_eq!(habits.known.len(), limits::STREAM_HABITS_MAX);
        assert!(!habits.known.contains_key(&StreamKind(1)), "the oldest");
        assert!(habits.known.contains_key(&StreamKind(0)) && habits.known.contains_key(&StreamKind(2)));
    }
}
