//! What ties a call to a member, or a member's event to callers: page cookies and facade keys.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::OperationHead;
use rcs_proto::icf::ApiConfiguration;
use rcs_proto::legacy::facade_key;
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

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

/// One configuration of one connector, as calls name it. The key holds secrets and never leaves this type but in a frame.
pub(super) struct Facade {
    pub(super) connector_key: Bytes,
    pub(super) key: Bytes,
    /// Names the configuration by its exact text, as members do (LEGACY 8).
    pub(super) digest: u64,
    /// How long the caller waits for each operation; absent where it waits for ever.
    timeouts: Vec<(Operation, Duration)>,
}

impl fmt::Debug for Facade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facade({:x})", self.digest)
    }
}

impl Facade {
    fn new(head: &OperationHead) -> Self {
        let mut hasher = DefaultHasher::new();
        head.facade_key.hash(&mut hasher);
        Self {
            // Copies: the slices would keep the whole frame alive.
            connector_key: Bytes::copy_from_slice(&head.connector_key),
            key: Bytes::copy_from_slice(&head.facade_key),
            digest: hasher.finish(),
            // A key that cannot be read passes through unread (LEGACY 12): the member may understand it.
            timeouts: facade_key::decode(&head.facade_key).map_or(Vec::new(), |facade| timeouts(&facade)),
        }
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.connector_key.len()
    }

    fn is(&self, head: &OperationHead) -> bool {
        self.key == head.facade_key && self.connector_key == head.connector_key
    }

    /// How long the caller waits for this operation, if it says so (WIRE 5.1: the map travels in the key).
    pub(super) fn timeout(&self, operation: Operation) -> Option<Duration> {
        self.timeouts.iter().find(|(of, _)| *of == operation).map(|(_, timeout)| *timeout)
    }
}

fn timeouts(configuration: &ApiConfiguration) -> Vec<(Operation, Duration)> {
    let limited = configuration.timeouts_ms.iter().filter_map(|(class, ms)| {
        let ms = u64::try_from(*ms).ok().filter(|ms| *ms > 0)?;
        Some((Operation::of_api_class(&class.name)?, Duration::from_millis(ms)))
    });
    limited.collect()
}

/// The configurations that a caller used, the latest first: what is decoded of one is decoded once, and a configuration
/// change goes to those that used its exact key (WIRE section 6).
#[derive(Debug, Default)]
pub(super) struct Facades {
    used: VecDeque<Arc<Facade>>,
    /// Bytes of them.
    bytes: usize,
}

impl Facades {
    pub(super) fn remember(&mut self, head: &OperationHead) -> Arc<Facade> {
        let facade = match self.used.iter().position(|known| known.is(head)) {
            Some(0) => return Arc::clone(&self.used[0]),
            Some(at) => self.used.remove(at).unwrap_or_else(|| Arc::new(Facade::new(head))),
            None => {
                let facade = Arc::new(Facade::new(head));
                if facade.bytes() > limits::FACADE_KEY_BYTES_MAX {
                    return facade;
                }
                self.make_room(facade.bytes());
                self.bytes += facade.bytes();
                facade
            }
        };
        self.used.push_front(Arc::clone(&facade));
        facade
    }

    /// Forgets the oldest until another one fits.
    fn make_room(&mut self, bytes: usize) {
        while self.used.len() >= limits::FACADE_KEYS_PER_SESSION_MAX
            || self.bytes + bytes > limits::FACADE_KEY_BYTES_PER_SESSION_MAX
        {
            let Some(oldest) = self.used.pop_back() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.used.iter().any(|known| known.key == key)
    }
}

/// The configurations that are in use in a group: what its members are probed with, the latest first.
#[derive(Debug, Default)]
pub(super) struct ProbedFacades {
    used: VecDeque<(Arc<Facade>, Moment)>,
}

impl ProbedFacades {
    pub(super) fn note(&mut self, facade: &Arc<Facade>, now: Moment) {
        if let Some((latest, at)) = self.used.front_mut()
            && latest.digest == facade.digest
        {
            *at = now;
            return;
        }
        self.used.retain(|(known, _)| known.digest != facade.digest);
        self.used.truncate(limits::PROBED_FACADES_MAX - 1);
        self.used.push_front((Arc::clone(facade), now));
    }

    pub(super) fn in_use(&self, now: Moment) -> impl Iterator<Item = &Arc<Facade>> {
        let live = self.used.iter().filter(move |(_, at)| now.since(*at) <= limits::FACADE_IN_USE);
        live.map(|(facade, _)| facade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: Vec<u8>) -> OperationHead {
        OperationHead {
            operation: Operation::Get,
            connector_key: Bytes::from_static(b"connector"),
            facade_key: key.into(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn facade_keys_are_bounded_by_their_number_and_by_their_bytes_p10() {
        let mut facades = Facades::default();
        for number in 0..2 * limits::FACADE_KEYS_PER_SESSION_MAX as u32 {
            facades.remember(&head(number.to_be_bytes().to_vec()));
        }
        assert_eq!(facades.used.len(), limits::FACADE_KEYS_PER_SESSION_MAX);
        for number in 0..16u8 {
            facades.remember(&head(vec![number; limits::FACADE_KEY_BYTES_MAX / 2]));
            let bytes: usize = facades.used.iter().map(|facade| facade.bytes()).sum();
            assert_eq!(facades.bytes, bytes);
            assert!(bytes <= limits::FACADE_KEY_BYTES_PER_SESSION_MAX);
        }
        // The latest are kept, in any order of use, and one that is too long is passed over.
        let long = vec![1; limits::FACADE_KEY_BYTES_MAX + 1];
        facades.remember(&head(long.clone()));
        assert!(facades.contains(&vec![15; limits::FACADE_KEY_BYTES_MAX / 2]));
        assert!(!facades.contains(&vec![0; limits::FACADE_KEY_BYTES_MAX / 2]));
        assert!(!facades.contains(&long));
    }
}
