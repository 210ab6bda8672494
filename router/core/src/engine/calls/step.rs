//! The order of an answer: which frames are passed on, and which one is the last.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::{BatchPart, Part};
use rcs_proto::operation::Operation;
use rcs_proto::session::{StreamError, StreamOrder};
use rcs_proto::withheld::Withheld;

use crate::limits;

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
    /// Too much of the answer came before a part that is missing.
    OutOfOrder,
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
        /// Whether the member may have been unable to write for a while: nothing came for [`limits::STREAM_STALL`].
        paused: bool,
        /// Sockets of the member whose pong is awaited before the end is passed on.
        pongs: usize,
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
            Self::Stream { order, end, paused, pongs } => {
                let end = end.as_deref().map(Withheld);
                let mut stream = f.debug_struct("Stream");
                stream.field("order", order).field("end", &end).field("paused", paused);
                stream.field("pongs", pongs).finish()
            }
            Self::Events => f.write_str("Events"),
            Self::Batch(progress) => f.debug_tuple("Batch").field(progress).finish(),
        }
    }
}

/// What is to be thought of the last item of a stream whose end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum LastItem {
    /// The member wrote the item at the first try, or there is none: the stream is whole.
    Certain,
    /// The member may have tried twice to write the item. The second copy may still be on its way.
    Doubtful,
    /// The item came twice: the member gave the stream up behind the item.
    Repeated,
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

    /// What is to be thought of the last item of a stream.
    pub(super) fn last_item(&self) -> LastItem {
        match self {
            Self::Stream { order, .. } if order.ends_in_a_repeat() => LastItem::Repeated,
            Self::Stream { order, paused: true, .. } if !order.is_empty() => LastItem::Doubtful,
            _ => LastItem::Certain,
        }
    }

    /// Holds the end of a stream back until so many pongs have come.
    pub(super) fn hold_end(&mut self, frame: Bytes, awaited: usize) {
        if let Self::Stream { end, pongs, .. } = self {
            (*end, *pongs) = (Some(frame), awaited);
        }
    }

    /// A pong that the end of a stream was held back for has come; returns the end if no other pong is awaited.
    pub(super) fn ponged(&mut self) -> Option<Bytes> {
        let Self::Stream { end, pongs, .. } = self else { return None };
        *pongs = pongs.checked_sub(1)?;
        if *pongs == 0 { end.take() } else { None }
    }

    /// No further pong is waited for; returns the end if it was held back for pongs.
    pub(super) fn give_up_pongs(&mut self) -> Option<Bytes> {
        let Self::Stream { end, pongs, .. } = self else { return None };
        if std::mem::take(pongs) > 0 { end.take() } else { None }
    }

    /// Bytes that are kept because parts of the answer came out of order.
    pub(super) fn out_of_order_bytes(&self) -> usize {
        match self {
            Self::Stream { order, end, .. } => {
                order.ahead() * limits::OUT_OF_ORDER_ITEM_BYTES + end.as_ref().map_or(0, Bytes::len)
            }
            Self::Nothing | Self::Events | Self::Batch(_) => 0,
        }
    }

    /// Notes a part of the answer and says what to do with its frame, which has this many bytes. `pause` is the time since the part before,
    /// or since the request. `frame` makes the frame as the caller gets it. At most `room` bytes are kept because parts came out of order.
    pub(super) fn step(
        &mut self,
        part: Part,
        pause: Duration,
        bytes: usize,
        room: usize,
        frame: impl FnOnce() -> Bytes,
    ) -> Step {
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
                let kept = self.out_of_order_bytes();
                let (order, end) = self.stream(pause);
                let before = order.ahead();
                match order.item(sequence) {
                    Err(StreamError::TooFarAhead) => Step::OutOfOrder,
                    Err(_) => Step::Broken,
                    Ok(true) if order.ahead() > before && kept + limits::OUT_OF_ORDER_ITEM_BYTES > room => {
                        Step::OutOfOrder
                    }
                    // Seen already: two sockets may bring one frame twice (WIRE 5.3).
                    Ok(false) => Step::Keep,
                    Ok(true) if order.is_complete() => end.take().map_or(Step::Pass, Step::PassThenLast),
                    Ok(true) => Step::Pass,
                }
            }
            Part::End { count, .. } => {
                let kept = self.out_of_order_bytes();
                let (order, end) = self.stream(pause);
                match order.end(count) {
                    Err(_) => Step::Broken,
                    Ok(false) => Step::Keep,
                    Ok(true) if order.is_complete() => Step::PassLast,
                    Ok(true) if kept + bytes > room => Step::OutOfOrder,
                    Ok(true) => {
                        *end = Some(frame());
                        Step::Keep
                    }
                }
            }
        }
    }

    fn stream(&mut self, pause: Duration) -> (&mut StreamOrder, &mut Option<Bytes>) {
        if !matches!(self, Self::Stream { .. }) {
            *self = Self::Stream { order: StreamOrder::default(), end: None, paused: false, pongs: 0 };
        }
        match self {
            Self::Stream { order, end, paused, .. } => {
                *paused |= pause >= limits::STREAM_STALL;
                (order, end)
            }
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
