//! A pause in which the calls for a member wait, so that one of its sockets can be replaced.

use rcs_proto::time::Moment;

use crate::limits;

/// Whether the calls for a member wait for a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// The latest end of the rest, if there is one.
    until: Option<Moment>,
    /// The earliest moment of the next rest.
    next_at: Moment,
}

impl Rest {
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// Whether a rest may begin that nothing forces.
    pub(super) fn may_begin(&self, now: Moment) -> bool {
        !self.is_on() && self.next_at <= now
    }

    pub(super) fn begin(&mut self, until: Moment) {
        self.until = Some(until);
    }

    /// Ends the rest; returns whether there was one.
    pub(super) fn end(&mut self) -> bool {
        self.until.take().is_some()
    }

    /// Ends a rest that has lasted long enough; returns whether there was one.
    pub(super) fn end_if_over(&mut self, now: Moment) -> bool {
        let is_over = self.until.is_some_and(|until| until <= now);
        if is_over {
            self.next_at = now + limits::ROTATION_AGAIN;
            self.until = None;
        }
        is_over
    }
}
