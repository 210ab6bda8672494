//! Last frames of answers that went out a moment ago: the peer may refuse them (WIRE 7.1), their socket may die.

use std::collections::VecDeque;
use std::fmt;

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
            self.bytes -= bytes_of(oldest);
            self.bare = self.bare.saturating_sub(1);
            self.sent.pop_front();
        }
        // The frames of the oldest make room; that they were sent stays known.
        while self.bytes > limits::RECENT_ANSWER_BYTES_MAX
            && let Some(oldest) = self.sent.get_mut(self.bare)
        {
            self.bytes -= bytes_of(oldest);
            oldest.last.frame = None;
            self.bare += 1;
        }
    }

    pub(super) fn take(&mut self, id: i64) -> Option<Last> {
        let at = self.sent.iter().rposition(|sent| sent.last.id == id)?;
        let sent = self.sent.remove(at)?;
        self.bytes -= bytes_of(&sent);
        self.bare -= usize::from(at < self.bare);
        Some(sent.last)
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
