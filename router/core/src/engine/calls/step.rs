//! The order of an answer: which frames are passed on, and which one is the last.

use std::fmt;

use bytes::Bytes;
use rcs_proto::envelope::{BatchPart, Part};
use rcs_proto::operation::Operation;
use rcs_proto::session::StreamOrder;
use rcs_proto::withheld::Withheld;

/// What becomes of one frame of an answer.
pub(in crate::engine) enum Step {
    /// Pass it on; more will come.
    Pass,
    /// Pass it on: it is the last.
    PassLast,
    /// Pass it on, and then the frame given here, which is the last.
    PassThenLast(Bytes),
    /// Keep it back or drop it.
    Keep,
    /// The answer makes no sense.
    Broken,
}

/// How much of an answer has come.
pub(super) enum Progress {
    /// Nothing yet.
    Nothing,
    /// A stream under way.
    Stream {
        /// Which items were passed on.
        order: StreamOrder,
        /// The end, held back until every item before it was passed on: the caller gets one final frame, and it is the last.
        end: Option<Bytes>,
    },
    /// A subscription under way.
    Events,
    /// A batch under way.
    Batch(BatchProgress),
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Stream { order, end } => {
                let end = end.as_deref().map(Withheld);
                f.debug_struct("Stream").field("order", order).field("end", &end).finish()
            }
            Self::Events => f.write_str("Events"),
            Self::Batch(progress) => f.debug_tuple("Batch").field(progress).finish(),
        }
    }
}

/// What a batch still waits for (WIRE 5.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BatchProgress {
    token: bool,
    complete: bool,
    wants_results: bool,
    last_result: bool,
    failed: bool,
}

impl BatchProgress {
    /// Notes a frame; returns whether the batch is over.
    fn note(&mut self, part: BatchPart) -> bool {
        match part {
            BatchPart::Result { complete, failed } => {
                self.last_result |= complete;
                self.failed |= failed;
            }
            BatchPart::Complete => self.complete = true,
            BatchPart::Token { returns_results, .. } => {
                (self.token, self.wants_results) = (true, returns_results)
            }
        }
        self.token && self.complete && (self.last_result || !self.wants_results)
    }

    /// Whether the caller may have ended the batch although frames of the batch are missing: the caller has all results, or a result of a
    /// task that failed.
    fn may_be_ended(&self) -> bool {
        self.last_result || self.failed
    }
}

impl Progress {
    /// Whether the caller may have ended the call although its last frame has not come. Only batches end like this.
    pub(super) fn may_be_ended(&self) -> bool {
        matches!(self, Self::Batch(progress) if progress.may_be_ended())
    }

    /// Whether the end of a stream is held back.
    pub(super) fn has_end(&self) -> bool {
        matches!(self, Self::Stream { end: Some(_), .. })
    }

    /// Notes a part of the answer and says what to do with its frame. `frame` makes the frame as the caller gets it.
    pub(super) fn step(&mut self, part: Part, frame: impl FnOnce() -> Bytes) -> Step {
        match part {
            Part::Only => Step::PassLast,
            Part::Event { completed: true } => Step::PassLast,
            Part::Event { completed: false } => {
                *self = Self::Events;
                Step::Pass
            }
            Part::Batch(part) => {
                if !matches!(self, Self::Batch(_)) {
                    *self = Self::Batch(BatchProgress::default());
                }
                match self {
                    Self::Batch(progress) => match progress.note(part) {
                        true => Step::PassLast,
                        false => Step::Pass,
                    },
                    _ => unreachable!("set above"),
                }
            }
            Part::Item { sequence } => {
                let (order, end) = self.stream();
                match order.item(sequence) {
                    Err(_) => Step::Broken,
                    // Seen already: two sockets may bring one frame twice (WIRE 5.3).
                    Ok(false) => Step::Keep,
                    Ok(true) if order.is_complete() => end.take().map_or(Step::Pass, Step::PassThenLast),
                    Ok(true) => Step::Pass,
                }
            }
            Part::End { count, .. } => {
                let (order, end) = self.stream();
                match order.end(count) {
                    Err(_) => Step::Broken,
                    Ok(false) => Step::Keep,
                    Ok(true) if order.is_complete() => Step::PassLast,
                    Ok(true) => {
                        *end = Some(frame());
                        Step::Keep
                    }
                }
            }
        }
    }

    fn stream(&mut self) -> (&mut StreamOrder, &mut Option<Bytes>) {
        if !matches!(self, Self::Stream { .. }) {
            *self = Self::Stream { order: StreamOrder::default(), end: None };
        }
        match self {
            Self::Stream { order, end } => (order, end),
            _ => unreachable!("set above"),
        }
    }
}

/// Whether a part of this form can be in the answer to the operation. A caller would drop any other, and wait for ever.
pub(in crate::engine) fn is_answer_to(operation: Operation, part: Part) -> bool {
    match part {
        Part::Item { .. } | Part::End { .. } => matches!(operation, Operation::Search | Operation::Sync),
        Part::Event { .. } => operation.is_subscription(),
        Part::Batch(_) => operation == Operation::Batch,
        Part::Only => {
            !matches!(operation, Operation::Search | Operation::Sync | Operation::Batch)
                && !operation.is_subscription()
        }
    }
}
