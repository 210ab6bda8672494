//! Last frames of answers that went out a moment ago: the peer may refuse them (WIRE 7.1), their socket may die.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::SocketId;
use crate::limits;
use crate::operation::Operation;
use crate::time::Moment;
use crate::withheld::Withheld;

/// The end of an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Last {
    /// The call's id.
    pub id: i64,
    /// What was asked.
    pub operation: Operation,
    /// The frame; none if it is not the whole answer, or if there was no room to keep it. Then only an error can take its
    /// place: the end of a stream whose items are missing would be waited on for ever (WIRE 5.3).
    pub frame: Option<Bytes>,
    /// When it was sent first.
    pub since: Moment,
    /// How often the peer has refused this end.
    pub refusals: u8,
}

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Last");
        shown.field("id", &self.id).field("operation", &self.operation);
        shown.field("frame", &self.frame.as_deref().map(Withheld)).field("since", &self.since).finish()
    }
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) socket: SocketId,
    pub(super) last: Last,
}

/// The ends in the order of their sending, bounded by count, bytes and age.
#[derive(Debug, Default)]
pub(super) struct RecentAnswers {
    sent: VecDeque<Sent>,
    bytes: usize,
    /// So many at the front have no frame.
    bare: usize,
}

impl RecentAnswers {
    pub(super) fn keep(&mut self, sent: Sent, now: Moment) {
        if is_old(&sent, now) {
            return;
        }
        self.bytes += bytes_of(&sent);
        self.sent.push_back(sent);
        while let Some(oldest) = self.sent.front()
            && (self.sent.len() > limits::RECENT_ANSWERS_MAX || is_old(oldest, now))
        {
            self.drop_oldest();
        }
        self.limit(limits::RECENT_ANSWER_BYTES_MAX);
    }

    /// Drops the oldest frames until at most this many bytes are kept. It stays known that these frames were sent.
    pub(super) fn limit(&mut self, bytes: usize) {
        while self.bytes > bytes
            && let Some(oldest) = self.sent.get_mut(self.bare)
        {
            self.bytes -= bytes_of(oldest);
            oldest.last.frame = None;
            self.bare += 1;
        }
    }

    /// Bytes of the frames that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets ends that are too old to be sent again, with their memory. Returns when more ends will be too old.
    pub(super) fn forget_old(&mut self, now: Moment) -> Option<Moment> {
        while self.sent.front().is_some_and(|oldest| is_old(oldest, now)) {
            self.drop_oldest();
        }
        if self.sent.len() < self.sent.capacity() / 4 {
            self.sent.shrink_to(2 * self.sent.len());
        }
        // An end counts as old only after its time has passed.
        self.sent
            .front()
            .map(|oldest| oldest.last.since + limits::RECENT_ANSWER_KEPT + Duration::from_nanos(1))
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.sent.pop_front() {
            self.bytes -= bytes_of(&oldest);
            self.bare = self.bare.saturating_sub(1);
        }
    }

    /// Takes out the ids whose answers went out a moment ago. The ids are in ascending order.
    pub(super) fn leave_out(&self, ids: &mut Vec<i64>) {
        let sent = self.sent.iter().map(|sent| sent.last.id);
        let listed: HashSet<i64> = sent.filter(|id| ids.binary_search(id).is_ok()).collect();
        ids.retain(|id| !listed.contains(id));
    }

    /// The end of the answer that the peer refuses. `None` if the end is unknown, or was refused too often to be sent again.
    pub(super) fn take(&mut self, id: i64) -> Option<Last> {
        let at = self.sent.iter().rposition(|sent| sent.last.id == id)?;
        let sent = self.sent.remove(at)?;
        self.bytes -= bytes_of(&sent);
        self.bare -= usize::from(at < self.bare);
        let last = Last { refusals: sent.last.refusals.saturating_add(1), ..sent.last };
        (last.refusals <= limits::ANSWER_REFUSALS_MAX).then_some(last)
    }

    pub(super) fn take_of(&mut self, socket: SocketId, now: Moment) -> Vec<Last> {
        let (of_socket, kept): (VecDeque<Sent>, VecDeque<Sent>) =
            std::mem::take(&mut self.sent).into_iter().partition(|sent| sent.socket == socket);
        self.sent = kept;
        self.bytes = self.sent.iter().map(bytes_of).sum();
        self.bare = 0;
        of_socket.into_iter().filter(|sent| !is_old(sent, now)).map(|sent| sent.last).collect()
    }
}

fn is_old(sent: &Sent, now: Moment) -> bool {
    now.since(sent.last.since) > limits::RECENT_ANSWER_KEPT
}

fn bytes_of(sent: &Sent) -> usize {
    sent.last.frame.as_ref().map_or(0, Bytes::len)
}
