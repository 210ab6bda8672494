//! Last frames of answers that went out on young sockets: the peer may refuse them (WIRE 7.1).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits;

#[derive(Debug, Default)]
pub(super) struct RecentAnswers {
    frames: VecDeque<(i64, Bytes)>,
    bytes: usize,
}

impl RecentAnswers {
    pub(super) fn keep(&mut self, id: i64, frame: &Bytes) {
        self.bytes += frame.len();
        self.frames.push_back((id, frame.clone()));
        while self.frames.len() > limits::RECENT_ANSWERS_MAX || self.bytes > limits::RECENT_ANSWER_BYTES_MAX {
            let Some((_, dropped)) = self.frames.pop_front() else { break };
            self.bytes -= dropped.len();
        }
    }

    pub(super) fn take(&mut self, id: i64) -> Option<Bytes> {
        let at = self.frames.iter().position(|(kept, _)| *kept == id)?;
        let (_, frame) = self.frames.remove(at)?;
        self.bytes -= frame.len();
        Some(frame)
    }
}
