//! The immutable picker and the one thing that changes with each pick: the group's cursor.

use crate::ids::{MemberId, MemberSet};
use crate::limits::MEMBERS_PER_GROUP_MAX;

/// What a picker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Send the call there.
    Member(MemberId),
    /// Members are available, and this call was tried at each of them.
    AllTried,
    /// No member of the group may take calls now (G15).
    NoneAvailable,
    /// The members whose turn it could be have no free place: the call waits for one.
    NoPlace,
}

/// Chooses among the members that were available when it was built. Replaced as a whole, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    order: Order,
    /// The available members in list order.
    candidates: Box<[MemberId]>,
}

/// How the candidates are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By their place in the list.
    List,
    /// By their last turn, longest ago first; members without a turn come first, in list order.
    LeastRecent,
}

/// When each member of a group was last picked. It belongs to the group and outlives pickers, views and the
/// health of members.
///
/// The rule of round robin is "the candidate whose last turn is longest ago". With a fixed set that is the
/// list, round and round. It also says what happens in between:
/// - of two members that stay available, neither gets a second turn before the other had one, whatever the
///   rest of the group does: their counts never differ by more than one (P4), over joins, losses, returns and
///   changes of the document;
/// - a member that returns, or is new, gets the next turn and then one per round: no burst to catch up;
/// - a call that may not go to a member again (a retry) leaves that member's turn to the next call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Number of picks so far.
    turn: u64,
    /// The turn each member had last; at most twice [`MEMBERS_PER_GROUP_MAX`] entries, those of the longest
    /// ago are forgotten.
    last: Vec<(MemberId, u64)>,
}

impl Picker {
    pub(super) fn new(order: Order, candidates: Box<[MemberId]>) -> Self {
        Self { order, candidates }
    }

    /// Whether candidates are taken in list order, so that a full one is waited for.
    pub fn is_in_list_order(&self) -> bool {
        self.order == Order::List
    }

    /// Chooses the member of the next call, passing over those in `exclude` (the members this call was tried
    /// at).
    pub fn pick(&self, cursor: &mut Cursor, exclude: &MemberSet) -> Pick {
        self.pick_free(cursor, exclude, |_| true)
    }

    /// The same where not every member has a free place.
    ///
    /// In list order a full member is not passed over: the call waits. Whoever chose failover said that the next member is for
    /// when the first is *down* (P4); a spill would turn the group into a balanced one in the hour of its greatest load, when
    /// nobody looks. A first member that is sick rather than busy is ejected, and then the next one gets the calls.
    /// In turn, a full member is passed over, and keeps its turn for when it has a place.
    pub fn pick_free(
        &self,
        cursor: &mut Cursor,
        exclude: &MemberSet,
        has_place: impl Fn(MemberId) -> bool,
    ) -> Pick {
        let open = || self.candidates.iter().copied().filter(|m| !exclude.contains(*m));
        let chosen = match self.order {
            Order::List => open().next().filter(|m| has_place(*m)),
            // `min_by_key` keeps the first of equals, so members without a turn come in list order.
            Order::LeastRecent => open().filter(|m| has_place(*m)).min_by_key(|m| cursor.last_turn(*m)),
        };
        match chosen {
            Some(member) => {
                cursor.took(member);
                Pick::Member(member)
            }
            None if open().next().is_some() => Pick::NoPlace,
            None if self.candidates.is_empty() => Pick::NoneAvailable,
            None => Pick::AllTried,
        }
    }

    /// The members it chooses among, in list order.
    pub fn candidates(&self) -> &[MemberId] {
        &self.candidates
    }
}

impl Cursor {
    /// The turn the member had last, 0 for none.
    fn last_turn(&self, member: MemberId) -> u64 {
        self.last.iter().find(|(m, _)| *m == member).map_or(0, |(_, turn)| *turn)
    }

    fn took(&mut self, member: MemberId) {
        self.turn += 1;
        match self.last.iter_mut().find(|(m, _)| *m == member) {
            Some((_, turn)) => *turn = self.turn,
            None => {
                self.forget_oldest();
                self.last.push((member, self.turn));
            }
        }
    }

    /// Keeps room for one more. Members that left the group are the oldest, as those that stay get turns.
    fn forget_oldest(&mut self) {
        if self.last.len() < 2 * MEMBERS_PER_GROUP_MAX {
            return;
        }
        if let Some(oldest) = self.last.iter().enumerate().min_by_key(|(_, (_, turn))| *turn).map(|(i, _)| i)
        {
            self.last.swap_remove(oldest);
        }
    }
}
