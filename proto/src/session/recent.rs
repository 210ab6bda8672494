//! Last frames of answers that went out a moment ago: the peer may refuse them (WIRE 7.1), their socket may die.

use std::collections::VecDeque;

use bytes::Bytes;

use super::SocketId;
use crate::limits;
use crate::time::Moment;

/// One such frame.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) socket: SocketId,
    pub(super) id: i64,
    pub(super) at: Moment,
    pub(super) frame: Bytes,
}

/// The frames in the order of their sending, bounded by count, bytes and age.
#[derive(Debug, Default)]
pub(super) struct RecentAnswers {
    sent: VecDeque<Sent>,
    bytes: usize,
}

impl RecentAnswers {
    pub(super) fn keep(&mut self, sent: Sent) {
        let now = sent.at;
        self.bytes += sent.frame.len();
        self.sent.push_back(sent);
        while let Some(oldest) = self.sent.front() {
            let full =
                self.sent.len() > limits::RECENT_ANSWERS_MAX || self.bytes > limits::RECENT_ANSWER_BYTES_MAX;
            if !full && now.since(oldest.at) <= limits::RECENT_ANSWER_KEPT {
                break;
            }
            self.bytes -= oldest.frame.len();
            self.sent.pop_front();
        }
    }

    pub(super) fn take(&mut self, id: i64) -> Option<Bytes> {
        let at = self.sent.iter().rposition(|sent| sent.id == id)?;
        let sent = self.sent.remove(at)?;
        self.bytes -= sent.frame.len();
        Some(sent.frame)
    }

    pub(super) fn take_of(&mut self, socket: SocketId, now: Moment) -> Vec<(i64, Bytes)> {
        let (of_socket, kept): (VecDeque<Sent>, VecDeque<Sent>) =
            std::mem::take(&mut self.sent).into_iter().partition(|sent| sent.socket == socket);
        self.sent = kept;
        self.bytes = self.sent.iter().map(|sent| sent.frame.len()).sum();
        let young = of_socket.into_iter().filter(|sent| now.since(sent.at) <= limits::RECENT_ANSWER_KEPT);
        young.map(|sent| (sent.id, sent.frame)).collect()
    }
}
