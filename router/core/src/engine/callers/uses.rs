//! The connectors that a caller uses. Each of them must keep a member that runs the caller's calls (P5).

use bytes::Bytes;
use rcs_proto::time::Moment;

use crate::limits;

/// The connector keys of a caller's calls, as in the requests, each with the time of its latest call.
#[derive(Debug, Default)]
pub(in crate::engine) struct Uses {
    used: Vec<(Bytes, Moment)>,
}

impl Uses {
    /// A call names this connector.
    pub(super) fn note(&mut self, key: &Bytes, now: Moment) {
        if let Some((_, at)) = self.used.iter_mut().find(|(known, _)| known == key) {
            *at = now;
            return;
        }
        if key.len() > limits::CONNECTOR_USED_BYTES_MAX {
            return;
        }
        // A copy, because a slice would keep the whole frame in memory.
        let fresh = (Bytes::copy_from_slice(key), now);
        let is_full = self.used.len() >= limits::CONNECTORS_USED_MAX;
        match self.used.iter_mut().min_by_key(|(_, at)| *at).filter(|_| is_full) {
            Some(oldest) => *oldest = fresh,
            None => self.used.push(fresh),
        }
    }

    /// The connectors that the caller used lately.
    pub(super) fn lately(&self, now: Moment) -> impl Iterator<Item = &Bytes> {
        let lately = self.used.iter().filter(move |(_, at)| now.since(*at) <= limits::CONNECTOR_USED_LATELY);
        lately.map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn the_latest_connectors_of_bounded_length_are_remembered_p10() {
        let mut uses = Uses::default();
        let key = |number: usize| Bytes::from(number.to_string());
        for number in 0..limits::CONNECTORS_USED_MAX {
            uses.note(&key(number), at(number as u64));
        }
        uses.note(&key(0), at(100));
        uses.note(&key(99), at(101));
        uses.note(&Bytes::from(vec![b'x'; limits::CONNECTOR_USED_BYTES_MAX + 1]), at(102));
        let lately: Vec<&Bytes> = uses.lately(at(103)).collect();
        assert_eq!(lately.len(), limits::CONNECTORS_USED_MAX);
        assert!(lately.contains(&&key(0)) && lately.contains(&&key(99)), "used last");
        assert!(!lately.contains(&&key(1)), "not used for longest");
        let later = at(100) + limits::CONNECTOR_USED_LATELY;
        assert_eq!(uses.lately(later).collect::<Vec<_>>(), [&key(0), &key(99)]);
    }
}
