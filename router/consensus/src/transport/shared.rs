//! What all connections of a listener share.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::arriving::Arriving;
use super::credentials::Credentials;
use super::refusals::Refusals;
use super::seats::Seats;

/// What all connections of a listener share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) credentials: Credentials,
    pub(super) refusals: Refusals,
    pub(super) seats: Arc<Seats>,
    /// Takes connections that are to become WebSockets; none if the router has no use for them.
    pub(super) arrivals: Option<mpsc::Sender<Arriving>>,
    /// One permit for each snapshot that is taken in.
    pub(super) snapshots: Semaphore,
}
