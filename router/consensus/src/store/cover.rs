//! Which entries the stored snapshot stands for, so that the log is never cut where no snapshot is.
//!
//! openraft cuts the log up to a snapshot from another router as soon as the machine was *asked* to take the snapshot over. If the cut
//! reached the disk first and the router died, the router would come back without these entries and without a snapshot of them. So
//! the cut waits.

use tokio::sync::watch;

/// Shared by the log and the machine; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Cover(watch::Sender<State>);

#[derive(Clone, Copy, Default)]
struct State {
    /// The index of the last entry in the stored snapshot.
    stored: u64,
    /// The last entry of a snapshot that is being taken over.
    coming: Option<u64>,
    failed: bool,
}

/// Says that the snapshot will not be stored, unless it was.
pub(super) struct Failure(Option<Cover>);

/// While it lives, a snapshot is being taken over.
pub(crate) struct Coming(Cover);

impl Cover {
    /// A snapshot up to this index is on the disk.
    pub(super) fn stored(&self, upto: u64) {
        self.0.send_modify(|state| state.stored = state.stored.max(upto));
    }

    /// Until the snapshot that is being taken over is stored, its end is a failure.
    pub(super) fn fails_when_dropped(&self) -> Failure {
        Failure(Some(self.clone()))
    }

    /// A snapshot up to this index is about to be given to openraft. One at a time.
    pub(crate) fn coming(&self, upto: u64) -> Coming {
        self.0.send_modify(|state| state.coming = Some(upto));
        Coming(self.clone())
    }

    /// Waits until a snapshot that is being taken over up to this index is on the disk. Returns whether the log may be cut there.
    pub(super) async fn may_cut(&self, upto: u64) -> bool {
        let mut changes = self.0.subscribe();
        let settled = changes
            .wait_for(|state| state.failed || state.stored >= upto || state.coming != Some(upto))
            .await;
        settled.is_ok_and(|state| state.stored >= upto || !state.failed)
    }
}

impl Failure {
    pub(super) fn did_not_happen(mut self) {
        self.0 = None;
    }
}

impl Drop for Failure {
    fn drop(&mut self) {
        if let Some(cover) = &self.0 {
            cover.0.send_modify(|state| state.failed = true);
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.coming = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_is_cut_after_the_snapshot_is_stored() {
        let cover = Cover::default();
        assert!(cover.may_cut(5).await, "no snapshot comes: openraft knows what it does");
        let coming = cover.coming(9);
        assert!(cover.may_cut(5).await);
        let waiting = tokio::spawn({
            let cover = cover.clone();
            async move { cover.may_cut(9).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        cover.stored(9);
        assert!(waiting.await.is_ok_and(|may| may));
        drop(coming);
        let _coming = cover.coming(12);
        cover.fails_when_dropped().did_not_happen();
        drop(cover.fails_when_dropped());
        assert!(!cover.may_cut(12).await);
    }
}
