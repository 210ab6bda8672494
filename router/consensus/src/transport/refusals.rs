//! What was refused: counted, and told once a second for each reason and router.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rcs_proto::driver::tally::{Again, Tally};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Why a connection or a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It does not speak TLS.
    NotTls,
    /// It has shown no certificate in time, or went away before.
    Slow,
    /// It showed no certificate, or one that is not a router's of this cluster.
    Certificate,
    /// Too many connections prove nothing: it lost its place to others.
    Crowded,
    /// Too many routers are connected.
    Full,
    /// Its request says that another router sends it.
    Forged,
    /// Its request is too large, makes no sense, or is of another version or cluster.
    Request,
    /// Its request was not complete or not answered in time.
    Late,
}

impl Reason {
    /// All reasons, in the order of [`Refused`].
    pub const ALL: [Self; 8] = [
        Self::NotTls,
        Self::Slow,
        Self::Certificate,
        Self::Crowded,
        Self::Full,
        Self::Forged,
        Self::Request,
        Self::Late,
    ];

    /// A label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::Slow => "slow",
            Self::Certificate => "certificate",
            Self::Crowded => "crowded",
            Self::Full => "full",
            Self::Forged => "forged",
            Self::Request => "request",
            Self::Late => "late",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "it does not speak TLS",
            Self::Slow => "it has shown no certificate in time",
            Self::Certificate => "it has no certificate of a router of this cluster",
            Self::Crowded => "too many connections show no certificate, and this one was the slowest",
            Self::Full => "too many routers are connected",
            Self::Forged => "a request claims to come from another router",
            Self::Request => "a request cannot be accepted",
            Self::Late => "a request was not complete or not answered in time",
        })
    }
}

/// How many connections and requests were refused since the start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused([u64; Reason::ALL.len()]);

impl Refused {
    /// How many were refused for this reason.
    pub fn of(&self, reason: Reason) -> u64 {
        Reason::ALL.iter().zip(self.0).find(|(each, _)| **each == reason).map_or(0, |(_, count)| count)
    }
}

/// Who was refused: all strangers are one, as a stranger has as many addresses as it likes.
type Who = Option<u32>;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; Reason::ALL.len()],
    told: Mutex<Tally<(Who, Reason), (SocketAddr, String)>>,
    noted: Notify,
}

impl Refusals {
    /// Counts a refusal, and logs it unless one of its kind was logged within a second. `router` is what the peer's certificate says, if it
    /// has one. `detail` is a sentence without full stop.
    pub(super) fn note(&self, router: Who, peer: SocketAddr, reason: Reason, detail: &str) {
        let counts = Reason::ALL.iter().zip(&self.counts);
        for (_, count) in counts.filter(|(each, _)| **each == reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if self.tally().note((router, reason), (peer, detail.to_owned()), Instant::now()) {
            match router {
                Some(router) => {
                    tracing::warn!(%peer, router, "the cluster listener refused a router: {reason}: {detail}")
                }
                None => {
                    tracing::warn!(%peer, "the cluster listener refused a connection: {reason}: {detail}")
                }
            }
        }
        self.noted.notify_one();
    }

    pub(super) fn counts(&self) -> Refused {
        Refused(self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Logs the counts of what was not told, for ever.
    pub(super) async fn tell(&self) {
        loop {
            let next = self.tally().next();
            match next {
                Some(next) => sleep_until(next).await,
                None => self.noted.notified().await,
            }
            let due = self.tally().due(Instant::now());
            for Again { kind: (router, reason), count, last: (peer, detail) } in due {
                let router =
                    router.map_or_else(|| "strangers".to_owned(), |router| format!("router {router}"));
                tracing::warn!(
                    "the cluster listener refused {count} more of {router} in the last second: {reason} (last from {peer}: {detail})"
                );
            }
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally<(Who, Reason), (SocketAddr, String)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
