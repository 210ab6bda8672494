//! The configurations that a caller used.

use std::collections::VecDeque;
use std::sync::Arc;

use rcs_proto::envelope::OperationHead;

use crate::engine::facade::Facade;
use crate::limits;

/// The configurations that a caller used, the latest first. So each configuration is decoded once, and a configuration change goes
/// only to callers that used its exact facade key (WIRE section 6).
#[derive(Debug, Default)]
pub(in crate::engine) struct Facades {
    used: VecDeque<Arc<Facade>>,
    /// Bytes of the configurations.
    bytes: usize,
}

impl Facades {
    /// The configuration that a call names. It is remembered if it fits into this many bytes together with all else that is remembered of
    /// the caller.
    pub(in crate::engine) fn remember(&mut self, head: &OperationHead, room: usize) -> Arc<Facade> {
        let facade = match self.used.iter().position(|known| known.is(head)) {
            Some(0) => return Arc::clone(&self.used[0]),
            Some(at) => self.used.remove(at).unwrap_or_else(|| Arc::new(Facade::new(head))),
            None => {
                let facade = Arc::new(Facade::new(head));
                if facade.bytes() > limits::FACADE_KEY_BYTES_MAX.min(room) {
                    return facade;
                }
                self.make_room(facade.bytes(), room);
                self.bytes += facade.bytes();
                facade
            }
        };
        self.used.push_front(Arc::clone(&facade));
        facade
    }

    /// Bytes of what is remembered.
    pub(in crate::engine) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the oldest until another one fits.
    fn make_room(&mut self, bytes: usize, room: usize) {
        while self.used.len() >= limits::FACADE_KEYS_PER_SESSION_MAX
            || self.bytes + bytes > limits::FACADE_KEY_BYTES_PER_SESSION_MAX.min(room)
        {
            let Some(oldest) = self.used.pop_back() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    pub(in crate::engine) fn contains(&self, key: &[u8]) -> bool {
        self.used.iter().any(|known| known.key == key)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rcs_proto::operation::Operation;

    use super::*;

    const ROOM: usize = usize::MAX;

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
            facades.remember(&head(number.to_be_bytes().to_vec()), ROOM);
        }
        assert_eq!(facades.used.len(), limits::FACADE_KEYS_PER_SESSION_MAX);
        for number in 0..16u8 {
            facades.remember(&head(vec![number; limits::FACADE_KEY_BYTES_MAX / 2]), ROOM);
            let bytes: usize = facades.used.iter().map(|facade| facade.bytes()).sum();
            assert_eq!(facades.bytes, bytes);
            assert!(bytes <= limits::FACADE_KEY_BYTES_PER_SESSION_MAX);
        }
        // The latest are kept, in any order of use, and one that is too long is passed over.
        let long = vec![1; limits::FACADE_KEY_BYTES_MAX + 1];
        facades.remember(&head(long.clone()), ROOM);
        assert!(facades.contains(&vec![15; limits::FACADE_KEY_BYTES_MAX / 2]));
        assert!(!facades.contains(&vec![0; limits::FACADE_KEY_BYTES_MAX / 2]));
        assert!(!facades.contains(&long));
    }

    #[test]
    fn with_little_room_little_is_remembered() {
        let mut facades = Facades::default();
        facades.remember(&head(vec![1; 500]), 1_000);
        facades.remember(&head(vec![2; 600]), 1_000);
        assert!(!facades.contains(&[1; 500]) && facades.contains(&[2; 600]));
        facades.remember(&head(vec![3; 2_000]), 1_000);
        assert!(!facades.contains(&[3; 2_000]) && facades.contains(&[2; 600]), "too large by itself");
    }
}
