//! Log lines about refused connections: one a second for each reason, however many strangers connect.

use std::net::SocketAddr;

use tokio::time::{Instant, sleep_until};

use super::accept::AcceptError;
use super::tally::Tally;

/// The refused connections of one listener.
#[derive(Debug, Default)]
pub struct Refusals(Tally<&'static str, SocketAddr>);

impl Refusals {
    /// Logs why a connection was refused. If a line with the same reason is less than a second old, counts the refusal instead.
    pub fn log(&mut self, peer: SocketAddr, error: &AcceptError) {
        if self.0.note(error.reason(), peer, Instant::now()) {
            tracing::warn!(%peer, "a connection was refused: {error}");
        }
    }

    /// Waits until counts are due, and logs them. While there are no counts, this never returns.
    pub async fn log_due(&mut self) {
        match self.0.next() {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
        for again in self.0.due(Instant::now()) {
            let (count, reason, peer) = (again.count, again.kind, again.last);
            tracing::warn!(
                "refused {count} more connections in the last second: {reason} (last from {peer})"
            );
        }
    }
}
