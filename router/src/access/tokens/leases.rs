//! Connections that a token let in. Each has a [`TokenLease`] for as long as it is open, so that it can be closed when its token is revoked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rcs_core::agreed::At;
use rcs_proto::icf::Secret;
use tokio::time::Instant;

use super::Tag;
use super::claims::Subject;
use super::issuer::{EndpointId, Issuer};
use crate::limits::RECHECK_AGAIN_AFTER_FAILURE;

/// The number of a lease. Leases of tokens and of certificates share the numbers.
pub(crate) type LeaseId = u64;

/// A number that no lease of this process has had.
pub(crate) fn next_lease() -> LeaseId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// All leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    open: Mutex<BTreeMap<LeaseId, Arc<Held>>>,
}

/// What is known of the token of one connection.
pub(super) struct Held {
    pub(super) id: LeaseId,
    pub(super) tag: Tag,
    pub(super) token: Secret<String>,
    /// The name of the issuer's entry.
    pub(super) issuer: String,
    /// The name that the token stands for.
    pub(super) name: String,
    /// When the token ends, with the leeway of its issuer.
    pub(super) until: Option<At>,
    /// Until when the token has certainly not expired by the issuer's clock.
    pub(super) fresh_until: Option<At>,
    /// The endpoint that let the token in; `None` if a signature did.
    pub(super) endpoint: Option<EndpointId>,
    /// When the issuer was asked about the token last, and whether the issuer answered.
    asked: Mutex<(Instant, bool)>,
    is_over: AtomicBool,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Held {
    /// The connection of this token is to be closed. Returns whether this is news.
    pub(super) fn end(&self) -> bool {
        !self.is_over.swap(true, Ordering::Relaxed)
    }

    /// Whether the token has certainly not expired by the issuer's clock.
    pub(super) fn is_fresh(&self, now: At) -> bool {
        self.fresh_until.is_none_or(|until| now < until)
    }

    /// When the issuer is to be asked about the token again. `recheck`: how long an answer counts. A question without an answer is repeated
    /// soon: the client may have been deactivated meanwhile.
    pub(super) fn due(&self, recheck: Duration) -> Instant {
        match *self.asked.lock().unwrap_or_else(PoisonError::into_inner) {
            (at, true) => at + recheck,
            (at, false) => at + recheck.min(RECHECK_AGAIN_AFTER_FAILURE),
        }
    }

    /// The issuer was asked about the token, and has answered or not.
    pub(super) fn was_asked(&self, at: Instant, has_answered: bool) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = (at, has_answered);
    }
}

/// The right of a connection to be open. Keep this value for as long as the connection is open.
#[derive(Debug)]
pub(crate) struct TokenLease {
    held: Arc<Held>,
    of: Weak<Leases>,
}

impl TokenLease {
    /// The number.
    pub(crate) fn id(&self) -> LeaseId {
        self.held.id
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_over(&self) -> bool {
        self.held.is_over.load(Ordering::Relaxed)
    }
}

impl Drop for TokenLease {
    fn drop(&mut self) {
        if let Some(leases) = self.of.upgrade() {
            leases.all().remove(&self.held.id);
        }
    }
}

impl Leases {
    /// A lease for a connection that a token let in. There are at most as many as connections.
    pub(super) fn grant(
        self: &Arc<Self>,
        (tag, token): (Tag, &Secret<String>),
        issuer: &Issuer,
        subject: &Subject,
        asked: Instant,
    ) -> TokenLease {
        let held = Arc::new(Held {
            id: next_lease(),
            tag,
            token: token.clone(),
            issuer: issuer.name().to_owned(),
            endpoint: issuer.endpoint_id(),
            name: subject.name.clone(),
            until: subject.until,
            fresh_until: subject.fresh_until,
            asked: Mutex::new((asked, true)),
            is_over: AtomicBool::new(false),
        });
        self.all().insert(held.id, Arc::clone(&held));
        TokenLease { held, of: Arc::downgrade(self) }
    }

    /// Every lease that is not over yet.
    pub(super) fn open(&self) -> Vec<Arc<Held>> {
        self.all().values().filter(|held| !held.is_over.load(Ordering::Relaxed)).cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Arc<Held>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
