//! How many event streams there are, and how many of them each network has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcs_proto::driver::shares::Network;

use crate::limits::{EVENT_STREAMS_MAX, EVENT_STREAMS_OF_NETWORK_MAX};

/// The event streams of this router, by network; clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct Seats(Arc<Mutex<HashMap<Network, usize>>>);

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("this router has {EVENT_STREAMS_MAX} event streams, and accepts no further one")]
    Router,
    #[error(
        "your network has {EVENT_STREAMS_OF_NETWORK_MAX} event streams at this router, and may have no further one"
    )]
    Network,
}

/// The seat of one stream. Dropping this value gives the seat back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    network: Network,
}

impl Seats {
    /// A seat for a stream to this address.
    ///
    /// # Errors
    /// [`Full`]
    pub(super) fn take(&self, peer: IpAddr) -> Result<Seat, Full> {
        let network = Network::from(peer);
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= EVENT_STREAMS_MAX {
            return Err(Full::Router);
        }
        let own = taken.entry(network).or_default();
        if *own >= EVENT_STREAMS_OF_NETWORK_MAX {
            return Err(Full::Network);
        }
        *own += 1;
        drop(taken);
        Ok(Seat { seats: self.clone(), network })
    }

    /// How many streams are open.
    pub(in crate::admin) fn taken(&self) -> usize {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_leaves_seats_to_others_and_a_seat_is_given_back() {
        let seats = Seats::default();
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let first: Vec<Seat> =
            (0..EVENT_STREAMS_OF_NETWORK_MAX).map(|_| seats.take(address(1)).unwrap()).collect();
        assert_eq!(seats.take(address(1)).unwrap_err(), Full::Network);
        let rest = EVENT_STREAMS_MAX - EVENT_STREAMS_OF_NETWORK_MAX;
        let others: Vec<Seat> =
            (0..rest).map(|other| seats.take(address(2 + u8::try_from(other).unwrap())).unwrap()).collect();
        assert_eq!(seats.take(address(99)).unwrap_err(), Full::Router);
        drop(first);
        let again = seats.take(address(1)).unwrap();
        drop((others, again));
        assert!(seats.lock().is_empty(), "networks without a stream are forgotten");
    }
}
