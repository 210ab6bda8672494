//! How the last look at changed files went.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rcs_core::agreed::At;

/// The result of the last reload of the operator's files, and when one succeeded last. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    succeeded: AtomicBool,
    /// In milliseconds since 1970.
    at: AtomicU64,
}

impl Reloads {
    /// The files were read at the start of the process.
    pub(crate) fn at_start(now: At) -> Self {
        Self(Arc::new(Shared { succeeded: AtomicBool::new(true), at: AtomicU64::new(now.0) }))
    }

    /// Changed files are good, and in force.
    pub(crate) fn succeeded(&self, now: At) {
        self.0.succeeded.store(true, Ordering::Relaxed);
        self.0.at.store(now.0, Ordering::Relaxed);
    }

    /// A changed file is bad; the last good version stays in force.
    pub(crate) fn failed(&self) {
        self.0.succeeded.store(false, Ordering::Relaxed);
    }

    /// Whether the last one succeeded, and when one did, in seconds since 1970.
    pub(super) fn last(&self) -> (bool, f64) {
        let at = self.0.at.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in 53 bits")]
        let seconds = at as f64 / 1e3;
        (self.0.succeeded.load(Ordering::Relaxed), seconds)
    }
}
