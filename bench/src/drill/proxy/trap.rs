//! A trap: waits for a point in the life of a call, and then does something.

use std::time::Duration;

use rcs_proto::operation::Operation;
use tokio::sync::oneshot;

use super::Way;
use super::units::{Content, Unit};

/// A point in the life of a call, as the bytes between router and member show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Point {
    /// The request has left the router, and nothing of it reaches the member.
    BeforeRequest,
    /// One byte of it does.
    FirstByte,
    /// Half of it does.
    HalfRequest,
    /// All of it does, and nothing more happens.
    AfterRequest,
    /// The member is at it.
    Executing,
    /// It is done, and nothing of the answer reaches the router.
    BeforeAnswer,
    /// One byte of the answer does.
    FirstByteOfAnswer,
    /// Some objects of a stream do.
    BetweenParts,
    /// All objects of a stream do, but not its end.
    BeforeEnd,
    /// The whole answer does.
    AfterAnswer,
}

impl Point {
    /// All of them, from a call's beginning to its end.
    pub(crate) const ALL: [Self; 10] = [
        Self::BeforeRequest,
        Self::FirstByte,
        Self::HalfRequest,
        Self::AfterRequest,
        Self::Executing,
        Self::BeforeAnswer,
        Self::FirstByteOfAnswer,
        Self::BetweenParts,
        Self::BeforeEnd,
        Self::AfterAnswer,
    ];

    /// The word for reports.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::BeforeRequest => "before_request",
            Self::FirstByte => "first_byte",
            Self::HalfRequest => "half_request",
            Self::AfterRequest => "after_request",
            Self::Executing => "executing",
            Self::BeforeAnswer => "before_answer",
            Self::FirstByteOfAnswer => "first_byte_of_answer",
            Self::BetweenParts => "between_parts",
            Self::BeforeEnd => "before_end",
            Self::AfterAnswer => "after_answer",
        }
    }
}

/// A trap that waits.
pub(crate) struct Trap {
    point: Point,
    /// Units of the right kind that it lets pass first.
    pub(super) skip: u32,
    /// How long the member has the call at [`Point::Executing`].
    wait: Duration,
    action: Box<dyn FnOnce() + Send>,
    sprung: oneshot::Sender<()>,
}

/// What a trap makes of a unit.
pub(super) enum Sight {
    /// It is let pass.
    Nothing,
    /// So many of its bytes are let pass; then, after a wait, the trap springs.
    Caught { bytes: usize, wait: Duration, spring: Box<dyn FnOnce() + Send> },
}

impl Trap {
    /// A trap for that point that does `action`; the receiver hears when it is done. `dice` choose how many calls it lets pass.
    pub(crate) fn new(
        point: Point,
        dice: &mut fastrand::Rng,
        action: impl FnOnce() + Send + 'static,
    ) -> (Self, oneshot::Receiver<()>) {
        let (sprung, springs) = oneshot::channel();
        let skip = match point {
            // Objects of a stream.
            Point::BetweenParts => dice.u32(1..8),
            _ => dice.u32(0..3),
        };
        let wait = match point {
            Point::Executing => Duration::from_micros(dice.u64(200..4_000)),
            _ => Duration::ZERO,
        };
        (Self { point, skip, wait, action: Box::new(action), sprung }, springs)
    }

    /// Whether this is the unit that it waits for.
    pub(super) fn look(&mut self, way: Way, unit: &Unit) -> bool {
        if !self.fits(way, unit.content) {
            return false;
        }
        match self.skip.checked_sub(1) {
            Some(left) => {
                self.skip = left;
                false
            }
            None => true,
        }
    }

    fn fits(&self, way: Way, content: Content) -> bool {
        match (self.point, way, content) {
            (
                Point::BeforeRequest
                | Point::FirstByte
                | Point::HalfRequest
                | Point::AfterRequest
                | Point::Executing,
                Way::In,
                Content::Call(operation),
            ) => operation != Operation::Test,
            (
                Point::BeforeAnswer | Point::FirstByteOfAnswer | Point::AfterAnswer,
                Way::Out,
                Content::End(operation),
            ) => operation != Operation::Test,
            (Point::BetweenParts, Way::Out, Content::Item(_)) => true,
            (Point::BeforeEnd, Way::Out, Content::End(operation)) => operation == Operation::Search,
            _ => false,
        }
    }

    /// Springs on a unit.
    pub(super) fn catch(self, unit: &Unit) -> Sight {
        let whole = unit.bytes.len();
        let bytes = match self.point {
            Point::BeforeRequest | Point::BeforeAnswer | Point::BeforeEnd => 0,
            Point::FirstByte | Point::FirstByteOfAnswer => 1.min(whole),
            Point::HalfRequest => whole / 2,
            Point::AfterRequest | Point::Executing | Point::BetweenParts | Point::AfterAnswer => whole,
        };
        let spring = move || {
            (self.action)();
            // Nobody may wait for it any more.
            let _ = self.sprung.send(());
        };
        Sight::Caught { bytes, wait: self.wait, spring: Box::new(spring) }
    }
}
