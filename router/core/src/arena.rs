//! A table with stable keys (a generational arena): the key of a removed entry never names another entry.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Names an entry of an [`Arena`]. `T` is a tag of the table, so that keys of two tables are two types.
pub struct Key<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By place in the table: an order that is the same in every run, and means nothing else.
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.index, self.generation).hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

/// The table. `K` is the tag of its keys.
#[derive(Debug)]
pub struct Arena<K, T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    keys: PhantomData<fn() -> K>,
}

impl<K, T> Default for Arena<K, T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), keys: PhantomData }
    }
}

impl<K, T> Arena<K, T> {
    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an entry.
    pub fn insert(&mut self, value: T) -> Key<K> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, None));
            (self.entries.len() - 1) as u32
        });
        let (generation, place) = &mut self.entries[index as usize];
        *place = Some(value);
        Key { index, generation: *generation, of: PhantomData }
    }

    /// The entry, if it is still there.
    pub fn get(&self, key: Key<K>) -> Option<&T> {
        let (generation, value) = self.entries.get(key.index as usize)?;
        value.as_ref().filter(|_| *generation == key.generation)
    }

    /// The entry, to be changed.
    pub fn get_mut(&mut self, key: Key<K>) -> Option<&mut T> {
        let (generation, value) = self.entries.get_mut(key.index as usize)?;
        value.as_mut().filter(|_| *generation == key.generation)
    }

    /// Removes the entry.
    pub fn remove(&mut self, key: Key<K>) -> Option<T> {
        let (generation, value) = self.entries.get_mut(key.index as usize)?;
        if *generation != key.generation || value.is_none() {
            return None;
        }
        *generation = generation.wrapping_add(1);
        self.free.push(key.index);
        value.take()
    }

    /// All entries with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (Key<K>, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, (generation, value))| {
            let key = Key { index: index as u32, generation: *generation, of: PhantomData };
            value.as_ref().map(|value| (key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_a_later_entry() {
        let mut arena = Arena::<(), char>::default();
        let (a, b) = (arena.insert('a'), arena.insert('b'));
        assert_eq!((arena.remove(a), arena.remove(a), arena.len()), (Some('a'), None, 1));
        let c = arena.insert('c');
        assert_eq!((arena.get(a), arena.get(b), arena.get(c)), (None, Some(&'b'), Some(&'c')));
        assert_eq!(arena.iter().map(|(_, v)| *v).collect::<String>(), "cb");
    }
}
