//! Calls in flight: one entry from the request to its single final answer.

use std::fmt;

use bytes::Bytes;
use rcs_proto::envelope::{BatchPart, Envelope, OperationHead};
use rcs_proto::operation::Operation;
use rcs_proto::session::{SocketId, StreamOrder};
use rcs_proto::time::Moment;
use rcs_proto::withheld::Withheld;

use super::{CallId, Deadline, Loss, Waiting};
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::slots::Key;
use crate::verdict::{Attempts, Class, Fault, Paging, Stage};

/// Names one call for as long as it is in flight.
pub type CallKey = Key<Call>;

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Its name for people.
    pub number: CallId,
    /// Whether it met a fault, so that something is kept of it.
    pub is_explained: bool,
    /// Who waits for the answer; none once it is gone for good.
    pub caller: Option<Caller>,
    /// The group it is routed in.
    pub group: GroupId,
    /// What is asked.
    pub operation: Operation,
    /// The request as it came, kept until a part of its answer was delivered: it may have to be sent once more.
    pub request: Option<Envelope>,
    /// For searches: which configuration is searched, and where its pages are.
    pub pages: Option<Pages>,
    /// For searches and syncs: whose ends its own must look like.
    pub stream: Option<super::StreamKind>,
    /// Where it was sent last.
    pub route: Option<Route>,
    /// Set while it waits for a free place; it has no route then.
    pub waiting: Option<Waiting>,
    /// Members that it was sent to.
    pub tried: MemberSet,
    /// The member that may have it from a socket that is gone, while it is sent there once more.
    pub touched: Option<MemberId>,
    /// When it is given up.
    pub deadline: Deadline,
    /// How often it was sent again, and why.
    pub attempts: Attempts,
    /// The sessions of members that were lost while they had it.
    pub losses: Vec<Loss>,
    /// What came of its answer.
    pub answer: Progress,
    /// When the request arrived.
    pub since: Moment,
    /// When the last part of its answer came; when the request arrived if none did.
    pub progressed_at: Moment,
}

/// What a search may have to do with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Digest of the facade key.
    pub facade: u64,
    /// Whether the search continues another.
    pub paging: Paging,
    /// The member that gave its cookie, if we saw that.
    pub member: Option<MemberId>,
}

/// The downstream end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its session.
    pub session: super::DownstreamKey,
    /// The id that the caller gave to the call.
    pub id: i64,
    /// The socket that all frames of the answer go to, while it lives: order is kept per socket (WIRE 11.3).
    pub socket: Option<SocketId>,
}

/// The upstream end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The member.
    pub member: MemberId,
    /// Which of its sessions: a restarted member is another one.
    pub session: super::UpstreamKey,
    /// The id that we gave to the call.
    pub id: i64,
    /// The socket that carried the request.
    pub socket: SocketId,
    /// When it was sent there.
    pub sent: Moment,
    /// Whether a timer runs for an answer that may have been lost with a socket.
    pub is_watched: bool,
}

/// How much of an answer has come.
pub enum Progress {
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
pub struct BatchProgress {
    token: bool,
    complete: bool,
    wants_results: bool,
    last_result: bool,
}

impl BatchProgress {
    /// Notes a frame; answers whether the batch is over.
    pub fn note(&mut self, part: BatchPart) -> bool {
        match part {
            BatchPart::Result { complete } => self.last_result |= complete,
            BatchPart::Complete => self.complete = true,
            BatchPart::Token { returns_results } => {
                (self.token, self.wants_results) = (true, returns_results)
            }
        }
        self.token && self.complete && (self.last_result || !self.wants_results)
    }
}

impl Call {
    /// The head of the request, while the request is kept.
    pub fn head(&self) -> Option<&OperationHead> {
        match &self.request.as_ref()?.kind {
            rcs_proto::envelope::Kind::Operation(head) => Some(head),
            _ => None,
        }
    }

    /// Lets go of the request; answers how many bytes it had.
    pub fn drop_request(&mut self) -> usize {
        self.request.take().map_or(0, |request| request.frame_bytes())
    }

    /// What may be done with it after a failure.
    pub fn class(&self) -> Class {
        Class::of(self.operation, self.pages.map_or(Paging::Starts, |pages| pages.paging))
    }

    /// How far it got.
    pub fn stage(&self) -> Stage {
        match (&self.request, self.route) {
            // It is dropped with the first part of the answer that is passed on.
            (None, _) => Stage::PartlyAnswered,
            (Some(_), None) => Stage::Unsent,
            (Some(_), Some(_)) => Stage::MaybeSent,
        }
    }

    /// How far it got, as this fault is to be judged.
    pub fn stage_at(&self, fault: Fault) -> Stage {
        match (self.stage(), fault, self.touched) {
            // It never left for the last socket of a member that may have it from another: a dying process closes them one by one.
            (Stage::Unsent, Fault::MemberLost, Some(_)) => Stage::MaybeSent,
            (stage, ..) => stage,
        }
    }

    /// Whether the end of its stream has come, be it before some of its items.
    pub fn has_end(&self) -> bool {
        matches!(&self.answer, Progress::Stream { end: Some(_), .. })
    }

    /// Takes it off its member, with what it held back of an answer.
    pub fn take_back(&mut self) -> Option<Route> {
        self.answer = Progress::Nothing;
        self.route.take()
    }

    /// Whether a cancel reaches it at the member: unary calls run on (WIRE 5.4).
    pub fn is_cancellable(&self) -> bool {
        matches!(
            self.operation,
            Operation::Search
                | Operation::Sync
                | Operation::Batch
                | Operation::ConnectorEventSubscription
                | Operation::SyncEventSubscription
        )
    }
}
