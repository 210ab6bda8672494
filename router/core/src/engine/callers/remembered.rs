//! The configurations that a caller used.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::facade::Facade;
use crate::limits;

/// The configurations that a caller used, the latest first. A configuration change goes only to callers that used its exact facade key
/// (WIRE section 6). As long as a configuration is here, the sockets' tasks need not read it again.
///
/// Each socket of the caller reads a configuration once, so a caller with two sockets has two entries for one configuration.
#[derive(Debug, Default)]
pub(in crate::engine) struct Facades {
    used: VecDeque<Arc<Facade>>,
    /// Bytes of the configurations.
    bytes: usize,
}

impl Facades {
    /// Remembers the configuration that a call names, if it fits into this many bytes together with all else that is remembered of the
    /// caller.
    pub(in crate::engine) fn remember(&mut self, facade: &Arc<Facade>, room: usize) {
        // The same configuration of the same socket: comparing the texts would cost more with a longer key.
        let facade = match self.used.iter().position(|known| Arc::ptr_eq(known, facade)) {
            Some(0) => return,
            Some(at) => self.used.remove(at),
            None if facade.bytes() > limits::FACADE_REMEMBERED_BYTES_MAX.min(room) => return,
            None => {
                self.make_room(facade.bytes(), room);
                self.bytes += facade.bytes();
                Some(Arc::clone(facade))
            }
        };
        if let Some(facade) = facade {
            self.used.push_front(facade);
        }
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

    /// Whether this exact facade key, which has this digest, is among them.
    pub(in crate::engine) fn contains(&self, key: &[u8], digest: u64) -> bool {
        self.used.iter().any(|known| known.digest == digest && known.key == key)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rcs_proto::envelope::OperationHead;
    use rcs_proto::operation::Operation;

    use super::*;
    use crate::engine::facade::facade_digest;

    const ROOM: usize = usize::MAX;

    fn facade(key: Vec<u8>) -> Arc<Facade> {
        Arc::new(Facade::new(&OperationHead {
            operation: Operation::Get,
            connector_key: Bytes::from_static(b"connector"),
            facade_key: key.into(),
            body: Bytes::new(),
        }))
    }

    fn contains(facades: &Facades, key: &[u8]) -> bool {
        facades.contains(key, facade_digest(key))
    }

    #[test]
    fn facade_keys_are_bounded_by_their_number_and_by_their_bytes_p10() {
        const HALF: usize = limits::FACADE_REMEMBERED_BYTES_MAX / 2;
        let mut facades = Facades::default();
        for number in 0..2 * limits::FACADE_KEYS_PER_SESSION_MAX as u32 {
            facades.remember(&facade(number.to_be_bytes().to_vec()), ROOM);
        }
        assert_eq!(facades.used.len(), limits::FACADE_KEYS_PER_SESSION_MAX);
        for number in 0..16u8 {
            facades.remember(&facade(vec![number; HALF]), ROOM);
            let bytes: usize = facades.used.iter().map(|facade| facade.bytes()).sum();
            assert_eq!(facades.bytes, bytes);
            assert!(bytes <= limits::FACADE_KEY_BYTES_PER_SESSION_MAX);
        }
        // The latest are kept, in any order of use, and one that is too long is passed over.
        let long = vec![1; limits::FACADE_REMEMBERED_BYTES_MAX + 1];
        facades.remember(&facade(long.clone()), ROOM);
        assert!(contains(&facades, &vec![15; HALF]));
        assert!(!contains(&facades, &vec![0; HALF]));
        assert!(!contains(&facades, &long));
    }

    #[test]
    fn a_configuration_is_remembered_once_for_each_socket_that_reads_it() {
        let mut facades = Facades::default();
        let [one, same, other] = [vec![1; 10], vec![1; 10], vec![2; 10]].map(facade);
        for facade in [&one, &same, &other, &one, &one, &same] {
            facades.remember(facade, ROOM);
        }
        assert_eq!(facades.used.len(), 3);
        assert_eq!(facades.bytes, [&one, &same, &other].map(|facade| facade.bytes()).iter().sum::<usize>());
        assert!(Arc::ptr_eq(&facades.used[0], &same) && Arc::ptr_eq(&facades.used[1], &one));
    }

    #[test]
    fn with_little_room_little_is_remembered() {
        let mut facades = Facades::default();
        facades.remember(&facade(vec![1; 500]), 1_000);
        facades.remember(&facade(vec![2; 600]), 1_000);
        assert!(!contains(&facades, &[1; 500]) && contains(&facades, &[2; 600]));
        facades.remember(&facade(vec![3; 2_000]), 1_000);
        assert!(!contains(&facades, &[3; 2_000]) && contains(&facades, &[2; 600]), "too large by itself");
    }
}
