//! What the owner, the reader and the writer of one socket count together.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What a socket moved since it was opened, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the peer.
    pub received: u64,
    /// Into the kernel, towards the peer.
    pub written: u64,
}

/// The counts of one socket. None of them guards anything else, so each is exact by itself and no two are read as one.
#[derive(Debug, Default)]
pub(super) struct SocketCounts {
    backlog: AtomicUsize,
    /// The part of the backlog that is on disk.
    spilled: AtomicUsize,
    /// Bytes of the backlog that answer what the peer asked of us.
    own: AtomicUsize,
    text_frames: AtomicU64,
    received: AtomicU64,
    written: AtomicU64,
    /// Rings whenever the backlog shrinks, and at the end.
    drained: Notify,
}

impl SocketCounts {
    /// Adds bytes that wait, whatever waits already.
    pub(super) fn charge(&self, bytes: usize) {
        self.backlog.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds bytes that wait, unless more than the limit would be in memory then; reports whether they were added. With `even_alone`
    /// they are added to an empty backlog however many they are.
    pub(super) fn charge_within(&self, bytes: usize, limit: usize, even_alone: bool) -> bool {
        let before = self.backlog.fetch_add(bytes, Ordering::Relaxed);
        let fits = even_alone && before == 0 || !self.is_over(before.saturating_add(bytes), limit);
        if !fits {
            self.release(bytes);
        }
        fits
    }

    /// Takes away bytes that wait no longer.
    pub(super) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.backlog.fetch_sub(bytes, Ordering::Relaxed);
            self.ring();
        }
    }

    /// Counts bytes of our own answers that wait.
    pub(super) fn charge_own(&self, bytes: usize) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of our own answers off, when the answers were written or dropped.
    pub(super) fn release_own(&self, bytes: usize) {
        if bytes > 0 {
            self.own.fetch_sub(bytes, Ordering::Relaxed);
            self.ring();
        }
    }

    /// Answers of our own that wait, bytes.
    pub(super) fn own(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// What waits, in memory and on disk.
    pub(super) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// What waits in memory. The two counters change one after the other, so it may be off by a chunk for a moment.
    pub(super) fn memory(&self) -> usize {
        let spilled = self.spilled.load(Ordering::Relaxed);
        self.backlog.load(Ordering::Relaxed).saturating_sub(spilled)
    }

    /// Waiting bytes went to disk.
    pub(super) fn spill(&self, bytes: usize) {
        self.spilled.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What waits on disk.
    pub(super) fn spilled_bytes(&self) -> usize {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Waiting bytes came back from disk, or are not wanted any more.
    pub(super) fn unspill(&self, bytes: usize) {
        self.spilled.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes bytes that the peer sent.
    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes bytes that the kernel took.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What the socket moved so far.
    pub(super) fn moved(&self) -> Moved {
        Moved {
            received: self.received.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
        }
    }

    /// Notes a text message.
    pub(super) fn text_frame(&self) {
        self.text_frames.fetch_add(1, Ordering::Relaxed);
    }

    /// How many text messages came.
    pub(super) fn text_frames(&self) -> u64 {
        self.text_frames.load(Ordering::Relaxed)
    }

    /// Resolves when the backlog shrinks next, or the socket ends.
    pub(super) fn drained(&self) -> Notified<'_> {
        self.drained.notified()
    }

    /// Wakes those that wait for [`SocketCounts::drained`].
    pub(super) fn ring(&self) {
        self.drained.notify_waiters();
    }

    /// Whether so large a backlog keeps more than the limit in memory.
    fn is_over(&self, backlog: usize, limit: usize) -> bool {
        backlog > limit && backlog.saturating_sub(self.spilled.load(Ordering::Relaxed)) > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_counted() {
        let counts = SocketCounts::default();
        assert!(counts.charge_within(60, 100, false));
        assert!(!counts.charge_within(60, 100, true), "something waits already");
        assert_eq!((counts.backlog(), counts.memory()), (60, 60));
        counts.release(60);
        assert!(!counts.charge_within(101, 100, false));
        assert!(counts.charge_within(101, 100, true), "an empty backlog takes one message of any size");
        assert_eq!(counts.backlog(), 101);
    }

    #[test]
    fn what_is_on_disk_does_not_count_against_the_limit_of_memory() {
        let counts = SocketCounts::default();
        counts.charge(90);
        counts.spill(50);
        assert_eq!((counts.memory(), counts.spilled_bytes()), (40, 50));
        assert!(counts.charge_within(60, 100, false));
        assert!(!counts.charge_within(1, 100, false));
        counts.unspill(50);
        counts.release(50);
        assert_eq!((counts.memory(), counts.backlog()), (100, 100));
    }
}
