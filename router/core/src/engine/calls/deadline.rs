//! How long a call may take (P1): as its caller says in the facade key, else by its group's settings and its operation.

use std::time::Duration;

use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use crate::engine::facade::Facade;
use crate::settings::Deadlines;

/// When a call is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Deadline {
    at: Option<Moment>,
    /// The time by which each frame of the answer moves the deadline ahead.
    idle: Option<Duration>,
}

impl Deadline {
    /// The deadline of a call that arrives now.
    pub(in crate::engine) fn of(operation: Operation, facade: &Facade, set: &Deadlines, now: Moment) -> Self {
        let asked = facade.timeout(match operation {
            Operation::LatestSyncToken => Operation::Sync,
            other => other,
        });
        if let Some(asked) = asked {
            // At this moment the caller times out by itself, without a message to anybody (WIRE 5.1).
            return Self { at: Some(now + asked), idle: None };
        }
        let (whole, idle) = allowance(operation, set);
        Self { at: whole.or(idle).map(|time| now + time), idle }
    }

    /// The later of two deadlines of one call.
    pub(in crate::engine) fn later(self, other: Self) -> Self {
        let later = |one: Option<Moment>, other: Option<Moment>| Some(one?.max(other?));
        Self { at: later(self.at, other.at), idle: self.idle.max(other.idle) }
    }

    /// A frame of the answer came.
    pub(super) fn progressed(&mut self, now: Moment) {
        if let Some(idle) = self.idle {
            self.at = Some(now + idle);
        }
    }

    /// The moment at which the call is given up; none: never.
    pub(super) fn at(&self) -> Option<Moment> {
        self.at
    }

    pub(super) fn is_past(&self, now: Moment) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
impl Deadline {
    /// One at a fixed moment.
    pub(super) fn at_moment(at: Moment) -> Self {
        Self { at: Some(at), idle: None }
    }

    /// One that each frame of the answer moves away.
    pub(super) fn between_frames(idle: Duration, now: Moment) -> Self {
        Self { at: Some(now + idle), idle: Some(idle) }
    }
}

/// For the whole call, or between two frames of its answer.
fn allowance(operation: Operation, set: &Deadlines) -> (Option<Duration>, Option<Duration>) {
    use Operation as Op;
    match operation {
        // Somebody waits at a login page (J06, J08).
        Op::Authenticate => (Some(set.login), None),
        Op::Get | Op::ResolveUsername | Op::Schema | Op::LatestSyncToken | Op::Test | Op::Validate => {
            (Some(set.read), None)
        }
        Op::Create | Op::Delete | Op::Update => (Some(set.change), None),
        Op::ScriptOnConnector | Op::ScriptOnResource | Op::Unknown | Op::ConfigurationChange => {
            (Some(set.script), None)
        }
        Op::Search | Op::Sync | Op::Batch => (None, Some(set.stream_idle)),
        Op::ConnectorEventSubscription | Op::SyncEventSubscription => (None, None),
    }
}
