//! One call, from its request to its single final answer. Rooms read a call; only the table of calls changes it.

use rcs_proto::envelope::{Envelope, Kind, OperationHead};
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

use super::deadline::Deadline;
use super::due::Planned;
use super::step::{LastItem, Progress};
use crate::engine::callers::CallerEnd;
use crate::engine::facade::{ConfigurationDigest, Pages, StreamKind};
use crate::engine::keys::{CallId, MemberSessionKey};
use crate::engine::members::Route;
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::limits;
use crate::verdict::{Attempts, Class, Fault, Paging, Stage};

/// One call.
#[derive(Debug)]
pub(in crate::engine) struct Call {
    /// The call's name for logs and people.
    pub(in crate::engine) number: CallId,
    /// Whether the call has an explanation, because it met a fault.
    pub(super) is_explained: bool,
    /// The fault that waits to be judged.
    pub(super) fault: Option<Fault>,
    /// Where its answer goes; none once nobody waits for it.
    pub(in crate::engine) caller: Option<CallerEnd>,
    /// The group that the call is routed in.
    pub(in crate::engine) group: GroupId,
    /// The configuration that the call names.
    pub(in crate::engine) configuration: ConfigurationDigest,
    /// What is asked.
    pub(in crate::engine) operation: Operation,
    /// The request as it came, kept until a part of its answer was delivered: it may have to be sent once more.
    pub(in crate::engine) request: Option<Envelope>,
    /// For searches: which configuration is searched, and where its pages are.
    pub(in crate::engine) pages: Option<Pages>,
    /// For searches and syncs: the kind of stream, whose learned ends the end of this call is compared with.
    pub(in crate::engine) stream: Option<StreamKind>,
    /// The member that another router forwards the call to, if another router does. Then the verdict on faults is up to that router.
    pub(in crate::engine) forwarded_to: Option<MemberId>,
    /// Where the call was sent last.
    pub(in crate::engine) route: Option<Route>,
    /// Where the call was sent as well, while nothing of an answer has come from either member.
    pub(super) hedge: Option<Route>,
    /// The moment from which the call may be hedged; none if it may not, or was.
    pub(super) hedge_at: Option<Moment>,
    /// How often the call was sent.
    pub(in crate::engine) sends: u32,
    /// For streams: when a socket of the member's session was lost last while the member had the call.
    pub(super) socket_lost_at: Option<Moment>,
    /// Whether a timer runs for an answer that may have been lost with a socket.
    pub(super) is_watched: bool,
    /// Set while the call waits for a free place: the moment until which it waits at most. A call that waits has no route.
    pub(super) waiting_until: Option<Moment>,
    /// Members that the call was sent to.
    pub(in crate::engine) tried: MemberSet,
    /// The member that may have received the request on a socket that is gone, while the request is sent to that member again.
    pub(in crate::engine) touched: Option<MemberId>,
    /// When the call is given up.
    pub(super) deadline: Deadline,
    /// For a batch that has a result: the moment at which the caller counts the batch as ended, unless another result comes.
    pub(super) quiet_at: Option<Moment>,
    /// Where the call stands among the calls that may be due.
    pub(super) planned: Option<Planned>,
    /// How often the call was retried, and why.
    pub(in crate::engine) attempts: Attempts,
    /// Whether the member is being lost because of another configuration. Then the loss does not count for this call.
    pub(super) is_innocent: bool,
    /// The sessions of members that were lost while they had the call.
    pub(in crate::engine) losses: Vec<Loss>,
    /// What came of its answer.
    pub(super) answer: Progress,
    /// Whether an answer was given up because too much of it came before a part that was missing.
    pub(in crate::engine) is_out_of_order: bool,
    /// When the request arrived.
    pub(in crate::engine) since: Moment,
    /// When the last part of the answer came; before the first part, when the request arrived.
    pub(in crate::engine) progressed_at: Moment,
}

/// A member's session that was lost while the session had a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Loss {
    /// The member.
    pub(in crate::engine) member: MemberId,
    /// Which of the member's processes: the session id that the process showed.
    pub(in crate::engine) remote: String,
    /// When the session was lost.
    pub(in crate::engine) at: Moment,
    /// The router that was lost, if the member was used through a router and the router is gone.
    pub(in crate::engine) way: Option<u32>,
}

impl Call {
    /// The head of the request, while the request is kept.
    pub(in crate::engine) fn head(&self) -> Option<&OperationHead> {
        match &self.request.as_ref()?.kind {
            Kind::Operation(head) => Some(head),
            _ => None,
        }
    }

    /// The member that has the call now.
    pub(in crate::engine) fn member(&self) -> Option<MemberId> {
        self.route.map(|route| route.member())
    }

    /// Whether the call is at two members.
    pub(in crate::engine) fn is_hedged(&self) -> bool {
        self.hedge.is_some()
    }

    /// Where the call is: at no member, at one, or at two.
    pub(in crate::engine) fn routes(&self) -> impl Iterator<Item = Route> {
        self.route.into_iter().chain(self.hedge)
    }

    /// Where the call is in this session.
    pub(in crate::engine) fn route_in(&self, session: MemberSessionKey) -> Option<Route> {
        self.routes().find(|route| route.session() == session)
    }

    /// For a search that continues another search: the member that gave the page before, if the router saw that page.
    pub(in crate::engine) fn page_at(&self) -> Option<MemberId> {
        self.pages?.member
    }

    /// Whether it waits for a free place.
    pub(in crate::engine) fn is_waiting(&self) -> bool {
        self.waiting_until.is_some()
    }

    /// What running the call twice would mean.
    pub(in crate::engine) fn class(&self) -> Class {
        Class::of(self.operation, self.pages.map_or(Paging::Starts, |pages| pages.paging))
    }

    /// How far the call got.
    pub(in crate::engine) fn stage(&self) -> Stage {
        match (&self.request, self.route) {
            // The request is dropped with the first part of the answer that is passed on.
            (None, _) => Stage::PartlyAnswered,
            (Some(_), None) => Stage::Unsent,
            (Some(_), Some(_)) => Stage::MaybeSent,
        }
    }

    /// How far the call got, for the verdict on this fault.
    pub(in crate::engine) fn stage_at(&self, fault: Fault) -> Stage {
        match (self.stage(), fault, self.touched) {
            // A dying process closes its sockets one by one. The request was not sent on the last one, but the member may have
            // received the request on an earlier one.
            (Stage::Unsent, Fault::MemberLost, Some(_)) => Stage::MaybeSent,
            (stage, ..) => stage,
        }
    }

    /// Whether the end of the stream has come, perhaps before some of its items.
    pub(in crate::engine) fn has_end(&self) -> bool {
        self.answer.has_end()
    }

    /// What is to be thought of the last item of a stream whose end has come.
    pub(in crate::engine) fn last_item(&self) -> LastItem {
        self.answer.last_item()
    }

    /// Whether a copy of the last item may have been lost with a socket.
    pub(in crate::engine) fn may_have_lost_a_copy(&self, now: Moment) -> bool {
        self.socket_lost_at.is_some_and(|at| now.since(at) <= limits::STREAM_LOSS_DOUBT)
    }

    /// Whether the caller may have ended the call although its last frame has not come. If the caller refuses or loses frames of such a
    /// call, that is no loss (WIRE 5.6).
    pub(in crate::engine) fn may_be_ended_by_caller(&self) -> bool {
        self.answer.may_be_ended()
    }

    /// Whether nothing of an answer has come.
    pub(in crate::engine) fn is_untouched(&self) -> bool {
        matches!(self.answer, Progress::Nothing)
    }

    /// Whether a cancel stops the call at the member. Calls with a single answer run on (WIRE 5.4).
    pub(in crate::engine) fn is_cancellable(&self) -> bool {
        matches!(
            self.operation,
            Operation::Search
                | Operation::Sync
                | Operation::Batch
                | Operation::ConnectorEventSubscription
                | Operation::SyncEventSubscription
        )
    }

    /// The moment at which the call is given up, its wait for a place ends, its caller has ended it, or its answer is overdue, if nothing
    /// happens to the call until then.
    pub(super) fn due_at(&self) -> Option<Moment> {
        self.deadline
            .at()
            .into_iter()
            .chain(self.waiting_until)
            .chain(self.quiet_at)
            .chain(self.hedge_at)
            .min()
    }

    /// What must be true between two events of a call that may be at two members.
    #[cfg(test)]
    pub(super) fn assert_hedge(&self) {
        let Some(hedge) = self.hedge else { return };
        let route = self.route.expect("a hedged call is at two members");
        assert_ne!(route.member(), hedge.member(), "two different members");
        assert!(self.class().may_be_hedged() && self.is_untouched() && self.request.is_some(), "{self:?}");
    }
}
