//! What ties a call to a member, or a member's event to callers: page cookies and facade keys.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::ids::MemberId;
use crate::limits;

/// Which member gave which page cookie: its pages may have state there only (WIRE 11.9, X01).
#[derive(Debug, Default)]
pub(super) struct PageMemory {
    pages: VecDeque<(u64, MemberId)>,
}

impl PageMemory {
    pub(super) fn remember(&mut self, page: u64, member: MemberId) {
        self.pages.retain(|(known, _)| *known != page);
        if self.pages.len() >= limits::PAGE_COOKIES_PER_SESSION_MAX {
            self.pages.pop_front();
        }
        self.pages.push_back((page, member));
    }

    pub(super) fn member(&self, page: u64) -> Option<MemberId> {
        self.pages.iter().rev().find(|(known, _)| *known == page).map(|(_, member)| *member)
    }
}

/// Names a page: a cookie means something only to the connector and configuration that gave it. Kept as a digest, because
/// cookies are opaque and may hold data of the resource.
pub(super) fn page(facade: u64, cookie: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    facade.hash(&mut hasher);
    cookie.hash(&mut hasher);
    hasher.finish()
}

/// Names a connector's configuration by its facade key. Exact text decides, as it does at the members (LEGACY 8).
pub(super) fn facade(facade_key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    facade_key.hash(&mut hasher);
    hasher.finish()
}

/// The facade keys that a caller used, the latest first: a configuration change goes to those that used its exact key
/// (WIRE section 6). They hold secrets and never leave this type.
#[derive(Default)]
pub(super) struct FacadeKeys {
    keys: VecDeque<Bytes>,
}

impl std::fmt::Debug for FacadeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FacadeKeys({})", self.keys.len())
    }
}

impl FacadeKeys {
    pub(super) fn remember(&mut self, key: &Bytes) {
        match self.keys.iter().position(|known| known == key) {
            Some(0) => {}
            Some(at) => {
                if let Some(known) = self.keys.remove(at) {
                    self.keys.push_front(known);
                }
            }
            None => {
                self.keys.truncate(limits::FACADE_KEYS_PER_SESSION_MAX - 1);
                // A copy: the slice would keep the whole frame alive.
                self.keys.push_front(Bytes::copy_from_slice(key));
            }
        }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.keys.iter().any(|known| known == key)
    }
}
