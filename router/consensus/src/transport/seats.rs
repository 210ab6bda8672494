//! A bounded number of connections for each router.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::{ROUTERS_CONNECTED_MAX, SESSIONS_PER_ROUTER_MAX};

/// The connections of routers that have shown their certificates.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// By router, the oldest connection first. The drop of a sender ends its connection.
    by_router: HashMap<u32, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// A connection's seat. Dropping it gives the seat back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    router: u32,
    id: u64,
}

impl Seats {
    /// Takes a seat for a connection of a router. If all seats of the router are taken, its oldest connection loses its own: after a broken
    /// line a router comes back before its old connections are known to be dead. The receiver ends when the seat is lost. `None` if too
    /// many routers are connected.
    pub(super) fn take(self: &Arc<Self>, router: u32) -> Option<(Seat, oneshot::Receiver<()>)> {
        let mut taken = self.lock();
        if taken.by_router.len() >= ROUTERS_CONNECTED_MAX && !taken.by_router.contains_key(&router) {
            return None;
        }
        let id = taken.next;
        taken.next += 1;
        let (end, ended) = oneshot::channel();
        let own = taken.by_router.entry(router).or_default();
        if own.len() >= SESSIONS_PER_ROUTER_MAX {
            own.pop_front();
        }
        own.push_back((id, end));
        Some((Seat { seats: Arc::clone(self), router, id }, ended))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.by_router.get_mut(&self.router) {
            own.retain(|(id, _)| *id != self.id);
            if own.is_empty() {
                taken.by_router.remove(&self.router);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routers_newest_connections_have_seats_and_others_lose_none() {
        let seats = Arc::new(Seats::default());
        let (_other, mut stays) = seats.take(2).unwrap();
        let mut held: Vec<_> = (0..=SESSIONS_PER_ROUTER_MAX).map(|_| seats.take(1).unwrap()).collect();
        let lost =
            held.iter_mut().map(|(_, ended)| ended.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        let lost: Vec<_> = lost.enumerate().filter(|(_, lost)| *lost).map(|(at, _)| at).collect();
        assert_eq!(lost, [0]);
        assert_eq!(stays.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(held);
        assert_eq!(seats.lock().by_router.len(), 1);
        let many: Vec<_> = (10..).map_while(|router| seats.take(router)).collect();
        assert_eq!(many.len(), ROUTERS_CONNECTED_MAX - 1);
    }
}
