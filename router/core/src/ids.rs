//! Small identities for members and groups, and the book that hands them out by name.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::limits::NAMES_EVER_MAX;

/// A group of the view. Stable for the life of the process: the same name always has the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// A member (one RCS) of the view. Stable for the life of the process: the same name always has the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

/// Names a configuration of a connector towards operators: in the log, the API, errors and on the command line. The name is a keyed digest
/// with another key in each router process, so that nobody can try out configurations against it (P9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigurationId(pub u64);

impl fmt::Display for ConfigurationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ConfigurationId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group#{}", self.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member#{}", self.0)
    }
}

/// Assigns ids to names. The process keeps one book for all its views, so that a member that stays over a change of the
/// document keeps its id, and with the id its sockets, its health and its turn in the rotation.
#[derive(Debug, Default)]
pub struct NameBook {
    members: Names,
    groups: Names,
}

/// Names of one kind, each with its number.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    /// By number.
    names: Vec<String>,
}

impl NameBook {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of the member of this name, new when the name was never seen.
    pub fn member(&mut self, name: &str) -> Result<MemberId, BookFull> {
        self.members.number(name).map(MemberId)
    }

    /// The name behind an id of this book; empty for an id of another book.
    pub fn member_name(&self, id: MemberId) -> &str {
        self.members.name(id.0)
    }

    /// The name behind an id of this book; empty for an id of another book.
    pub fn group_name(&self, id: GroupId) -> &str {
        self.groups.name(id.0)
    }

    /// The id of the group of this name, new when the name was never seen.
    pub fn group(&mut self, name: &str) -> Result<GroupId, BookFull> {
        self.groups.number(name).map(GroupId)
    }
}

/// More names were used since the start of the process than [`NAMES_EVER_MAX`]. Ids are never given to
/// another name, so the way out is a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {NAMES_EVER_MAX} different names of members or groups were used since the router started: restart the router"
)]
pub struct BookFull;

impl Names {
    fn number(&mut self, name: &str) -> Result<u32, BookFull> {
        if let Some(id) = self.numbers.get(name) {
            return Ok(*id);
        }
        let next = u32::try_from(self.names.len()).map_err(|_| BookFull)?;
        if next >= NAMES_EVER_MAX {
            return Err(BookFull);
        }
        self.numbers.insert(name.to_owned(), next);
        self.names.push(name.to_owned());
        Ok(next)
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }
}

/// A set of members, one bit each. Small because ids are dense; the empty set allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberSet {
    /// Bit `id % 64` of word `id / 64`. No trailing zero word, so that equal sets compare equal.
    words: Vec<u64>,
}

impl MemberSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// Adds a member; adding it twice changes nothing.
    pub fn insert(&mut self, id: MemberId) {
        let (word, bit) = place(id);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(w) = self.words.get_mut(word) {
            *w |= bit;
        }
    }

    /// Takes a member out; taking out an absent one changes nothing.
    pub fn remove(&mut self, id: MemberId) {
        let (word, bit) = place(id);
        if let Some(w) = self.words.get_mut(word) {
            *w &= !bit;
        }
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    /// Whether the member is in the set.
    pub fn contains(&self, id: MemberId) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// The members, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = MemberId> {
        let bits = |(word, w): (usize, &u64)| {
            let (word, w) = (word as u32 * 64, *w);
            (0..64).filter(move |bit| w & (1 << bit) != 0).map(move |bit| MemberId(word + bit))
        };
        self.words.iter().enumerate().flat_map(bits)
    }

    /// How many members the set holds.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether the set holds none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

impl FromIterator<MemberId> for MemberSet {
    fn from_iter<I: IntoIterator<Item = MemberId>>(ids: I) -> Self {
        let mut set = Self::new();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

fn place(id: MemberId) -> (usize, u64) {
    ((id.0 / 64) as usize, 1 << (id.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_id_and_never_shares_it() {
        let mut book = NameBook::new();
        let first = book.member("n1").unwrap();
        let second = book.member("n2").unwrap();
        assert_ne!(first, second);
        assert_eq!(book.member("n1").unwrap(), first);
        assert_eq!((book.member_name(second), book.member_name(MemberId(7))), ("n2", ""));
    }

    #[test]
    fn a_full_book_says_so() {
        let mut book = NameBook::new();
        for n in 0..NAMES_EVER_MAX {
            book.group(&n.to_string()).unwrap();
        }
        assert_eq!(book.group("one more"), Err(BookFull));
        assert!(book.group("0").is_ok(), "a known name still resolves");
    }

    #[test]
    fn set_holds_what_was_put_in() {
        let mut set = MemberSet::new();
        for id in [0, 63, 64, 200] {
            set.insert(MemberId(id));
        }
        assert_eq!(set.len(), 4);
        assert!(set.contains(MemberId(64)) && !set.contains(MemberId(65)) && !set.contains(MemberId(9000)));
        for id in [0, 63, 64, 200] {
            set.remove(MemberId(id));
        }
        assert!(set.is_empty());
        assert_eq!(set, MemberSet::new());
    }
}
