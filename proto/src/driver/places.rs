//! A bounded number of places for connections. A newcomer gets a place at once, at the cost of the slowest connection of the network that
//! holds the most places ([`Shares`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::shares::{ConnectionId, Shares, Shown};

/// All places.
#[derive(Debug)]
pub struct Places {
    taken: Mutex<Taken>,
    /// Notified when a connection has left, or can lose its place now.
    changed: Notify,
}

#[derive(Debug)]
struct Taken {
    shares: Shares,
    /// The senders whose drop ends the connections.
    ends: HashMap<ConnectionId, oneshot::Sender<()>>,
}

impl Places {
    /// No connection yet. While connections from the loopback are at most `kept_for_loopback`, none of them loses its place.
    pub fn new(kept_for_loopback: usize) -> Arc<Self> {
        let taken = Taken { shares: Shares::new(kept_for_loopback), ends: HashMap::new() };
        Arc::new(Self { taken: Mutex::new(taken), changed: Notify::new() })
    }

    /// Takes a place for a connection, one of `most`. If all places are taken, the slowest connection loses its place. While no connection
    /// can lose its place, this function waits. Only one task at a time may wait here.
    pub async fn take(self: &Arc<Self>, peer: IpAddr, most: usize) -> (Place, Lost) {
        loop {
            if let Some(place) = self.try_take(peer, most) {
                return place;
            }
            self.changed.notified().await;
        }
    }

    fn try_take(self: &Arc<Self>, peer: IpAddr, most: usize) -> Option<(Place, Lost)> {
        let mut taken = self.lock();
        if taken.shares.len() >= most && !taken.end_slowest() {
            return None;
        }
        let id = taken.shares.add(peer);
        let (end, ended) = oneshot::channel();
        taken.ends.insert(id, end);
        Some((Place { places: Arc::clone(self), id }, Lost(ended)))
    }

    /// Takes the place of the slowest connection away. Returns false if no connection can lose its place.
    pub fn end_slowest(&self) -> bool {
        self.lock().end_slowest()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn end_slowest(&mut self) -> bool {
        let Some(slowest) = self.shares.slowest() else { return false };
        self.shares.end(slowest);
        self.ends.remove(&slowest);
        true
    }
}

/// The place of one connection. Dropping this value gives the place back.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    id: ConnectionId,
}

impl Place {
    /// Notes what the connection has shown by now.
    pub fn note(&self, shown: Shown) {
        self.places.lock().shares.note(self.id, shown);
        if shown != Shown::Enough {
            self.places.changed.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.shares.end(self.id);
        taken.ends.remove(&self.id);
        drop(taken);
        self.places.changed.notify_one();
    }
}

/// Reports to a connection that its place went to another one.
#[derive(Debug)]
pub struct Lost(oneshot::Receiver<()>);

impl Lost {
    /// Waits until the place is lost. Then the connection must end.
    pub async fn wait(&mut self) {
        // Nothing is ever sent: the sender is only dropped.
        let _ = (&mut self.0).await;
    }
}
