//! What a dead socket leaves behind, sorted by what becomes of it (WIRE 4.2: the session lives on its other sockets).

use std::collections::HashMap;

use bytes::Bytes;

use crate::envelope::{BatchPart, Envelope, Kind, Part};
use crate::frames;
use crate::icf::exceptions;

/// Parts of an answer may be lost, and the peer would wait for them for ever: better a clear error.
const CUT_TEXT: &str = "The connection broke while results were being sent; some may be lost";

/// What a dead socket leaves behind.
pub(super) struct Lost {
    /// By call of the peer, the frames of its answer before the last that certainly did not arrive.
    items: HashMap<i64, Vec<Bytes>>,
    /// Last frames that may not have arrived.
    finals: Vec<(i64, Bytes)>,
    /// Requests of ours that certainly did not arrive.
    requests: Vec<i64>,
    /// Cancels of ours, likewise.
    cancels: Vec<Bytes>,
}

impl Lost {
    /// Sorts the frames that certainly did not arrive, and the last frames that may not have.
    pub(super) fn new(unsent: Vec<Bytes>, finals: Vec<(i64, Bytes)>) -> Self {
        let mut lost = Self { items: HashMap::new(), finals, requests: Vec::new(), cancels: Vec::new() };
        for envelope in unsent.into_iter().filter_map(|frame| Envelope::parse(frame).ok()) {
            let (id, frame) = (envelope.message_id, envelope.frame().clone());
            match &envelope.kind {
                Kind::Answer(head) if is_item(head.part) => lost.items.entry(id).or_default().push(frame),
                // Most last frames are known as unconfirmed already.
                Kind::Answer(_) | Kind::Error(_) if lost.finals.iter().any(|(known, _)| *known == id) => {}
                Kind::Answer(_) | Kind::Error(_) => lost.finals.push((id, frame)),
                Kind::Operation(_) => lost.requests.push(id),
                Kind::Cancel => lost.cancels.push(frame),
                // Handshakes and session checks belong to their socket.
                _ => {}
            }
        }
        lost
    }

    /// Takes the frames of a running call that certainly did not arrive, in their order.
    pub(super) fn take_items(&mut self, id: i64) -> Vec<Bytes> {
        self.items.remove(&id).unwrap_or_default()
    }

    /// Takes the answers that were complete on our side, to be sent again: whole, or as an error if a part of them may be missing.
    pub(super) fn take_answers(&mut self) -> Vec<(i64, Bytes)> {
        let mut frames = Vec::new();
        for (id, last) in std::mem::take(&mut self.finals) {
            let items = self.take_items(id);
            let before = Envelope::parse(last.clone()).map_or(0, |envelope| match &envelope.kind {
                Kind::Answer(head) => items_before(head.part),
                _ => 0,
            });
            if before > items.len() {
                frames.push((id, cut(id)));
            } else {
                frames.extend(items.into_iter().chain([last]).map(|frame| (id, frame)));
            }
        }
        frames
    }

    /// Takes the ids of our requests that certainly did not arrive.
    pub(super) fn take_requests(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.requests)
    }

    /// Takes our cancels that certainly did not arrive.
    pub(super) fn take_cancels(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.cancels)
    }
}

/// The error that ends a call of which a part of the answer may be lost.
pub(super) fn cut(id: i64) -> Bytes {
    frames::error(id, exceptions::CONNECTION_BROKEN, CUT_TEXT)
}

/// How many frames precede this one in its answer, by its own count.
fn items_before(part: Part) -> usize {
    match part {
        Part::End { count, .. } => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}

/// Whether a frame is part of an answer but not its last one.
fn is_item(part: Part) -> bool {
    match part {
        Part::Item { .. } | Part::Event { completed: false } => true,
        Part::Batch(BatchPart::Result { .. } | BatchPart::Complete) => true,
        Part::Batch(BatchPart::Token { .. }) | Part::Only | Part::End { .. } | Part::Event { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{end, item, test_answer, test_request};
    use super::*;

    #[test]
    fn frames_are_sorted_by_what_becomes_of_them() {
        let mut lost = Lost::new(
            vec![
                item(1, 1),
                frames::operation(2, &test_request()),
                frames::cancel(3),
                item(1, 2),
                frames::control_response(4, None),
                Bytes::from_static(b"no frame at all"),
            ],
            Vec::new(),
        );
        assert_eq!(lost.take_requests(), [2]);
        assert_eq!(lost.take_cancels(), [frames::cancel(3)]);
        assert_eq!(lost.take_items(1), [item(1, 1), item(1, 2)]);
        assert!(lost.take_items(1).is_empty() && lost.take_answers().is_empty());
    }

    #[test]
    fn an_answer_is_repeated_whole_or_ends_in_an_error() {
        // The unconfirmed end of call 1 is among the unsent frames as well.
        let unsent = vec![item(1, 1), item(1, 2), end(1, 2), item(2, 2), end(2, 2), test_answer(3)];
        let mut lost = Lost::new(unsent, vec![(1, end(1, 2))]);
        let answers = [
            (1, item(1, 1)),
            (1, item(1, 2)),
            (1, end(1, 2)),
            // Its first item went out, and may have been lost.
            (2, cut(2)),
            (3, test_answer(3)),
        ];
        assert_eq!(lost.take_answers(), answers);
    }
}
