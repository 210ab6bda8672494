//! What happens after a failure, decided in one place from the kind of call, how far it got, and what went
//! wrong (WIRE 5.7).
//!
//! The rules behind the table:
//! - a call that may have changed something is never sent again once it may have left the router (P2);
//! - a call that changes nothing goes to another member as long as nothing of its answer was passed on (P3);
//! - a stream that delivered something is never replayed: its caller would see objects twice (P13);
//! - a member's own error is passed on, unless it says that its resource cannot be reached and the call only reads;
//! - a call that certainly did not run (never left, or was refused before it ran) may be repeated, whatever its class;
//! - a call that was lost with two members is not sent to a third (poison), unless the network lost them;
//! - a read of which nothing came for long may be at two members at once (hedge), and no other call ever is.

use rcs_proto::operation::Operation;

use crate::limits::{POISON_LOSSES_MAX, RETRIES_ELSEWHERE_MAX, RETRIES_SAME_MAX};

mod error;

pub use error::{CallError, Circumstances, ErrorKind, Outcome, QuarantinedConfiguration};

/// What may be done with a call whose answer is missing (WIRE 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Changes nothing, has one answer: schema, validate, test, get, resolveUsername, latestSyncToken.
    PureRead,
    /// Reads, but a second run may be noticed: authenticate may count failed logins.
    CountedRead,
    /// Changes nothing, has many answers: search, sync.
    Stream,
    /// A search that continues a paged one, or a question for the results of a batch. The state behind its cookie or token may live in one
    /// member only (X01).
    Page,
    /// May change something: create, update, delete, scripts, batch, and whatever is unknown.
    Write,
    /// Stays open and delivers events: both subscriptions.
    Subscription,
}

/// How far a call got at the member it is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// No byte of its request was handed to a socket.
    Unsent,
    /// Its request may have reached the member; nothing of an answer was passed on.
    MaybeSent,
    /// Part of its answer was passed on to the caller.
    PartlyAnswered,
    /// Its final answer was passed on.
    Answered,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Every socket of the member's session is gone, or the member was disconnected for what it sent.
    MemberLost,
    /// The socket that carried the request is gone; the member's session lives on others.
    SocketLost,
    /// The member refused the request because it had not stored the handshake yet: the call was not run (WIRE 7.1).
    /// The same refusal of a *response* is another thing and must not be reported as this.
    RefusedBeforeHandshake,
    /// The member does not know the connector: the call was not run.
    ConnectorNotFound,
    /// The member still runs another call under this id: the call was not run (WIRE 4.3).
    IdInUse,
    /// The member shuts down and accepts no more calls: the call was not run.
    MemberShutsDown,
    /// The member answered that it cannot reach the resource behind it (G17).
    ResourceFailing,
    /// Nothing of the answer came for the group's `hedge_after`, while the member answered calls that were sent later.
    AnswerOverdue,
    /// The caller reads its answer too slowly: the bytes that wait for it reached the backlog limit.
    CallerTooSlow,
    /// A frame of this call exceeds the size limit: its request if unsent, its answer otherwise.
    TooLarge,
    /// The member ended a stream, and the end looks cut: items are missing, or it lacks the `result` this
    /// connector sends (P13).
    EndLooksCut,
    /// Members were lost with the configuration that the call names, and it is quarantined (P3).
    ConfigurationQuarantined,
    /// The picker found no member to (re)send the call to.
    NoMember,
    /// No member had a free place for the call, and the group's queue is full.
    QueueFull,
    /// The call waited in the queue until its timeout.
    QueueTimeout,
    /// The timeout that the caller set, or else the configured deadline, has passed.
    DeadlinePassed,
    /// The router is shutting down, and the time to drain is over.
    Draining,
}

/// Why the answer of a search or a sync is treated as incomplete (P13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// The end of a search lacks the `result` that all before it had.
    NoResult,
    /// The end of a sync lacks the token that all before it had.
    NoToken,
    /// The last item arrived twice: the member could not write for a while, and gave the stream up.
    LastRepeated,
    /// The stream had a pause, and a socket of the member was lost near its end: a second copy of the last item may have been lost with the
    /// socket.
    CopyLost,
    /// The end arrived, but fewer items than it counts.
    MissingItems,
    /// The numbers of its items contradict each other, or it has a part that no such answer has.
    Nonsense,
    /// Too much of it came before a part that was missing.
    OutOfOrder,
    /// The member was lost before the end arrived.
    MemberLost,
    /// Parts of it were lost on the way to the caller.
    LostOnTheWay,
}

impl Cut {
    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoResult => "no_result",
            Self::NoToken => "no_token",
            Self::LastRepeated => "last_repeated",
            Self::CopyLost => "copy_lost",
            Self::MissingItems => "missing_items",
            Self::Nonsense => "nonsense",
            Self::OutOfOrder => "out_of_order",
            Self::MemberLost => "member_lost",
            Self::LostOnTheWay => "lost_on_the_way",
        }
    }
}

/// What was tried for one call so far, the failure at hand included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Times it was moved to another member.
    pub elsewhere: u8,
    /// Times it was sent again to the same member.
    pub same: u8,
    /// Members lost while they may have been running it.
    pub losses: u8,
    /// Whether its group may repeat calls now.
    pub budget: Budget,
}

/// What a group has left for retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Budget {
    /// The call may be sent again.
    #[default]
    Left,
    /// The retries of the group have reached their limit: nothing is retried.
    Spent,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pick a member that was not tried yet and send it there.
    RetryElsewhere,
    /// Send it to the same member again, under a new id: on another socket if one was lost, and not before
    /// [`crate::limits::RETRY_SAME_WAIT`] if the member refused it.
    RetrySame,
    /// Leave it where it is: the member keeps the call and may answer on any other socket of its session
    /// (WIRE 4.2). Its deadline and the session checks still bound it.
    Wait,
    /// Leave it where it is, and send it to another member as well: the first answer counts.
    Hedge,
    /// The call lost as many members as a call may lose. The call ended them, or the network did: hold the call back until that
    /// is known, then end it with [`ErrorKind::Poison`] or send it elsewhere.
    HoldBack,
    /// The member's own error is the answer: pass it on as it came.
    PassOn,
    /// Answer the caller with this error, and cancel the call at the member if there still is one.
    Answer(ErrorKind),
    /// Nothing is to be done: the caller has its answer, or the call just goes on.
    Nothing,
}

impl Fault {
    /// Whether the member's own error stands if the call goes nowhere else.
    const fn is_error_of_member(self) -> bool {
        matches!(self, Self::ConnectorNotFound | Self::MemberShutsDown | Self::ResourceFailing)
    }
}

impl Class {
    /// The class of an operation. `paging` says whether a search's options carry a page cookie.
    pub fn of(operation: Operation, paging: Paging) -> Self {
        use Operation as Op;
        match operation {
            // `test` warms the connector up, which may be done as often as one likes.
            Op::Schema | Op::Validate | Op::Test | Op::Get | Op::ResolveUsername | Op::LatestSyncToken => {
                Self::PureRead
            }
            Op::Authenticate => Self::CountedRead,
            // A batch that continues another one only asks for results, and runs no task.
            Op::Search | Op::Batch if paging == Paging::Continues => Self::Page,
            Op::Search | Op::Sync => Self::Stream,
            Op::ConnectorEventSubscription | Op::SyncEventSubscription => Self::Subscription,
            Op::Create
            | Op::Update
            | Op::Delete
            | Op::ScriptOnConnector
            | Op::ScriptOnResource
            | Op::Batch
            | Op::ConfigurationChange
            | Op::Unknown => Self::Write,
        }
    }

    /// Whether the call may be at two members at once: it changes nothing, and any member can answer it from the beginning.
    pub const fn may_be_hedged(self) -> bool {
        matches!(self, Self::PureRead | Self::Stream)
    }

    /// Whether the operation changes nothing at all; a login may change a count of failed logins.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::PureRead | Self::Stream | Self::Page)
    }
}

/// Whether a search continues a paged one, or a batch asks for the results of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Paging {
    /// No cookie and no token.
    Starts,
    /// A cookie that an earlier page gave, or a token that an earlier batch gave.
    Continues,
}

/// Decides. A function of its arguments and nothing else.
pub fn decide(class: Class, stage: Stage, fault: Fault, attempts: Attempts) -> Verdict {
    match rule(class, stage, fault) {
        Verdict::RetrySame if attempts.same >= RETRIES_SAME_MAX || attempts.budget == Budget::Spent => {
            match (class, stage, fault) {
                (Class::Page, ..) => Verdict::Answer(ErrorKind::PageLost),
                (_, Stage::MaybeSent, Fault::SocketLost) => Verdict::Wait,
                _ => elsewhere(class, stage, fault, attempts),
            }
        }
        Verdict::RetryElsewhere => elsewhere(class, stage, fault, attempts),
        Verdict::Hedge if attempts.elsewhere >= RETRIES_ELSEWHERE_MAX || attempts.budget == Budget::Spent => {
            Verdict::Nothing
        }
        verdict => verdict,
    }
}

/// The bounds on moving a call.
fn elsewhere(class: Class, stage: Stage, fault: Fault, attempts: Attempts) -> Verdict {
    let took_members = fault == Fault::MemberLost && stage != Stage::Unsent;
    if took_members && attempts.losses >= POISON_LOSSES_MAX {
        Verdict::HoldBack
    } else if attempts.elsewhere < RETRIES_ELSEWHERE_MAX && attempts.budget == Budget::Left {
        Verdict::RetryElsewhere
    } else if fault.is_error_of_member() {
        Verdict::PassOn
    } else if fault == Fault::EndLooksCut {
        Verdict::Answer(ErrorKind::StreamCut)
    } else if took_members {
        Verdict::Answer(lost(class, stage))
    } else if attempts.budget == Budget::Spent {
        Verdict::Answer(ErrorKind::RetriesSpent)
    } else {
        Verdict::Answer(ErrorKind::NoMember)
    }
}

/// The table, before any bound on repetition.
fn rule(class: Class, stage: Stage, fault: Fault) -> Verdict {
    use Class::{CountedRead, Page, PureRead, Stream, Write};
    use Fault as F;
    use Stage::{Answered, MaybeSent, PartlyAnswered, Unsent};
    let give_up = Verdict::Answer(lost(class, stage));
    match (fault, stage, class) {
        (_, Answered, _) => Verdict::Nothing,

        (F::MemberLost, Unsent | MaybeSent, Page) => give_up,
        (F::MemberLost, Unsent, _) => Verdict::RetryElsewhere,
        (F::MemberLost, MaybeSent, PureRead | Stream) => Verdict::RetryElsewhere,
        (F::MemberLost, _, _) => give_up,

        (F::SocketLost, Unsent, _) => Verdict::RetrySame,
        (F::SocketLost, MaybeSent, PureRead | Stream) => Verdict::RetrySame,
        (F::SocketLost, _, _) => Verdict::Wait,

        (F::RefusedBeforeHandshake | F::IdInUse, Unsent | MaybeSent, _) => Verdict::RetrySame,
        (F::RefusedBeforeHandshake | F::IdInUse, PartlyAnswered, _) => give_up,

        (F::ConnectorNotFound | F::MemberShutsDown, PartlyAnswered, _) => Verdict::PassOn,
        (F::ConnectorNotFound, _, Page) => Verdict::PassOn,
        (F::MemberShutsDown, _, Page) => give_up,
        (F::ConnectorNotFound | F::MemberShutsDown, _, _) => Verdict::RetryElsewhere,

        // Another member may reach it (P3). A change may have got half way, and a login may have been counted.
        (F::ResourceFailing, Unsent | MaybeSent, PureRead | Stream) => Verdict::RetryElsewhere,
        (F::ResourceFailing, _, _) => Verdict::PassOn,

        (F::AnswerOverdue, MaybeSent, class) if class.may_be_hedged() => Verdict::Hedge,
        (F::AnswerOverdue, _, _) => Verdict::Nothing,

        (F::CallerTooSlow, MaybeSent | PartlyAnswered, Write) => give_up,
        (F::CallerTooSlow, _, _) => Verdict::Answer(ErrorKind::CallerTooSlow),

        (F::TooLarge, Unsent, _) => Verdict::Answer(ErrorKind::RequestTooLarge),
        (F::TooLarge, _, Write) => give_up,
        (F::TooLarge, _, _) => Verdict::Answer(ErrorKind::AnswerTooLarge),

        // Nothing was delivered: another member may give it whole.
        (F::EndLooksCut, Unsent | MaybeSent, Stream) => Verdict::RetryElsewhere,
        (F::EndLooksCut, _, Stream | Page) => Verdict::Answer(ErrorKind::StreamCut),
        (F::EndLooksCut, _, _) => give_up,

        (F::ConfigurationQuarantined, ..) => Verdict::Answer(ErrorKind::ConfigurationQuarantined),

        (F::NoMember, _, Page) => give_up,
        (F::NoMember, Unsent, _) => Verdict::Answer(ErrorKind::NoMember),
        (F::NoMember, MaybeSent, PureRead | Stream) => Verdict::Answer(ErrorKind::NoMember),
        (F::NoMember, _, _) => give_up,

        // A queued call waits for a place, so no member has it.
        (F::QueueFull, Unsent, _) => Verdict::Answer(ErrorKind::QueueFull),
        (F::QueueTimeout, Unsent, _) => Verdict::Answer(ErrorKind::QueueTimeout),
        (F::QueueFull | F::QueueTimeout, _, _) => give_up,

        // A login that ran too long may still be counted.
        (F::DeadlinePassed, MaybeSent | PartlyAnswered, Write | CountedRead) => {
            Verdict::Answer(ErrorKind::DeadlineUnknown)
        }
        (F::DeadlinePassed, _, _) => Verdict::Answer(ErrorKind::Deadline),

        (F::Draining, Unsent, _) => Verdict::Answer(ErrorKind::Draining),
        (F::Draining, MaybeSent, PureRead | Stream | Page) => Verdict::Answer(ErrorKind::Draining),
        (F::Draining, _, _) => give_up,
    }
}

impl ErrorKind {
    /// The error of a call whose answer came from its member, and was lost after that.
    pub fn of_lost(operation: Operation) -> Self {
        lost(Class::of(operation, Paging::Starts), Stage::PartlyAnswered)
    }
}

/// The error of a call whose answer will not come, and that cannot be repeated for its caller.
fn lost(class: Class, stage: Stage) -> ErrorKind {
    match (class, stage) {
        (Class::Write, Stage::Unsent) => ErrorKind::NoMember,
        (Class::Write, _) => ErrorKind::OutcomeUnknown,
        (Class::CountedRead, Stage::Unsent) => ErrorKind::NoMember,
        (Class::CountedRead, _) => ErrorKind::LoginUnknown,
        (Class::Stream, Stage::PartlyAnswered) => ErrorKind::StreamCut,
        (Class::PureRead | Class::Stream, _) => ErrorKind::AnswerLost,
        (Class::Page, _) => ErrorKind::PageLost,
        (Class::Subscription, _) => ErrorKind::SubscriptionLost,
    }
}

#[cfg(test)]
mod tests;
