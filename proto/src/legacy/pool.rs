//! The pool of names in front of an object, read and written (LEGACY section 2).

use std::collections::{HashMap, HashSet};

use super::error::LegacyError;
use super::scan::Cursor;
use crate::limits::{LEGACY_NAME_BYTES_MAX, LEGACY_POOL_NAMES_MAX};

/// Fewest bytes that an entry takes: the length of an empty name, and its code.
const ENTRY_BYTES: usize = 8;

/// The names that a blob's codes stand for.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    names: Vec<&'a str>,
    /// Codes with the index of their name, ascending by code.
    codes: Vec<(u32, u16)>,
}

impl<'a> Pool<'a> {
    /// Reads a pool and leaves the cursor behind it.
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, LegacyError> {
        let start = cursor.pos();
        let count = cursor.u32()?;
        let left = cursor.left();
        let entries = usize::try_from(count).unwrap_or(usize::MAX);
        if entries > left / ENTRY_BYTES {
            return Err(LegacyError::Length { offset: start, length: count, left });
        }
        if entries > LEGACY_POOL_NAMES_MAX {
            return Err(LegacyError::Limit { offset: start, limit: "names in the pool" });
        }
        let mut pool = Pool { names: Vec::with_capacity(entries), codes: Vec::with_capacity(entries) };
        for index in 0..entries as u16 {
            let at = cursor.pos();
            let name = cursor.string()?;
            if name.len() > LEGACY_NAME_BYTES_MAX {
                return Err(LegacyError::Limit { offset: at, limit: "bytes in a name" });
            }
            pool.names.push(name);
            pool.codes.push((cursor.u32()?, index));
        }
        pool.codes.sort_unstable();
        let one_code_each = pool.codes.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let distinct: HashSet<&str> = pool.names.iter().copied().collect();
        if !one_code_each || distinct.len() != pool.names.len() {
            return Err(LegacyError::PoolTwice(start));
        }
        Ok(pool)
    }

    /// The index of the name that the code stands for.
    pub(crate) fn index(&self, code: u32) -> Option<u16> {
        // Java numbers from 0 without gaps, so the first guess is nearly always right.
        if let Some((at, index)) = usize::try_from(code).ok().and_then(|guess| self.codes.get(guess))
            && *at == code
        {
            return Some(*index);
        }
        let found = self.codes.binary_search_by_key(&code, |(at, _)| *at).ok()?;
        Some(self.codes[found].1)
    }

    /// The name at that index.
    pub(crate) fn name(&self, index: u16) -> &'a str {
        self.names[usize::from(index)]
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

/// Gives names their codes, in the order in which they are first needed.
#[derive(Default)]
pub(crate) struct Names<'n> {
    codes: HashMap<&'n str, u32>,
    order: Vec<&'n str>,
}

impl<'n> Names<'n> {
    /// The code of that name.
    pub(crate) fn code(&mut self, name: &'n str) -> u32 {
        let next = self.order.len() as u32;
        *self.codes.entry(name).or_insert_with(|| {
            self.order.push(name);
            next
        })
    }

    /// The names in the order of their codes.
    pub(crate) fn in_order(&self) -> &[&'n str] {
        &self.order
    }
}
