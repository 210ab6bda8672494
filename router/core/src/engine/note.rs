//! What the engine reports to logs and metrics.

use std::time::Duration;

use rcs_proto::icf::ConnectorKey;
use rcs_proto::operation::Operation;
use rcs_proto::session::SocketId;

use super::keys::CallId;
use crate::agreed::At;
use crate::bundles::group::Told;
use crate::health::Unfit;
use crate::ids::{ConfigurationId, GroupId, MemberId};
use crate::state::MemberState;
use crate::verdict::{Cut, ErrorKind, Fault, Outcome};
use crate::view::Mark;

/// Calls for one connector version that no member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnservedCalls {
    /// The group; `None` if the connector decides, and no group has the connector.
    pub group: Option<GroupId>,
    /// The connector that the calls name; `None` for several connectors, beyond those that are counted one by one.
    pub connector: Option<ConnectorKey>,
    /// Calls that failed since the last such note. In the last note: calls since the first one.
    pub calls: u64,
    /// How many callers made these calls, up to 64.
    pub callers: usize,
    /// Some principals of these callers.
    pub principals: Vec<String>,
    /// Whether no such call came for [`crate::limits::UNSERVED_EVERY`].
    pub is_over: bool,
}

/// Something that happened, for logs and metrics. It carries no payload and no secret (promise P9).
#[derive(Clone, Debug, PartialEq)]
pub enum Note<'a> {
    /// A call has its final answer.
    CallEnded {
        /// Its id.
        call: CallId,
        /// The group that the call was routed in, if one was found.
        group: Option<GroupId>,
        /// The member that the call was sent to last.
        member: Option<MemberId>,
        /// The operation.
        operation: Operation,
        /// How it ended.
        outcome: Outcome,
        /// The time from the request to the last frame of the answer.
        took: Duration,
    },
    /// A call may have changed something, and nobody can say whether it ran: somebody must look at the object. This note comes before the
    /// call's [`Note::CallEnded`].
    OutcomeUnknown {
        /// The id of the call.
        call: CallId,
        /// When the call came.
        at: At,
        /// The group that the call was routed in.
        group: GroupId,
        /// The member that had the call last.
        member: Option<MemberId>,
        /// The operation.
        operation: Operation,
        /// The principal that the caller proved; none if the caller has left.
        caller: Option<&'a str>,
        /// The connector, as the request names it.
        connector: Option<&'a str>,
        /// The object class.
        object_class: Option<&'a str>,
        /// The class of the exception that the caller got.
        class: Option<&'a str>,
        /// The router's sentence in that exception.
        sentence: Option<&'a str>,
    },
    /// A call goes to another member, or once more to the same one.
    CallRetried {
        /// Its id.
        call: CallId,
        /// The operation.
        operation: Operation,
        /// The member that the call was sent to before.
        from: MemberId,
        /// What went wrong there.
        fault: Fault,
    },
    /// Nothing of a read's answer came for the group's `hedge_after`, so the read was sent to a second member as well.
    CallHedged {
        /// Its id.
        call: CallId,
        /// The group that the call was routed in.
        group: GroupId,
        /// The operation.
        operation: Operation,
        /// The member that has not answered.
        from: MemberId,
        /// The second member.
        to: MemberId,
    },
    /// The second member of a hedged call answered first.
    HedgeWon {
        /// The id of the call.
        call: CallId,
        /// The group that the call was routed in.
        group: GroupId,
    },
    /// A call was turned away for load.
    CallRefused {
        /// Its id.
        call: CallId,
        /// The group that the call was routed in, if one was found.
        group: Option<GroupId>,
        /// The operation.
        operation: Operation,
        /// The limit that was reached.
        reason: ErrorKind,
    },
    /// The answer of a search or a sync is not whole.
    StreamCut {
        /// The group.
        group: GroupId,
        /// The member that it came from.
        member: Option<MemberId>,
        /// The operation.
        operation: Operation,
        /// Why the answer does not count as whole.
        reason: Cut,
    },
    /// A member can take calls from now on.
    MemberUp {
        /// The member.
        member: MemberId,
        /// Its connectors.
        connectors: usize,
    },
    /// A member can be reached but gets no calls, unless too few members of its group are fit (panic threshold).
    MemberUnfit {
        /// The member.
        member: MemberId,
        /// Why.
        reason: Unfit,
    },
    /// A member can take no calls any more.
    MemberDown {
        /// The member.
        member: MemberId,
        /// Calls that it held.
        calls: usize,
    },
    /// A group has lost its last member that gets calls.
    GroupOut {
        /// The group.
        group: GroupId,
        /// The states of the group's members, in list order.
        members: &'a [(MemberId, MemberState)],
        /// Calls that wait for a place.
        queued: usize,
    },
    /// A group without a member that gets calls has such a member again.
    GroupBack {
        /// The group.
        group: GroupId,
        /// For how long the group had no such member.
        after: Duration,
    },
    /// Callers asked for connectors, and wait for an answer because no member has reported its connectors yet. Noted again each
    /// [`crate::limits::LIST_WAIT_TOLD_EVERY`].
    CallersWaitForList {
        /// The group of these callers; none for callers whose calls are routed by connector.
        group: Option<GroupId>,
        /// How many callers.
        callers: usize,
    },
    /// A caller waited for calls of which the router knows nothing, and was told so: their requests or answers were lost on the way.
    CallsNotHeld {
        /// How many.
        calls: usize,
    },
    /// The router stood still: its machine was overloaded or paused. Peers are judged a moment later, when what they sent is read.
    StoodStill {
        /// For how long.
        time: Duration,
    },
    /// An operator marked a member.
    MemberMarked {
        /// The member.
        member: MemberId,
        /// How.
        mark: Mark,
        /// Calls that it holds.
        calls: usize,
    },
    /// A member that was marked has no call and no socket left.
    MemberDrained {
        /// The member.
        member: MemberId,
    },
    /// A socket reached the age at which it is replaced, and is closed without a loss.
    SocketRotated {
        /// The member at the other end; none for a caller's socket.
        member: Option<MemberId>,
    },
    /// An attempt to reach a member failed: the first one, or one that failed in another way than the attempt before.
    DialFailed {
        /// The member.
        member: MemberId,
        /// A sentence for the operator.
        reason: &'a str,
    },
    /// A socket towards a member was closed because of what came from it.
    MemberDisconnected {
        /// The member.
        member: MemberId,
        /// A sentence for the operator.
        reason: &'a str,
    },
    /// Another server process is this member now: at the member's address, or under its name.
    MemberChangedIdentity {
        /// The member.
        member: MemberId,
    },
    /// A member's list of connectors cannot be read.
    ConnectorInfosUnreadable {
        /// The member.
        member: MemberId,
    },
    /// A configuration is quarantined: members were lost with it, and calls with it are not sent any more.
    ConfigurationQuarantined {
        /// The name of the configuration, which does not reveal it.
        configuration: ConfigurationId,
        /// The configuration's connector, fit for a line of a log.
        connector: &'a str,
        /// The members that were lost.
        members: &'a [MemberId],
        /// How long the quarantine lasts.
        time: Duration,
    },
    /// A configuration is quarantined no longer.
    ConfigurationReleased {
        /// The name of the configuration.
        configuration: ConfigurationId,
        /// The connector of the configuration.
        connector: &'a str,
        /// Why the configuration was released.
        by: ReleasedBy,
    },
    /// The bundle sets of a group changed, or how a member stands with its own.
    Bundles {
        /// The group.
        group: GroupId,
        /// What happened. The text goes on after the name of the member or the group.
        told: &'a Told,
    },
    /// A group, or a server that is a group of one, has left the document while callers use it.
    GroupLeft {
        /// The group.
        group: GroupId,
        /// Callers on the group's way in.
        callers: usize,
        /// Callers for whom the connector decides, and that used a connector which no other group has.
        by_connector: usize,
        /// Some principals of the callers on its way in.
        principals: &'a [String],
        /// Calls that these callers have open.
        calls: usize,
    },
    /// Calls ask for a connector in a version that no serving member has. Noted at first, then once a minute while such calls come, and
    /// once more when no such call came for a minute.
    CallsUnserved(&'a UnservedCalls),
    /// The list of connectors changed, and some callers know an older list, which lacks something. A caller asks for the list again
    /// only with a new session.
    CallersBehind {
        /// The group of these callers; none for callers whose calls are routed by connector.
        group: Option<GroupId>,
        /// How many callers.
        callers: usize,
    },
    /// A caller's first socket joined.
    CallerJoined {
        /// How many callers are connected now.
        callers: usize,
    },
    /// A caller's last socket closed.
    CallerLeft {
        /// How many calls the caller had open.
        calls: usize,
    },
    /// A socket of a caller was closed because of what came from it.
    CallerDisconnected {
        /// A sentence for the operator.
        reason: &'a str,
    },
    /// A change that was decided elsewhere cannot be followed; what was in force stays in force.
    ViewNotFollowed {
        /// A sentence for the operator.
        reason: &'a str,
    },
    /// A frame that is no message of the protocol; ignored, as the Java peers do (WIRE 1.2).
    FrameIgnored {
        /// The socket that it came on.
        socket: SocketId,
    },
}

/// Why a configuration is quarantined no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleasedBy {
    /// The time of the quarantine is over.
    Time,
    /// An operator released the configuration.
    Operator,
    /// A member answered a call with the configuration. The call was sent before the quarantine.
    Answer,
    /// The lost processes live: the network was to blame.
    Life,
    /// More configurations are quarantined than can be remembered, and the quarantine of this one would have ended first.
    Room,
}
