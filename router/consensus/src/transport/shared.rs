//! What all connections of a listener share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::credentials::Credentials;
use super::refusals::Refusals;
use super::seats::Seats;

/// What all connections of a listener share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) credentials: Credentials,
    pub(super) refusals: Refusals,
    pub(super) seats: Arc<Seats>,
    /// One permit for each snapshot that is taken in.
    pub(super) snapshots: Semaphore,
}
