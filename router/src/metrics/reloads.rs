//! How the last look at changed files went.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rcs_core::agreed::At;

/// The result of the last reload of the operator's files, and the time of the last good one. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    succeeded: AtomicBool,
    /// In milliseconds since 1970.
    at: AtomicU64,
}

impl Reloads {
    /// Notes that the files were read at the start of the process.
    pub(crate) fn at_start(now: At) -> Self {
        Self(Arc::new(Shared { succeeded: AtomicBool::new(true), at: AtomicU64::new(now.0) }))
    }

    /// Notes that changed files are good, and in force.
    pub(crate) fn succeeded(&self, now: At) {
        self.0.succeeded.store(true, Ordering::Relaxed);
        self.0.at.store(now.0, Ordering::Relaxed);
    }

    /// Notes that a changed file is bad. The last good version stays in force.
    pub(crate) fn failed(&self) {
        self.0.succeeded.store(false, Ordering::Relaxed);
    }

    /// Whether the last reload succeeded, and when one did, in seconds since 1970.
    pub(super) fn last(&self) -> (bool, f64) {
        let at = self.0.at.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in 53 bits")]
        let seconds = at as f64 / 1e3;
        (self.0.succeeded.load(Ordering::Relaxed), seconds)
    }
}
