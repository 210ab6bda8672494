//! Which member gave which page.

use std::collections::VecDeque;

use crate::ids::MemberId;
use crate::limits;

/// Which member returned which page cookie: only that member may have the state of the next pages (WIRE 11.9, X01).
#[derive(Debug, Default)]
pub(in crate::engine) struct PageMemory {
    pages: VecDeque<(u64, MemberId)>,
}

impl PageMemory {
    pub(in crate::engine) fn remember(&mut self, page: u64, member: MemberId) {
        self.pages.retain(|(known, _)| *known != page);
        if self.pages.len() >= limits::PAGE_COOKIES_PER_SESSION_MAX {
            self.pages.pop_front();
        }
        self.pages.push_back((page, member));
    }

    /// What is remembered, the oldest first.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (u64, MemberId)> {
        self.pages.iter().copied()
    }

    pub(in crate::engine) fn member(&self, page: u64) -> Option<MemberId> {
        self.pages.iter().rev().find(|(known, _)| *known == page).map(|(_, member)| *member)
    }
}
